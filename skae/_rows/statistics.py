"""Means, deviations and extremes of rows, computed in chunks."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.sparsefuncs import mean_variance_axis
from torch.utils.dlpack import from_dlpack

from .._machine.callers import warn_caller
from .chunks import chunks, dense

# Rounding errors by which equal rows, computed in different ways, may differ.
N_ROUNDINGS = 4


@np.errstate(over="ignore", invalid="ignore")
def column_means(X: Any, known: np.ndarray | None = None) -> np.ndarray:
    """Mean of each feature, in float64; exact where a feature is constant.

    ``known`` are the numbers of its values, counted here if not given.
    """
    if issparse(X):
        return mean_variance_axis(X, axis=0)[0].astype(np.float64)
    origin = np.nan_to_num(X[0].astype(np.float64))
    sums = (_known_sum(dense(X[s]) - origin, 0) for s in chunks(X))
    total = np.sum(list(sums), axis=0)
    return origin + total / (n_known(X) if known is None else known)


def _known_sum(values: np.ndarray, axis: int | None) -> Any:
    """Sum of the known values; ``np.nansum`` always makes a copy."""
    total = values.sum(axis=axis)
    return np.nansum(values, axis=axis) if np.isnan(total).any() else total


def extremes(X: Any) -> tuple[float, float]:
    """Return the smallest and the largest value that is not missing."""
    if issparse(X):
        return X.min(), X.max()
    # Unlike nanmin they do not warn if all values of a chunk are missing.
    ends = [_ends(dense(X[s]), None) for s in chunks(X)]
    lows, highs = zip(*ends, strict=True)
    return np.fmin.reduce(lows), np.fmax.reduce(highs)


def _ends(values: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    """Return the smallest and the largest known values along an axis."""
    return np.fmin.reduce(values, axis=axis), np.fmax.reduce(values, axis=axis)


def column_extremes(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest known value of each feature."""
    if issparse(X):
        low, high = (e.toarray().ravel() for e in (X.min(axis=0), X.max(axis=0)))
    else:
        lows, highs = zip(*(_ends(X[s], 0) for s in chunks(X)), strict=True)
        low, high = np.fmin.reduce(lows), np.fmax.reduce(highs)
    return low.astype(np.float64), high.astype(np.float64)


def sums_up(rows: np.ndarray) -> bool:
    """Whether the sum, and so every value, is finite; uses all cores, unlike numpy."""
    return bool(from_dlpack(np.ascontiguousarray(dense(rows))).sum().isfinite())


def has_gaps(X: Any) -> bool:
    """Whether values are missing."""
    may_miss = not issparse(X) and X.dtype.kind == "f"
    return may_miss and any(bool(np.isnan(X[s].min())) for s in chunks(X))


def n_known(X: Any, is_complete: bool = False) -> np.ndarray:
    """Return how many values of each feature are not missing; none if complete."""
    if is_complete or not has_gaps(X):
        return np.full(X.shape[1:], X.shape[0])
    counts = (np.isfinite(X[s]).sum(axis=0) for s in chunks(X))
    return np.sum(list(counts), axis=0)


def largest_deviation(X: Any, mean: np.ndarray) -> float:
    """Largest distance of an entry from ``mean``."""
    largest = (np.fmax.reduce(abs(dense(X[s]) - mean), None) for s in chunks(X))
    return float(np.fmax.reduce(list(largest)))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def squared_deviation(X: Any, mean: np.ndarray, scale: float) -> float:
    """Sum over all entries of ``((X - mean) / scale)^2``, in float64."""
    squares = (np.square((dense(X[s]) - mean) / scale) for s in chunks(X))
    return sum(float(_known_sum(part, None)) for part in squares)


@np.errstate(over="ignore", invalid="ignore")
def squared_distances(X: Any, mean: np.ndarray, scale: float) -> np.ndarray:
    """Each row's sum of ``((x - mean) / scale)^2``; NaN for rows without any value."""
    rows = ((dense(X[s]) - mean) / scale for s in chunks(X))
    each = [for_whole_rows(np.nansum(np.square(r), axis=1), r) for r in rows]
    return np.concatenate(each)


