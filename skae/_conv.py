"""The convolutional autoencoder, for signals, images and volumes."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Options

from ._convolutions import NORMALIZATIONS, UPSAMPLINGS, Convolutional
from ._corrupting import CorruptingAutoencoder
from ._corruption import Corruption, of_images
from ._layout import check_images, check_sizes, find_shape, flatten
from ._parameters import autoencoder
from ._schedule import Schedule
from ._validation import POSITIVE_INTEGER, check_layer_sizes, names


HIDDEN = [512]


@autoencoder
class ConvAE(CorruptingAutoencoder):
    """DOC.

    Parameters
    ----------
    n_components : int or None, default=2
        Width.

    <corruption parameters>

    <network parameters>

    <training parameters>

    Attributes
    ----------
    <shared attributes>
    """

    image_shape: int | Sequence[int] | None = None
    spatial_dims: int | str = "auto"
    channels: int | Sequence[int] = (32, 64)
    kernel_size: int | Sequence[int] = 5
    stride: int | Sequence[int] = 2
    upsampling: str = "transpose"
    normalization: str | None = None
    activation: str | Any = "relu"
    learning_rate_init: float = 0.002

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CorruptingAutoencoder._parameter_constraints,
        "image_shape": ["array-like", POSITIVE_INTEGER, None],
        "spatial_dims": [names({"auto"}), Options(Integral, {1, 2, 3})],
        "channels": ["array-like", POSITIVE_INTEGER],
        "kernel_size": ["array-like", POSITIVE_INTEGER],
        "stride": ["array-like", POSITIVE_INTEGER],
        "upsampling": [names(UPSAMPLINGS)],
        "normalization": [names(NORMALIZATIONS), None],
    }

    _network_class = Convolutional

    def _check_rows(self, X: Any, *, reset: bool, min_samples: int = 1) -> Any:
        X, given = flatten(X)
        X = super()._check_rows(X, reset=reset, min_samples=min_samples)
        if reset:
            self.image_shape_ = find_shape(
                self.image_shape, self.spatial_dims, given, X.shape[1]
            )
            self._layout = given or X.shape[1:]
        check_images(given, self.image_shape_)
        return X

    def _in_layout(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(*rows.shape[:-1], *self._layout)

    def _network_options(self) -> dict[str, Any]:
        channels = check_sizes("channels", self.channels)
        kernel_sizes = self._per_layer("kernel_size", len(channels))
        strides = self._per_layer("stride", len(channels))
        if any(s > k for s, k in zip(strides, kernel_sizes, strict=True)):
            raise ValueError(
                f"stride={self.stride} passes over places between kernels of "
                f"kernel_size={self.kernel_size}: use a smaller stride or a larger "
                "kernel."
            )
        if self.tied_weights and self.upsampling != "transpose":
            raise ValueError(
                f"tied_weights=True needs upsampling='transpose', the transpose of the "
                f"encoder's convolutions, not {self.upsampling!r}."
            )
        by_default = isinstance(self.hidden_layer_sizes, str)
        return {
            "shape": self.image_shape_,
            "n_components": self._width,
            "channels": channels,
            "kernel_sizes": kernel_sizes,
            "strides": strides,
            "hidden": HIDDEN if by_default else check_layer_sizes(self.hidden_layer_sizes),
            "activation": self.activation,
            "code_activation": self.code_activation,
            "upsampling": self.upsampling,
            "normalization": self.normalization,
            "tied_weights": self.tied_weights,
        }

    def _per_layer(self, name: str, n_layers: int) -> tuple[int, ...]:
        """Return a parameter as one number for each convolution."""
        value = getattr(self, name)
        sizes = check_sizes(name, value)
        if np.ndim(value) == 0:
            return sizes * n_layers
        if len(sizes) != n_layers:
            raise ValueError(
                f"{name}={value} has {len(sizes)} entries, but channels="
                f"{self.channels} make {n_layers} convolutions: give one for each, or "
                "a single number."
            )
        return sizes

    def _schedule(self) -> Schedule:
        return Schedule()

    def _corruption(self) -> Corruption | None:
        corrupt = super()._corruption()
        if corrupt is None:
            return None
        return partial(of_images, corrupt=corrupt, shape=self.image_shape_)
