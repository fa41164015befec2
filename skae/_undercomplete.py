"""The plain autoencoder: a code narrower than the data."""

import warnings
from typing import Any, Self

from ._base import BaseAutoencoder, autoencoder


@autoencoder
class UndercompleteAE(BaseAutoencoder):
    """Autoencoder."""

    def fit(self, X: Any, y: Any = None) -> Self:
        return super().fit(X, y)
