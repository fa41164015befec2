"""Autoencoders that drop in next to PCA."""

from . import metrics
from ._undercomplete import UndercompleteAE

__all__ = ["UndercompleteAE", "metrics"]
__version__ = "0.1.0"
