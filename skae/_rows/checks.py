"""Checks at the public door: parameters' constraints, rows and codes."""

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils._param_validation import Interval, StrOptions

from .._machine.threads import available_threads, limited_threads
from .chunks import chunks
from .statistics import extremes, sums_up
from .text import validate_numbers

POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")
COUNT = Interval(Integral, 0, None, closed="left")
AT_LEAST_ONE = Interval(Real, 1, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
NONNEGATIVE = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="neither")
SHARE = Interval(Real, 0, 1, closed="both")
#: Smallest and largest value that makes sense to a loss, in the data's units.
DOMAINS: dict[Any, tuple[float, float]] = {
    "bernoulli": (0.0, 1.0),
    "poisson": (0.0, np.inf),
}


def names(options: Collection[str]) -> StrOptions:
    """Constrain a parameter to one of a few names."""
    return StrOptions(set(options))


def is_share(n_components: Any) -> bool:
    """Whether a number of components is given as a share of the variance."""
    is_float = isinstance(n_components, float | np.floating)
    return is_float and bool(0 < n_components < 1)


def check_callbacks(callbacks: list[Any] | None) -> list[Any]:
    """Return the callbacks, each one an object or class of skorch's kind."""
    for callback in callbacks or []:
        is_named = isinstance(callback, tuple) and len(callback) == 2
        member = callback[1] if is_named else callback
        if not hasattr(member, "on_epoch_end"):
            raise TypeError(
                f"callbacks={callbacks!r} holds {callback!r}, which is no skorch "
                "callback: derive it from skorch.callbacks.Callback."
            )
    return list(callbacks or [])


def check_rows(estimator: Any, X: Any, *, reset: bool, min_samples: int = 1) -> Any:
    """Return X as an array or CSR matrix; integers but uint8 become float64.

    Of sparse matrices alone the values are looked at: see :func:`check_finite`.
    """
    X = validate_numbers(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        dtype=[np.float64, np.float32, np.uint8],
        ensure_all_finite=issparse(X),
        ensure_min_samples=min_samples,
    )
    if issparse(X) and not X.has_canonical_format:
        # Variances of entries given in parts would be those of the parts.
        X = X.copy()
        X.sum_duplicates()
    return X


def check_finite(X: Any, allow_nan: bool, owner: str) -> None:
    """Raise if values are infinite, or NaN where the estimator does not allow it."""
    if issparse(X):
        return
    with limited_threads(available_threads()):
        suspects = [s for s in chunks(X) if not sums_up(X[s])]
    for s in suspects:
        assert_all_finite(
            X[s], allow_nan=allow_nan, estimator_name=owner, input_name="X"
        )


def check_codes(Z: Any, n_components: int) -> np.ndarray:
    """Return codes as a float array of ``n_components`` columns."""
    Z = check_array(Z, dtype=[np.float32, np.float64], input_name="X")
    if Z.shape[1] != n_components:
        raise ValueError(
            f"X has {Z.shape[1]} columns, but codes here have {n_components}: "
            "pass what transform returned."
        )
    if (largest := abs(Z).max()) > np.finfo(np.float32).max:
        raise ValueError(
            f"X holds {largest:.3g}, which is no code: codes are float32. Pass what "
            "transform returned."
        )
    return Z


def check_count(name: str, value: Any, most: int) -> None:
    """Raise if a value is no integer from 1 to the most there are."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or not 1 <= value <= most:
        raise ValueError(f"{name}={value!r} must be an integer from 1 to {most}.")


def check_reconstructs(estimator: Any) -> None:
    """Raise if an estimator has no ``transform`` or no ``inverse_transform``."""
    if not all(hasattr(estimator, n) for n in ("transform", "inverse_transform")):
        raise TypeError(
            f"{estimator!r} cannot reconstruct: it needs transform and "
            "inverse_transform, as PCA has."
        )


def check_index(name: str, value: Any, length: int) -> None:
    """Raise if a value is no index of so many."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or not 0 <= value < length:
        indices = (
            f"an index from 0 to {length - 1}" if length else "of two rows or more"
        )
        raise ValueError(f"{name}={value!r} must be {indices}.")


def check_domain(X: Any, loss: Any) -> None:
    """Raise if a value lies where the loss makes no sense."""
    if loss not in DOMAINS:
        return
    low, high = DOMAINS[loss]
    smallest, largest = extremes(X)
    # A scaler may leave its range by a rounding error.
    if smallest < low - 1e-9 or largest > high + 1e-9:
        # scikit-learn's checks look for these words.
        negative = "Negative values in data: " if smallest < 0 else ""
        raise ValueError(
            f"{negative}loss={loss!r} needs values in [{low:g}, {high:g}], but X spans "
            f"[{smallest:.10g}, {largest:.10g}]: rescale it (MinMaxScaler) or use "
            "loss='squared_error'."
        )


def check_layer_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the widths as a list; a single number is one layer."""
    if hasattr(hidden_layer_sizes, "__len__") and not len(hidden_layer_sizes):
        return []
    advice = "outermost first, such as (256, 64); () is no hidden layer"
    return check_sizes("hidden_layer_sizes", hidden_layer_sizes, advice)


def check_sizes(name: str, value: Any, advice: str) -> list[int]:
    """Return positive integers, one at least, or a single one, as a list."""
    sizes = np.atleast_1d(np.asarray(value, dtype=object)).tolist()
    if not sizes or not all(
        isinstance(s, Integral) and not isinstance(s, bool) and int(s) > 0
        for s in sizes
    ):
        raise ValueError(f"{name}={value!r} must be positive integers, {advice}.")
    return [int(s) for s in sizes]
