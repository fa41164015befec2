"""Autoencoders that drop in next to PCA."""

from . import metrics
from ._contractive import ContractiveAE
from ._denoising import DenoisingAE
from ._sparse import SparseAE
from ._undercomplete import UndercompleteAE

__all__ = ["ContractiveAE", "DenoisingAE", "SparseAE", "UndercompleteAE", "metrics"]
__version__ = "0.1.0"
