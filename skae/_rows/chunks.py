"""Rows of a matrix in bounded memory: arrays, sparse matrices and files."""

import contextlib
import itertools
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from torch import Tensor

# Large enough to hide the cost of a call, small enough to stay in the cache.
CHUNK_ELEMENTS = 2**20
# Runs of rows of a file that are read at once: each may map megabytes.
N_SCATTERED = 128
# Number of bytes around a page that the system may map with it.
N_AROUND = 2**21
# BLAS sums products of few rows in another order than of many.
BLOCK = 16
#: Dtypes used unchanged; others are converted to the first.
KEPT_DTYPES = [np.dtype(kind) for kind in (np.float64, np.float32, np.uint8)]
#: Index of rows of an array or of a sparse matrix.
Rows = slice | np.ndarray


def n_at_once(width: int) -> int:
    """Return how many rows of ``width`` numbers fit in bounded memory."""
    return BLOCK * max(1, CHUNK_ELEMENTS // width // BLOCK)


def chunks(X: Any, n_rows: int | None = None) -> Iterator[slice]:
    """Cut rows into slices of a given length, or of bounded memory."""
    for s in gen_batches(X.shape[0], n_rows or n_at_once(int(np.prod(X.shape[1:])))):
        yield s
        release(X, s)


def parts(X: Any, chosen: Rows) -> Iterator[np.ndarray]:
    """Yield some rows, or all, as arrays of bounded memory."""
    if isinstance(chosen, slice):
        rows = X if chosen == slice(None) else X[chosen]
        yield from (dense(rows[s]) for s in chunks(rows))
        return
    n_rows = n_at_once(X.shape[1])
    yield from (dense(take(X, chosen[s])) for s in chunks(chosen, n_rows))


def take(X: Any, index: np.ndarray) -> Any:
    """Return copies of rows; those of a file are read a few runs at a time."""
    if _file_of(X) is None:
        return X[index]
    rows = np.empty((len(index), *X.shape[1:]), X.dtype)
    announce(X, index)
    for s in scattered_chunks(X, index, len(index)):
        # "raise" would keep a copy until all are valid.
        np.take(X, index[s], axis=0, out=rows[s], mode="wrap")
    return rows


def announce(X: Any, index: np.ndarray) -> None:
    """Let the system read rows of a file: all at once, and none around them.

    It would read megabytes around each page that it was not told of.
    """
    if (file := _file_of(X)) is None or X.strides[0] <= 0:
        return
    if not (row := X[:1]).flags.c_contiguous:
        return
    page, first = mmap.PAGESIZE, _bytes_of(X, file)[0]
    starts = (first + X.strides[0] * np.sort(index)) // page * page
    is_far = np.diff(starts) > row.nbytes + page
    ends = starts[np.append(is_far, True)] + row.nbytes + page
    starts = starts[np.append(True, is_far)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        _advise(file, mmap.MADV_WILLNEED, start, end)


def scattered_chunks(X: Any, index: np.ndarray, n_rows: int) -> Iterator[slice]:
    """Cut an index of rows as :func:`chunks`; release those of a file now and then."""
    if _file_of(X) is None:
        yield from gen_batches(len(index), n_rows)
        return
    # The values of a row may lie apart from each other.
    is_apart = not X[:1].flags.c_contiguous
    is_far = (abs(np.diff(index) * X.strides[0]) > mmap.PAGESIZE) | is_apart
    n_before = np.append(0, np.cumsum(is_far))
    cuts = np.flatnonzero(np.diff(n_before // N_SCATTERED)) + 1
    # To release pages takes as long as to read some rows, however few they are.
    for start, end in itertools.pairwise([0, *cuts.tolist(), len(index)]):
        for s in gen_batches(end - start, n_rows):
            yield slice(start + s.start, start + s.stop)
        near = index[start:end]
        release(X, slice(near.min(), near.max() + 1))


def release(X: Any, rows: slice) -> None:
    """Release pages of a file that were read: mapped pages count as memory."""
    if (file := _file_of(X)) is not None:
        start, end = _bytes_of(X[rows], file)
        # To look at all pages of a large file takes longer than to read some.
        start = max(0, start - N_AROUND) // mmap.PAGESIZE * mmap.PAGESIZE
        _advise(file, mmap.MADV_DONTNEED, start, end + N_AROUND)


def _advise(file: np.memmap, advice: int, start: int, end: int) -> None:
    # Advice saves time and memory only: the system refuses it for locked pages.
    with contextlib.suppress(OSError):
        vars(file)["_mmap"].madvise(advice, start, end - start)


def _bytes_of(X: np.ndarray, file: np.memmap) -> tuple[int, int]:
    """Return where the bytes of rows begin and end in a memory map."""
    low, high = np.lib.array_utils.byte_bounds(X)
    first, _ = np.lib.array_utils.byte_bounds(np.frombuffer(vars(file)["_mmap"], "B"))
    return low - first, high - first


def _file_of(X: Any) -> np.memmap | None:
    """Return the memory map of the rows, if its pages can be released."""
    while isinstance(X, np.ndarray) and not isinstance(X, np.memmap):
        X = X.base
    # Pages of a private copy hold the only version of written values; a copy in memory
    # has no mode.
    is_kept = not isinstance(X, np.memmap) or X.mode in ("c", None)
    return None if is_kept or not hasattr(mmap, "MADV_DONTNEED") else X


def sample(X: Any, n_rows: int) -> Any:
    """Return at most ``n_rows`` random rows in their order, the same in each call.

    Evenly spaced rows may all be of one kind if kinds alternate.
    """
    if X.shape[0] <= n_rows:
        return X[:]
    rng = np.random.default_rng(0)
    return take(X, np.sort(rng.choice(X.shape[0], n_rows, replace=False)))


def map_rows(
    function: Callable[[np.ndarray], np.ndarray], X: Any, n_rows: int
) -> np.ndarray:
    """Apply ``function`` to chunks of dense rows, and stack the results."""
    slices = chunks(X, n_rows)
    first = next(slices)
    part = function(dense(X[first]))
    out = np.empty((X.shape[0], *part.shape[1:]), part.dtype)
    out[first] = part
    for s in slices:
        out[s] = function(dense(X[s]))
    return out


def dense(X: Any) -> np.ndarray:
    """Return the rows as an array, in float64 if torch may not accept their dtype."""
    X = X.toarray() if issparse(X) else X
    return X if X.dtype in KEPT_DTYPES else X.astype(np.float64)


def in_blocks(
    function: Callable[[Tensor], Tensor], rows: Tensor, n_rows: int
) -> Tensor:
    """Apply a function to blocks of rows.

    Rows of zeros fill the last block, so that results hardly depend on other rows. A
    GPU may compute blocks of each size in another way.
    """
    *full, last = torch.split(rows, n_rows)
    if missing := -len(last) % (n_rows if rows.is_cuda else BLOCK):
        last = torch.cat([last, last.new_zeros(missing, *last.shape[1:])])
    if not full:
        return function(last)[: len(rows)]
    return torch.cat([function(part) for part in (*full, last)])[: len(rows)]
