"""Tables without rows as plain values: their columns and dtypes, for files."""

from importlib import import_module
from typing import Any

import numpy as np

from .._machine.extras import imported

#: Who needs a package of frames.
OWNER = "This TableAE, which was fitted to a frame,"


def described(table: Any) -> Any:
    """Return plain values that ``template`` makes a table without rows of.

    A table that they would change, such as one of another class, is returned as it is.
    """
    if isinstance(table, np.ndarray):
        return {"kind": "array", "dtype": table.dtype.str, "n_columns": table.shape[1]}
    package = type(table).__module__.partition(".")[0]
    if package not in ("pandas", "polars"):
        return table
    values = _of_pandas(table) if package == "pandas" else _of_polars(table)
    return values if _is_same(template(values), table) else table


def template(values: Any) -> Any:
    """Undo ``described``."""
    if not isinstance(values, dict):
        return values
    if values["kind"] == "array":
        return np.empty((0, values["n_columns"]), values["dtype"])
    return _pandas(values) if values["kind"] == "pandas" else _polars(values)


def _of_pandas(table: Any) -> dict[str, Any]:
    columns = table.columns
    is_range = hasattr(columns, "step")
    ends = [columns.start, columns.stop, columns.step] if is_range else None
    return {
        "kind": "pandas",
        "columns": ends if is_range else list(columns),
        "names": list(columns.names),
        "index": "range" if is_range else _dtype_of_pandas(columns.dtype),
        "dtypes": [_dtype_of_pandas(dtype) for dtype in table.dtypes],
    }


def _dtype_of_pandas(dtype: Any) -> Any:
    if str(dtype) == "string":
        return f"string[{dtype.storage}]"
    if not hasattr(dtype, "categories"):
        return str(dtype)
    levels = dtype.categories
    return [list(levels), _dtype_of_pandas(levels.dtype), bool(dtype.ordered)]


def _pandas(values: dict[str, Any]) -> Any:
    pandas = imported("pandas", OWNER)
    dtypes = [_pandas_dtype(pandas, dtype) for dtype in values["dtypes"]]
    made = {j: pandas.Series([], dtype=dtype) for j, dtype in enumerate(dtypes)}
    table, names, given = pandas.DataFrame(made), values["names"], values["columns"]
    if len(names) > 1:
        table.columns = pandas.MultiIndex.from_tuples(given, names=names)
    elif values["index"] == "range":
        table.columns = pandas.RangeIndex(*given, name=names[0])
    else:
        dtype = _pandas_dtype(pandas, values["index"])
        table.columns = pandas.Index(given, dtype=dtype, name=names[0])
    return table


def _pandas_dtype(pandas: Any, described: Any) -> Any:
    if isinstance(described, str):
        return pandas.api.types.pandas_dtype(described)
    levels, dtype, is_ordered = described
    levels = pandas.Index(levels, dtype=_pandas_dtype(pandas, dtype))
    return pandas.CategoricalDtype(levels, is_ordered)


def _of_polars(table: Any) -> dict[str, Any]:
    dtypes = [_dtype_of_polars(dtype) for dtype in table.schema.values()]
    return {"kind": "polars", "columns": list(table.columns), "dtypes": dtypes}


def _dtype_of_polars(dtype: Any) -> Any:
    name, _, details = str(dtype).partition("(")
    if name == "Enum":
        return [name, dtype.categories.to_list()]
    return name


def _polars(values: dict[str, Any]) -> Any:
    polars = import_module("polars")
    dtypes = [_polars_dtype(polars, dtype) for dtype in values["dtypes"]]
    return polars.DataFrame(schema=dict(zip(values["columns"], dtypes, strict=True)))


def _polars_dtype(polars: Any, described: Any) -> Any:
    if isinstance(described, str):
        return getattr(polars, described)
    name, levels = described
    return getattr(polars, name)(levels)


def _is_same(made: Any, table: Any) -> bool:
    """Whether tables without rows have the same class, columns and dtypes."""
    if type(made) is not type(table):
        return False
    if hasattr(table, "schema"):
        return bool(made.schema == table.schema)
    has_names = made.columns.identical(table.columns)
    return bool(has_names and list(made.dtypes) == list(table.dtypes))
