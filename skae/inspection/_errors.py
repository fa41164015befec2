"""What each feature adds to the reconstruction error of a row."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._rows.checks import check_reconstructs, check_squares
from .._rows.chunks import dense
from .._rows.containers import unmasked
from .._rows.stored import in_memory
from .._rows.transformers import flat, flat_answer, keeps_features, reducing_step
from ._frames import feature_names, index_of, pandas


def reconstruction_errors(
    estimator: Any, X: Any, *, signed: bool = False, raw_units: bool = False
) -> Any:
    """Return what each feature adds to the squared reconstruction error of each row.

    ``n_features / n_known (x_i - x^_i)^2`` with ``x^ =
    inverse_transform(transform(x))``. The sum over the features of a row is its squared
    error: for the autoencoders of this package it is minus ``score_samples``. If a row
    is an outlier, its largest values show which features are the reason.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``. For a pipeline it
        is the last step that is not a scaler, for a search the best estimator, as in
        :mod:`skae.metrics`.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in.
    signed : bool, default=False
        Whether errors have the sign of ``x - x^``: positive values are higher than
        expected, negative values are lower.
    raw_units : bool, default=False
        Whether to reconstruct with the whole pipeline, in the unit of ``X``. The
        features with the largest variance in ``X`` then have the largest errors.

    Returns
    -------
    errors : pandas.DataFrame of shape (n_samples, n_features)
        Squared errors in the squared unit of the features; NaN where the value is
        missing, infinite where the reconstruction is not finite. In a row with missing
        values the other errors are multiplied by ``n_features / n_known``: they add up
        to the error of a whole row. The index is that of ``X`` if it is a data frame.
        Columns have the names of the features in ``X`` or in ``fit``, or "x0", "x1",
        ...; "x2_5" is the pixel in row 2 and column 5 of an image.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` is not numeric or is empty, or if float64 cannot hold its squares.
    ImportError
        If pandas is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import reconstruction_errors
    >>> X = load_iris(as_frame=True).data
    >>> pca = PCA(2).fit(X)
    >>> X.loc[7, "petal width (cm)"] = 9.0
    >>> errors = reconstruction_errors(pca, X, signed=True)
    >>> errors.abs().sum(axis=1).idxmax()
    7
    >>> errors.loc[7].idxmax()
    'petal width (cm)'
    """
    pd = pandas("reconstruction_errors")
    check_is_fitted(estimator)
    check_reconstructs(estimator)
    given = unmasked(in_memory(X), allow_nan=True, owner=type(estimator).__name__)
    step, whole, X = estimator, estimator, given
    if not raw_units:
        step, whole, X = reducing_step(estimator, given)
    rows = dense(flat(X)).astype(np.float64)
    check_squares(rows, "reconstruction_errors")
    answers = flat_answer(
        whole, "inverse_transform", _reconstructed(whole, X), rows.shape
    )
    named = given if raw_units or keeps_features(estimator, step) else X
    names = feature_names(step, named, np.shape(X)[1:] or rows.shape[1:])
    errors = _parts(rows, answers.astype(np.float64), signed)
    return pd.DataFrame(errors, index=index_of(given), columns=names)


def _reconstructed(estimator: Any, X: Any) -> Any:
    """Encode and decode rows, in one call if the estimator can."""
    if hasattr(estimator, "reconstruct"):
        return estimator.reconstruct(X)
    return estimator.inverse_transform(estimator.transform(X))


@np.errstate(over="ignore", invalid="ignore")
def _parts(rows: np.ndarray, answers: np.ndarray, signed: bool) -> np.ndarray:
    """Return the error of each known value, scaled up for the gaps of its row."""
    is_known = ~np.isnan(rows)
    difference = rows - answers
    errors = np.square(difference)
    errors = np.where(np.isfinite(errors), errors, np.inf)
    # A row without any value has no error.
    n_known = np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    errors *= rows.shape[1] / n_known
    if signed:
        errors = np.copysign(errors, np.nan_to_num(difference))
    return np.where(is_known, errors, np.nan)
