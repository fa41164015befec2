"""The rows of one run, and what was measured of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._rows.chunks import Rows
from .._rows.split import hold_out, n_held_out
from .._rows.statistics import column_means, root_mean_square


@dataclass(frozen=True, eq=False)
class Data:
    """Checked, flat rows: how they are standardised, and which are held out."""

    X: Any
    #: Shape of a row as it is given and answered.
    layout: tuple[int, ...]
    mean: np.ndarray
    scale: float
    #: Smallest and largest values seen, in this run and those before.
    seen: tuple[np.ndarray, np.ndarray]
    #: Share of the rows to hold out; 0 for none.
    validation_fraction: float
    #: Of the rows to hold out, of the first weights and of the order of batches.
    seed: int
    #: Whether more rows may come in other calls.
    is_part: bool

    @property
    def n_rows(self) -> int:
        """Return how many rows there are."""
        return self.X.shape[0]

    @property
    def n_training(self) -> int:
        """Return how many of them train."""
        return self.n_rows - n_held_out(self.n_rows, self.validation_fraction)

    @property
    def training(self) -> Rows:
        """Return what picks the rows to train on."""
        return self._parts[0]

    @property
    def validation(self) -> Rows:
        """Return what picks the rows to validate by: held-out ones, or all."""
        return self._parts[1]

    @cached_property
    def _parts(self) -> tuple[Rows, Rows]:
        if not self.validation_fraction:
            return slice(None), slice(None)
        parts = hold_out(self.n_rows, self.validation_fraction, self.seed)
        training, held_out = (part.numpy() for part in parts)
        # Two rows at least have a principal axis.
        return training if len(training) > 1 else slice(None), held_out


def widened(
    seen: tuple[np.ndarray, np.ndarray], before: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the extremes of what was seen and of what was seen before."""
    return np.fmin(seen[0], before[0]), np.fmax(seen[1], before[1])


def measure(X: Any) -> tuple[np.ndarray, float]:
    """Return the mean of each feature, and the scale of all."""
    means = column_means(X)
    if (empty := np.flatnonzero(np.isnan(means))).size:
        raise ValueError(
            f"No row of X has a value in columns {empty.tolist()}: leave them out."
        )
    dtype = np.float32 if X.dtype in (np.float32, np.uint8) else np.float64
    return means.astype(dtype), root_mean_square(X, means)
