"""Scorers of the reconstruction, for any transformer with ``inverse_transform``.

They have scikit-learn's signature ``(estimator, X, y=None)``, so that one search can
compare ``PCA``, a ``Pipeline`` and an autoencoder in the same step::

    GridSearchCV(pipeline, {"reduce": [PCA(), UndercompleteAE()]},
                 scoring=skae.metrics.explained_variance)

Of a pipeline they score the last step, the one that reduces, in the units of the rows
as they enter it: after a ``StandardScaler`` all features count alike, as they do for
the step itself. What steps before it lose does not count, and another scaler is another
ruler: to search over such steps too, count in the units of ``X``::

    scoring=functools.partial(explained_variance, raw_units=True)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

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
from ._rows.transformers import flat, flat_answer, is_scaler

__all__ = ["explained_variance", "neg_mean_squared_error"]


def explained_variance(
    estimator: Any, X: Any, y: Any = None, *, raw_units: bool = False
) -> float:
    """Share of the variance of ``X`` that the reconstruction explains.

    ``1 - sum ||x - x^||^2 / sum ||x - mean(X)||^2`` with
    ``x^ = inverse_transform(transform(x))``: 1.0 is perfect, 0.0 as good as the mean.
    Of a pipeline ``x`` is a row as it enters the last step, that which reduces.
    :func:`sklearn.metrics.r2_score` with ``multioutput="variance_weighted"`` is the
    same where no feature is constant; it leaves out the errors in those that are.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``; of a pipeline
        its last step, scalers behind it left aside, and of a search its best estimator.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    y : Ignored
        Not used, present for API consistency by convention.
    raw_units : bool, default=False
        Whether to reconstruct by the whole pipeline, and to count in the units of
        ``X``. Then the feature with the widest spread in ``X`` counts most.

    Returns
    -------
    score : float
        Without unit, at most 1.0. NaN of rows that do not vary.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric, empty or infinite, or a reconstruction is not finite.

    Warns
    -----
    UndefinedMetricWarning
        If the rows do not vary: one row, rows that are equal up to rounding, or rows
        without a value.

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

    ``-mean (x - x^)^2`` with ``x^ = inverse_transform(transform(x))``. Of a pipeline
    ``x`` is a row as it enters the last step, that which reduces.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``; of a pipeline
        its last step, scalers behind it left aside, and of a search its best estimator.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    y : Ignored
        Not used, present for API consistency by convention.
    raw_units : bool, default=False
        Whether to reconstruct by the whole pipeline, and to count in the units of
        ``X``. Then the feature with the widest spread in ``X`` counts most.

    Returns
    -------
    score : float
        In the squared unit of the rows that are counted, at most 0.0. NaN of rows
        without a value.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric, empty or infinite, or a reconstruction is not finite.

    Warns
    -----
    UndefinedMetricWarning
        If the rows have no value.

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
    # Squares of what is divided first do not overflow; only the answer may.
    scale = root_mean_square(rows, column_means(rows))
    mean = mean_squared(_squared_error(estimator, X, rows, scale), rows)
    return -(mean * scale * scale)


def _read(estimator: Any, X: Any, raw_units: bool) -> tuple[Any, Any, Any]:
    """Return what reconstructs, rows as it is to get them, and flat for the scorer."""
    X = unmasked(X, allow_nan=True, owner=type(estimator).__name__)
    if not raw_units:
        estimator, X = _reducing_step(estimator, X)
    check_reconstructs(estimator)
    X = X.tocsr() if issparse(X) else X
    rows = flat(X)
    check_finite(rows, allow_nan=True, owner=type(estimator).__name__)
    return estimator, X, rows


def _reducing_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the step of a pipeline that reduces, and rows as they enter it."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        return estimator, X
    steps = [step for _, step in estimator.steps]
    reduces = [i for i, step in enumerate(steps) if not is_scaler(step)]
    last = reduces[-1] if reduces else 0
    X = estimator[:last].transform(X) if last else X
    # Scalers behind it are undone by the rest of the pipeline.
    is_last = last == len(steps) - 1
    return _reducing_step(steps[last], X) if is_last else (estimator[last:], X)


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
    # Where nothing is missing there is no reason for a code to be NaN, which
    # inverse_transform may refuse before it is counted.
    lost = np.isfinite(rows).all(axis=1) & ~np.isfinite(numbers).all(axis=1)
    if lost.any():
        return np.where(lost, np.inf, 0.0)
    answer = estimator.inverse_transform(codes)
    answers = flat_answer(estimator, "inverse_transform", answer, rows.shape)
    return squared_errors(rows, answers, scale)
