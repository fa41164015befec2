"""Scorers of the reconstruction, for any transformer with ``inverse_transform``.

They have scikit-learn's signature ``(estimator, X, y=None)``, so that one search can
compare ``PCA``, a ``Pipeline`` and an autoencoder in the same step::

    GridSearchCV(pipeline, {"reduce": [PCA(), UndercompleteAE()]},
                 scoring=skae.metrics.explained_variance)
"""

from typing import Any

import numpy as np
from scipy.sparse import issparse

from ._rows.checks import check_reconstructs
from ._rows.chunks import chunks, dense
from ._rows.statistics import (
    column_means,
    explained_share,
    n_known,
    root_mean_square,
    squared_deviation,
)
from ._rows.text import named_text

__all__ = ["explained_variance", "neg_mean_squared_error"]


def explained_variance(estimator: Any, X: Any, y: Any = None) -> float:
    """Share of the variance of ``X`` that the reconstruction explains.

    ``1 - sum ||x - x^||^2 / sum ||x - mean(X)||^2`` with
    ``x^ = inverse_transform(transform(x))``: 1.0 is perfect, 0.0 as good as the mean.
    :func:`sklearn.metrics.r2_score` with ``multioutput="variance_weighted"`` is the
    same where no feature is constant; it leaves out the errors in those that are.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    y : Ignored
        Not used, present for API consistency by convention.

    Returns
    -------
    score : float
        Without unit, at most 1.0.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.metrics import explained_variance
    >>> X = load_iris().data
    >>> round(explained_variance(PCA(2).fit(X), X), 3)
    0.978
    """
    rows = _flat(X)
    mean = column_means(rows)
    scale = root_mean_square(rows, mean)
    unexplained = _squared_error(estimator, X, scale)
    return explained_share(unexplained, squared_deviation(rows, mean, scale))


def neg_mean_squared_error(estimator: Any, X: Any, y: Any = None) -> float:
    """Minus the mean over all entries of the squared reconstruction error.

    ``-mean (x - x^)^2`` with ``x^ = inverse_transform(transform(x))``.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    y : Ignored
        Not used, present for API consistency by convention.

    Returns
    -------
    score : float
        In the squared unit of ``X``, at most 0.0.

    Raises
    ------
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.metrics import neg_mean_squared_error
    >>> X = load_iris().data
    >>> round(neg_mean_squared_error(PCA(2).fit(X), X), 3)
    -0.025
    """
    return -_squared_error(estimator, X) / float(n_known(_flat(X)).sum())


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _squared_error(estimator: Any, X: Any, scale: float = 1.0) -> float:
    """Sum over all known entries of ``((x - x^) / scale)^2``."""
    check_reconstructs(estimator)
    # Sparse rows would fill the memory if they were dense all at once.
    X = X.tocsr() if issparse(X) else X
    parts = (X[s] for s in chunks(X)) if issparse(X) else (X,)
    total = 0.0
    for part in parts:
        reconstruction = estimator.inverse_transform(estimator.transform(part))
        difference = dense(_flat(part)) - dense(_flat(reconstruction))
        total += float(np.nansum(np.square(difference / scale)))
    return total


def _flat(X: Any) -> Any:
    """Return two-dimensional rows: a CSR matrix, or an array in float64."""
    if issparse(X):
        return X.tocsr()
    with named_text(X):
        X = np.asarray(X, dtype=np.float64)
    return X.reshape(len(X), -1)
