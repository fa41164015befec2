"""Validation: how well a code reconstructs rows that it was not trained on.

Unexplained shares are squared errors of rows over the rows' variance: one column for
each width of the code at which it is judged.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from .._networks.links import Link

Map = Callable[[Tensor], Tensor]

# Chance with which one test takes a gain for real that is none.
SIGNIFICANCE = 0.025
# Rows from which on this chance is allowed; of fewer a share of it.
MANY = 20
# Share of the rows without which a gain is tested too, and rows of which one may be so.
HEAVIEST, SEVERAL = 0.05, 20
# Share of PCA's error at one width of several that is forgiven: where PCA is the best
# code there is, noise alone would veto what the others gain.
TOLERANCE = 0.005
# Share of the variance that is below the rounding of float32.
NEGLIGIBLE = 1e-9


class Validation:
    """Rows that a code is judged by: held-out ones, or those of training.

    The network sees them as ``objective`` shows them, corrupted alike in each epoch.
    """

    #: Unexplained shares of the first weights, to which later ones must not lose.
    baseline: Tensor | None = None

    def __init__(self, batches: Iterable[Tensor], objective: Any, seed: int) -> None:
        self.batches, self.objective, self.seed = batches, objective, seed
        self.link: Link = objective.loss.link
        self.generator = torch.Generator("cpu")

    def __iter__(self) -> Iterator[Tensor]:
        # It draws too: later it would do so in the midst of a pass.
        _ = self.variance
        return self._batches_again()

    def _batches_again(self) -> Iterator[Tensor]:
        """Return all batches, and let corruption start as in each pass."""
        self.generator.manual_seed(self.seed)
        return iter(self.batches)

    @cached_property
    def variance(self) -> float:
        """Mean squared deviation of the rows from the training mean."""
        total, n_rows = 0.0, 0
        for batch in self._batches_again():
            x, _ = self.objective.parts(batch)
            seen = self.objective.corrupted(x, self.generator)
            squares = self._weighted(x.square(), x, seen)
            total, n_rows = total + float(squares.sum()), n_rows + len(x)
        return total / n_rows or 1.0

    def unexplained(
        self, batch: Tensor, encode: Map | None, decode: Map, widths: Sequence[int]
    ) -> Tensor:
        """Return the share that each width leaves unexplained, of a batch.

        With None in place of ``encode`` codes are places on the map.
        """
        x, place = self.objective.parts(batch)
        seen = self.objective.corrupted(x, self.generator)
        code = cast(Tensor, place) if encode is None else encode(seen)
        answers = (self.link.inverse(decode(code[:, :n])) for n in widths)
        squares = [
            self._weighted((answer - x).square(), x, seen).flatten(1).sum(1)
            for answer in answers
        ]
        return torch.stack(squares, 1) / self.variance

    def losses(
        self, x: Tensor, encode: Map, decode: Map, widths: Sequence[int]
    ) -> Tensor:
        """Return the loss of each row of a batch, by each width."""
        seen = self.objective.corrupted(x, self.generator)
        code, target = encode(seen), x.nan_to_num()
        each = [
            self.objective.loss.distance(decode(code[:, :n]), target, "none")
            for n in widths
        ]
        rows = [self._weighted(e, x, seen).flatten(1).mean(1) for e in each]
        return torch.stack(rows, 1)

    def _weighted(self, squares: Tensor, x: Tensor, seen: Tensor) -> Tensor:
        """Let squares of entries count as the objective does."""
        weights = self.objective.entry_weights(x, seen)
        if weights is None:
            return squares
        # A missing entry has no square.
        return torch.where(weights > 0, weights * squares, 0.0)

    @torch.no_grad()
    def all_unexplained(
        self, encode: Map | None, decode: Map, widths: Sequence[int]
    ) -> Tensor:
        """Return the shares of all rows."""
        shares = [self.unexplained(x, encode, decode, widths) for x in self]
        return torch.cat(shares).cpu()

    @torch.no_grad()
    def all_losses(self, encode: Map, decode: Map, widths: Sequence[int]) -> Tensor:
        """Return the losses of all rows."""
        return torch.cat([self.losses(x, encode, decode, widths) for x in self]).cpu()

    @torch.no_grad()
    def penalty(self, network: Any) -> float:
        """Return the weighted penalty of all rows, in shares of their variance."""
        if self.objective.penalty is None:
            return 0.0
        total, n_rows = 0.0, 0
        for x in self:
            seen = self.objective.corrupted(x, self.generator)
            _, penalty = self.objective.encode(network, seen, self.generator)
            share = float(penalty) * x[0].numel() / self.variance
            total, n_rows = total + len(x) * share, n_rows + len(x)
        return total / n_rows

    @torch.no_grad()
    def first_losses(self, network: Any) -> tuple[float, float]:
        """Return the loss of the first rows by the mean, and by the network.

        Penalties are left out: they say nothing of the reconstruction.
        """
        network.eval()
        objective = self.objective
        x, place = objective.parts(next(self._batches_again()))
        seen = objective.corrupted(x, self.generator)
        mean = objective.loss.first_output().expand_as(x)
        of_mean = objective.loss(mean, x.nan_to_num())
        code = network.encode(seen) if place is None else place
        of_network = objective.reconstruction_loss(network, code, x, seen)
        return float(of_mean), float(of_network)

    def error_of_first(self, network: Any) -> float:
        """Let later weights be no worse at any width; return the error of these."""
        self.baseline = self._by_widths(network)
        return geometric_mean(self.baseline).item() + self.penalty(network)

    def loses_at_a_width(self, network: Any) -> bool:
        """Whether a width does worse than the baseline."""
        # One width is told by the mean over widths already.
        if self.baseline is None or len(network.widths) == 1:
            return False
        return bool(is_worse(self._by_widths(network), self.baseline).any())

    def _by_widths(self, network: Any) -> Tensor:
        network.eval()
        return self.all_unexplained(network.encode, network.decode, network.widths)


def geometric_mean(shares: Tensor) -> Tensor:
    """Mean over rows, and geometric mean over widths: each counts by its own size."""
    return shares.mean(0).clamp(min=1e-12).log().mean().exp()


def is_worse(ours: Tensor, others: Tensor) -> Tensor:
    """Whether our mean share is larger by more than is forgiven, for each width."""
    return ours.mean(0) > (1 + TOLERANCE) * others.mean(0) + NEGLIGIBLE


def is_better(ours: Tensor, others: Tensor) -> bool:
    """Whether our mean share is less, by more than chance, and at no width worse.

    The best of many epochs on few rows is below PCA's by luck alone.
    """
    if len(ours) < 2 or (others.mean(0) <= NEGLIGIBLE).all():
        return False
    if is_worse(ours, others).any():
        return False
    sizes = others.mean(0).clamp(min=NEGLIGIBLE)
    gains = ((others - ours) / sizes).mean(1).double().numpy()
    heaviest = ((others + ours) / sizes).mean(1).argsort().numpy()
    lighter = gains[heaviest[: -math.ceil(HEAVIEST * len(gains))]]
    # A few rows that outweigh all others may hide what is gained on those.
    is_hidden = len(gains) >= SEVERAL and gains.mean() > 0 and _is_gain(lighter)
    return _is_gain(gains) or is_hidden


def _is_gain(gains: np.ndarray) -> bool:
    """Whether the mean is above zero, by Student's test."""
    n_rows = len(gains)
    # What few rows show of heavy tails is too little for the test.
    level = SIGNIFICANCE * min(1.0, n_rows / MANY)
    error = gains.std(ddof=1) / np.sqrt(n_rows)
    return bool(gains.mean() > student.ppf(1 - level, n_rows - 1) * error)
