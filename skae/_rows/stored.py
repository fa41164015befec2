"""Rows that are stored elsewhere: HDF5, Zarr, dask, Arrow, data sets of torch.

None of these packages is imported: a store is what has a shape, a dtype and slices.
"""

import hashlib
import os
import reprlib
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from . import batches
from .arrow import ArrowRows
from .chunks import chunks, n_at_once
from .containers import is_table, unmasked
from .torch_data import DatasetRows

# Number of values that are read at once where chunks are smaller, or are not known.
READ_ELEMENTS = 2**16
# Number of values up to which a chunk, with all columns, is kept: 128 megabytes of
# float32. A larger one is read again for each part.
MOST_ELEMENTS = 2**25


class Stored:
    """Rows of a store as flat rows or images; slices and sorted indices are read.

    Whole chunks are read, and the last ones are kept: passes over slices, in their
    order, read each chunk once.
    """

    def __init__(self, source: Any, frame: Any = None) -> None:
        self.source, self.frame = source, frame
        self.shape = tuple(map(int, source.shape))
        self.dtype = source.dtype
        width = max(1, self.size // max(1, len(self)))
        self.chunk_rows = _chunk_rows(source, MOST_ELEMENTS // width)
        few = max(1, READ_ELEMENTS // (self.chunk_rows * width))
        self._unit, self._most = few * self.chunk_rows, n_at_once(width)
        self._start, self._kept = 0, np.empty((0, *self.shape[1:]), self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Return the number of values."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def is_read_ahead(self) -> bool:
        """Whether a thread may read it: dask has its own, and items are Python."""
        return not (isinstance(self.source, DatasetRows) or is_dask(self.source))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def flattened(self) -> "Stored":
        """Return images as flat rows."""
        flat = Stored(self.source, self.frame)
        flat.shape = len(self), self.size // len(self)
        flat._kept = flat._kept.reshape(0, flat.shape[1])
        return flat

    def __getitem__(self, chosen: Any) -> np.ndarray:
        if isinstance(chosen, np.ndarray):
            return self._scattered(chosen)
        if not isinstance(chosen, slice):
            return self[chosen : chosen + 1][0]
        first, end, _ = chosen.indices(len(self))
        at, stop = first - self._start, self._start + len(self._kept)
        if self._start <= first < stop:
            kept = self._kept[at : end - self._start]
            return kept if end <= stop else np.concatenate([kept, self[stop:end]])
        start = first - first % self._unit
        # If reading fails, what is kept stays valid.
        self._kept = self._read(start, -(-end // self._unit) * self._unit)
        self._start = start
        return self._kept[first - start : end - start]

    def _scattered(self, index: np.ndarray) -> np.ndarray:
        """Return rows in the order of an index; near ones are read as one slice."""
        if isinstance(self.source, DatasetRows):
            # It reads no row sooner for its neighbours.
            rows = self.source.take(index.tolist())
            return rows.reshape(len(rows), *self.shape[1:])
        order = np.argsort(index, kind="stable")
        rows = self._near(index[order])
        is_sorted = (np.diff(index) >= 0).all()
        return rows if is_sorted else rows[np.argsort(order)]

    def _near(self, index: np.ndarray) -> np.ndarray:
        """Return rows in ascending order."""
        units, windows = index // self._unit, index // max(self._most, self._unit)
        is_new = (np.diff(units) > 1) | (np.diff(windows) > 0)
        rows, first = np.empty((len(index), *self.shape[1:]), self.dtype), 0
        for near in filter(len, np.split(index, np.flatnonzero(is_new) + 1)):
            end = first + len(near)
            rows[first:end] = self[near[0] : near[-1] + 1][near - near[0]]
            first = end
        return rows

    def _read(self, start: int, end: int) -> np.ndarray:
        end = min(end, len(self))
        rows = _values(self.source, start, end)
        _check_kept(self, rows, end - start)
        if np.ma.isMaskedArray(rows):
            rows = unmasked(rows, self.dtype.kind == "f", f"a store of {self.dtype}")
        rows = rows.reshape(len(rows), *self.shape[1:])
        rows.flags.writeable = False
        return rows

    def __getstate__(self) -> dict[str, Any]:
        # Checkpoints tell rows apart by a hash of what would be pickled.
        digest = hashlib.blake2b()
        for s in chunks(self):
            digest.update(np.ascontiguousarray(self[s]).data)
        values = digest.hexdigest()
        return {"shape": self.shape, "dtype": str(self.dtype), "values": values}


def opened(X: Any) -> Any:
    """Return a store as an array if it is small, else as :class:`Stored`.

    Anything else is returned unchanged. Stores as small as arrays of which a
    standardised copy is kept are read once, and give the same bits as the array.
    """
    if isinstance(X, Stored) or (source := _source_of(X)) is None:
        return X
    _check_known(source)
    if np.prod(source.shape, dtype=object) <= batches.KEPT_ELEMENTS:
        return _in_memory(X, source)
    return Stored(source, _frame_of(X, source))


def in_memory(X: Any) -> Any:
    """Return a store as an array or a frame, of any size, else X unchanged."""
    source = _source_of(X)
    if source is None:
        return X
    _check_known(source)
    return _in_memory(X, source)


def check_stored(
    estimator: Any, X: Stored, *, reset: bool, min_samples: int = 1
) -> Stored:
    """Check shape, dtype and names as for arrays; nothing is read."""
    _check_numbers(X, type(estimator).__name__)
    # It takes no memory, whatever its shape.
    alike = np.broadcast_to(np.zeros((), X.dtype), X.shape)
    check_array(
        alike,
        dtype=[X.dtype],
        ensure_all_finite=False,
        ensure_min_samples=min_samples,
        estimator=estimator,
        input_name="X",
    )
    named = alike if X.frame is None else X.frame
    validate_data(estimator, named, reset=reset, skip_check_array=True)
    return X


def _check_numbers(X: Stored, owner: str) -> None:
    """Raise unless a store has flat rows of real numbers."""
    kind = type(X.source if X.frame is None else X.frame).__name__
    if X.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: X, of type {kind}, has the dtype {X.dtype}. "
            "Store its real and imaginary parts as columns."
        )
    if X.dtype.kind not in "biuf":
        how = "store them as" if X.frame is None else "convert columns by X.astype to"
        raise ValueError(
            f"X, of type {kind}, has the dtype {X.dtype}, but rows must be numbers: "
            f"{how} float32, or encode text first."
        )
    if X.ndim == 1:
        raise ValueError(
            f"Expected 2D array, got 1D array instead: X, of type {kind}, has the "
            f"shape {X.shape}. Store it as rows, of shape (n_samples, n_features)."
        )
    if X.ndim > 2:
        raise ValueError(
            f"Found array with dim {X.ndim}, of shape {X.shape}, but {owner} takes "
            "flat rows: store them so, or use ConvAE, which takes images, signals and "
            "volumes."
        )


def is_dask(X: Any) -> bool:
    """Whether X is an array or a frame of dask."""
    return hasattr(X, "__dask_graph__") and (
        hasattr(X, "map_blocks") or is_lazy_frame(X)
    )


def is_lazy_frame(X: Any) -> bool:
    """Whether X is a frame of dask."""
    return hasattr(X, "map_partitions") and hasattr(X, "to_dask_array")


def _source_of(X: Any) -> Any:
    """Return what gives slices of rows; None if X is not a store."""
    _check_is_rows(X)
    if isinstance(X, Dataset):
        return DatasetRows(X)
    if is_lazy_frame(X):
        return X.to_dask_array(lengths=True)
    if hasattr(X, "get_fragments"):
        return ArrowRows(X)
    if isinstance(X, np.ndarray | np.generic | Tensor) or issparse(X):
        return None
    if is_table(X) or any(hasattr(X, name) for name in ("iloc", "columns")):
        return None
    return X if hasattr(X, "__getitem__") and _is_array_like(X) else None


def _check_is_rows(X: Any) -> None:
    """Raise if X leads to rows, but has none itself."""
    how = ""
    if isinstance(X, str | os.PathLike):
        how = "open it, as by np.load(X, mmap_mode='r') or skae.rows.from_arrow(X)"
    elif isinstance(X, DataLoader):
        how = "pass X.dataset"
    elif hasattr(X, "require_group"):
        how = f"pass one of its arrays, which are {reprlib.repr(list(X))}, as X['name']"
    if how:
        raise TypeError(f"X is of type {type(X).__name__}, which has no rows: {how}.")


def _is_array_like(X: Any) -> bool:
    try:
        return isinstance(getattr(X, "dtype", None), np.dtype) and len(X.shape) > 0
    except Exception as error:
        raise ValueError(
            f"X, of type {type(X).__name__}, cannot be read: {error}. If its file is "
            "closed, open it, and keep it open until the method returns."
        ) from error


def _check_known(source: Any) -> None:
    """Raise if dask does not know how many rows there are."""
    if any(size != size for size in source.shape):
        raise ValueError(
            f"X is a dask array of the shape {source.shape}, but its number of rows "
            "must be known: call X.compute_chunk_sizes() first. transform, "
            "inverse_transform, reconstruct and score_samples do not need it."
        )


def _in_memory(X: Any, source: Any) -> Any:
    """Return the rows with their names, if they have some."""
    if is_lazy_frame(X):
        return X.compute()
    if isinstance(source, ArrowRows):
        return source.to_table()
    return _values(source, 0, int(source.shape[0]))


def _values(source: Any, start: int, end: int) -> np.ndarray:
    """Read rows of a store; masked arrays stay masked."""
    rows = source[start:end]
    rows = rows.compute() if is_dask(rows) else rows
    if hasattr(rows, "todense"):
        raise ValueError(
            f"X, of type {type(source).__name__}, has sparse blocks, of type "
            f"{type(rows).__name__}: make them dense, as by X.map_blocks(lambda block: "
            "block.toarray()), or pass a sparse matrix."
        )
    return rows if np.ma.isMaskedArray(rows) else np.asarray(rows)


def _check_kept(X: Stored, rows: np.ndarray, n_rows: int) -> None:
    """Raise if rows that were read are not what shape and dtype of a store say."""
    kind = type(X.source).__name__
    if len(rows) != n_rows:
        raise ValueError(
            f"X, of type {kind}, has the shape {X.shape}, but gave {len(rows)} rows "
            f"instead of {n_rows}: state the true shape where X is made."
        )
    # Integers would wrap, and float16 overflows soon.
    is_wide = X.dtype.kind == "f" and X.dtype.itemsize >= 4
    if not np.can_cast(rows.dtype, X.dtype, "same_kind" if is_wide else "safe"):
        raise ValueError(
            f"X, of type {kind}, has the dtype {X.dtype}, but gave rows of "
            f"{rows.dtype}: state the true dtype where X is made."
        )


def _frame_of(X: Any, source: Any) -> Any:
    """Return a frame without rows that has the names of the columns, if there are."""
    return X._meta if is_lazy_frame(X) else getattr(source, "frame", None)


def _chunk_rows(source: Any, most: int) -> int:
    """Return the number of rows in a chunk; 1 if it has none, or too many to keep."""
    sizes = getattr(source, "chunks", None)
    if not sizes:
        return 1
    # Those of dask may differ.
    n_rows = max(1, int(np.max(sizes[0])))
    return n_rows if n_rows <= most else 1
