"""Checks of the public methods: constraints of parameters, rows and codes."""

import math
import sys
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.utils import assert_all_finite, check_array, get_tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from .._machine.threads import available_threads, limited_threads
from .chunks import KEPT_DTYPES, chunks, dense
from .containers import as_array, is_narrow_frame
from .statistics import extremes, sums_up
from .stored import in_memory
from .text import named_text

POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")
COUNT = Interval(Integral, 0, None, closed="left")
AT_LEAST_ONE = Interval(Real, 1, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
NONNEGATIVE = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="neither")
SHARE = Interval(Real, 0, 1, closed="both")
# Values up to this one, and down to its inverse, can be squared and summed.
MOST_TO_SQUARE = 1e145
#: Smallest and largest value that a loss allows, in the unit of the data.
DOMAINS: dict[Any, tuple[float, float]] = {
    "bernoulli": (0.0, 1.0),
    "poisson": (0.0, np.inf),
}


class Names(StrOptions):
    """Names in alphabetical order: the order of a set differs in each run."""

    def __str__(self) -> str:
        return f"a str among {{{', '.join(map(repr, sorted(self.options)))}}}"


def names(options: Collection[str]) -> StrOptions:
    """Constrain a parameter to one of a few names."""
    return Names(set(options))


def described(value: Any) -> str:
    """Return the repr of a number, else the type: an array may be long."""
    if value is None or isinstance(value, Real):
        return repr(value)
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}"


def is_share(n_components: Any) -> bool:
    """Whether a number of components is given as a share of the variance."""
    is_float = isinstance(n_components, float | np.floating)
    return is_float and bool(0 < n_components < 1)


def check_rows(estimator: Any, X: Any, *, reset: bool, min_samples: int = 1) -> Any:
    """Return X as an array of real numbers, or as a CSR matrix.

    Values are checked here only if X is sparse: see :func:`check_finite`.
    """
    allow_nan = get_tags(estimator).input_tags.allow_nan
    owner = type(estimator).__name__
    X = in_memory(X)
    with named_text(X):
        X = as_array(X, allow_nan, owner)
        check_flat(X, owner)
        X = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=taken_dtypes(X),
            ensure_all_finite=False,
            ensure_min_samples=min_samples,
        )
    if not issparse(X):
        return X
    # A sparse frame is recognized only after conversion.
    check_finite(X, allow_nan, owner)
    if not X.has_canonical_format:
        # Duplicate entries would give wrong variances.
        X = X.copy()
        X.sum_duplicates()
    return X


def as_numbers(values: Any) -> np.ndarray:
    """Return an array or a frame as numbers, also if it holds objects or text."""
    rows = np.asarray(values)
    if rows.dtype.kind in "biufc":
        return rows
    is_table = rows.ndim == 2 or not rows.size
    options = {"ensure_2d": False, "allow_nd": True, "ensure_all_finite": False}
    with named_text(values if is_table else rows.reshape(len(rows), -1)):
        return check_array(values, dtype=np.float64, ensure_min_features=0, **options)


def check_flat(X: Any, owner: str) -> None:
    """Raise if rows are images."""
    if (n_axes := getattr(X, "ndim", 2)) > 2:
        raise ValueError(
            f"Found array with dim {n_axes}, of shape {tuple(X.shape)}, but {owner} "
            "takes flat rows: pass X.reshape(len(X), -1), or use ConvAE, which takes "
            "images, signals and volumes."
        )


def taken_dtypes(X: Any) -> list[Any]:
    """Return the dtypes that rows may keep; others become the first one.

    Real arrays keep theirs, so that memory-mapped files are not read here: ``dense``
    converts a few rows at a time.
    """
    if is_narrow_frame(X):
        return [np.float32, np.uint8]
    is_real = isinstance(X, np.ndarray) and X.dtype.kind in "biuf"
    return [*KEPT_DTYPES, X.dtype] if is_real else KEPT_DTYPES


def check_finite(X: Any, allow_nan: bool, owner: str) -> bool:
    """Raise if values are infinite, or NaN where the estimator does not allow it.

    Return whether surely none is missing, which spares another pass.
    """
    if issparse(X):
        _check_entries(X, allow_nan, owner)
        return True
    if X.dtype.kind != "f":
        return True
    with limited_threads(available_threads()):
        suspects = [s for s in chunks(X) if not sums_up(X[s])]
    for s in suspects:
        _assert_finite(dense(X[s]), allow_nan, owner)
    return not suspects


def _assert_finite(values: Any, allow_nan: bool, owner: str) -> None:
    """Raise scikit-learn's error, even with ``assume_finite=True``."""
    try:
        # It adds infinities of both signs.
        with np.errstate(invalid="ignore"), config_context(assume_finite=False):
            assert_all_finite(
                values, allow_nan=allow_nan, estimator_name=owner, input_name="X"
            )
    except ValueError as error:
        if "contains NaN" not in str(error):
            raise
        raise ValueError(
            f"{error}\nDenoisingAE, ConvAE, RecurrentAE, MaskedAE and TableAE take NaN "
            "in dense rows as missing values."
        ) from None


def _check_entries(X: Any, allow_nan: bool, owner: str) -> None:
    """Raise if entries of a sparse matrix are not finite."""
    if allow_nan and (n_missing := int(np.isnan(X.data).sum())):
        raise ValueError(
            f"X is sparse and contains NaN, {n_missing} times, but only dense rows may "
            "have missing values: pass X.toarray()."
        )
    _assert_finite(X.data, False, owner)


