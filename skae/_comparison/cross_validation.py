"""Cross-validation of several transformers on the same folds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from reprlib import repr as shortened
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.sparse import issparse
from sklearn.model_selection import KFold, StratifiedKFold, check_cv, cross_validate
from sklearn.utils import (
    _safe_indexing,
    check_consistent_length,
    check_random_state,
    column_or_1d,
)
from sklearn.utils.multiclass import type_of_target

from .._rows.checks import check_count, check_squares
from .._rows.containers import as_array
from .._rows.stored import in_memory
from .._rows.transformers import flat
from ..inspection._frames import pandas
from .comparison import Comparison
from .measures import LABELS, Fold, HeldOutMeasures, draw_map, few_label_accuracy


def compare(
    estimators: Mapping[str, Any] | Iterable[Any],
    X: Any,
    y: Any = None,
    *,
    cv: Any = 5,
    n_labels: int = 10,
    n_neighbors: int = 5,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Comparison:
    """Compare transformers by cross-validation.

    Each is fitted to the training rows of each fold, and evaluated on the other rows:

    - ``explained_variance`` and ``mean_squared_error`` of the reconstruction, as in
      :mod:`skae.metrics` with ``raw_units=True``: in the unit of ``X``, so that
      pipelines with different scalers can be compared;
    - ``trustworthiness``: how far neighbours in the code are neighbours in ``X`` [1]_,
      on at most 2000 rows;
    - ``accuracy`` of a logistic regression on standardised codes, trained with few
      labels of the training rows; NaN if these have one class only;
    - ``fit_seconds`` and ``transform_seconds``.

    Parameters
    ----------
    estimators : dict of str to transformer, or list of transformers
        Such as ``{"PCA": PCA(8), "autoencoder": UndercompleteAE(8)}``. In a list they
        are named after their class, or that of a pipeline's last step that is not
        "passthrough". They are cloned, and do not change.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows. If features have different units, scale them first: else features with the
        largest variance count most.
    y : array-like of shape (n_samples,), default=None
        Class of each row. It is used for the accuracy, stratified folds and the colours
        of the maps; transformers do not see it. Without it there is no accuracy.
    cv : int, cross-validation generator or iterable, default=5
        Number of random folds, or how rows are split; see
        :func:`sklearn.model_selection.check_cv`. Rows may be given by indices or by
        Boolean masks.
    n_labels : int, default=10
        Number of training rows of each class whose labels are known.
    n_neighbors : int, default=5
        Number of neighbours for the trustworthiness, reduced below half the held-out
        rows.
    random_state : int, RandomState instance or None, default=None
        Determines the folds, and which labels are known. Estimators have their own
        ``random_state``.
    n_jobs : int or None, default=None
        Number of folds that run at once, as in scikit-learn.

    Returns
    -------
    comparison : Comparison
        Its ``table`` has means and standard deviations over folds; ``plot()`` draws
        figures, and ``to_html(path)`` writes a page.

    Raises
    ------
    TypeError
        If an estimator cannot encode new rows, or is passed alone.
    ValueError
        If there is no estimator, if two have the same name, if float64 cannot hold the
        squares of ``X``, or if ``y``, ``cv`` or a number is invalid.
    ImportError
        If pandas is not installed.

    References
    ----------
    .. [1] J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection
       methods: an experimental study", ICANN 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae import compare
    >>> X, y = load_iris(return_X_y=True)
    >>> comparison = compare([PCA(1), PCA(2)], X, y, cv=3, random_state=0)
    >>> comparison.table["explained_variance"].round(2)
           mean   std
    PCA-1  0.92  0.02
    PCA-2  0.98  0.00
    """
    pd = pandas("compare")
    named = _named(estimators)
    X, y = _rows(X), _classes(X, y)
    check_count("n_labels", n_labels)
    check_count("n_neighbors", n_neighbors)
    folds = _folds(cv, X, y, random_state)
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    data, parts, maps = _Data(X, y, folds, n_labels, seed), [], {}
    for name, estimator in named.items():
        scores, maps[name] = data.cross_validate(estimator, n_neighbors, n_jobs)
        parts.append(pd.DataFrame({"estimator": name, **scores}))
    labels = None if y is None else y[folds[0].test]
    return Comparison(pd.concat(parts, ignore_index=True), maps, labels)


def _rows(X: Any) -> Any:
    """Return rows that can be picked by their indices."""
    X = as_array(in_memory(X), allow_nan=True, owner="compare")
    check_squares(flat(X), "compare")
    return X.tocsr() if issparse(X) else X


@dataclass(frozen=True)
class _Data:
    """Rows, their classes, and how they are split."""

    X: Any
    y: np.ndarray | None
    folds: list[Fold]
    n_labels: int
    seed: int

    def cross_validate(
        self, estimator: Any, n_neighbors: int, n_jobs: int | None
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Return the measures of each fold, and the map of the first one."""
        found = cross_validate(
            estimator,
            self.X,
            cv=self.folds,
            scoring=HeldOutMeasures(n_neighbors),
            return_estimator=True,
            n_jobs=n_jobs,
            error_score="raise",
        )
        measures = {name.removeprefix("test_"): v for name, v in found.items()}
        measures["fit_seconds"] = measures["fit_time"]
        if self.y is not None:
            measures["accuracy"] = self._accuracies(found["estimator"], n_jobs)
        scores = {"fold": range(len(self.folds))}
        scores |= {name: measures[name] for name in LABELS if name in measures}
        first = _safe_indexing(self.X, self.folds[0].test)
        return scores, draw_map(found["estimator"][0], first)

    def _accuracies(self, estimators: list[Any], n_jobs: int | None) -> list[float]:
        """Return the accuracy of each fold."""
        jobs = (
            delayed(few_label_accuracy)(
                estimator, self.X, self.y, fold, self.n_labels, self.seed
            )
            for estimator, fold in zip(estimators, self.folds, strict=True)
        )
        return Parallel(n_jobs)(jobs)


