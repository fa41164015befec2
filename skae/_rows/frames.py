"""Tables of mixed columns: frames and arrays are read, and built again."""

import re
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

NUMBER, BOOLEAN, CATEGORY = "number", "boolean", "category"
# Kinds of numpy's dtypes.
NUMBERS, DATES = "iuf", "mM"
INTEGER = re.compile(r"u?int(8|16|32|64)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one column: floats with NaN, or objects with None where missing."""

    name: Any
    kind: str
    values: np.ndarray
    #: Levels that the dtype declares, in their order.
    levels: list[Any] | None = None

    def as_category(self) -> "Column":
        """Return the column as one of categories."""
        if self.kind == CATEGORY:
            return self
        values = self.values.astype(object)
        if self.kind == BOOLEAN:
            values[self.values == 0], values[self.values == 1] = False, True
        values[np.isnan(self.values)] = None
        return Column(self.name, CATEGORY, values)


def is_frame(X: Any) -> bool:
    """Whether the input is a frame of pandas or polars."""
    return (hasattr(X, "iloc") and hasattr(X, "columns")) or hasattr(X, "get_columns")


def read_columns(X: Any) -> list[Column]:
    """Return the columns of a frame, or of an array."""
    if hasattr(X, "iloc"):
        names = enumerate(X.columns)
        return [_of_pandas(name, X.iloc[:, j]) for j, name in names]
    if hasattr(X, "get_columns"):
        return [_of_polars(column) for column in X.get_columns()]
    if X.dtype.kind in NUMBERS + "b":
        kind = BOOLEAN if X.dtype.kind == "b" else NUMBER
        return [Column(j, kind, column.astype(float)) for j, column in enumerate(X.T)]
    if X.dtype.kind in DATES:
        raise _refused(0, f"is of dtype {X.dtype}")
    return [_of_objects(j, column.astype(object)) for j, column in enumerate(X.T)]


def _of_pandas(name: Any, column: Any) -> Column:
    dtype = column.dtype
    if hasattr(dtype, "categories"):
        values = column.astype(object).to_numpy(copy=True)
        values[column.isna().to_numpy()] = None
        return Column(name, CATEGORY, values, list(dtype.categories))
    kind = getattr(dtype, "kind", "O")
    if kind in NUMBERS + "b":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(name, BOOLEAN if kind == "b" else NUMBER, values)
    if kind in DATES + "c":
        raise _refused(name, f"is of dtype {dtype}")
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    return _of_objects(name, values)


def _of_polars(column: Any) -> Column:
    name, dtype = column.name, column.dtype
    is_boolean = str(dtype) == "Boolean"
    if is_boolean or dtype.is_numeric():
        values = column.cast(float).to_numpy()
        return Column(name, BOOLEAN if is_boolean else NUMBER, values)
    if str(dtype).split("(")[0] not in ("String", "Categorical", "Enum", "Null"):
        raise _refused(name, f"is of dtype {dtype}")
    return _of_objects(name, np.array(column.to_list(), dtype=object))


def _of_objects(name: Any, values: np.ndarray) -> Column:
    """Return a column of objects: all numbers, all booleans, or all text."""
    missing = np.array([is_missing(value) for value in values], dtype=bool)
    known = values[~missing]
    kinds = dict(zip(map(type, known), known, strict=True))
    is_text = [issubclass(kind, str) for kind in kinds]
    is_number = [issubclass(k, Number) and not issubclass(k, complex) for k in kinds]
    for kind, value in kinds.items():
        if not issubclass(kind, str | Number) or issubclass(kind, complex):
            raise _refused(name, f"holds {value!r}, of type {kind.__name__}")
    if kinds and all(is_text):
        values[missing] = None
        return Column(name, CATEGORY, values)
    if not all(is_number):
        mixed = " and ".join(repr(value) for value in list(kinds.values())[:2])
        raise _refused(name, f"mixes text and numbers, such as {mixed}")
    numbers = np.full(len(values), np.nan)
    numbers[~missing] = known.astype(np.float64)
    is_boolean = bool(kinds) and all(issubclass(k, bool | np.bool_) for k in kinds)
    return Column(name, BOOLEAN if is_boolean else NUMBER, numbers)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, or what pandas has for it."""
    is_nan = isinstance(value, Number) and value != value
    is_of_pandas = type(value).__name__ in ("NAType", "NaTType")
    return value is None or is_nan or is_of_pandas


def _refused(name: Any, reason: str) -> TypeError:
    return TypeError(
        f"Column {name!r} of X {reason}, but the argument must be a table whose "
        "columns are each of strings, of booleans or of numbers. Convert the column "
        "first, dates to numbers such as days, and other objects to strings; or leave "
        "it out."
    )


def empty_like(X: Any) -> Any:
    """Return a table without rows, with the names and dtypes of the columns."""
    if hasattr(X, "iloc"):
        return X.iloc[:0].copy()
    return (
        X.clear() if hasattr(X, "get_columns") else np.empty((0, X.shape[1]), X.dtype)
    )


def build(template: Any, columns: list[np.ndarray], index: Any = None) -> Any:
    """Return columns as a table with the names and dtypes of the template."""
    if hasattr(template, "iloc"):
        return _pandas_frame(template, columns, index)
    if hasattr(template, "get_columns"):
        pairs = zip(template.get_columns(), columns, strict=True)
        return type(template)([_polars_column(part, values) for part, values in pairs])
    return _array(template, columns)


def _pandas_frame(template: Any, columns: list[np.ndarray], index: Any) -> Any:
    parts = [template.iloc[:, j] for j in range(template.shape[1])]
    made = {
        j: type(part)(_rounded(values, part.dtype), index=index).astype(part.dtype)
        for j, (part, values) in enumerate(zip(parts, columns, strict=True))
    }
    frame = type(template)(made, index=index)
    # They may be an index of several levels.
    frame.columns = template.columns
    return frame


def _polars_column(part: Any, values: np.ndarray) -> Any:
    found: Any = _rounded(values, part.dtype)
    if values.dtype.kind == "f" and np.isnan(values).any():
        found = [None if np.isnan(value) else value for value in found]
    # Objects of numpy would stay objects, which have no cast.
    found = found.tolist() if values.dtype == object else found
    return type(part)(part.name, found).cast(part.dtype)


def _array(template: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Return columns as an array; integers become floats."""
    kind = template.dtype.kind
    rows = np.empty((len(columns[0]), len(columns)), object if kind in "OUT" else float)
    for j, values in enumerate(columns):
        rows[:, j] = values
    if template.dtype == np.uint8:
        return rows.astype(np.float32)
    return rows.astype(np.float64 if kind in "iu" else template.dtype)


def _rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers rounded, and in its range, if the dtype is one of integers."""
    found = INTEGER.search(str(dtype))
    if found is None or values.dtype.kind != "f":
        return values
    info = np.iinfo(found[0].lower())
    # The largest integer of 64 bits is no float.
    return np.round(np.clip(values, info.min, np.nextafter(float(info.max), 0)))
