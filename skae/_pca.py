"""PCA of rows as an autoencoder starts from it: standardised, with its scales."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.decomposition import PCA
from sklearn.utils.sparsefuncs import mean_variance_axis
from threadpoolctl import threadpool_limits

_limits_lock = threading.Lock()
# Share of the variance.
LEAST_REST = 0.01
# Of standardised rows: rounding of what never varies.
NO_SPREAD = 1e-6


@dataclass
class LinearCode:
    """PCA's code of standardised rows: ``axes (x - centre)``, widest axis first."""

    axes: np.ndarray
    centre: np.ndarray
    #: Standard deviation of each feature.
    deviation: np.ndarray
    #: Of each component.
    variances: np.ndarray
    #: Mean over features of the variance that the first 1, 2, ... components leave.
    unexplained: np.ndarray

    def first(self, n_components: int) -> Self:
        """Return the code of the first components; missing ones are zero."""
        missing = (0, max(0, n_components - len(self.variances)))
        return type(self)(
            np.pad(self.axes[:n_components], (missing, (0, 0))),
            self.centre,
            self.deviation,
            np.pad(self.variances[:n_components], missing),
            np.pad(self.unexplained[:n_components], missing, mode="edge"),
        )

    def for_rows_to_come(self) -> Self:
        """Return the same code, but with room to learn what these rows do not show."""
        if self.deviation.max() < NO_SPREAD:
            raise ValueError(
                "The first rows of partial_fit are all alike, and tell neither a scale "
                "nor PCA's axes: start with rows that vary, or with init='random'."
            )
        return replace(
            self,
            deviation=np.where(self.deviation < NO_SPREAD, 1.0, self.deviation),
            unexplained=np.maximum(self.unexplained, LEAST_REST),
        )

    def explained(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Share of the rows' mean square that the code of each width explains."""
        squares, missed, total = np.zeros(len(self.axes)), 0.0, 0.0
        for rows in parts:
            deviations = rows - self.centre
            squares += np.square(deviations @ self.axes.T).sum(axis=0)
            missed += np.square(deviations).sum()
            total += np.square(rows).sum()
        return 1 - (missed - np.cumsum(squares)) / (total or 1.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: their number changes bits, and a search has fewer.

    It belongs to the process: two fits at once would put back each other's.
    """
    with _limits_lock, threadpool_limits(limits=1):
        yield


def fit_pca(
    X: Any, mean: np.ndarray, scale: float, n_components: int | None, seed: int
) -> LinearCode:
    """Fit the PCA that scikit-learn would choose to ``(X - mean) / scale``."""
    largest = min(X.shape)
    wanted = largest if n_components is None else min(n_components, largest)
    solver = "auto"
    shift = np.zeros_like(mean)
    if issparse(X):
        rows, shift = X / scale, mean / scale
        # The usual solver for sparse rows finds all axes but one.
        if wanted == X.shape[1]:
            solver = "covariance_eigh"
        # Centred rows have an axis less than there are rows.
        wanted = min(wanted, X.shape[0] - 1)
    else:
        rows = X - mean.astype(np.float64)
        rows /= scale
        if np.isnan(rows).any():
            rows = np.nan_to_num(rows)
    deviation = np.sqrt(mean_variance_axis(rows, 0)[1] if issparse(X) else rows.var(0))
    if deviation.max() < NO_SPREAD:
        axes, zeros = np.eye(1, X.shape[1]), np.zeros(1)
        centre = np.asarray(rows.mean(axis=0)).ravel() - shift
        return LinearCode(axes, centre, deviation, zeros, zeros)
    with one_thread():
        pca = PCA(wanted, svd_solver=solver, random_state=seed).fit(rows)
    variances = pca.explained_variance_
    # Truncated solvers find it by a subtraction, which may leave less than nothing.
    rest = max(0.0, pca.noise_variance_ * (largest - wanted))
    if wanted >= X.shape[0] - 1:
        # So few rows hide what others will miss.
        rest = max(rest, LEAST_REST * variances.sum())
    unexplained = np.cumsum([rest, *variances[:0:-1]])[::-1] / X.shape[1]
    return LinearCode(
        pca.components_, pca.mean_ - shift, deviation, variances, unexplained
    )