@np.errstate(over="ignore")
def squared_errors(X: np.ndarray, answers: np.ndarray, scale: float) -> np.ndarray:
    """Each row's sum of ``((x - answer) / scale)^2`` over known values, in float64.

    It is infinite if a reconstruction is not finite.
    """
    difference = (X - answers.astype(np.float64)) / scale
    # Only values missing in X are left out, not those missing in answers.
    squares = np.square(np.where(np.isnan(X), 0.0, difference)).sum(axis=1)
    return np.where(np.isnan(squares), np.inf, squares)


@np.errstate(over="ignore", invalid="ignore")
def for_whole_rows(errors: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return errors of known values scaled to whole rows; NaN if nothing is known."""
    return errors / np.mean(~np.isnan(X), axis=1)


@np.errstate(over="ignore", invalid="ignore")
def root_mean_square(
    X: Any, mean: np.ndarray, known: np.ndarray | None = None
) -> float:
    """Root of the mean squared deviation from ``mean``, over all entries.

    It is 1.0 if there is no deviation or no value, so that dividing by it is safe.
    ``known`` are the numbers of values of each feature, counted here if not given.
    """
    n_values = (n_known(X) if known is None else known).sum()
    if not n_values:
        return 1.0
    plain = squared_deviation(X, mean, 1.0)
    if 1e-250 < plain < 1e250:
        return float(np.sqrt(plain / n_values))
    # Squares of values up to 1 cannot overflow.
    largest = largest_deviation(X, mean)
    if not np.isfinite(largest):
        magnitude = max(map(abs, extremes(X)))
        raise ValueError(
            "The spread of X overflows float64: its largest magnitude is "
            f"{magnitude:.3g}. Divide X by a constant first."
        )
    if largest == 0:
        return 1.0
    return (
        largest * float(np.sqrt(squared_deviation(X, mean, largest) / n_values)) or 1.0
    )


def mean_squared(error: float, X: Any) -> float:
    """Return a sum of squares per value of ``X``; warn and return NaN for none."""
    if not (n_values := int(n_known(X).sum())):
        warn_caller(
            f"The mean squared error of {X.shape[0]} rows without a value is undefined "
            "and set to NaN: score rows that have values.",
            UndefinedMetricWarning,
        )
        return np.nan
    return error / n_values


def explained_share(
    unexplained: float, X: Any, mean: np.ndarray, scale: float
) -> float:
    """Return ``1 - unexplained / total``, or NaN and a warning if rows do not vary."""
    total = squared_deviation(X, mean, scale)
    if reason := _why_constant(X, mean, total):
        warn_caller(
            f"The explained variance of {reason} is undefined and set to NaN: score "
            "two or more rows that differ.",
            UndefinedMetricWarning,
        )
        return np.nan
    return float(1 - unexplained / total)


def _why_constant(X: Any, mean: np.ndarray, total: float) -> str:
    """Say why rows do not vary; empty if they do."""
    if X.shape[0] < 2:
        return f"{X.shape[0]} row"
    if np.isnan(mean).all():
        return f"{X.shape[0]} rows without a value"
    if not total or _are_equal(X, mean):
        return f"{X.shape[0]} rows that are all equal"
    return ""


def _are_equal(X: Any, mean: np.ndarray) -> bool:
    """Whether rows differ by rounding only; often one chunk shows that they do not."""
    if _differ(X, mean, abs(mean)):
        return False
    low, high = column_extremes(X)
    # Features that do not vary are not rounded, however large they are.
    sizes = abs(mean[low < high])
    return not len(sizes) or not _differ(X, mean, sizes)


def _differ(X: Any, mean: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether rows differ by more than rounding of features of these sizes."""
    eps = np.finfo(np.float32 if X.dtype == np.float32 else np.float64).eps
    # Sums over features are rounded relative to a typical feature.
    typical = np.nanquantile(sizes, 0.5, method="lower")
    rounding = N_ROUNDINGS * eps * np.maximum(abs(mean), typical)
    return any((abs(dense(X[s]) - mean) > rounding).any() for s in chunks(X))
