"""The objective of corrupted rows, and of rows with gaps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .losses import Loss
from .objective import Objective


class DenoisingObjective(Objective):
    """The loss of corrupted rows, with weights of the entries.

    Uncorrupted entries have the weight ``1 - emphasis`` (Vincent et al., 2010), missing
    ones 0: the network sees zero there, the mean.
    """

    def __init__(
        self,
        loss: Loss,
        corrupt: Callable[[Tensor, torch.Generator], Tensor] | None,
        emphasis: float = 0.0,
        has_gaps: bool = False,
    ) -> None:
        super().__init__(loss, corrupt=corrupt)
        self.emphasis, self.has_gaps = emphasis, has_gaps

    @property
    def is_repeatable(self) -> bool:
        return type(self) is DenoisingObjective and self.corrupt is None

    def corrupted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return super().corrupted(x.nan_to_num() if self.has_gaps else x, generator)

    def entry_weights(self, x: Tensor, seen: Tensor) -> Tensor | None:
        if not (self.emphasis or self.has_gaps):
            return None
        weights = torch.ones_like(x).masked_fill_(seen == x, 1 - self.emphasis)
        return weights.masked_fill_(x.isnan(), 0.0)

    def reconstruction_loss(
        self, network: Any, code: Tensor, x: Tensor, seen: Tensor
    ) -> Tensor:
        x, weights = x.nan_to_num() if self.has_gaps else x, self.entry_weights(x, seen)
        return self.loss(network.decode(code), x, weights)