def _named(estimators: Any) -> dict[str, Any]:
    """Return estimators by their names; equal classes are numbered."""
    is_one = hasattr(estimators, "fit") or isinstance(estimators, str)
    if is_one or not np.iterable(estimators):
        raise TypeError(
            f"estimators={estimators!r} must be a dict or a list of transformers, such "
            'as {"PCA": PCA(8)}.'
        )
    if not isinstance(estimators, Mapping):
        estimators = list(estimators)
        names = _numbered([_class_name(estimator) for estimator in estimators])
        estimators = dict(zip(names, estimators, strict=True))
    if not estimators:
        raise ValueError("estimators is empty: pass one transformer or more.")
    for name, estimator in estimators.items():
        _check_encodes(name, estimator)
    named = {str(name): estimator for name, estimator in estimators.items()}
    if len(named) < len(estimators):
        raise ValueError(
            f"estimators has the names {list(estimators)}, of which two are equal as "
            "text: use different names."
        )
    return named


def _check_encodes(name: Any, estimator: Any) -> None:
    is_able = hasattr(estimator, "fit") and hasattr(estimator, "transform")
    if isinstance(estimator, tuple):
        raise TypeError(
            f"estimators has the tuple {estimator!r}: pass a dict to name transformers,"
            ' such as {"PCA": PCA(8)}.'
        )
    if isinstance(estimator, type) or not is_able:
        raise TypeError(
            f"{name!r}, {estimator!r}, cannot encode held-out rows: it must be an "
            "object with fit and transform, such as PCA(8)."
        )


def _class_name(estimator: Any) -> str:
    """Return the name of a class; for a pipeline, of its last step with a class."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    steps = [step for step in steps if step not in (None, "passthrough")]
    return _class_name(steps[-1]) if steps else type(estimator).__name__


def _numbered(names: list[str]) -> list[str]:
    """Number the names that occur more than once, from 1."""
    counts: Counter[str] = Counter()
    numbered = []
    for name in names:
        counts[name] += 1
        is_alone = names.count(name) == 1
        numbered.append(name if is_alone else f"{name}-{counts[name]}")
    return numbered


def _classes(X: Any, y: Any) -> np.ndarray | None:
    """Return classes as an array, or raise if ``y`` has none."""
    if y is None:
        return None
    check_consistent_length(X, y)
    y = column_or_1d(y)
    if n_missing := int(pandas("compare").isna(y).sum()):
        raise ValueError(
            f"y has {n_missing} missing values: leave these rows out, or pass y=None."
        )
    if (kind := type_of_target(y, input_name="y")) not in ("binary", "multiclass"):
        raise ValueError(
            f"y must have classes, for the accuracy with few labels, but it is {kind}: "
            "pass y=None, or bin it (KBinsDiscretizer)."
        )
    if len(classes := np.unique(y)) < 2:
        raise ValueError(f"y has only one class, {classes[0]!r}: pass y=None.")
    return y


def _folds(cv: Any, X: Any, y: np.ndarray | None, random_state: Any) -> list[Fold]:
    """Return the folds, the same for all estimators; with a number they are random."""
    if isinstance(cv, Integral):
        kind = KFold if y is None else StratifiedKFold
        cv = kind(int(cv), shuffle=True, random_state=random_state)
    elif np.iterable(cv) and not isinstance(cv, str):
        cv = list(cv)
        _check_pairs(cv)
    splitter, n_rows = check_cv(cv, y, classifier=y is not None), X.shape[0]
    return [
        Fold(*(_indices(rows, n_rows) for rows in fold))
        for fold in splitter.split(X, y)
    ]


def _check_pairs(folds: list[Any]) -> None:
    """Raise if folds that the user made are not pairs."""
    if not folds or not all(hasattr(f, "__len__") and len(f) == 2 for f in folds):
        raise ValueError(
            f"cv={shortened(folds)} must be a number of folds, or one or more pairs of "
            "training rows and held-out rows."
        )


def _indices(rows: Any, n_rows: int) -> np.ndarray:
    """Return indices of rows, also if they are given by a mask."""
    index = np.asarray(rows)
    if index.dtype == bool and index.shape == (n_rows,):
        index = np.flatnonzero(index)
    is_list = index.ndim == 1 and index.dtype.kind in "iu" and len(index)
    if not is_list or index.min() < -n_rows or index.max() >= n_rows:
        raise ValueError(
            f"cv has the rows {shortened(rows)}, which must be one or more indices "
            f"below {n_rows}, or a Boolean mask of {n_rows} rows."
        )
    return index
