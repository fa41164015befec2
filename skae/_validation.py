"""Checks at the public door: parameters' constraints, rows and codes."""

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
NONNEGATIVE = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="neither")


def names(options: Collection[str]) -> StrOptions:
    """Constrain a parameter to one of a few names."""
    return StrOptions(set(options))


def check_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Return X as an array or CSR matrix; integers but uint8 become float64."""
    return validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        dtype=[np.float64, np.float32, np.uint8],
        ensure_min_samples=2 if reset else 1,
    )


def check_codes(Z: Any, n_components: int) -> np.ndarray:
    """Return codes as a float array of ``n_components`` columns."""
    Z = check_array(Z, dtype=[np.float32, np.float64], input_name="X")
    if Z.shape[1] != n_components:
        raise ValueError(
            f"X has {Z.shape[1]} columns, but codes here have {n_components}: "
            "pass what transform returned."
        )
    return Z


def check_domain(X: Any, domain: tuple[float, float] | None, loss: Any) -> None:
    """Raise if a value lies where the loss makes no sense."""
    if domain is None:
        return
    low, high = domain
    smallest, largest = X.min(), X.max()
    if smallest < low or largest > high:
        # scikit-learn's checks look for these words.
        negative = "Negative values in data: " if smallest < 0 else ""
        raise ValueError(
            f"{negative}loss={loss!r} needs values in [{low:g}, {high:g}], but X spans "
            f"[{smallest:g}, {largest:g}]: rescale it (MinMaxScaler) or use "
            "loss='squared_error'."
        )


def check_layer_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the widths as a list; a single number is one layer."""
    sizes = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object)).tolist()
    if not all(isinstance(s, Integral) and int(s) > 0 for s in sizes):
        raise ValueError(
            f"hidden_layer_sizes={hidden_layer_sizes!r} must be positive integers, "
            "outermost first, such as (256, 64); () is one linear map."
        )
    return [int(s) for s in sizes]
