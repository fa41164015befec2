"""Base of autoencoders with convolutions."""

from collections.abc import Sequence
from typing import Any, ClassVar

from .._networks.convolutional import check_convolutions
from .._networks.windows import NORMALIZATIONS, UPSAMPLINGS
from .._rows.checks import POSITIVE_INTEGER, check_layer_sizes, names
from .._training.schedule import Schedule
from .layouts import ImageAutoencoder
from .parameters import autoencoder


@autoencoder
class ConvolvingAutoencoder(ImageAutoencoder):
    """Adds the parameters of a convolutional network."""

    channels: int | Sequence[int] = (32, 64)
    kernel_size: int | Sequence[int] = 3
    stride: int | Sequence[int] = 2
    upsampling: str = "transpose"
    normalization: str | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ImageAutoencoder._parameter_constraints,
        "channels": ["array-like", POSITIVE_INTEGER],
        "kernel_size": ["array-like", POSITIVE_INTEGER],
        "stride": ["array-like", POSITIVE_INTEGER],
        "upsampling": [names(UPSAMPLINGS)],
        "normalization": [names(NORMALIZATIONS), None],
    }

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        if self.tied_weights and self.upsampling != "transpose":
            raise ValueError(
                f"tied_weights=True needs upsampling='transpose', the transpose of the "
                f"encoder's convolutions, not {self.upsampling!r}."
            )
        hidden = [256]
        if not isinstance(self.hidden_layer_sizes, str):
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "shape": self.image_shape_,
            "n_components": width,
            **check_convolutions(self.channels, self.kernel_size, self.stride),
            "hidden": hidden,
            "activation": self.activation,
            "code_activation": self.code_activation,
            "upsampling": self.upsampling,
            "normalization": self.normalization,
            "tied_weights": self.tied_weights,
        }
