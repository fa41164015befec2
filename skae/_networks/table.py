"""The link of tables: numbers as they are, and logits of levels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .links import Link

# Least probability in a logit, as a share of a level's frequency.
LEAST = 1e-2


class TableLink(Link):
    """The output is the number, the logit of a second level, or logits of all levels.

    ``sizes`` are the numbers of entries of the columns: one for numbers and for two
    levels, else one for each level. ``units`` are the sizes of entries where a level is
    present, and NaN in columns of numbers.
    """

    numbers: Tensor
    pairs: Tensor
    groups: Tensor
    filler: Tensor
    place: Tensor
    units: Tensor

    def __init__(
        self, mean: np.ndarray, scale: float, sizes: Sequence[int], units: np.ndarray
    ) -> None:
        super().__init__(mean, scale)
        size_of, is_number = np.repeat(sizes, sizes), np.isnan(units)
        numbers = np.flatnonzero(is_number)
        pairs = np.flatnonzero(~is_number & (size_of == 1))
        wide = np.array([size for size in sizes if size > 1], dtype=np.int64)
        entries = np.flatnonzero(size_of > 1)
        most = int(wide.max(initial=0))
        # Groups are side by side, each as long as the longest one.
        within = np.arange(most) + np.zeros((len(wide), 1), dtype=np.int64)
        filler = within >= wide[:, np.newaxis]
        first = (np.cumsum(wide) - wide)[:, np.newaxis]
        groups = entries[first + np.where(filler, 0, within)] if most else within
        order = np.concatenate([numbers, pairs, groups.ravel()])
        is_kept = np.concatenate(
            [np.ones(len(numbers) + len(pairs), dtype=bool), ~filler.ravel()]
        )
        place = np.empty(len(size_of), dtype=np.int64)
        place[order[is_kept]] = np.flatnonzero(is_kept)
        self.has_groups = most > 0
        self._keep(numbers=numbers, pairs=pairs, groups=groups, filler=filler)
        self._keep(place=place, units=np.nan_to_num(units, nan=1.0).astype(np.float32))

    def _keep(self, **arrays: np.ndarray) -> None:
        for name, values in arrays.items():
            tensor = torch.tensor(values, device="cpu")
            self.register_buffer(name, tensor, persistent=False)

    def parts(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return numbers, pairs, and groups of levels; fillers repeat an entry."""
        numbers, pairs = (rows.index_select(-1, i) for i in (self.numbers, self.pairs))
        # Graphs of ONNX have no axes without entries.
        if not self.has_groups:
            return numbers, pairs, rows[..., :0]
        wide = rows.index_select(-1, self.groups.flatten())
        return numbers, pairs, wide.view(*rows.shape[:-1], *self.groups.shape)

    def joined(self, numbers: Tensor, pairs: Tensor, groups: Tensor) -> Tensor:
        """Undo ``parts``."""
        groups = groups.flatten(-2) if self.has_groups else groups
        parts = torch.cat([numbers, pairs, groups], dim=-1)
        return parts.index_select(-1, self.place)

    def log_shares(self, groups: Tensor) -> Tensor:
        """Return logarithms of the probabilities of levels, from their logits."""
        if not self.has_groups:
            return groups
        return F.log_softmax(groups.masked_fill(self.filler, -torch.inf), dim=-1)

    def probabilities(self, rows: Tensor) -> Tensor:
        """Return probabilities for standardised entries of levels."""
        return (rows * self.scale + self.mean) / self.units

    def forward(self, reconstruction: Tensor) -> Tensor:
        numbers, _, _ = self.parts(reconstruction)
        share = self.mean / self.units
        low = LEAST * torch.minimum(share, 1 - share).clamp(min=1e-6)
        probability = self.probabilities(reconstruction)
        probability = torch.maximum(torch.minimum(probability, 1 - low), low)
        _, pairs, groups = self.parts(probability)
        return self.joined(numbers, torch.logit(pairs), groups.log())

    def inverse(self, output: Tensor) -> Tensor:
        numbers, pairs, groups = self.parts(output)
        groups = self.log_shares(groups).exp()
        rows = self.joined(numbers, torch.sigmoid(pairs), groups)
        answers = (rows * self.units - self.mean) / self.scale
        return answers.index_copy(-1, self.numbers, numbers)
