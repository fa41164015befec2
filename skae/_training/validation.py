"""Validation: how well held-out rows are reconstructed.

Unexplained shares are squared errors of rows divided by the variance of all rows, with
one column for each evaluated width of the code.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from .._networks.links import Link
from .._networks.network import Map

# Significance level of one test.
SIGNIFICANCE = 0.025
# Number of rows from which this level is used; with fewer it is proportionally lower.
MANY = 20
# With SEVERAL rows or more, a gain is also tested without this share of the heaviest.
HEAVIEST, SEVERAL = 0.05, 20
# Tolerated loss at one of several widths, as a share of PCA's error: if PCA is optimal
# there, noise alone would reject gains at other widths.
TOLERANCE = 0.005
# Share of the variance below rounding in float32.
NEGLIGIBLE = 1e-9


class Validation:
    """Rows that evaluate a code: held-out rows, or training rows.

    The network sees them as in ``objective``, with the same corruption in each epoch.
    """

    #: Unexplained shares of the initial weights, which later ones must not exceed.
    baseline: Tensor | None = None

    def __init__(self, batches: Iterable[Tensor], objective: Any, seed: int) -> None:
        self.batches, self.objective, self.seed = batches, objective, seed
        self.link: Link = objective.loss.link
        self.generator = torch.Generator("cpu")

    def __iter__(self) -> Iterator[Tensor]:
        # It draws random numbers: later it would do so within a pass.
        _ = self.variance
        return self._batches_again()

    def _batches_again(self) -> Iterator[Tensor]:
        """Return all batches, with the random generator of corruption reset."""
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
        """Return the unexplained share of each row of a batch, for each width.

        If ``encode`` is None, codes are places on the map.
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
        """Weight squared errors of entries as the objective does."""
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
    def all_errors(self, network: Any) -> Tensor:
        """Return the objective's own errors of all rows."""
        errors = [
            self.objective.errors(
                network, x, self.objective.corrupted(x, self.generator), self.generator
            )
            for x in self
        ]
        return torch.cat(errors).cpu()

    def aim(self, network: Any, unexplained: float) -> float:
        """Return what training should lower, given the unexplained share."""
        if self.objective.judges:
            return float(self.objective.overall(self.all_errors(network)))
        return unexplained + self.penalty(network)

    @torch.no_grad()
    def penalty(self, network: Any) -> float:
        """Return the weighted penalty of all rows, in shares of their variance."""
        if self.objective.penalty is None:
            return 0.0
        total, n_rows = 0.0, 0
        for batch in self:
            x, _ = self.objective.parts(batch)
            seen = self.objective.corrupted(x, self.generator)
            _, penalty = self.objective.encode(network, seen, self.generator)
            share = float(penalty) * x[0].numel() / self.variance
            total, n_rows = total + len(x) * share, n_rows + len(x)
        return total / n_rows

    @torch.no_grad()
    def first_losses(self, network: Any) -> tuple[float, float]:
        """Return the losses of the mean and of the network on the first rows.

        Penalties are left out: they do not measure the reconstruction. Both count the
        same entries.
        """
        network.eval()
        objective = self.objective
        x, place = objective.parts(next(self._batches_again()))
        seen = objective.corrupted(x, self.generator)
        mean = objective.loss.first_output().expand_as(x)
        weights = objective.entry_weights(x, seen)
        of_mean = objective.loss(mean, x.nan_to_num(), weights)
        code = network.maps[0](seen) if place is None else place
        of_network = objective.reconstruction_loss(network, code, x, seen)
        return float(of_mean), float(of_network)

    def error_of_first(self, network: Any) -> float:
        """Set the initial weights as baseline for each width; return their error."""
        self.baseline = self._by_widths(network)
        return self.aim(network, geometric_mean(self.baseline).item())

    def loses_at_a_width(self, network: Any) -> bool:
        """Whether a width does worse than the baseline."""
        # With one width, the mean over widths already decides.
        if self.baseline is None or len(network.widths) == 1:
            return False
        return bool(is_worse(self._by_widths(network), self.baseline).any())

    def _by_widths(self, network: Any) -> Tensor:
        network.eval()
        return self.all_unexplained(*network.maps)


def geometric_mean(shares: Tensor) -> Tensor:
    """Mean over rows, then geometric mean over widths, so that each width counts."""
    return shares.mean(0).clamp(min=1e-12).log().mean().exp()


def is_worse(ours: Tensor, others: Tensor) -> Tensor:
    """Whether our mean share is higher by more than is tolerated, for each width."""
    return ours.mean(0) > (1 + TOLERANCE) * others.mean(0) + NEGLIGIBLE


def is_better(ours: Tensor, others: Tensor) -> bool:
    """Whether our mean share is significantly lower, and not worse at any width.

    On few rows the best of many epochs may beat PCA by chance.
    """
    if len(ours) < 2 or (others.mean(0) <= NEGLIGIBLE).all():
        return False
    if is_worse(ours, others).any():
        return False
    sizes = others.mean(0).clamp(min=NEGLIGIBLE)
    gains = ((others - ours) / sizes).mean(1).double().numpy()
    heaviest = ((others + ours) / sizes).mean(1).argsort().numpy()
    lighter = gains[heaviest[: -math.ceil(HEAVIEST * len(gains))]]
    # A few heavy rows may hide a gain on all others.
    is_hidden = len(gains) >= SEVERAL and gains.mean() > 0 and _is_gain(lighter)
    return _is_gain(gains) or is_hidden


def _is_gain(gains: np.ndarray) -> bool:
    """Whether the mean is above zero, by Student's test."""
    n_rows = len(gains)
    # Few rows show too little of heavy tails for the test.
    level = SIGNIFICANCE * min(1.0, n_rows / MANY)
    error = gains.std(ddof=1) / np.sqrt(n_rows)
    return bool(gains.mean() > student.ppf(1 - level, n_rows - 1) * error)
