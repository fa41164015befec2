"""The classifier: labels of a few rows, and what all rows look like."""

from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from .._rows.frames import is_missing
from .semi_supervised import SemiSupervised, check_given, semi_supervised
from .targets import Classes

UNLABELLED = -1


@semi_supervised
class AutoencoderClassifier(ClassifierMixin, SemiSupervised):
    """Classifier that learns from labelled and unlabelled rows, by an autoencoder.

    First the autoencoder is trained on all rows. A logistic regression of its code
    then becomes the head, ``p(x) = softmax(W encode(x) + b)``. At last encoder and head
    minimise together::

        mean_labelled -log p_y(corrupt(x))
            + reconstruction_weight * mean_all loss(x, decode(encode(corrupt(x))))
            + consistency_weight * mean_all cross_entropy(q(x), p(disturb(x)))

    Here ``q`` are the probabilities by averaged weights [2]_, squared and normalised.
    Rows whose largest probability is 0.8 or less do not count in the last term. So the
    output should not change with a disturbance, and should be certain.

    Parameters
    ----------
    <shared parameters>

    priors : array-like of shape (n_classes,) or None, default=None
        Shares of the classes among all rows, in the order of ``classes_``. ``q`` is
        then changed so that its mean has these shares [3]_. None if they are unknown.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes, sorted.

    coef_ : ndarray of shape (n_classes, n_components)
        Weights of the head. With two classes there is a single row, for the second one.

    intercept_ : ndarray of shape (n_classes,)
        Biases of the head.

    <shared attributes>

    See Also
    --------
    AutoencoderRegressor : The same for numbers.
    sklearn.semi_supervised.LabelSpreading : Classes of neighbours; use it on codes.
    sklearn.semi_supervised.SelfTrainingClassifier : Learns from its own answers.

    Notes
    -----
    Rows should be scaled as for the autoencoder: put a ``StandardScaler`` before, if
    features have different units.

    With the labels -1 and 1 only, both are classes.

    References
    ----------
    .. [1] T. Miyato, S. Maeda, M. Koyama and S. Ishii, "Virtual adversarial training: a
       regularization method for supervised and semi-supervised learning", IEEE
       Transactions on Pattern Analysis and Machine Intelligence, 2018.
    .. [2] A. Tarvainen and H. Valpola, "Mean teachers are better role models", NIPS
       2017.
    .. [3] D. Berthelot et al., "ReMixMatch: semi-supervised learning with distribution
       alignment and augmentation anchoring", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoencoderClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> labels = np.where(np.arange(len(y)) < 100, y, -1)
    >>> classifier = AutoencoderClassifier(max_iter=300, random_state=0)
    >>> bool(classifier.fit(X, labels).score(X[100:], y[100:]) > 0.9)
    True
    """

    priors: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SemiSupervised._parameter_constraints,
        "priors": ["array-like", None],
    }

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any) -> Self:
        """Train the autoencoder on all rows, then encoder and head with labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, or whatever else ``estimator`` takes.
        y : array-like of shape (n_samples,)
            Classes: numbers or strings; -1 marks rows without a label. To mix strings
            or booleans with -1 use ``dtype=object``.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If a parameter, ``X`` or ``y`` is invalid, or if ``y`` has fewer than two
            classes.
        TypeError
            If ``estimator`` is a class, or has no network to tune.

        Warns
        -----
        ConvergenceWarning
            As ``estimator`` warns. If the loss of fine-tuning grew without bound: the
            weights before are then kept.
        """
        classes, places, known = _classes(_checked(y, type(self).__name__))
        kind = Classes(self._checked_priors(len(classes)))
        coef, intercept = self._learn(X, places, known, kind)
        if len(classes) == 2:
            coef, intercept = np.diff(coef, axis=0), np.diff(intercept)
        self.classes_, self.coef_, self.intercept_ = classes, coef, intercept
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how much the head is for each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
            ``W encode(x) + b``, the logarithms of ``predict_proba`` up to a constant.
            With two classes the difference: positive for the second one.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` is not as ``estimator`` needs it.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` is not as ``estimator`` needs it.
        """
        scores = self.decision_function(X)
        if scores.ndim == 2:
            return softmax(scores, axis=1)
        return np.column_stack([expit(-scores), expit(scores)])

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Classes.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` is not as ``estimator`` needs it.
        """
        scores = self.decision_function(X)
        places = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        return self.classes_[places]

    def _checked_priors(self, n_classes: int) -> np.ndarray | None:
        if self.priors is None:
            return None
        priors = np.asarray(self.priors)
        is_valid = priors.dtype.kind in "iuf" and priors.shape == (n_classes,)
        if not is_valid or not (priors > 0).all() or not np.isclose(priors.sum(), 1):
            raise ValueError(
                f"priors={self.priors!r} must be {n_classes} positive shares, one for "
                "each class in sorted order, that sum to 1."
            )
        return priors.astype(float)


def _checked(y: Any, owner: str) -> np.ndarray:
    """Return labels as a one-dimensional array, or raise."""
    check_given(y, owner, UNLABELLED)
    labels = column_or_1d(y, warn=True)
    _check_no_gaps(labels)
    assert_all_finite(labels, input_name="y")
    if str(UNLABELLED) in labels.tolist():
        raise ValueError(
            "y holds the text '-1', but the number -1 marks rows without a label: pass "
            "np.array(labels, dtype=object), with -1 as a number."
        )
    return labels


def _check_no_gaps(labels: np.ndarray) -> None:
    """Raise if a label is missing, in any way but by the mark."""
    if labels.dtype == object:
        missing = np.array([is_missing(label) for label in labels], dtype=bool)
    else:
        missing = labels != labels
    if missing.any():
        raise ValueError(
            f"Input y contains NaN or None, first in row {missing.argmax()}: the "
            "number -1 marks rows without a label."
        )


def _classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return classes, places of known labels among them, and which are known."""
    known = np.ones(len(labels), bool)
    if labels.dtype.kind not in "US":
        known = np.asarray(labels != UNLABELLED, dtype=bool)
    # With -1 and 1 only, -1 is a class.
    if set(labels[known].tolist()) == {1}:
        known[:] = True
    values = _of_one_kind(labels[known])
    if known.any():
        check_classification_targets(values)
    classes, places = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            "y needs labels of two classes or more, but has "
            f"{'1 class' if len(classes) else 'none'}: {classes.tolist()}. The number "
            "-1 marks rows without a label."
        )
    return classes, places, known


def _of_one_kind(labels: np.ndarray) -> np.ndarray:
    """Return objects that are all numbers, or all booleans, as such, or raise."""
    if labels.dtype != object:
        return labels
    is_text = [isinstance(label, str) for label in labels]
    if all(is_text):
        return labels
    if any(is_text):
        first, other = labels[is_text.index(True)], labels[is_text.index(False)]
        raise ValueError(
            f"y mixes text and other labels, such as {first!r} and {other!r}: convert "
            "them to strings, except for -1, which marks rows without a label."
        )
    return np.array(labels.tolist())
