"""Containers at the door: tensors, lists and masked arrays become arrays of numpy's."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._machine.threads import available_threads, limited_threads

#: Names of what float32 holds, in lower case: pandas', its arrow's and polars'.
NARROW = {"float32", "uint8", "float[pyarrow]", "uint8[pyarrow]"}


def as_array(X: Any, allow_nan: bool, owner: str) -> Any:
    """Return tensors, lists and masked arrays as arrays, in their own precision.

    What is masked is missing: NaN, or an error where the owner does not allow it.
    Other containers are returned as they are.
    """
    if isinstance(X, Tensor):
        return _of_tensor(X)
    X = unmasked(X, allow_nan, owner)
    return np.asarray(X) if isinstance(X, list | tuple) else X


def unmasked(X: Any, allow_nan: bool, owner: str) -> Any:
    """Return masked arrays as arrays, and all else as it is."""
    if isinstance(X, list | tuple) and any(np.ma.isMaskedArray(row) for row in X):
        X = np.ma.array(X)
    if not np.ma.isMaskedArray(X):
        return X
    if not (n_masked := int(np.sum(np.ma.getmaskarray(X)))):
        return np.ma.getdata(X)
    if not allow_nan:
        raise ValueError(
            f"X is masked in {n_masked} of {X.size} entries, which are missing then, "
            f"and {owner} takes no missing values: fill them in, by X.filled or an "
            "imputer."
        )
    if X.dtype.kind != "f":
        X = X.astype(np.float32 if X.dtype == np.uint8 else np.float64)
    return X.filled(np.nan)


def _of_tensor(X: Tensor) -> np.ndarray:
    with limited_threads(available_threads()):
        X = X.detach().cpu().to_dense()
        # numpy has no such numbers.
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


def is_narrow_frame(X: Any) -> bool:
    """Whether float32 holds all columns of a frame, by the names of their types."""
    if not hasattr(X, "columns"):
        return False
    names = (str(dtype).lower().removeprefix("sparse[") for dtype in X.dtypes)
    return {name.split(",")[0] for name in names} <= NARROW
