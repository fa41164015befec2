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
    package = type(table).__module__.partition(".")[0]
    describe = {"numpy": _of_array, "pandas": _of_pandas, "polars": _of_polars}
    if package not in describe:
        return table
    values = describe[package](table)
    try:
        return values if _is_same(template(values), table) else table
    except (TypeError, ValueError):
        # The name of a dtype does not tell all about it.
        return table


def template(values: Any) -> Any:
    """Undo ``described``."""
    if not isinstance(values, dict):
        return values
    if values["kind"] == "array":
        return np.empty((0, values["n_columns"]), values["dtype"])
    return _pandas(values) if values["kind"] == "pandas" else _polars(values)


def _of_array(table: np.ndarray) -> dict[str, Any]:
    dtype = "T" if table.dtype.kind == "T" else table.dtype.str
    return {"kind": "array", "dtype": dtype, "n_columns": table.shape[1]}


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
        options = {"dtype": dtype, "name": names[0], "tupleize_cols": False}
        table.columns = pandas.Index(given, **options)
    return table


def _pandas_dtype(pandas: Any, described: Any) -> Any:
    if isinstance(described, str):
        return pandas.api.types.pandas_dtype(described)
    levels, dtype, is_ordered = described
    options = {"dtype": _pandas_dtype(pandas, dtype), "tupleize_cols": False}
    levels = pandas.Index(levels, **options)
    return pandas.CategoricalDtype(levels, is_ordered)


def _of_polars(table: Any) -> dict[str, Any]:
    dtypes = [_dtype_of_polars(dtype) for dtype in table.schema.values()]
    return {"kind": "polars", "columns": list(table.columns), "dtypes": dtypes}


def _dtype_of_polars(dtype: Any) -> Any:
    name = str(dtype).partition("(")[0]
    return dtype.categories.to_list() if name == "Enum" else name


def _polars(values: dict[str, Any]) -> Any:
    polars = import_module("polars")
    dtypes = [_polars_dtype(polars, dtype) for dtype in values["dtypes"]]
    return polars.DataFrame(schema=dict(zip(values["columns"], dtypes, strict=True)))


def _polars_dtype(polars: Any, described: Any) -> Any:
    if not isinstance(described, str):
        return polars.Enum(described)
    found = getattr(polars, described, None)
    # A file must not name anything else.
    if not isinstance(found, type) or not issubclass(found, polars.DataType):
        raise ValueError(f"{described!r} is not a dtype of this version of polars.")
    return found


def _is_same(made: Any, table: Any) -> bool:
    """Whether tables without rows have the same class, columns and dtypes."""
    if type(made) is not type(table):
        return False
    if isinstance(table, np.ndarray):
        return bool(made.dtype == table.dtype)
    if not hasattr(table, "iloc"):
        return bool(made.schema == table.schema)
    has_names = made.columns.identical(table.columns)
    return bool(has_names and list(made.dtypes) == list(table.dtypes))
