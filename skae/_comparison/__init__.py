"""Transformers side by side, cross-validated: PCA, autoencoders, any others."""

from .comparison import Comparison
from .cross_validation import compare

__all__ = ["Comparison", "compare"]
