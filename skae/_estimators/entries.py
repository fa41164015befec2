"""The entries of a table of numbers as a module of torch."""

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._rows.frames import NUMBER
from .._rows.table import ColumnCode


class TableEntries(nn.Module):
    """Encodes columns of numbers, and of categories that are numbers, and back.

    It does for tensors (n, n_columns) what :class:`ColumnCode` does for each column.
    """

    def __init__(self, columns: Sequence[ColumnCode], dtype: torch.dtype) -> None:
        super().__init__()
        self.columns, self.dtype = list(columns), dtype
        for place, column in self._each():
            levels = [float(level) for level in column.levels]
            buffer = torch.tensor(levels, dtype=torch.float64)
            self.register_buffer(f"levels_{place}", buffer)
        sizes = np.array([column.size for column in columns])
        ends = np.cumsum(sizes)
        self.ends, self.starts = ends.tolist(), (ends - sizes).tolist()

    def encode(self, x: Tensor) -> Tensor:
        """Return flat rows of entries, in float32."""
        values = x.to(torch.float64)
        parts = [
            self._encoded(c, self._levels(i), values[:, i, None])
            for i, c in self._each()
        ]
        rows = torch.cat(parts, dim=1)
        telling = [i for i, c in self._each() if not c.is_empty]
        tells = torch.cat([parts[i] for i in telling], dim=1)
        # The entry of an empty column tells nothing about a row.
        is_lost = tells.isnan().all(1, keepdim=True)
        return rows.masked_fill(is_lost, torch.nan).to(torch.float32)

    def decode(self, rows: Tensor) -> Tensor:
        """Return the number, or the most probable level, of each column."""
        parts = [
            self._decoded(c, self._levels(i), rows[:, self.starts[i] : self.ends[i]])
            for i, c in self._each()
        ]
        return torch.stack(parts, dim=1).to(self.dtype)

    def _each(self) -> list[tuple[int, ColumnCode]]:
        return list(enumerate(self.columns))

    def _levels(self, place: int) -> Tensor:
        return self.get_buffer(f"levels_{place}")

    def _encoded(self, column: ColumnCode, levels: Tensor, values: Tensor) -> Tensor:
        if column.is_empty:
            return torch.zeros_like(values)
        if not column.varies:
            return torch.where(values.isnan(), torch.nan, torch.zeros_like(values))
        if column.kind == NUMBER:
            return (values - column.mean) / column.deviation
        present = values == levels
        is_known = present.any(1, keepdim=True)
        entries = column.unit * present[:, int(column.size == 1) :].to(values)
        return torch.where(is_known, entries, torch.nan)

    def _decoded(self, column: ColumnCode, levels: Tensor, entries: Tensor) -> Tensor:
        if column.kind == NUMBER:
            return column.mean + column.deviation * entries[:, 0].to(torch.float64)
        if not len(column.levels):
            return torch.full_like(entries[:, 0], torch.nan, dtype=torch.float64)
        if column.size > 1:
            return levels[entries.argmax(1)]
        place = (entries[:, 0] > column.unit / 2) & column.varies
        return torch.where(place, levels[-1], levels[0])


def why_no_entries(columns: Sequence[ColumnCode]) -> str | None:
    """Say which column a tensor of numbers cannot hold, if there is one."""
    for column in columns:
        if column.quantiles is not None:
            return (
                "scaling='quantiles' has no graph: use scaling='standard', and a "
                "QuantileTransformer before it."
            )
        text = [level for level in column.levels if not isinstance(level, Number)]
        if text:
            return (
                f"column {column.name!r} holds {text[0]!r}, but a tensor holds numbers "
                "only: fit the codes of an OrdinalEncoder, and name such columns in "
                "categorical_features."
            )
    return None


def entries_of(columns: Sequence[ColumnCode], container: Any) -> TableEntries:
    """Return the module for a table, whose container tells the dtype of rows."""
    is_narrow = getattr(container, "dtype", None) in (np.float32, np.uint8)
    return TableEntries(columns, torch.float32 if is_narrow else torch.float64)
