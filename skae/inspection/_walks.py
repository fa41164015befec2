"""Walks through the space of codes, decoded."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.decomposition import PCA
from sklearn.utils import Bunch

from .._rows.checks import check_index, check_reconstructs, check_shape
from .._rows.containers import as_array, unmasked


def traverse_component(
    estimator: Any,
    X: Any,
    component: int,
    *,
    origin: Any = None,
    n_steps: int = 9,
    percentiles: Sequence[float] = (0.05, 0.95),
) -> Bunch:
    """Decode codes that move along one component.

    ``decode(z + t e_j)``: component ``j`` is evenly spaced between two percentiles of
    the codes of ``X``; the other components stay at those of the origin.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    component : int
        Index of the component.
    origin : array-like of shape (1, ...), default=None
        One row to start from; None is the mean of the codes of ``X``.
    n_steps : int, default=9
        Number of codes.
    percentiles : sequence of two float, default=(0.05, 0.95)
        First and last value of the component, as shares of the rows of ``X``.

    Returns
    -------
    walk : Bunch
        ``codes`` and ``reconstructions``.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If there is no such component, or a number is invalid.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import traverse_component
    >>> X = load_digits().data
    >>> walk = traverse_component(PCA(8).fit(X), X, 0)
    >>> walk.reconstructions.shape
    (9, 64)
    """
    codes = _encode(estimator, X)
    start = find_origin(estimator, codes, origin)
    return walk_component(estimator, codes, component, start, n_steps, percentiles)


def traverse_direction(
    estimator: Any,
    X: Any,
    direction: int = 0,
    *,
    origin: Any = None,
    n_steps: int = 9,
    percentiles: Sequence[float] = (0.05, 0.95),
) -> Bunch:
    """Decode codes that move along a principal direction of the codes.

    ``decode(z + t u_k)`` where ``u_k`` is the ``k``-th principal axis of the codes of
    ``X``. Components of an autoencoder are correlated, and vary together along it.
    ``t`` is evenly spaced between two percentiles of the codes.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    direction : int, default=0
        Index of the axis; 0 has the largest variance.
    origin : array-like of shape (1, ...), default=None
        One row to start from; None is the mean of the codes of ``X``.
    n_steps : int, default=9
        Number of codes.
    percentiles : sequence of two float, default=(0.05, 0.95)
        First and last position along the axis, as shares of the rows of ``X``.

    Returns
    -------
    walk : Bunch
        ``codes`` and ``reconstructions``.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If there is no such axis, or a number is invalid.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import traverse_direction
    >>> X = load_digits().data
    >>> walk = traverse_direction(PCA(8).fit(X), X, n_steps=5)
    >>> walk.codes.shape
    (5, 8)
    """
    codes = _encode(estimator, X)
    # Centred codes have one axis fewer than rows.
    check_index("direction", direction, min(len(codes) - 1, codes.shape[1]))
    # Codes that are all equal have no variance to divide by, and any axis will do.
    with np.errstate(invalid="ignore"):
        pca = PCA(direction + 1, svd_solver="full").fit(codes)
    axis = pca.components_[direction]
    start = find_origin(estimator, codes, origin)
    # Its own position along the axis does not count.
    start = start - (start @ axis) * axis
    return _walk(estimator, codes, start, axis, n_steps, percentiles)


def interpolate(estimator: Any, first: Any, last: Any, *, n_steps: int = 9) -> Bunch:
    """Decode codes on the straight line between those of two rows.

    ``decode((1 - t) encode(a) + t encode(b))`` with ``t`` evenly spaced from 0 to 1.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``.
    first, last : array-like of shape (1, ...)
        One row each, such as ``X[:1]``.
    n_steps : int, default=9
        Number of codes, including those of both rows.

    Returns
    -------
    walk : Bunch
        ``codes`` and ``reconstructions``.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``first`` or ``last`` is not one row, or ``n_steps`` is less than 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import interpolate
    >>> X = load_digits().data
    >>> interpolate(PCA(8).fit(X), X[:1], X[1:2]).reconstructions.shape
    (9, 64)
    """
    n_steps = _checked_steps(n_steps)
    ends = {"first": first, "last": last}
    start, end = (_encode_one(estimator, name, row) for name, row in ends.items())
    return decode(estimator, np.linspace(start, end, n_steps))


def walk_component(
    estimator: Any,
    codes: np.ndarray,
    component: int,
    start: np.ndarray,
    n_steps: int,
    percentiles: Sequence[float],
) -> Bunch:
    """Move along a component as far as the codes do."""
    check_index("component", component, codes.shape[1])
    direction = np.eye(codes.shape[1])[component]
    # The component's own value at the origin does not count.
    start = start * (1 - direction)
    return _walk(estimator, codes, start, direction, n_steps, percentiles)


def _encode(estimator: Any, X: Any) -> np.ndarray:
    check_reconstructs(estimator)
    return encode(estimator, X)


def encode(estimator: Any, X: Any) -> np.ndarray:
    """Return the codes of rows as a two-dimensional array."""
    X = unmasked(X, allow_nan=True, owner=type(estimator).__name__)
    codes = as_array(estimator.transform(X), allow_nan=True, owner="")
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    check_shape(estimator, "transform", np.shape(codes), (n_rows, "n_components"))
    codes = codes.toarray() if issparse(codes) else np.asarray(codes)
    return codes.reshape(n_rows, -1).astype(np.float64)


def _encode_one(estimator: Any, name: str, row: Any) -> np.ndarray:
    check_reconstructs(estimator)
    if np.ndim(as_array(row, allow_nan=True, owner="")) < 1:
        raise ValueError(f"{name}={row!r} must be one row, such as X[:1].")
    codes = _encode(estimator, row)
    if len(codes) != 1:
        raise ValueError(f"{name} must be one row, such as X[:1], not {len(codes)}.")
    return codes[0]


def find_origin(estimator: Any, codes: np.ndarray, origin: Any) -> np.ndarray:
    """Return the code of a row, or the mean of the codes if there is none."""
    return (
        codes.mean(axis=0)
        if origin is None
        else _encode_one(estimator, "origin", origin)
    )


def _checked_steps(n_steps: int) -> int:
    if not isinstance(n_steps, Integral) or n_steps < 2:
        raise ValueError(
            f"n_steps={n_steps!r} must be an integer of 2 or more: both ends count."
        )
    return int(n_steps)


def _walk(
    estimator: Any,
    codes: np.ndarray,
    start: np.ndarray,
    direction: np.ndarray,
    n_steps: int,
    percentiles: Sequence[float],
) -> Bunch:
    """Move along a direction as far as the codes do."""
    steps = places(codes @ direction, n_steps, percentiles)
    return decode(estimator, start + np.outer(steps, direction))


def places(
    values: np.ndarray, n_steps: int, percentiles: Sequence[float]
) -> np.ndarray:
    """Return evenly spaced numbers between two percentiles of some values."""
    shares = list(percentiles) if np.iterable(percentiles) else []
    are_numbers = all(isinstance(share, Real) for share in shares)
    if len(shares) != 2 or not are_numbers or not 0 <= shares[0] < shares[1] <= 1:
        raise ValueError(
            f"percentiles={percentiles!r} must be two shares, the lower first, such as "
            "(0.05, 0.95)."
        )
    low, high = np.quantile(values, shares)
    return np.linspace(low, high, _checked_steps(n_steps))


def decode(estimator: Any, codes: np.ndarray) -> Bunch:
    """Return codes and their reconstructions."""
    rows = estimator.inverse_transform(codes)
    # Reconstructed texts may be a list.
    if hasattr(rows, "shape"):
        wanted = len(codes), "n_features"
        check_shape(estimator, "inverse_transform", tuple(rows.shape), wanted)
    return Bunch(codes=codes, reconstructions=rows)
