"""PCA of standardised rows, from which an autoencoder starts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.decomposition import PCA
from sklearn.utils.extmath import svd_flip
from sklearn.utils.sparsefuncs import mean_variance_axis

from .._machine.threads import one_thread
from .chunks import Rows, parts, sample, take

# Share of the variance.
LEAST_RESIDUAL = 0.01
# Of standardised rows: rounding errors of constant features.
NO_SPREAD = 1e-6
# Maximum number of values that are copied in float64: half a gigabyte.
COPIED_ELEMENTS = 2**26


@dataclass
class LinearCode:
    """PCA's code of standardised rows: ``axes (x - centre)``, widest axis first."""

    axes: np.ndarray
    centre: np.ndarray
    #: Standard deviation of each feature.
    deviation: np.ndarray
    #: Variance of each component.
    variances: np.ndarray
    #: Unexplained variance with 1, 2, ... components, a mean over features.
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
        """Return the same code with some unexplained variance, for later rows."""
        if self.deviation.max() < NO_SPREAD:
            raise ValueError(
                "The first rows of partial_fit are all equal, so they have no scale "
                "and no principal axes: start with rows that vary, or with "
                "init='random'."
            )
        return replace(
            self,
            deviation=np.where(self.deviation < NO_SPREAD, 1.0, self.deviation),
            unexplained=np.maximum(self.unexplained, LEAST_RESIDUAL),
        )

    def scaled_by(self, rows: np.ndarray) -> Self:
        """Return the same code with the deviations of some of the rows."""
        deviations = rows - self.centre
        squares = np.square(deviations).mean(axis=0)
        variances = np.square(deviations @ self.axes.T).mean(axis=0)
        missed = squares.sum() - np.cumsum(variances)
        return replace(
            self,
            deviation=np.sqrt(squares),
            variances=variances,
            unexplained=np.maximum(missed, 0.0) / len(self.centre),
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


#: Mean, deviation of each feature, axes, their variances, and that of the residual.
Fitted = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]


def fit_pca(
    X: Any,
    mean: np.ndarray,
    scale: float,
    n_components: int | None,
    seed: int,
    chosen: Rows = slice(None),
) -> LinearCode:
    """Fit PCA to ``(X - mean) / scale``, to all rows or some.

    If there are too many values to copy, and too many features for a covariance matrix,
    PCA is fitted to a sample of the rows.
    """
    index = np.arange(X.shape[0])[chosen]
    n_rows, n_features = len(index), X.shape[1]
    largest = min(n_rows, n_features)
    wanted = largest if n_components is None else min(n_components, largest)
    # scikit-learn's PCA would do the same here, but copy all rows.
    if not issparse(X) and n_features <= 1000 and n_rows >= 10 * n_features:
        fitted = _of_covariance(_standardised(X, mean, scale, chosen), wanted)
    else:
        if not issparse(X):
            index = sample(index, max(wanted, COPIED_ELEMENTS // n_features))
        fitted = _of_rows(take(X, index), mean, scale, wanted, seed)
    return _code_of(fitted, wanted >= n_rows - 1)


def _code_of(fitted: Fitted, is_exact: bool) -> LinearCode:
    """Return the code of a fit, which may explain few rows completely."""
    centre, deviation, axes, variances, residual = fitted
    n_features = len(centre)
    if deviation.max() < NO_SPREAD:
        axes, zeros = np.eye(1, n_features), np.zeros(1)
        return LinearCode(axes, centre, deviation, zeros, zeros)
    if is_exact:
        # PCA of so few rows underestimates the error of others.
        residual = max(residual, LEAST_RESIDUAL * variances.sum())
    unexplained = np.cumsum([residual, *variances[:0:-1]])[::-1] / n_features
    return LinearCode(axes, centre, deviation, variances, unexplained)


def _standardised(
    X: Any, mean: np.ndarray, scale: float, chosen: Rows
) -> Iterator[np.ndarray]:
    """Yield ``(X - mean) / scale`` in float64, with missing values at the mean."""
    for part in parts(X, chosen):
        rows = part - mean.astype(np.float64)
        rows /= scale
        yield np.nan_to_num(rows) if np.isnan(rows.min()) else rows


def _of_covariance(rows: Iterable[np.ndarray], n_components: int) -> Fitted:
    """Fit by the eigenvectors of a covariance matrix, summed over parts of rows."""
    origin, n_rows = np.zeros(()), 0
    products, sums = np.zeros(()), np.zeros(())
    with one_thread():
        for part in rows:
            # Far from zero, squares would hide the variance.
            origin = origin if n_rows else part.mean(axis=0)
            part -= origin
            n_rows += len(part)
            sums, products = sums + part.sum(axis=0), products + part.T @ part
        products -= np.outer(sums, sums / n_rows)
        variances, axes = np.linalg.eigh(products / (n_rows - 1))
    # The smallest may be negative by rounding.
    variances = np.maximum(variances[::-1], 0.0)
    axes = axes.T[::-1][:n_components]
    _, axes = svd_flip(None, axes, u_based_decision=False)
    deviation = np.sqrt(np.maximum(products.diagonal(), 0.0) / n_rows)
    residual = float(variances[n_components:].sum())
    return origin + sums / n_rows, deviation, axes, variances[:n_components], residual


def _of_rows(
    X: Any, mean: np.ndarray, scale: float, n_components: int, seed: int
) -> Fitted:
    """Fit by the solver that scikit-learn would choose, on rows in memory."""
    largest, solver, shift = min(X.shape), "auto", np.zeros_like(mean)
    if issparse(X):
        rows, shift = _divided(X, scale), mean / scale
        # The usual solver for sparse rows finds all axes but one.
        if n_components == X.shape[1]:
            solver = "covariance_eigh"
        # Centred rows have one axis fewer than rows.
        n_components = min(n_components, X.shape[0] - 1)
        variance = mean_variance_axis(rows, 0)[1]
    else:
        rows = np.vstack(list(_standardised(X, mean, scale, slice(None))))
        variance = rows.var(axis=0)
    deviation = np.sqrt(variance)
    if deviation.max() < NO_SPREAD:
        centre = np.asarray(rows.mean(axis=0)).ravel() - shift
        return centre, deviation, np.empty(0), np.empty(0), 0.0
    with one_thread():
        pca = PCA(n_components, svd_solver=solver, random_state=seed).fit(rows)
    # Truncated solvers compute it by a subtraction, which may be negative.
    residual = max(0.0, float(pca.noise_variance_ * (largest - n_components)))
    centre = pca.mean_ - shift
    return centre, deviation, pca.components_, pca.explained_variance_, residual


def _divided(X: Any, scale: float) -> Any:
    """Return sparse rows divided by their scale, whose inverse may be infinite."""
    if scale > 1e-300:
        return X / scale
    return type(X)((X.data / scale, X.indices, X.indptr), X.shape)
