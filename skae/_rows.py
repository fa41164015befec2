"""Rows of a matrix as standardised float32 tensors: in chunks, and in minibatches."""

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
# So many rows at least are held out, if there are three times as many.
LEAST_HELD_OUT = 10
# BLAS sums products of few rows in another order than those of many.
BLOCK = 16


#: What picks rows of an array or of a sparse matrix.
Rows = slice | np.ndarray


def chunks(X: Any, width: int | None = None) -> Iterator[slice]:
    """Cut rows that take ``width`` numbers each into slices of bounded memory."""
    n_blocks = CHUNK_ELEMENTS // (width or int(np.prod(X.shape[1:]))) // BLOCK
    return gen_batches(X.shape[0], BLOCK * max(1, n_blocks))


def sample(X: Any, n_rows: int) -> Any:
    """Return evenly spaced rows, so many at most."""
    return X[:: -(-X.shape[0] // n_rows)]


def map_rows(
    function: Callable[[np.ndarray], np.ndarray], X: Any, width: int | None = None
) -> np.ndarray:
    """Stack what ``function`` makes of each chunk of dense rows."""
    slices = chunks(X, width)
    first = next(slices)
    part = function(dense(X[first]))
    out = np.empty((X.shape[0], *part.shape[1:]), part.dtype)
    out[first] = part
    for s in slices:
        out[s] = function(dense(X[s]))
    return out


def dense(X: Any) -> np.ndarray:
    """Return the rows as an array."""
    return X.toarray() if issparse(X) else X


@np.errstate(over="ignore", invalid="ignore")
def column_means(X: Any) -> np.ndarray:
    """Mean of each feature, in float64; exact where a feature is constant."""
    if issparse(X):
        return mean_variance_axis(X, axis=0)[0].astype(np.float64)
    origin = np.nan_to_num(X[0].astype(np.float64))
    sums = (np.nansum(X[s] - origin, axis=0) for s in chunks(X))
    return origin + np.sum(list(sums), axis=0) / n_known(X)


def has_gaps(X: Any) -> bool:
    """Whether values are missing."""
    may_miss = not issparse(X) and X.dtype.kind == "f"
    return may_miss and any(bool(np.isnan(X[s]).any()) for s in chunks(X))


def n_known(X: Any) -> np.ndarray:
    """Return how many values of each feature are not missing."""
    if not has_gaps(X):
        return np.full(X.shape[1:], X.shape[0])
    counts = (np.isfinite(X[s]).sum(axis=0) for s in chunks(X))
    return np.sum(list(counts), axis=0)


def largest_deviation(X: Any, mean: np.ndarray) -> float:
    """Largest distance of an entry from ``mean``."""
    parts = (np.fmax.reduce(abs(dense(X[s]) - mean), None) for s in chunks(X))
    return float(np.fmax.reduce(list(parts)))


def squared_deviation(X: Any, mean: np.ndarray, scale: float) -> float:
    """Sum over all entries of ``((X - mean) / scale)^2``, in float64."""
    parts = (np.square((dense(X[s]) - mean) / scale) for s in chunks(X))
    return sum(float(np.nansum(part)) for part in parts)


@np.errstate(over="ignore", invalid="ignore")
def root_mean_square(X: Any, mean: np.ndarray) -> float:
    """Root of the mean squared deviation from ``mean``, over all entries.

    It is 1.0 if there is no deviation, so that dividing by it is safe.
    """
    # Squares of what is at most 1 cannot overflow.
    largest = largest_deviation(X, mean)
    if not np.isfinite(largest):
        raise ValueError(
            "The spread of X overflows float64: its largest magnitude is "
            f"{abs(X).max():.3g}. Divide X by a constant first."
        )
    if largest == 0:
        return 1.0
    return (
        largest * float(np.sqrt(squared_deviation(X, mean, largest) / n_known(X).sum()))
        or 1.0
    )


def explained_share(unexplained: float, total: float) -> float:
    """Return ``1 - unexplained / total``; of nothing, all or none is explained."""
    return float(1 - unexplained / total) if total else float(unexplained == 0)


def standardise(X: Any, mean: np.ndarray, scale: float) -> Tensor:
    """Return ``(X - mean) / scale``, taken before rounding to float32."""
    with np.errstate(over="ignore"):
        rows = ((dense(X) - mean) / scale).astype(np.float32, copy=False)
    if np.isinf(rows).any():
        largest = np.nanmax(abs(dense(X)))
        raise ValueError(
            f"X holds {largest:.3g}, which is farther from mean_ than 3e38 times "
            f"scale_={scale:.3g}: bring it to the unit of the training rows."
        )
    return torch.from_numpy(rows)


def in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply a function so that a row's result hardly depends on its company."""
    missing = -len(rows) % BLOCK
    if not missing:
        return function(rows)
    padding = rows.new_zeros(missing, *rows.shape[1:])
    return function(torch.cat([rows, padding]))[: len(rows)]


def n_held_out(n_rows: int, fraction: float) -> int:
    """Return how many rows to hold out; a fraction of zero is none."""
    few = max(1, min(LEAST_HELD_OUT, n_rows // 3))
    return max(few, int(fraction * n_rows)) if fraction else 0


def hold_out(n_rows: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return indices of rows to train on and of rows to hold out, chosen by a seed.

    The same seed holds the same rows out when training goes on.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    order = torch.randperm(n_rows, generator=generator, device="cpu")
    n_judges = n_held_out(n_rows, fraction)
    return order[n_judges:], order[:n_judges]


class SparseRows:
    """Rows of a CSR matrix that are standardised when they are selected."""

    def __init__(self, X: Any, mean: np.ndarray, scale: float) -> None:
        self.X, self.mean, self.scale = X, mean, scale

    def __len__(self) -> int:
        return self.X.shape[0]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        return standardise(self.X[index.numpy()], self.mean, self.scale)


def read_rows(X: Any, mean: np.ndarray, scale: float) -> Tensor | SparseRows:
    """Return all rows, standardised once if dense, batch by batch if sparse."""
    if issparse(X):
        return SparseRows(X, mean, scale)
    rows = torch.empty(X.shape, dtype=torch.float32, device="cpu")
    for s in chunks(X):
        rows[s] = standardise(X[s], mean, scale)
    return rows


class Batches:
    """Minibatches of the rows named by ``index``; shuffled if there is a generator."""

    def __init__(
        self,
        rows: Any,
        index: Tensor,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> None:
        self.rows, self.index, self.batch_size = rows, index, batch_size
        self.device, self.generator = device, generator

    def __iter__(self) -> Iterator[Tensor]:
        home = getattr(self.rows, "device", torch.device("cpu"))
        for chosen in self._choose():
            batch = self.rows.index_select(0, chosen.to(home))
            yield batch if home == self.device else self._send(batch)

    def _choose(self) -> Iterator[Tensor]:
        """Return the rows of each batch."""
        return iter(torch.split(self._shuffled(self.index), self.batch_size))

    def _shuffled(self, index: Tensor) -> Tensor:
        if self.generator is None:
            return index
        order = torch.randperm(len(index), generator=self.generator, device="cpu")
        return index[order]

    def _send(self, batch: Tensor) -> Tensor:
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)