def check_codes(Z: Any, n_components: int) -> np.ndarray:
    """Return codes as a real array of ``n_components`` columns."""
    Z = as_array(in_memory(Z), allow_nan=False, owner="inverse_transform")
    Z = check_array(Z, dtype=taken_dtypes(Z), input_name="X")
    if Z.shape[1] != n_components:
        raise ValueError(
            f"X has {Z.shape[1]} columns, but the codes have {n_components}: pass the "
            "output of transform."
        )
    largest = max(abs(float(value)) for value in extremes(Z))
    if largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"X holds {largest:.3g}, which is too large for a code in float32. Pass "
            "the output of transform."
        )
    return Z


def check_count(name: str, value: Any, most: int | None = None) -> None:
    """Raise if a value is not an integer from 1 to ``most``; None is no bound."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < 1 or (most is not None and value > most):
        allowed = "of 1 or more" if most is None else f"from 1 to {most}"
        raise ValueError(f"{name}={value!r} must be an integer {allowed}.")


def check_float(name: str, value: Any) -> None:
    """Raise if a value is an integer larger than any float."""
    if isinstance(value, Integral) and abs(int(value)) > sys.float_info.max:
        raise ValueError(
            f"{name} is an integer of {int(value).bit_length()} bits, larger than any "
            f"float: {name} must be {sys.float_info.max:.2g} at most."
        )


def check_reconstructs(estimator: Any) -> None:
    """Raise if an estimator has no ``transform`` or no ``inverse_transform``."""
    if not all(hasattr(estimator, n) for n in ("transform", "inverse_transform")):
        raise TypeError(
            f"{estimator!r} cannot reconstruct: it needs transform and "
            "inverse_transform, as in PCA."
        )


def check_shape(
    estimator: Any, verb: str, shape: tuple[int, ...], wanted: tuple[int, int | str]
) -> None:
    """Raise if a method returns a wrong shape; a string allows any size."""
    n_rows, n_values = wanted
    is_long = isinstance(n_values, str) or math.prod(shape[1:]) == n_values
    if len(shape) < 2 or shape[0] != n_rows or not is_long:
        raise ValueError(
            f"{type(estimator).__name__}.{verb} returned the shape {shape} instead of "
            f"({n_rows}, {n_values}): it must return one row for each row, and "
            "inverse_transform rows as long as those of X."
        )


def check_squares(X: Any, owner: str) -> None:
    """Raise if values are so large, or so small, that float64 cannot hold squares."""
    largest = max(abs(float(value)) for value in extremes(X))
    if MOST_TO_SQUARE < largest < np.inf or 0 < largest < 1 / MOST_TO_SQUARE:
        raise ValueError(
            f"The largest magnitude in X is {largest:.3g}, but {owner} needs squares, "
            "which float64 cannot hold: divide X by a constant first."
        )


def check_answers(errors: np.ndarray, estimator: Any) -> None:
    """Raise if squared errors show that reconstructions are not finite."""
    if n_lost := int(np.isinf(errors).sum()):
        raise ValueError(
            f"{type(estimator).__name__} reconstructs {n_lost} of {len(errors)} rows "
            "by NaN, infinity, or values too large to square, so there is no score. "
            "Fit it again, with a lower learning_rate_init or weight_decay if it has "
            "them."
        )


def check_index(name: str, value: Any, length: int) -> None:
    """Raise if a value is not an index below ``length``."""
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or not 0 <= value < length:
        needs = "needs two rows or more"
        if length:
            needs = f"must be an index from 0 to {length - 1}"
        raise ValueError(f"{name}={value!r} {needs}.")


def check_domain(X: Any, loss: Any) -> None:
    """Raise if a value is outside the domain of the loss."""
    if loss not in DOMAINS:
        return
    low, high = DOMAINS[loss]
    smallest, largest = extremes(X)
    # A scaler may exceed its range by a rounding error.
    if smallest < low - 1e-9 or largest > high + 1e-9:
        # scikit-learn's checks look for these words.
        negative = "Negative values in data: " if smallest < 0 else ""
        # Counts have no other scale.
        advice = "rescale it (MinMaxScaler) or " if np.isfinite(high) else ""
        raise ValueError(
            f"{negative}loss={loss!r} needs values in [{low:g}, {high:g}], but X spans "
            f"[{smallest:.10g}, {largest:.10g}]: {advice}use another loss."
        )


def check_layer_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the widths as a list; a single number is one layer."""
    if hasattr(hidden_layer_sizes, "__len__") and not len(hidden_layer_sizes):
        return []
    advice = "from the input to the code, such as (256, 64); () is no hidden layer"
    return check_sizes("hidden_layer_sizes", hidden_layer_sizes, advice)


def check_sizes(name: str, value: Any, advice: str) -> list[int]:
    """Return one or more positive integers as a list."""
    sizes = np.atleast_1d(np.asarray(value, dtype=object)).tolist()
    if not sizes or not all(
        isinstance(s, Integral) and not isinstance(s, bool) and int(s) > 0
        for s in sizes
    ):
        raise ValueError(f"{name}={value!r} must be positive integers, {advice}.")
    return [int(s) for s in sizes]
