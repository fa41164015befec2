"""Autoencoders that drop in next to PCA."""

from . import inspection, metrics
from ._contractive import ContractiveAE
from ._conv import ConvAE
from ._denoising import DenoisingAE
from ._sparse import SparseAE
from ._undercomplete import UndercompleteAE

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
