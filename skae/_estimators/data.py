"""The rows of one run, and their statistics."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._networks.linear_skip import FADED
from .._rows.chunks import Rows, parts
from .._rows.pca import LinearCode
from .._rows.split import LEAST_HELD_OUT, hold_out
from .._rows.standardise import standardise
from .._rows.statistics import (
    column_means,
    n_known,
    root_mean_square,
    squared_distances,
)

# Minimum number of held-out rows as far out as a gain is trusted.
N_FARTHEST = 3
# Factor of that distance up to which rows are still similar.
FARTHER = 2.0


@dataclass(frozen=True, eq=False)
class Data:
    """Checked, flat rows: how they are standardised, and which are held out."""

    X: Any
    #: Shape of a row in the input and the output.
    layout: tuple[int, ...]
    mean: np.ndarray
    scale: float
    #: Smallest and largest values seen, in this run and those before.
    seen: tuple[np.ndarray, np.ndarray]
    #: Share of the rows to hold out; 0 for none.
    validation_fraction: float
    #: Seed of the held-out rows, the initial weights and the order of batches.
    seed: int
    #: Whether more rows may follow in other calls.
    is_part: bool
    #: Maximum number of training and of held-out rows; None for all.
    n_most: int | None = None

    @property
    def n_rows(self) -> int:
        """Return how many rows there are."""
        return self.X.shape[0]

    @property
    def n_training(self) -> int:
        """Return how many of them train a network."""
        return len(self.split[0])

    @property
    def n_far(self) -> int:
        """Return how many rows are too far out to train or to evaluate a network."""
        return int(np.count_nonzero(~self._is_near))

    @property
    def pca_rows(self) -> Rows:
        """Return the index of the rows for PCA: all that are not held out."""
        held_out = self.split[1]
        if held_out is None:
            return slice(None)
        others = np.delete(np.arange(self.n_rows), held_out)
        # A principal axis needs at least two rows.
        return others if len(others) > 1 else slice(None)

    @property
    def validation(self) -> Rows:
        """Return the index of the validation rows: held-out ones, or all."""
        held_out = self.split[1]
        return slice(None) if held_out is None else held_out

    def explained(self, pca: LinearCode) -> np.ndarray:
        """Return the explained variance of the validation rows for each width."""
        chosen = parts(self.X, self.validation)
        rows = (standardise(part, self.mean, self.scale) for part in chosen)
        return pca.explained(part.nan_to_num().numpy() for part in rows)

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return indices of the rows that train a network, and of held-out rows."""
        training, held_out = self._parts
        if not len(held_out):
            return self._some(training), None
        return self._some(self.near(training)), self._some(self.near(held_out))

    def _some(self, index: np.ndarray) -> np.ndarray:
        """Return a sample of rows, in their order, if there are too many."""
        if self.n_most is None or len(index) <= self.n_most:
            return index
        rng = np.random.default_rng(self.seed)
        return index[np.sort(rng.permutation(len(index))[: self.n_most])]

    @cached_property
    def reach(self) -> float:
        """Distance from the mean up to which held-out rows can show a gain.

        A few rows far out may outweigh all others. If almost none of them are held out,
        the network is untested there, and PCA reconstructs them.
        """
        n_held_out = len(self._parts[1])
        if n_held_out < LEAST_HELD_OUT:
            return np.inf
        # Rows without any value tell nothing about how far others are.
        known = self._distances[~np.isnan(self._distances)]
        n_farthest = min(N_FARTHEST, -(-n_held_out // 20)) * len(known) // n_held_out
        n_farthest = max(n_farthest, 1)
        farthest = np.partition(known, -n_farthest)[-n_farthest]
        return float(FARTHER * farthest)

    def near(self, index: np.ndarray) -> np.ndarray:
        """Return those rows that are not too far out."""
        return index[self._is_near[index]]

    @cached_property
    def _is_near(self) -> np.ndarray:
        # Rows without any value count as near.
        return ~(self._distances > FADED * self.reach)

    @cached_property
    def _distances(self) -> np.ndarray:
        if not self.validation_fraction:
            return np.zeros(self.n_rows)
        return np.sqrt(squared_distances(self.X, self.mean, self.scale))

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return indices of rows to train on, and of rows to hold out."""
        parts = hold_out(self.n_rows, self.validation_fraction, self.seed)
        training, held_out = (part.numpy() for part in parts)
        return training, held_out


def widened(
    seen: tuple[np.ndarray, np.ndarray], before: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the common extremes of two ranges."""
    return np.fmin(seen[0], before[0]), np.fmax(seen[1], before[1])


def measure(X: Any, is_complete: bool) -> tuple[np.ndarray, float]:
    """Return the mean of each feature, and the common scale."""
    known = n_known(X, is_complete)
    means = column_means(X, known)
    if (empty := np.flatnonzero(np.isnan(means))).size:
        raise ValueError(
            f"No row of X has a value in columns {empty.tolist()}: leave them out."
        )
    dtype = np.float32 if X.dtype in (np.float32, np.uint8) else np.float64
    return means.astype(dtype), root_mean_square(X, means, known)
