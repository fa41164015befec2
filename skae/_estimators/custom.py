"""Base of autoencoders that accept the user's own networks."""

from typing import Any, ClassVar

from .._networks.custom import Factory
from .._training.schedule import Schedule
from .base import BaseAutoencoder
from .parameters import SharedParameters, autoencoder


@autoencoder
class CustomAutoencoder(BaseAutoencoder):
    """Takes ``encode`` and ``decode`` from modules that factories make."""

    encoder: Factory | None = None
    decoder: Factory | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "encoder": [callable, None],
        "decoder": [callable, None],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        given = [n for n in ("encoder", "decoder") if getattr(self, n) is not None]
        if given and self.tied_weights:
            raise ValueError(
                "tied_weights=True ties the layers of hidden_layer_sizes, which "
                f"{given[0]}={getattr(self, given[0])!r} replaces: use "
                "tied_weights=False."
            )

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        own = {"encoder": self.encoder, "decoder": self.decoder}
        return super()._network_options(schedule, width) | own
