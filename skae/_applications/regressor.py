"""The regressor: numbers of a few rows, and what all rows look like."""

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.utils import check_array

from .semi_supervised import SemiSupervised, check_given, semi_supervised
from .targets import Numbers


@semi_supervised
class AutoencoderRegressor(MultiOutputMixin, RegressorMixin, SemiSupervised):
    """Regression that learns from labelled and unlabelled rows, by an autoencoder.

    First the autoencoder is trained on all rows. A ridge regression on its code then
    becomes the head, ``f(x) = W encode(x) + b``. At last encoder and head minimise
    together, with ``y`` standardised::

        mean_labelled (y - f(x))^2
            + reconstruction_weight * mean_all loss(x, decode(encode(corrupt(x))))
            + consistency_weight * mean_all (g(x) - f(disturb(x)))^2

    Here ``g`` is the output by averaged weights [2]_. The last term, which is off by
    default, lets the output change little with a disturbance.

    Parameters
    ----------
    <shared parameters>

    Attributes
    ----------
    coef_ : ndarray of shape (n_components,) or (n_outputs, n_components)
        Weights of the head.

    intercept_ : float or ndarray of shape (n_outputs,)
        Biases of the head.

    <shared attributes>

    See Also
    --------
    AutoencoderClassifier : The same for classes.
    sklearn.neural_network.MLPRegressor : Learns from labelled rows only.

    Notes
    -----
    Rows should be scaled as for the autoencoder: put a ``StandardScaler`` before, if
    features have different units.

    References
    ----------
    .. [1] T. Miyato, S. Maeda, M. Koyama and S. Ishii, "Virtual adversarial training: a
       regularization method for supervised and semi-supervised learning", IEEE
       Transactions on Pattern Analysis and Machine Intelligence, 2018.
    .. [2] A. Tarvainen and H. Valpola, "Mean teachers are better role models", NIPS
       2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn.preprocessing import scale
    >>> from skae import AutoencoderRegressor
    >>> X, y = make_friedman1(600, random_state=0)
    >>> X, labels = scale(X), np.where(np.arange(600) < 300, y, np.nan)
    >>> regressor = AutoencoderRegressor(max_iter=300, random_state=0)
    >>> bool(regressor.fit(X, labels).score(X[300:], y[300:]) > 0.75)
    True
    """

    # A class may survive noise in which a number is lost.
    consistency: str | None = None

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any) -> Self:
        """Train the autoencoder on all rows, then encoder and head with numbers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, or whatever else ``estimator`` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers; NaN marks rows without one.

        Returns
        -------
        self : object
            The fitted regressor.

        Raises
        ------
        ValueError
            If a parameter, ``X`` or ``y`` is invalid.
        TypeError
            If ``estimator`` is a class, or has no network to tune.

        Warns
        -----
        ConvergenceWarning
            As ``estimator`` warns. If the loss of fine-tuning grew without bound: the
            weights before are then kept.
        """
        numbers, is_single = _checked(y, type(self).__name__)
        known = ~np.isnan(numbers).any(axis=1)
        # Squares of huge or tiny numbers are no floats; a power of two is exact.
        _, exponents = np.frexp(np.abs(numbers[known]).max(axis=0))
        moderate = np.ldexp(numbers[known], -exponents)
        mean, scale = moderate.mean(axis=0), moderate.std(axis=0)
        scale[scale == 0] = 1.0
        standardised = (moderate - mean) / scale
        coef, intercept = self._learn(X, standardised, known, Numbers())
        coef, intercept = coef * scale[:, np.newaxis], intercept * scale + mean
        coef = np.ldexp(coef, exponents[:, np.newaxis])
        intercept = np.ldexp(intercept, exponents)
        first = 0 if is_single else slice(None)
        self.coef_, self.intercept_ = coef[first], intercept[first]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the numbers of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        numbers : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            ``W encode(x) + b``, in the unit of ``y``.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` is not as ``estimator`` needs it.
        """
        return self._outputs(X)


def _checked(y: Any, owner: str) -> tuple[np.ndarray, bool]:
    """Return numbers as columns, and whether there is only one for a row, or raise."""
    check_given(y, owner, np.nan)
    options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
    numbers = check_array(y, ensure_2d=False, input_name="y", **options)
    columns = numbers.reshape(len(numbers), -1)
    missing = np.isnan(columns)
    if (partly := missing.any(axis=1) & ~missing.all(axis=1)).any():
        raise ValueError(
            f"y misses some of the numbers of row {partly.argmax()}: a row has all of "
            "them, or NaN for all."
        )
    if missing.all():
        raise ValueError("y holds NaN only, but at least one row needs a number.")
    return columns, numbers.ndim == 1
