"""The imputer: an autoencoder fills in missing values."""

import math
import warnings
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import MissingIndicator
from sklearn.utils import Bunch, Tags, check_random_state
from sklearn.utils._param_validation import HasMethods, MissingValues
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

from .._estimators.denoising import DenoisingAE
from .._files.saving import Saved
from .._machine.threads import limited_threads
from .._rows.checks import FRACTION, check_count, check_reconstructs, check_squares
from .._rows.containers import as_array
from .._rows.statistics import column_extremes, column_means
from .._rows.text import named_text
from .clones import seeded_clone
from .filling import learn, predict
from .gaussian import draw_errors
from .undoing import undone_on_error

#: Share of entries to hide: that of the missing ones, in this range, or if none is
#: missing the last one.
LEAST_HIDDEN, MOST_HIDDEN, USUAL = 0.1, 0.5, 0.2


class AutoencoderImputer(OneToOneFeatureMixin, TransformerMixin, Saved, BaseEstimator):
    """Fill in missing values by an autoencoder.

    Columns are standardised by their known values. A missing value is predicted by ``g
    + w (a - g)``. Here ``g`` is the conditional mean of a Gaussian, given the known
    values of the row. It is linear in them. ``a`` is the answer of ``estimator``, and
    ``w`` in [0, 1] is the same for all. Known values are returned as they are.

    A tenth of the rows is held out, and some of their known values are hidden. They
    decide how far ``g`` shrinks towards the column's mean, and ``w``. If it is not
    certain that the autoencoder improves on the Gaussian, ``w`` is 0.

    Parameters
    ----------
    estimator : object, default=None
        Autoencoder to clone and to train on standardised rows: any of this package for
        flat rows, or a transformer with ``inverse_transform``, such as PCA. None is
        ``DenoisingAE(None, noise="gaps", emphasis=1.0, early_stopping=False)``, whose
        ``noise_level`` is the share of values that are missing in ``fit``, from 0.1 to
        0.5, or 0.2 if none is.

        With ``noise="gaps"`` an autoencoder sees rows whose hidden and missing values
        are ``g``, and learns to correct them. Others that accept NaN, such as
        :class:`MaskedAE`, see NaN. Others see rows that are filled in by ``g``.

    missing_values : int, float, str, np.nan or None, default=np.nan
        Placeholder for missing values. In frames with nullable dtypes use np.nan.

    add_indicator : bool, default=False
        Whether to append the columns of a :class:`~sklearn.impute.MissingIndicator`:
        one for each feature with missing values in ``fit``.

    keep_empty_features : bool, default=False
        Whether to return features without any value in ``fit``, filled with 0. If
        False, they are left out.

    validation_fraction : float, default=0.1
        Share of the rows that is held out. The Gaussian is then fitted to all rows.

    random_state : int, RandomState instance or None, default=None
        Chooses the held-out rows and hidden values, and seeds ``estimator`` if its
        ``random_state`` is None. Use an int to get the same result in each call.

    Attributes
    ----------
    estimator_ : object
        The trained autoencoder, which takes standardised columns that vary. None if
        fewer than 20 rows have a value, or if fewer than two columns vary.

    weight_ : float
        Share ``w`` of the autoencoder's correction. If 0, the prediction is linear.

    gaussian_ : Bunch
        ``mean``, ``loadings`` and ``noise`` of the standardised columns that vary: the
        covariance is ``loadings.T @ loadings + noise * I``.

    mean_, scale_ : ndarray of shape (`n_features_in_`,)
        Mean and standard deviation of the known values; NaN if there is none.

    error_scale_ : ndarray
        Ratios of the errors of held-out values to those the Gaussian expects, for each
        column that varies.

    indicator_ : MissingIndicator or None
        What appends columns, with ``add_indicator``.

    n_features_in_ : int
        Number of features seen in ``fit``.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in ``fit``, if all are strings.

    See Also
    --------
    DenoisingAE : The default autoencoder.
    MaskedAE : Predicts missing values by a transformer.
    sklearn.impute.KNNImputer : Fills in missing values by similar rows.
    sklearn.impute.IterativeImputer : Predicts each column from the others.

    Notes
    -----
    The Gaussian is fitted by expectation maximisation [1]_. With up to 64 columns its
    covariance is arbitrary, with more it has 32 factors [2]_. Values should be missing
    at random: whether a value is missing may depend on known values only.

    Held-out rows judge ``estimator``, so its convergence warnings are not shown.

    Rows without any value get the column's mean. Filled values may lie beyond the range
    of a column, and they are not rounded. Computation is in float64, but the
    autoencoder's in float32.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from
       incomplete data via the EM algorithm", Journal of the Royal Statistical Society
       B 39, 1977.
    .. [2] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis",
       Journal of the Royal Statistical Society B 61, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoencoderImputer
    >>> X = load_iris().data
    >>> gaps = np.random.default_rng(0).random(X.shape) < 0.2
    >>> imputer = AutoencoderImputer(random_state=0)
    >>> filled = imputer.fit_transform(np.where(gaps, np.nan, X))
    >>> bool(np.abs(filled - X)[gaps].mean() < 0.4)
    True
    >>> bool((filled == X)[~gaps].all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit"]), None],
        "missing_values": [MissingValues()],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "validation_fraction": [FRACTION],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        missing_values: Any = np.nan,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.missing_values = missing_values
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn to predict values of ``X`` from the other values of a row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with missing values.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If a parameter is invalid, or if ``X`` has infinite values. If ``estimator``
            does not fill in missing values. After an error the imputer is as before.
        TypeError
            If ``estimator`` has neither ``reconstruct`` nor ``inverse_transform``.
        """
        if self.estimator is not None and not hasattr(self.estimator, "reconstruct"):
            check_reconstructs(self.estimator)
        with undone_on_error(self):
            X, rows = self._read(X, reset=True)
            self.indicator_ = self._fitted_indicator(X)
            with warnings.catch_warnings(), limited_threads(1):
                # Held-out rows judge the estimator.
                warnings.simplefilter("ignore", ConvergenceWarning)
                self._learn(rows)
        return self

    def transform(self, X: Any) -> Any:
        """Fill in the missing values of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with missing values.

        Returns
        -------
        X_filled : ndarray of shape (n_samples, n_features_out)
            Rows without missing values, in the dtype of ``X`` if it is a float, else
            float64. Known values are those of ``X``. Features without a value in
            ``fit`` are left out, or 0 with ``keep_empty_features``. The columns of the
            indicator follow.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, or other features than in ``fit``.
        """
        check_is_fitted(self)
        X, rows = self._read(X, reset=False)
        return self._output(X, rows, self._predict(rows))

    def sample_imputations(
        self,
        X: Any,
        n_imputations: int = 5,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw several values for each missing one: multiple imputation.

        A draw is the filled value plus an error. Errors are drawn from the Gaussian,
        given the known values of the row, and together for all its missing values. For
        each column they are scaled so that they are as large as those of held-out
        values. So the spread shows how uncertain a filled value is. That the model
        itself was learnt from a sample is not counted: with few rows the spread is too
        small.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with missing values.
        n_imputations : int, default=5
            Number of draws.
        random_state : int, RandomState instance or None, default=None
            Use an int to get the same draws in each call.

        Returns
        -------
        X_filled : ndarray of shape (n_imputations, n_samples, n_features_out)
            Each is as the output of ``transform``, with other filled values.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` or ``n_imputations`` is invalid.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoencoderImputer
        >>> X = load_iris().data
        >>> imputer = AutoencoderImputer(random_state=0).fit(X)
        >>> seen = [[np.nan, 3.5, 1.4, np.nan]]
        >>> imputer.sample_imputations(seen, 100, random_state=0).std(0).round(1)
        array([[0.3, 0. , 0. , 0.2]])
        """
        check_is_fitted(self)
        check_count("n_imputations", n_imputations)
        X, rows = self._read(X, reset=False)
        filled, rng = self._predict(rows), check_random_state(random_state)
        varies, seen = self._varies, self._standardised(rows)
        draws = []
        for _ in range(n_imputations):
            drawn = filled.copy()
            if varies.any():
                errors = self.error_scale_ * draw_errors(self.gaussian_, seen, rng)
                drawn[:, varies] += self.scale_[varies] * errors
            draws.append(self._output(X, rows, drawn))
        return np.stack(draws)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of the output.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features. None uses ``feature_names_in_``, or else ``x0``,
            ``x1``, and so on.

        Returns
        -------
        feature_names_out : ndarray of str
            Names of the features that are returned, and of the indicator's columns.
        """
        check_is_fitted(self)
        names = super().get_feature_names_out(input_features)
        if self.indicator_ is None:
            return names[self._returned]
        others = self.indicator_.get_feature_names_out(names)
        return np.concatenate([names[self._returned], others])

    def _read(self, X: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return rows as given, and in float64 with NaN where values are missing."""
        takes_nan = self._takes_nan
        with named_text(X):
            X = validate_data(
                self,
                as_array(X, allow_nan=takes_nan, owner=type(self).__name__),
                reset=reset,
                dtype=FLOAT_DTYPES,
                ensure_all_finite="allow-nan" if takes_nan else True,
            )
        mask = MissingIndicator(missing_values=self.missing_values, features="all")
        rows = np.where(mask.fit_transform(X), np.nan, X.astype(np.float64))
        check_squares(rows, type(self).__name__)
        return X, rows

    def _fitted_indicator(self, X: np.ndarray) -> MissingIndicator | None:
        if not self.add_indicator:
            return None
        indicator = MissingIndicator(
            missing_values=self.missing_values, error_on_new=False
        )
        return indicator.fit(X)

    def _measure(self, rows: np.ndarray) -> float:
        """Set means and deviations; return the share of entries to hide."""
        known = ~np.isnan(rows)
        counts = known.sum(axis=0)
        with np.errstate(invalid="ignore"):
            low, high = column_extremes(rows)
            # Rounding must not make a constant column vary.
            self.mean_ = np.where(low == high, low, column_means(rows))
            squares = np.where(known, np.square(rows - self.mean_), 0.0)
            self.scale_ = np.sqrt(squares.sum(axis=0) / counts)
        share = 1 - known.sum() / max(1, len(rows) * np.count_nonzero(counts))
        return float(np.clip(share, LEAST_HIDDEN, MOST_HIDDEN) if share else USUAL)

    def _learn(self, rows: np.ndarray) -> None:
        """Fit the Gaussian and the autoencoder to rows with NaN."""
        rng, level = check_random_state(self.random_state), self._measure(rows)
        X = self._standardised(rows)
        estimator = self.estimator
        if estimator is None:
            options: dict[str, Any] = {"noise_level": level, "early_stopping": False}
            estimator = DenoisingAE(None, noise="gaps", emphasis=1.0, **options)
        estimator = seeded_clone(estimator, rng)
        some = X[~np.isnan(X).all(axis=1)]
        model = learn(estimator, some, level, self.validation_fraction, rng)
        self.gaussian_, self.estimator_ = model.gaussian, model.estimator
        self.weight_, self.error_scale_ = model.weight, model.error_scale

    def _predict(self, rows: np.ndarray) -> np.ndarray:
        """Fill in rows with NaN, in the unit of the data."""
        filled = np.where(np.isnan(rows), self.mean_, rows)
        chosen = np.isnan(rows).any(axis=1) & ~np.isnan(rows).all(axis=1)
        if chosen.any() and self._varies.any():
            model = Bunch(
                gaussian=self.gaussian_, estimator=self.estimator_, weight=self.weight_
            )
            with limited_threads(1):
                answers = predict(model, self._standardised(rows[chosen]))
            mean, scale = self.mean_[self._varies], self.scale_[self._varies]
            filled[np.ix_(chosen, self._varies)] = answers * scale + mean
        return filled

    def _output(self, X: np.ndarray, rows: np.ndarray, filled: np.ndarray) -> Any:
        """Return known values as given, the others as filled, and the indicator."""
        whole = np.where(np.isnan(rows), filled.astype(X.dtype), X)
        whole[:, np.isnan(self.mean_)] = 0
        whole = whole[:, self._returned]
        if self.indicator_ is None:
            return whole
        return np.hstack([whole, self.indicator_.transform(X)])

    def _standardised(self, rows: np.ndarray) -> np.ndarray:
        """Return the columns that vary, standardised."""
        varies = self._varies
        return (rows[:, varies] - self.mean_[varies]) / self.scale_[varies]

    @property
    def _varies(self) -> np.ndarray:
        """Which columns have different values; an empty one has the scale NaN."""
        return self.scale_ > 0

    @property
    def _returned(self) -> np.ndarray:
        """Which columns are returned."""
        return ~np.isnan(self.mean_) | self.keep_empty_features

    @property
    def _takes_nan(self) -> bool:
        return isinstance(self.missing_values, Real) and math.isnan(self.missing_values)

    def _to_state(self) -> dict[str, Any]:
        state = super()._to_state()
        if "gaussian_" in state:
            # The path of its class is private.
            state["gaussian_"] = dict(self.gaussian_)
        return state

    def _from_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "gaussian_" in state:
            state["gaussian_"] = Bunch(**state["gaussian_"])
        super()._from_state(state)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_nan
        return tags


# Pickles and reprs use the public path, which stays when files move.
AutoencoderImputer.__module__ = __name__.partition(".")[0]
