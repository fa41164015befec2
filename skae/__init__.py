"""Autoencoders that drop in next to PCA."""

from . import distributed, inspection, metrics, onnx, rows
from ._applications.classifier import AutoencoderClassifier
from ._applications.imputer import AutoencoderImputer
from ._applications.outlier import AutoencoderOutlier
from ._applications.regressor import AutoencoderRegressor
from ._comparison import Comparison, compare
from ._estimators.contractive import ContractiveAE
from ._estimators.conv import ConvAE
from ._estimators.denoising import DenoisingAE
from ._estimators.masked import MaskedAE
from ._estimators.recurrent import RecurrentAE
from ._estimators.sparse import SparseAE
from ._estimators.stacked import StackedAE
from ._estimators.table import TableAE
from ._estimators.undercomplete import UndercompleteAE
from ._estimators.variational import VariationalAE
from ._files.saving import load
from ._files.versions import VersionWarning

__all__ = [
    "AutoencoderClassifier",
    "AutoencoderImputer",
    "AutoencoderOutlier",
    "AutoencoderRegressor",
    "Comparison",
    "ContractiveAE",
    "ConvAE",
    "DenoisingAE",
    "MaskedAE",
    "RecurrentAE",
    "SparseAE",
    "StackedAE",
    "TableAE",
    "UndercompleteAE",
    "VariationalAE",
    "VersionWarning",
    "compare",
    "distributed",
    "inspection",
    "load",
    "metrics",
    "onnx",
    "rows",
]
__version__ = "0.1.0"
for _public in (Comparison, VersionWarning, compare, load):
    # Pickles name public paths only.
    _public.__module__ = __name__
