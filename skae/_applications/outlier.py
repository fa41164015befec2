"""Outliers: rows that are rare by their code and their residual together."""

import hashlib
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import Bunch, Tags, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from .._estimators.denoising import DenoisingAE
from .._files.saving import Saved
from .._rows.checks import (
    check_finite,
    check_reconstructs,
    check_rows,
    check_squares,
    names,
)
from .._rows.chunks import dense
from .clones import seeded_clone
from .conformal import conformal_p_values, threshold
from .rarity import (
    COMBINED,
    MEASURES,
    blame,
    combined,
    fit_member,
    from_plain,
    measure,
    to_plain,
)
from .trimming import usual
from .undoing import undone_on_error

#: Nominal share of false alarms of contamination="auto".
LEVEL = 0.05
#: Two folds of two rows are the least that can be trained on.
FEWEST_ROWS = 4


class AutoencoderOutlier(OutlierMixin, Saved, BaseEstimator):
    """Outlier detector with a threshold, from any autoencoder.

    A row is an outlier if it is badly reconstructed, or if its code is rare. Each row
    becomes a point that holds its code ``z`` and its residual ``r = x - x^``, both in
    units in which they have a mean squared length of 1 in training. Three measures
    say how rare the point is: the distance to the fifth nearest training row, the
    distance to the 20th over that of these rows themselves (as in [1]_), and the
    Mahalanobis distance from the mean. With ``p_k(x)`` the share of the held-out
    rows that are rarer by measure ``k``, the score is::

        score_samples(x) = sum_k log p_k(x)

    which is Fisher's way to combine tests. Beyond the rarest tenth, ``p_k`` is
    continued by a Pareto distribution.

    Autoencoders reconstruct the rows that they were trained with too well. So rows are
    split into ``cv`` folds, and each fold is scored by a model that was trained with
    the other folds. These held-out scores set the threshold and the p-values. The score
    of a new row is the mean over all models. A row that is equal to a training row is
    scored by the models that have not seen it.

    So the training rows may contain outliers, and ``fit_predict`` finds them. But
    outliers that are near each other are learnt like other rows. If ``contamination``
    tells their share, so many rows train no model: the rarest ones by the same score,
    with PCA in place of the autoencoder. Where a model has fewer than 20 rows to train
    on, it trains on all of them.

    Parameters
    ----------
    estimator : transformer, default=None
        Autoencoder, or any other transformer with ``inverse_transform``, such as
        ``PCA`` or a pipeline. A clone is trained for each fold. None is
        ``DenoisingAE(None, noise_level=1.0, init="random")``.

    measure : {"combined", "distance", "density", "mahalanobis", "error"}, \
            default="combined"
        What the score is made of: all three measures, one of them, or the squared
        length of the residual.

    contamination : float or "auto", default="auto"
        Share of the training rows that are outliers, in (0, 0.5]. So many rows train no
        model, and it sets ``offset_``. With "auto" all rows train, and the threshold is
        that of a p-value of 0.05: of new rows like the training rows, 5 % are called
        outliers.

    cv : int, cross-validation generator or iterable, default=5
        Number of random folds, or how rows are split; see
        :func:`sklearn.model_selection.check_cv`. There are at most ``n_samples / 2``
        folds. ``ShuffleSplit(1, test_size=0.2)`` trains a single model, with a fifth of
        the rows held out.

    standardize : bool, default=True
        Whether each feature is divided by its standard deviation first, after its mean
        is subtracted. Use False for autoencoders that need values in a certain range.

    n_jobs : int or None, default=None
        Number of models that are trained at once, as in scikit-learn.

    random_state : int, RandomState instance or None, default=None
        Determines the folds, and the seeds of estimators whose ``random_state`` is
        None.

    Attributes
    ----------
    estimators_ : list of transformers
        The trained models, one for each fold.
    offset_ : float
        Threshold of the score: ``decision_function`` is ``score_samples - offset_``.
    calibration_scores_ : ndarray of shape (n_held_out,)
        Scores of the held-out rows, in ascending order.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if ``X`` had names that are all strings.

    See Also
    --------
    skae.inspection.reconstruction_errors : The reconstruction error of each feature.
    sklearn.neighbors.LocalOutlierFactor : Density in the space of the rows.
    sklearn.ensemble.IsolationForest : How few random cuts isolate a row.

    References
    ----------
    .. [1] M. Breunig, H.-P. Kriegel, R. Ng and J. Sander, "LOF: identifying
       density-based local outliers", SIGMOD 2000.
    .. [2] S. Bates, E. Candes, L. Lei, Y. Romano and M. Sesia, "Testing for outliers
       with conformal p-values", Annals of Statistics 51, 2023.
    .. [3] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate",
       Journal of the Royal Statistical Society B 57, 1995.
    .. [4] V. Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
       Intelligence 74, 2015.
    .. [5] B. Hill, "A simple general approach to inference about the tail of a
       distribution", Annals of Statistics 3, 1975.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae import AutoencoderOutlier
    >>> X = load_iris().data
    >>> detector = AutoencoderOutlier(PCA(2), random_state=0).fit(X)
    >>> flower = X[:1].copy()
    >>> detector.predict(flower)
    array([1])
    >>> flower[0, 1] = 5.5
    >>> detector.predict(flower)
    array([-1])
    >>> detector.p_values(flower) < 0.05
    array([ True])
    >>> detector.feature_scores(flower).argmax()
    np.int64(1)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "measure": [names({"combined", *MEASURES})],
        "contamination": [names({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "cv": ["cv_object"],
        "standardize": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        measure: str = "combined",
        contamination: float | str = "auto",
        cv: Any = 5,
        standardize: bool = True,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.contamination = contamination
        self.cv = cv
        self.standardize = standardize
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train a model for each fold, and score the rows that it has not seen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, at least four, in any units. Sparse rows become dense.
        y : array-like of shape (n_samples,), default=None
            Not used, except by a ``cv`` that splits by it.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or ``X`` is invalid: NaN, infinite values, too few rows. If
            ``cv`` gives no folds, or folds that are not of rows of ``X``. After an
            error the estimator is as before.
        TypeError
            If ``estimator`` is a class, or cannot reconstruct.
        """
        with undone_on_error(self):
            self._learn(self._checked(X, reset=True), y)
        return self

    def _learn(self, X: np.ndarray, y: Any) -> None:
        """Train the members, and keep what they say of training rows."""
        rng = check_random_state(self.random_state)
        folds = self._folds(X, y, rng)
        estimator = self._estimator()
        models = [seeded_clone(estimator, rng) for _ in folds]
        is_told = not isinstance(self.contamination, str)
        share = float(self.contamination) if is_told else 0.0
        fitted = Parallel(self.n_jobs)(
            delayed(_fit_fold)(model, X, *fold, share, self.standardize)
            for model, fold in zip(models, folds, strict=True)
        )
        self._members = [member for member, _ in fitted]
        measures = [values for _, values in fitted]
        self._known = np.sort(np.concatenate(measures), axis=0)
        self.estimators_ = [member.estimator for member in self._members]
        self._chosen = COMBINED if self.measure == "combined" else (self.measure,)
        self._judge(X, [held for _, held in folds], measures)
        self.offset_ = self._threshold()

    def predict(self, X: Any) -> np.ndarray:
        """Tell outliers from other rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for rows with scores below ``offset_``, 1 for others.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score of each row, minus the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``. Negative for outliers.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.
        """
        return self.score_samples(X) - self.offset_

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how usual each row is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            ``sum_k log p_k(x)``, at most 0. The lower, the rarer is the row.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.
        """
        X = self._checked(X)
        own = [self._own.get(key, (np.nan, ()))[0] for key in _keys(X)]
        scores = np.array(own)
        if (is_new := np.isnan(scores)).any():
            found = [self._rarity(measure(m, X[is_new])) for m in self._members]
            scores[is_new] = -np.mean(found, axis=0)
        return scores

    def p_values(self, X: Any) -> np.ndarray:
        """Return the conformal p-value of each row.

        ``(1 + #{held-out rows with at most its score}) / (1 + n_held_out)``. If a new
        row comes from the distribution of the training rows, its p-value is at most
        ``t`` with a probability of about ``t`` (Bates et al., 2023). For one held-out
        part and a single ``measure`` this holds exactly ("at most ``t``"); for folds it
        is a good approximation (Vovk, 2015).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            From ``1 / (1 + n)``, with ``n`` held-out scores, to 1.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.
        """
        scores = self.score_samples(X)
        return conformal_p_values(scores, self.calibration_scores_)

    def predict_fdr(self, X: Any, fdr: float = 0.1) -> np.ndarray:
        """Tell outliers, with control of the false discovery rate.

        The procedure of Benjamini and Hochberg (1995) on the p-values. Among the rows
        that it calls outliers, the expected share of false alarms is at most ``fdr``,
        if the training rows have no outliers. What it says about a row depends on the
        other rows of ``X``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.
        fdr : float, default=0.1
            False discovery rate, between 0 and 1. To find ``k`` outliers in
            ``n_samples`` rows, there must be about ``n_samples / (k fdr)`` training
            rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for others.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``. If
            ``fdr`` is not between 0 and 1.
        """
        if not isinstance(fdr, Real) or not 0 < fdr < 1:
            raise ValueError(f"fdr={fdr!r} must be a share between 0 and 1.")
        adjusted = false_discovery_control(self.p_values(X))
        return np.where(adjusted <= fdr, -1, 1)

    def feature_scores(self, X: Any) -> np.ndarray:
        """Say which features make a row rare.

        For each feature, its value is replaced by the mean of the five nearest training
        rows, and the row is scored again. This takes ``n_features`` times as long as
        ``score_samples``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_features)
            How much ``score_samples`` rises. The largest value is the feature to blame.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.
        """
        X = self._checked(X)
        everyone = range(len(self._members))
        judges = [self._own.get(key, (0, everyone))[1] for key in _keys(X)]
        total = np.zeros(X.shape)
        for k, member in enumerate(self._members):
            rows = np.flatnonzero([k in judge for judge in judges])
            if len(rows):
                total[rows] += blame(member, X[rows], self._rarity)
        return total / np.array([[len(judge)] for judge in judges])

    def _checked(self, X: Any, reset: bool = False) -> np.ndarray:
        """Return rows as dense float64, or raise."""
        if not reset:
            check_is_fitted(self)
        owner = type(self).__name__
        fewest = FEWEST_ROWS if reset else 1
        X = check_rows(self, X, reset=reset, min_samples=fewest)
        check_finite(X, False, owner)
        check_squares(X, owner)
        return dense(X).astype(np.float64)

    def _estimator(self) -> Any:
        if self.estimator is None:
            return DenoisingAE(None, noise_level=1.0, init="random")
        if isinstance(self.estimator, type):
            raise TypeError(
                f"estimator={self.estimator!r} is a class: pass an object, such as "
                "PCA(2)."
            )
        check_reconstructs(self.estimator)
        return self.estimator

    def _folds(
        self, X: np.ndarray, y: Any, rng: np.random.RandomState
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        cv = self.cv
        if isinstance(cv, Integral):
            n_folds = min(int(cv), len(X) // 2)
            cv = KFold(n_folds, shuffle=True, random_state=rng.randint(2**31 - 1))
            y = None
        try:
            splits = [(train, held) for train, held in check_cv(cv).split(X, y)]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"cv={cv!r} cannot split X: {error} If it splits by y, pass y to fit."
            ) from error
        folds = [_fold(train, held, len(X)) for train, held in splits]
        if not folds:
            raise ValueError(f"cv={self.cv!r} gives no folds: at least one is needed.")
        return folds

    def _judge(
        self, X: np.ndarray, folds: list[np.ndarray], measures: list[np.ndarray]
    ) -> None:
        """Keep the scores of training rows, from members that have not seen them."""
        keys = _keys(X)
        found: dict[bytes, list[tuple[float, int]]] = {}
        for k, (held, values) in enumerate(zip(folds, measures, strict=True)):
            for i, rarity in zip(held, self._rarity(values), strict=True):
                found.setdefault(keys[i], []).append((rarity, k))
        self._own = {key: _summary(scores) for key, scores in found.items()}
        held = np.unique(np.concatenate(folds))
        self.calibration_scores_ = np.sort([self._own[keys[i]][0] for i in held])

    def _threshold(self) -> float:
        if isinstance(self.contamination, str):
            return threshold(self.calibration_scores_, LEVEL)
        return float(np.quantile(self.calibration_scores_, self.contamination))

    def _rarity(self, measures: np.ndarray) -> np.ndarray:
        """Return how rare rows are by the chosen measures, in natural logarithms."""
        return combined(measures, self._known, self._chosen)

    def _to_state(self) -> dict[str, Any]:
        # Plain values: estimators once, and a tree of neighbours is built again.
        state = super()._to_state()
        if "_members" in state:
            del state["estimators_"]
            state["_members"] = [to_plain(member) for member in self._members]
            state["_own"] = _table(self._own, len(self._members))
        return state

    def _from_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "_members" in state:
            state["_members"] = [from_plain(values) for values in state["_members"]]
            state["estimators_"] = [member.estimator for member in state["_members"]]
            state["_own"] = _own(state["_own"])
            # Early files do not have it.
            measure = state["measure"]
            chosen = COMBINED if measure == "combined" else (measure,)
            state.setdefault("_chosen", chosen)
        super()._from_state(state)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _fold(train: Any, held: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a fold as numbers of rows: it may be masks, or lists."""
    rows = np.arange(n_rows)
    try:
        parts = [rows[np.asarray(part) if len(part) else []] for part in (train, held)]
    except IndexError as error:
        raise ValueError(
            f"cv gives a fold that is not of the {n_rows} rows of X: {error}. It must "
            "be two arrays, of row numbers or of a boolean for each row."
        ) from None
    if len(parts[0]) < 2 or not len(parts[1]):
        raise ValueError(
            f"cv gives a fold with {len(parts[0])} rows to train on and "
            f"{len(parts[1])} held out: two and one are the fewest."
        )
    return parts[0], parts[1]


