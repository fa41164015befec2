"""Rows of a matrix as standardised float32 tensors: in chunks, and in minibatches."""

import mmap
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis
from torch import Tensor
from torch.utils.dlpack import from_dlpack

# Large enough to hide the cost of a call, small enough to stay in the cache.
CHUNK_ELEMENTS = 2**20
# Numbers that are standardised once and kept, half a gigabyte of them; rows of more are
# read for each batch, from nearby places.
KEPT_ELEMENTS = 2**27
# Numbers in rows that lie together, and how many such runs are shuffled together.
RUN_ELEMENTS, N_RUNS = 2**16, 128
# Rows here and there of a file that are read at once: each may map megabytes of it.
N_SCATTERED = 128
# So many rows at least are held out, if there are three times as many.
LEAST_HELD_OUT = 10
# BLAS sums products of few rows in another order than those of many.
BLOCK = 16


#: What picks rows of an array or of a sparse matrix.
Rows = slice | np.ndarray


def n_at_once(width: int) -> int:
    """Return how many rows that take ``width`` numbers each fit in bounded memory."""
    return BLOCK * max(1, CHUNK_ELEMENTS // width // BLOCK)


def chunks(X: Any, n_rows: int | None = None) -> Iterator[slice]:
    """Cut rows into slices of so many, or of bounded memory."""
    for s in gen_batches(X.shape[0], n_rows or n_at_once(int(np.prod(X.shape[1:])))):
        yield s
        release(X)


def parts(X: Any, chosen: Rows) -> Iterator[np.ndarray]:
    """Yield some rows, or all, as arrays of bounded memory."""
    if isinstance(chosen, slice):
        yield from (dense(X[s]) for s in chunks(X[chosen]))
        return
    n_rows = n_at_once(X.shape[1])
    yield from (dense(take(X, chosen[s])) for s in chunks(chosen, n_rows))


def take(X: Any, index: np.ndarray) -> Any:
    """Return copies of rows, of a file a few at a time."""
    if _file_of(X) is None:
        return X[index]
    rows = np.empty((len(index), *X.shape[1:]), X.dtype)
    for s in gen_batches(len(index), N_SCATTERED):
        rows[s] = X[index[s]]
        release(X)
    return rows


def release(X: Any) -> None:
    """Let go of pages of a file that were read: while mapped they count as memory."""
    if (file := _file_of(X)) is not None:
        vars(file)["_mmap"].madvise(mmap.MADV_DONTNEED)


def _file_of(X: Any) -> np.memmap | None:
    """Return what maps the file that rows lie in, if its pages can be let go."""
    while isinstance(X, np.ndarray) and not isinstance(X, np.memmap):
        X = X.base
    # Pages of a private copy are the only place that holds what was written there; a
    # copy in memory has no mode.
    is_kept = not isinstance(X, np.memmap) or X.mode in ("c", None)
    return None if is_kept or not hasattr(mmap, "MADV_DONTNEED") else X


def sample(X: Any, n_rows: int) -> Any:
    """Return evenly spaced rows, so many at most."""
    return X[:: -(-X.shape[0] // n_rows)]


def map_rows(
    function: Callable[[np.ndarray], np.ndarray], X: Any, n_rows: int
) -> np.ndarray:
    """Stack what ``function`` makes of so many dense rows at a time."""
    slices = chunks(X, n_rows)
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
    sums = (_known_sum(X[s] - origin, 0) for s in chunks(X))
    return origin + np.sum(list(sums), axis=0) / n_known(X)


def _known_sum(values: np.ndarray, axis: int | None) -> Any:
    """Sum of what is not missing; ``np.nansum`` copies even where nothing is."""
    total = values.sum(axis=axis)
    return np.nansum(values, axis=axis) if np.isnan(total).any() else total


def extremes(X: Any) -> tuple[float, float]:
    """Return the smallest and the largest value that is not missing."""
    if issparse(X):
        return X.min(), X.max()
    # Unlike nanmin they do not warn of a chunk where all values are missing.
    lows = [np.fmin.reduce(X[s], axis=None) for s in chunks(X)]
    highs = [np.fmax.reduce(X[s], axis=None) for s in chunks(X)]
    return np.fmin.reduce(lows), np.fmax.reduce(highs)


def sums_up(rows: np.ndarray) -> bool:
    """Whether a sum is finite, so that all is; by all cores, where numpy has one."""
    return bool(from_dlpack(np.ascontiguousarray(rows)).sum().isfinite())


def has_gaps(X: Any) -> bool:
    """Whether values are missing."""
    may_miss = not issparse(X) and X.dtype.kind == "f"
    return may_miss and any(bool(np.isnan(X[s].min())) for s in chunks(X))


def n_known(X: Any) -> np.ndarray:
    """Return how many values of each feature are not missing."""
    if not has_gaps(X):
        return np.full(X.shape[1:], X.shape[0])
    counts = (np.isfinite(X[s]).sum(axis=0) for s in chunks(X))
    return np.sum(list(counts), axis=0)


def largest_deviation(X: Any, mean: np.ndarray) -> float:
    """Largest distance of an entry from ``mean``."""
    largest = (np.fmax.reduce(abs(dense(X[s]) - mean), None) for s in chunks(X))
    return float(np.fmax.reduce(list(largest)))


def squared_deviation(X: Any, mean: np.ndarray, scale: float) -> float:
    """Sum over all entries of ``((X - mean) / scale)^2``, in float64."""
    squares = (np.square((dense(X[s]) - mean) / scale) for s in chunks(X))
    return sum(float(_known_sum(part, None)) for part in squares)


@np.errstate(over="ignore", invalid="ignore")
def root_mean_square(X: Any, mean: np.ndarray) -> float:
    """Root of the mean squared deviation from ``mean``, over all entries.

    It is 1.0 if there is no deviation, so that dividing by it is safe.
    """
    n_values = n_known(X).sum()
    plain = squared_deviation(X, mean, 1.0)
    if 1e-250 < plain < 1e250:
        return float(np.sqrt(plain / n_values))
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
        largest * float(np.sqrt(squared_deviation(X, mean, largest) / n_values)) or 1.0
    )


def explained_share(unexplained: float, total: float) -> float:
    """Return ``1 - unexplained / total``; of nothing, all or none is explained."""
    return float(1 - unexplained / total) if total else float(unexplained == 0)


def standardise(
    X: Any,
    mean: np.ndarray,
    scale: float,
    check: Callable[[Any], None] = lambda X: None,
) -> Tensor:
    """Return ``(X - mean) / scale``, taken before rounding to float32.

    Rows that may not be finite are handed to ``check``, which may raise.
    """
    rows = torch.sub(_as_tensor(X), from_dlpack(mean)).div_(scale)
    return _finite_or_missing(rows.to(torch.float32), X, scale, check)


def scale_and_shift(
    X: Any, scale: float, offset: Tensor, check: Callable[[Any], None]
) -> Tensor:
    """Return ``X / scale + offset``: one pass through memory, where a mean takes two.

    Rows that may not be finite are handed to ``check``, as by :func:`standardise`.
    """
    rows = _as_tensor(X)
    dtype = torch.promote_types(rows.dtype, offset.dtype)
    unit = torch.tensor(scale, dtype=dtype, device="cpu")
    rows = torch.addcdiv(offset.to(dtype), rows.to(dtype), unit)
    return _finite_or_missing(rows.to(torch.float32), X, scale, check)


def _as_tensor(X: Any) -> Tensor:
    # Unlike from_numpy it does not warn of rows that cannot be written to.
    return from_dlpack(np.ascontiguousarray(dense(X)))


def _finite_or_missing(
    rows: Tensor, X: Any, scale: float, check: Callable[[Any], None]
) -> Tensor:
    if rows.sum().isfinite():
        return rows
    check(X)
    # Else values are missing, or only their sum is too large.
    if rows.isinf().any():
        largest = np.nanmax(abs(dense(X)))
        raise ValueError(
            f"X holds {largest:.3g}, which is farther from mean_ than 3e38 times "
            f"scale_={scale:.3g}: bring it to the unit of the training rows."
        )
    return rows


def in_blocks(
    function: Callable[[Tensor], Tensor], rows: Tensor, n_rows: int
) -> Tensor:
    """Apply a function to so many rows at a time.

    Rows of zeros fill the last block: a row's result hardly depends on its company.
    """
    *full, last = torch.split(rows, n_rows)
    if missing := -len(last) % BLOCK:
        last = torch.cat([last, last.new_zeros(missing, *last.shape[1:])])
    if not full:
        return function(last)[: len(rows)]
    return torch.cat([function(part) for part in (*full, last)])[: len(rows)]


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
    # In the order of the file that they may be read from.
    return order[n_judges:].sort().values, order[:n_judges].sort().values


class RawRows:
    """Rows that are standardised when they are selected."""

    def __init__(self, X: Any, mean: np.ndarray, scale: float) -> None:
        self.X, self.mean, self.scale = X, mean, scale
        self.is_long = not issparse(X) and X.size > KEPT_ELEMENTS

    def __len__(self) -> int:
        return self.X.shape[0]

    @property
    def nbytes(self) -> int:
        """Return what they take once standardised."""
        return 4 * int(np.prod(self.X.shape))

    def to(self, device: torch.device) -> Tensor:
        """Standardise all rows, on the device."""
        parts = (standardise(self.X[s], self.mean, self.scale) for s in chunks(self.X))
        return torch.cat([part.to(device) for part in parts])

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        return standardise(take(self.X, index.numpy()), self.mean, self.scale)

    def read_ahead(self, indices: Iterator[Tensor]) -> Iterator[Tensor]:
        """Select batch after batch, many of them in one pass through the file."""
        for first in indices:
            n_batches = N_RUNS * RUN_ELEMENTS // (self.X.shape[1] * len(first))
            ahead = [first, *islice(indices, max(0, n_batches - 1))]
            index, places = torch.cat(ahead).sort()
            rows = torch.empty(len(index), self.X.shape[1], device="cpu")
            for s in chunks(rows):
                rows[places[s]] = self.index_select(0, index[s])
            yield from torch.split(rows, [len(index) for index in ahead])


def read_rows(X: Any, mean: np.ndarray, scale: float) -> Tensor | RawRows:
    """Return rows that are standardised once, or if that takes memory in each batch."""
    if issparse(X) or X.dtype == np.uint8 or X.size > KEPT_ELEMENTS:
        return RawRows(X, mean, scale)
    rows = torch.empty(X.shape, dtype=torch.float32, device="cpu")
    for s in chunks(X):
        rows[s] = standardise(X[s], mean, scale)
    return rows


def shuffle_nearby(
    n_rows: int, n_run: int, n_together: int, generator: torch.Generator
) -> Tensor:
    """Return a random order in which rows come from a few random runs at a time.

    Of ``n_together`` runs of ``n_run`` rows all come before those of others: files are
    read a page at a time, and each page should be read once.
    """
    runs = torch.split(torch.arange(n_rows, device="cpu"), n_run)
    order = torch.randperm(len(runs), generator=generator, device="cpu").tolist()
    shuffled = []
    for together in gen_batches(len(runs), n_together):
        rows = torch.cat([runs[i] for i in order[together]])
        new = torch.randperm(len(rows), generator=generator, device="cpu")
        shuffled.append(rows[new])
    return torch.cat(shuffled)


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
        self.is_long = isinstance(rows, RawRows) and rows.is_long

    def __iter__(self) -> Iterator[Tensor]:
        home = getattr(self.rows, "device", torch.device("cpu"))
        indices = self._choose()
        if self.is_long:
            batches = self.rows.read_ahead(indices)
        else:
            batches = (self.rows.index_select(0, i.to(home)) for i in indices)
        for batch in batches:
            yield batch if home == self.device else self._send(batch)

    def _choose(self) -> Iterator[Tensor]:
        """Return the rows of each batch."""
        return iter(torch.split(self._shuffled(self.index), self.batch_size))

    def _shuffled(self, index: Tensor) -> Tensor:
        if self.generator is None:
            return index
        if self.is_long:
            n_run = max(1, RUN_ELEMENTS // self.rows.X.shape[1])
            order = shuffle_nearby(len(index), n_run, N_RUNS, self.generator)
        else:
            order = torch.randperm(len(index), generator=self.generator, device="cpu")
        return index[order]

    def _send(self, batch: Tensor) -> Tensor:
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)
