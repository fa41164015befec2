"""Rows as standardised float32 tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from .chunks import dense


def standardise(
    X: Any,
    mean: np.ndarray,
    scale: float,
    check: Callable[[Any], None] = lambda X: None,
) -> Tensor:
    """Return ``(X - mean) / scale``, computed before rounding to float32.

    Rows that may not be finite are passed to ``check``, which may raise.
    """
    rows = torch.sub(_as_tensor(X), from_dlpack(mean)).div_(scale)
    return _finite_or_missing(rows.to(torch.float32), X, scale, check)


def scale_and_shift(
    X: Any, scale: float, offset: Tensor, check: Callable[[Any], None]
) -> Tensor:
    """Return ``X / scale + offset`` in one pass through memory instead of two.

    Rows that may not be finite are passed to ``check``, as in :func:`standardise`.
    """
    rows = _as_tensor(X)
    dtype = torch.promote_types(rows.dtype, offset.dtype)
    unit = torch.tensor(scale, dtype=dtype, device="cpu")
    rows = torch.addcdiv(offset.to(dtype), rows.to(dtype), unit)
    return _finite_or_missing(rows.to(torch.float32), X, scale, check)


def _as_tensor(X: Any) -> Tensor:
    # Unlike from_numpy it does not warn about read-only rows.
    return from_dlpack(np.ascontiguousarray(dense(X)))


def _finite_or_missing(
    rows: Tensor, X: Any, scale: float, check: Callable[[Any], None]
) -> Tensor:
    if rows.sum().isfinite():
        return rows
    check(X)
    # Otherwise values are missing, or only their sum overflows.
    if rows.isinf().any():
        largest = np.nanmax(abs(dense(X)))
        raise ValueError(
            f"X holds {largest:.3g}, which is farther from mean_ than 3e38 times "
            f"scale_={scale:.3g}: convert X to the unit of the training rows."
        )
    return rows