def _fit_fold(
    estimator: Any,
    X: np.ndarray,
    train: np.ndarray,
    held: np.ndarray,
    share: float,
    standardize: bool,
) -> tuple[Bunch, np.ndarray]:
    """Return a member, and the measures of the rows that it has not seen."""
    rows = X[train]
    rows = rows[usual(rows, share, standardize)] if share else rows
    member = fit_member(estimator, rows, standardize)
    return member, measure(member, X[held])


def _keys(X: np.ndarray) -> list[bytes]:
    """Return a short key for the values of each row."""
    # Adding 0.0 makes -0.0 equal to 0.0.
    rows = np.ascontiguousarray(X + 0.0)
    return [hashlib.blake2b(row, digest_size=16).digest() for row in rows]


def _summary(scores: list[tuple[float, int]]) -> tuple[float, list[int]]:
    """Return the score of a training row, and the members that have not seen it."""
    score = -float(np.mean([rarity for rarity, _ in scores]))
    return score, sorted({member for _, member in scores})


def _table(own: dict[bytes, tuple[float, list[int]]], n_members: int) -> dict[str, Any]:
    """Return keys, scores and judges of training rows as arrays, which are small."""
    judges = np.zeros((len(own), n_members), dtype=bool)
    for row, (_, members) in zip(judges, own.values(), strict=True):
        row[members] = True
    keys = np.frombuffer(b"".join(own), np.uint8).reshape(len(own), -1)
    scores = np.array([score for score, _ in own.values()])
    return {"keys": keys, "scores": scores, "judges": judges}


def _own(table: dict[str, Any]) -> dict[bytes, tuple[float, list[int]]]:
    """Undo ``_table``."""
    judges = [np.flatnonzero(row).tolist() for row in table["judges"]]
    summaries = zip(table["scores"].tolist(), judges, strict=True)
    return dict(zip(map(bytes, table["keys"]), summaries, strict=True))


# Pickles and reprs use the public path, which stays when files move.
AutoencoderOutlier.__module__ = __name__.partition(".")[0]
