"""Networks that answer for hidden entries of a row by the visible ones."""

import torch
from torch import Tensor

from .network import Map, Network
from .recording import is_recorded


def unchanged(x: Tensor) -> Tensor:
    """Return rows as they are."""
    return x


class Filling(Network):
    """A network whose ``fill`` answers for all entries of rows with NaN.

    ``encode`` summarises rows in a code, which does not determine them.
    """

    is_invertible = False

    n_features: int

    def forward(self, x: Tensor) -> Tensor:
        """Answer for all entries of rows with NaN."""
        return self.fill(x)

    @property
    def maps(self) -> tuple[Map, Map, list[int]]:
        return unchanged, self.fill, [self.n_features]

    @property
    def hidden_together(self) -> Tensor:
        """Return the features that each pass of :meth:`reconstruct` hides."""
        raise NotImplementedError

    def seen(self, x: Tensor) -> Tensor:
        return x

    def fill(self, x: Tensor) -> Tensor:
        """Map rows with NaN to answers for all entries, on the scale of the loss."""
        raise NotImplementedError

    def reconstruct(self, x: Tensor) -> Tensor:
        """Answer for each entry without having seen it.

        Each pass hides some features, and answers for them. An entry gets the mean of
        its answers. Entries that are missing in ``x`` are answered by all others.
        """
        passes = self.hidden_together
        total = torch.zeros_like(x)
        for hidden in passes.unbind(0):
            seen = x.masked_fill(hidden, torch.nan)
            total += hidden * self.link.inverse(self.fill(seen))
        answers = total / passes.sum(0)
        missing = x.isnan()
        if is_recorded():
            return torch.where(missing, self.link.inverse(self.fill(x)), answers)
        gappy = missing.any(1)
        if gappy.any():
            filled = self.link.inverse(self.fill(x[gappy]))
            answers[gappy] = torch.where(missing[gappy], filled, answers[gappy])
        return answers
