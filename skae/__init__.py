"""Autoencoders that drop in next to PCA."""

from . import inspection, metrics
from ._estimators.contractive import ContractiveAE
from ._estimators.conv import ConvAE
from ._estimators.denoising import DenoisingAE
from ._estimators.sparse import SparseAE
from ._estimators.undercomplete import UndercompleteAE

__all__ = [
    "ContractiveAE",
    "ConvAE",
    "DenoisingAE",
    "SparseAE",
    "UndercompleteAE",
    "inspection",
    "metrics",
]
__version__ = "0.1.0"
