"""The objective of masked rows: the loss of what is hidden."""

from typing import Any

import torch
from torch import Tensor

from .objective import Objective


def hide_tokens(
    x: Tensor, generator: torch.Generator, *, token_of: Tensor, n_visible: int
) -> Tensor:
    """Set all but ``n_visible`` random tokens of each row to NaN.

    ``token_of`` is the token of each feature.
    """
    shape = len(x), int(token_of.max()) + 1
    options: dict[str, Any] = {"device": generator.device, "dtype": torch.float32}
    draws = torch.rand(shape, generator=generator, **options)
    hidden = draws.argsort(dim=1).argsort(dim=1) >= n_visible
    return x.masked_fill(hidden.index_select(1, token_of).to(x.device), torch.nan)


class MaskedObjective(Objective):
    """The loss of entries that are hidden by NaN, answered from the visible ones.

    Entries that are missing in the data do not count: their values are not known.
    """

    def encode(
        self, network: Any, seen: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Any]:
        return network.maps[0](seen), 0.0

    def entry_weights(self, x: Tensor, seen: Tensor) -> Tensor:
        return (seen.isnan() & ~x.isnan()).to(x)

    def reconstruction_loss(
        self, network: Any, code: Tensor, x: Tensor, seen: Tensor
    ) -> Tensor:
        weights = self.entry_weights(x, seen)
        return self.loss(network.maps[1](code), x.nan_to_num(), weights)
