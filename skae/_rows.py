"""Rows of a matrix: read in chunks, standardised, dense, as float32 tensors."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis
from torch import Tensor

# Large enough to hide the cost of a call, small enough to stay in the cache.
CHUNK_ELEMENTS = 2**20
# BLAS sums products of few rows in another order than those of many.
BLOCK = 16


def chunks(X: Any, width: int | None = None) -> Iterator[slice]:
    """Cut rows that take ``width`` numbers each into slices of bounded memory."""
    n_blocks = CHUNK_ELEMENTS // (width or X.shape[1]) // BLOCK
    return gen_batches(X.shape[0], BLOCK * max(1, n_blocks))


def map_rows(
    function: Callable[[np.ndarray], np.ndarray], X: Any, width: int | None = None
) -> np.ndarray:
    """Stack what ``function`` makes of each chunk of dense rows."""
    out = None
    for s in chunks(X, width):
        part = function(dense(X[s]))
        if out is None:
            out = np.empty((X.shape[0], *part.shape[1:]), part.dtype)
        out[s] = part
    return out


def dense(X: Any) -> np.ndarray:
    """Return the rows as an array."""
    return X.toarray() if issparse(X) else X


def column_means(X: Any) -> np.ndarray:
    """Mean of each feature, in float64."""
    if issparse(X):
        return mean_variance_axis(X, axis=0)[0].astype(np.float64)
    return X.mean(axis=0, dtype=np.float64)


def squared_deviation(X: Any, mean: np.ndarray) -> float:
    """Sum over all entries of the squared deviation from ``mean``."""
    return sum(float(np.square(dense(X[s]) - mean).sum()) for s in chunks(X))


def root_mean_square(X: Any, mean: np.ndarray) -> float:
    """Root of the mean squared deviation from ``mean``, over all entries.

    It is 1.0 where the deviations are nothing but rounding, so that dividing by it is
    safe.
    """
    spread = float(np.sqrt(squared_deviation(X, mean) / np.prod(X.shape)))
    if not np.isfinite(spread):
        raise ValueError(
            "The squares of X overflow float64: its largest magnitude is "
            f"{abs(X).max():.3g}. Divide X by a constant first."
        )
    rounding = 10 * np.finfo(np.float64).eps * np.abs(mean).max()
    return spread if spread > rounding else 1.0


def standardise(X: Any, mean: np.ndarray, scale: float) -> Tensor:
    """Return ``(X - mean) / scale``, taken before rounding to float32."""
    rows = (dense(X) - mean) / scale
    return torch.from_numpy(rows.astype(np.float32, copy=False))


def in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply a function so that a row's result does not depend on its company."""
    missing = -len(rows) % BLOCK
    if not missing:
        return function(rows)
    padding = rows.new_zeros(missing, *rows.shape[1:])
    return function(torch.cat([rows, padding]))[: len(rows)]


class SparseRows:
    """Rows of a CSR matrix that turn into a standardised tensor when indexed."""

    def __init__(self, X: Any, mean: np.ndarray, scale: float) -> None:
        self.X, self.mean, self.scale = X, mean, scale

    def __len__(self) -> int:
        return self.X.shape[0]

    def __getitem__(self, index: Tensor) -> Tensor:
        return standardise(self.X[index.numpy()], self.mean, self.scale)


def read_rows(X: Any, mean: np.ndarray, scale: float) -> Tensor | SparseRows:
    """Return all rows, standardised once if dense, batch by batch if sparse."""
    if issparse(X):
        return SparseRows(X, mean, scale)
    rows = torch.empty(X.shape, dtype=torch.float32, device="cpu")
    for s in chunks(X):
        rows[s] = standardise(X[s], mean, scale)
    return rows
