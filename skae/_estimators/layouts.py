"""Base of autoencoders of signals, images or volumes."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Options

from .._rows.checks import POSITIVE_INTEGER, names
from .._rows.containers import as_array
from .._rows.layout import (
    Shape,
    check_images,
    check_single,
    find_shape,
    flatten,
    said_shape,
)
from .._rows.stored import opened
from .base import BaseAutoencoder
from .parameters import SharedParameters, autoencoder


@autoencoder
class ImageAutoencoder(BaseAutoencoder):
    """Accepts flat rows or arrays of images, and returns the layout of ``fit``."""

    image_shape: int | Sequence[int] | None = None
    spatial_dims: int | str = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "image_shape": ["array-like", POSITIVE_INTEGER, None],
        "spatial_dims": [names({"auto"}), Options(Integral, {1, 2, 3})],
    }

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, Shape]:
        X = as_array(opened(X), self._allows_nan(), type(self).__name__)
        if not reset:
            check_single(
                X.shape if isinstance(X, np.ndarray) else (), self.image_shape_
            )
        X, given = flatten(X)
        if not reset:
            check_images(given, self.image_shape_)
        X, flat = super()._check_rows(X, reset=reset, min_samples=min_samples)
        if reset:
            self.image_shape_: Any = find_shape(
                self.image_shape, self.spatial_dims, given, X.shape[1]
            )
        return X, given or flat

    def _extremes(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        # A pixel may be dark in all training images, but light in new ones.
        low, high = (e.reshape(self.image_shape_) for e in super()._extremes(X))
        axes = tuple(range(1, low.ndim))
        lows, highs = low.min(axes, keepdims=True), high.max(axes, keepdims=True)
        return (
            np.broadcast_to(lows, low.shape).ravel(),
            np.broadcast_to(highs, low.shape).ravel(),
        )

    def _fixed_parameters(self) -> dict[str, Any]:
        layout = {
            "image_shape": said_shape(self.image_shape),
            "spatial_dims": self.spatial_dims,
        }
        return super()._fixed_parameters() | layout
