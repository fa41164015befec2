"""Scorers of the reconstruction, for any transformer with ``inverse_transform``.

They have scikit-learn's signature ``(estimator, X, y=None)``, so that one search can
compare ``PCA``, a ``Pipeline`` and an autoencoder in the same step::

    GridSearchCV(pipeline, {"reduce": [PCA(), UndercompleteAE()]},
                 scoring=skae.metrics.explained_variance)

In a pipeline they score the last step, the one that reduces, in the unit of the rows
that enter it. After a ``StandardScaler`` all features count alike, as they do for the
step itself. Losses in earlier steps do not count, and scores after different scalers
cannot be compared. To search over such steps too, score in the unit of ``X``::

    scoring=functools.partial(explained_variance, raw_units=True)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ._rows.checks import check_answers, check_finite, check_reconstructs
from ._rows.chunks import chunks, dense
from ._rows.containers import unmasked
from ._rows.statistics import (
    column_means,
    explained_share,
    mean_squared,
    root_mean_square,
    squared_errors,
)
from ._rows.stored import in_memory
from ._rows.transformers import flat, flat_answer, reducing_step

__all__ = ["explained_variance", "neg_mean_squared_error"]


def explained_variance(
    estimator: Any, X: Any, y: Any = None, *, raw_units: bool = False
) -> float:
    """Share of the variance of ``X`` that the reconstruction explains.

    ``1 - sum ||x - x^||^2 / sum ||x - mean(X)||^2`` with ``x^ =
    inverse_transform(transform(x))``: 1.0 is perfect, 0.0 is as good as the mean. In a
    pipeline ``x`` is a row that enters the last step, the one that reduces.
    :func:`sklearn.metrics.r2_score` with ``multioutput="variance_weighted"`` is the
    same if no feature is constant; it leaves out errors in constant features.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``. For a pipeline it
        is the last step that is not a scaler, for a search the best estimator.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    y : Ignored
        Not used, present for API consistency by convention.
    raw_units : bool, default=False
        Whether to reconstruct with the whole pipeline, and to score in the unit of
        ``X``. The feature with the largest variance in ``X`` then counts most.

    Returns
    -------
    score : float
        At most 1.0, without a unit. NaN if the rows do not vary.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric, empty or infinite, or a reconstruction is not finite.

    Warns
    -----
    UndefinedMetricWarning
        If the rows do not vary: a single row, rows equal up to rounding, or rows
        without any value.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.metrics import explained_variance
    >>> X = load_iris().data
    >>> round(explained_variance(PCA(2).fit(X), X), 3)
    0.978
    """
    estimator, X, rows = _read(estimator, X, raw_units)
    mean = column_means(rows)
    scale = root_mean_square(rows, mean)
    return explained_share(_squared_error(estimator, X, rows, scale), rows, mean, scale)


def neg_mean_squared_error(
    estimator: Any, X: Any, y: Any = None, *, raw_units: bool = False
) -> float:
    """Minus the mean over all entries of the squared reconstruction error.

    ``-mean (x - x^)^2`` with ``x^ = inverse_transform(transform(x))``. In a pipeline
    ``x`` is a row that enters the last step, the one that reduces.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``. For a pipeline it
        is the last step that is not a scaler, for a search the best estimator.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    y : Ignored
        Not used, present for API consistency by convention.
    raw_units : bool, default=False
        Whether to reconstruct with the whole pipeline, and to score in the unit of
        ``X``. The feature with the largest variance in ``X`` then counts most.

    Returns
    -------
    score : float
        At most 0.0, in the squared unit of the scored rows. NaN for rows without any
        value.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric, empty or infinite, or a reconstruction is not finite.

    Warns
    -----
    UndefinedMetricWarning
        If the rows have no values.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.metrics import neg_mean_squared_error
    >>> X = load_iris().data
    >>> round(neg_mean_squared_error(PCA(2).fit(X), X), 3)
    -0.025
    """
    estimator, X, rows = _read(estimator, X, raw_units)
    # Divided before squaring, values do not overflow; only the result may.
    scale = root_mean_square(rows, column_means(rows))
    mean = mean_squared(_squared_error(estimator, X, rows, scale), rows)
    return -(mean * scale * scale)


def _read(estimator: Any, X: Any, raw_units: bool) -> tuple[Any, Any, Any]:
    """Return what reconstructs, its rows, and the same rows flat for scoring."""
    X = unmasked(in_memory(X), allow_nan=True, owner=type(estimator).__name__)
    if not raw_units:
        _, estimator, X = reducing_step(estimator, X)
    check_reconstructs(estimator)
    X = X.tocsr() if issparse(X) else X
    rows = flat(X)
    check_finite(rows, allow_nan=True, owner=type(estimator).__name__)
    return estimator, X, rows


def _squared_error(estimator: Any, X: Any, rows: Any, scale: float) -> float:
    """Sum over all known entries of ``((x - x^) / scale)^2``."""
    errors = [_errors(estimator, x, part, scale) for x, part in _parts(X, rows)]
    check_answers(np.concatenate(errors), estimator)
    return float(np.concatenate(errors).sum())


def _parts(X: Any, rows: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield rows as given and as flat arrays, a chunk at a time if slices are cheap."""
    if not (issparse(X) or isinstance(X, np.ndarray)):
        yield X, dense(rows)
        return
    yield from ((X[s], dense(rows[s])) for s in chunks(rows))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _errors(estimator: Any, X: Any, rows: np.ndarray, scale: float) -> np.ndarray:
    """Return the squared error of each row, infinite where an answer is not finite."""
    codes = estimator.transform(X)
    numbers = flat_answer(estimator, "transform", codes, (len(rows), "n_components"))
    # Complete rows should have finite codes. inverse_transform may reject NaN before it
    # can be counted.
    lost = np.isfinite(rows).all(axis=1) & ~np.isfinite(numbers).all(axis=1)
    if lost.any():
        return np.where(lost, np.inf, 0.0)
    answer = estimator.inverse_transform(codes)
    answers = flat_answer(estimator, "inverse_transform", answer, rows.shape)
    return squared_errors(rows, answers, scale)
