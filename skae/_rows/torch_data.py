"""Rows of a data set of torch, which are read one by one."""

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset, IterableDataset

from .containers import as_array


class DatasetRows:
    """Slices of a map-style data set, whose items are rows or begin with one."""

    def __init__(self, items: Dataset[Any]) -> None:
        self.items, self._name = items, type(items).__name__
        if isinstance(items, IterableDataset) or not hasattr(items, "__len__"):
            raise ValueError(
                f"X, of type {self._name}, is a stream or has no length, so its rows "
                "cannot be shuffled: call partial_fit with each of its batches, as an "
                "array."
            )
        first = self._row(0) if len(items) else np.empty(0, np.float32)
        self.shape, self.dtype = (len(items), *first.shape), first.dtype
        self._row_shape = first.shape

    def __getitem__(self, chosen: slice) -> np.ndarray:
        return self.take(range(*chosen.indices(self.shape[0])))

    def take(self, places: Sequence[int]) -> np.ndarray:
        """Return rows in the order of an index."""
        rows = np.empty((len(places), *self._row_shape), self.dtype)
        for row, place in zip(rows, places, strict=True):
            row[...] = self._checked(place)
        return rows

    def _checked(self, place: int) -> np.ndarray:
        """Return a row that is like the first one, or raise."""
        row = self._row(place)
        if row.shape != self._row_shape:
            raise ValueError(
                f"Item {place} of X, of type {self._name}, has a row of shape "
                f"{row.shape}, but that of item 0 has {self._row_shape}: cut or fill "
                "rows to one length."
            )
        if not np.can_cast(row.dtype, self.dtype, "safe"):
            raise ValueError(
                f"Item {place} of X, of type {self._name}, has a row of dtype "
                f"{row.dtype}, but that of item 0 has {self.dtype}: convert all rows "
                "to one dtype."
            )
        return row

    def _row(self, place: int) -> np.ndarray:
        # Data sets of rows and labels give pairs.
        item: Any = self.items[place]
        row = item[0] if isinstance(item, tuple) and item else item
        try:
            row = np.asarray(as_array(row, allow_nan=True, owner=self._name))
        except ValueError as error:
            raise self._no_row(place, item) from error
        if row.ndim == 0:
            raise self._no_row(place, item)
        return row

    def _no_row(self, place: int, item: Any) -> ValueError:
        return ValueError(
            f"Item {place} of X, of type {self._name}, is {reprlib.repr(item)}: items "
            "must be rows, or tuples that begin with a row, which is an array, a "
            "tensor or a list of numbers."
        )
