"""Containers of input: tensors, lists and masked arrays become numpy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._machine.threads import available_threads, limited_threads

#: Dtypes that fit in float32, in lower case: of pandas, its arrow, polars and arrow.
NARROW = {"float32", "uint8", "float[pyarrow]", "uint8[pyarrow]", "float"}

NUMPY_FLOATS = torch.float16, torch.float32, torch.float64


def as_array(X: Any, allow_nan: bool, owner: str) -> Any:
    """Return tensors, lists and masked arrays as arrays, in their own precision.

    Masked entries become NaN, or raise if the owner does not allow NaN. Other
    containers are returned unchanged.
    """
    X = unmasked(_without_tensors(X), allow_nan, owner)
    return _of_list(X) if isinstance(X, list | tuple) else X


def _of_list(X: Any, make: Callable[[Any], np.ndarray] = np.asarray) -> np.ndarray:
    try:
        return make(X)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"X is a list of rows that differ in shape: {error} Sequences of different "
            "lengths must be padded with NaN to an array (n, length, channels) here; "
            "the methods of RecurrentAE also take the list."
        ) from error


def unmasked(X: Any, allow_nan: bool, owner: str) -> Any:
    """Return masked arrays as arrays, and anything else unchanged."""
    if isinstance(X, list | tuple) and any(np.ma.isMaskedArray(row) for row in X):
        X = _of_list(X, np.ma.array)
    if not np.ma.isMaskedArray(X):
        return X
    if not (n_masked := int(np.sum(np.ma.getmaskarray(X)))):
        return np.ma.getdata(X)
    if not allow_nan:
        raise ValueError(
            f"X is masked in {n_masked} of {X.size} entries, which count as missing, "
            f"but {owner} accepts no missing values: fill them in by X.filled or an "
            "imputer."
        )
    if X.dtype.kind in "OUST":
        X = X.astype(object)
    elif X.dtype.kind != "f":
        X = X.astype(np.float32 if X.dtype == np.uint8 else np.float64)
    return X.filled(np.nan)


def _without_tensors(X: Any) -> Any:
    """Return tensors as arrays, also in lists, and anything else unchanged."""
    if isinstance(X, Tensor):
        return _of_tensor(X)
    is_list = isinstance(X, list | tuple)
    if is_list and any(isinstance(row, Tensor | list | tuple) for row in X):
        return [_without_tensors(row) for row in X]
    return X


def _of_tensor(X: Tensor) -> np.ndarray:
    try:
        with limited_threads(available_threads()):
            return _numbers_of(X)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"X is a tensor of dtype {X.dtype} and layout {X.layout} on the device "
            f"'{X.device}', which cannot be converted to an array: {error}. Pass a "
            "number for each entry, in rows of equal length, such as a tensor of "
            "torch.float32."
        ) from error


def _numbers_of(X: Tensor) -> np.ndarray:
    if X.is_meta:
        raise TypeError("it has a shape, but no values")
    if X.is_nested:
        raise TypeError("its rows may differ in length")
    X = X.detach().cpu()
    X = X.dequantize() if X.is_quantized else X.to_dense()
    # numpy has no other number types, and no lazy conjugation or negation.
    if X.is_floating_point() and X.dtype not in NUMPY_FLOATS:
        X = X.float()
    X = X.to(torch.complex64) if X.dtype == torch.complex32 else X
    return X.resolve_conj().resolve_neg().numpy()


def is_narrow_frame(X: Any) -> bool:
    """Whether all columns of a frame fit in float32, by the names of their dtypes."""
    types = X.schema.types if is_table(X) else getattr(X, "dtypes", None)
    if types is None or not hasattr(X, "columns"):
        return False
    names = (str(kind).lower().removeprefix("sparse[") for kind in types)
    return {name.split(",")[0] for name in names} <= NARROW


def column_names(X: Any, n_columns: int) -> list[Any]:
    """Return the names of the columns, or their numbers where they have none."""
    names = X.schema.names if is_table(X) else getattr(X, "columns", range(n_columns))
    return list(names)


def is_table(X: Any) -> bool:
    """Whether the columns are described as in arrow, not as in pandas."""
    return hasattr(getattr(X, "schema", None), "types") and not hasattr(X, "dtypes")
