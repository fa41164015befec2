"""The objective of sequences: padding, and a future that the encoder does not see."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .corruption import Corruption
from .denoising import DenoisingObjective


def hide_future(
    x: Tensor,
    generator: torch.Generator,
    *,
    corrupt: Corruption | None,
    n_hidden: int,
) -> Tensor:
    """Corrupt rows, and set their last ``n_hidden`` entries to zero, the mean."""
    seen = x if corrupt is None else corrupt(x, generator)
    return F.pad(seen[:, :-n_hidden], (0, n_hidden))


class SequenceObjective(DenoisingObjective):
    """The loss of corrupted sequences; the network sees NaN in entries not read.

    ``find_unread`` returns which entries these are.
    """

    def __init__(
        self, find_unread: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.find_unread = find_unread

    def corrupted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        seen = super().corrupted(x, generator)
        return seen.masked_fill(self.find_unread(x), torch.nan)
