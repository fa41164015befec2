"""Scorers of the reconstruction, for any transformer with ``inverse_transform``.

They have scikit-learn's signature ``(estimator, X, y=None)``, so that one search can
compare ``PCA``, a ``Pipeline`` and an autoencoder in the same step::

    GridSearchCV(pipeline, {"reduce": [PCA(), UndercompleteAE()]},
                 scoring=skae.metrics.explained_variance)
"""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.metrics import mean_squared_error

from ._rows import column_means, explained_share, squared_deviation

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

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.metrics import explained_variance
    >>> X = load_iris().data
    >>> round(explained_variance(PCA(2).fit(X), X), 3)
    0.978
    """
    rows, reconstruction = _reconstruct(estimator, X)
    unexplained = np.square(rows - reconstruction, dtype=np.float64).sum()
    return explained_share(unexplained, squared_deviation(rows, column_means(rows)))


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

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.metrics import neg_mean_squared_error
    >>> X = load_iris().data
    >>> round(neg_mean_squared_error(PCA(2).fit(X), X), 3)
    -0.025
    """
    return -mean_squared_error(*_reconstruct(estimator, X))


def _reconstruct(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and their reconstructions, both as two-dimensional arrays."""
    if not hasattr(estimator, "transform") or not hasattr(
        estimator, "inverse_transform"
    ):
        raise TypeError(
            f"{estimator!r} cannot reconstruct: it needs transform and "
            "inverse_transform, as PCA has."
        )
    reconstruction = estimator.inverse_transform(estimator.transform(X))
    return _flat(X), _flat(reconstruction)


def _flat(X: Any) -> np.ndarray:
    X = X.toarray() if issparse(X) else np.asarray(X)
    return X.reshape(len(X), -1)
