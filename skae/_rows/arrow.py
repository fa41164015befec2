"""Rows of an Arrow data set, such as a folder of Parquet files."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .._machine.extras import imported


class ArrowRows:
    """Columns of numbers of an Arrow data set, as slices of rows.

    A row group of Parquet is read as a whole, and the last one is kept.
    """

    def __init__(self, dataset: Any, columns: Sequence[str] | None = None) -> None:
        names = dataset.schema.names
        self._columns = names if columns is None else list(columns)
        if unknown := [name for name in self._columns if name not in names]:
            raise ValueError(
                f"columns has {unknown[0]!r}, but those of the data set are {names}."
            )
        if twice := [n for n in self._columns if names.count(n) > 1]:
            raise ValueError(
                f"The data set has several columns named {twice[0]!r}: rename them, or "
                "name others to take by from_arrow(..., columns=[...])."
            )
        self.dataset = dataset
        types = [dataset.schema.field(name).type for name in self._columns]
        pairs = zip(self._columns, types, strict=True)
        # Integers that float32 holds exactly stay narrow.
        dtypes = [_dtype_of(name, kind) for name, kind in pairs]
        self.dtype = np.result_type(np.float32, *dtypes)
        self._pieces = [p for f in dataset.get_fragments() for p in _row_groups(f)]
        self._ends = np.cumsum([_count(piece) for piece in self._pieces])
        self._at, self._rows = -1, np.empty((0, len(self._columns)), self.dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and of columns."""
        return int(self._ends[-1]) if len(self._ends) else 0, len(self._columns)

    @property
    def chunks(self) -> tuple[int, int]:
        """Return the shape of the largest row group."""
        sizes = np.diff(self._ends, prepend=0)
        return max(1, int(sizes.max(initial=1))), len(self._columns)

    @cached_property
    def frame(self) -> Any:
        """A table without rows, which has the names of the columns."""
        return self.dataset.schema.empty_table().select(self._columns)

    def to_table(self) -> Any:
        """Return all rows as a table of Arrow, in memory."""
        return self.dataset.to_table(columns=self._columns)

    def __getitem__(self, chosen: slice) -> np.ndarray:
        first, end, _ = chosen.indices(self.shape[0])
        rows = np.empty((end - first, len(self._columns)), self.dtype)
        places = np.searchsorted(self._ends, [first, end - 1], side="right")
        for place in range(places[0], places[1] + 1):
            start = int(self._ends[place - 1]) if place else 0
            piece = self._piece(place)[max(first - start, 0) : end - start]
            at = max(start - first, 0)
            rows[at : at + len(piece)] = piece
        return rows

    def _piece(self, place: int) -> np.ndarray:
        if place != self._at:
            # Files may lack a column, or have it in their path only.
            table = self._pieces[place].to_table(
                schema=self.dataset.schema, columns=self._columns
            )
            # Values that are missing become NaN.
            columns = [c.to_numpy().astype(self.dtype) for c in table.columns]
            self._at, self._rows = place, np.column_stack(columns)
        return self._rows


def open_arrow(data: Any, columns: Sequence[str] | None) -> ArrowRows:
    """Return the rows of a data set, or of the files that a path names."""
    if not hasattr(data, "get_fragments"):
        data = imported("pyarrow.dataset", "from_arrow").dataset(data)
    return ArrowRows(data, columns)


def _row_groups(fragment: Any) -> list[Any]:
    """Return the row groups of a file; the file itself if it is not Parquet."""
    is_parquet = hasattr(fragment, "split_by_row_group")
    return fragment.split_by_row_group() if is_parquet else [fragment]


def _count(piece: Any) -> int:
    # Counting the rows of a group gives those of the whole file.
    if groups := getattr(piece, "row_groups", None):
        return sum(group.num_rows for group in groups)
    return int(piece.count_rows())


def _dtype_of(name: str, kind: Any) -> np.dtype[Any]:
    """Return the dtype of a column of numbers, or raise."""
    try:
        dtype = np.dtype(kind.to_pandas_dtype())
    except (NotImplementedError, TypeError):
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise ValueError(
            f"Column {name!r} is of type {kind}, but rows must be numbers: name those "
            "to take by columns=[...]."
        )
    return dtype
