"""Measures of a fitted transformer, on held-out rows."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing

from .._rows.chunks import dense, sample
from .._rows.transformers import flat
from ..inspection._walks import encode
from ..metrics import explained_variance, neg_mean_squared_error

# Maximum number of rows whose pairwise distances are compared.
MOST_ROWS = 2000
#: Columns, and what they are called in figures.
LABELS = {
    "explained_variance": "explained variance",
    "mean_squared_error": "mean squared error",
    "trustworthiness": "trustworthiness",
    "accuracy": "accuracy with few labels",
    "fit_seconds": "seconds to fit",
    "transform_seconds": "seconds to transform",
}


class Fold(NamedTuple):
    """Indices of training rows and of held-out rows."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class HeldOutMeasures:
    """Scorer of a transformer on held-out rows, for scikit-learn."""

    n_neighbors: int

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> dict[str, float]:
        start = time.perf_counter()
        estimator.transform(X)
        seconds = time.perf_counter() - start
        return {
            "transform_seconds": seconds,
            "trustworthiness": _trust(estimator, X, self.n_neighbors),
            **_reconstruction(estimator, X),
        }


def _trust(estimator: Any, X: Any, n_neighbors: int) -> float:
    """Return the share of neighbours in the code that are neighbours in the rows."""
    rows, codes = dense(flat(X)), encode(estimator, X)
    rows, codes = (sample(part, MOST_ROWS) for part in (rows, codes))
    # It is defined only for fewer neighbours than half the rows.
    n_neighbors = min(n_neighbors, (len(rows) - 1) // 2)
    if n_neighbors < 1 or np.isnan(rows).any():
        return np.nan
    return float(trustworthiness(rows, codes, n_neighbors=n_neighbors))


def _reconstruction(estimator: Any, X: Any) -> dict[str, float]:
    """Return explained variance and squared error, in the unit of the rows."""
    scores = np.nan, np.nan
    # KernelPCA has an inverse only with fit_inverse_transform=True.
    with suppress(NotFittedError):
        if hasattr(estimator, "inverse_transform"):
            scores = (
                explained_variance(estimator, X, raw_units=True),
                neg_mean_squared_error(estimator, X, raw_units=True),
            )
    return {"explained_variance": scores[0], "mean_squared_error": -scores[1]}


def few_label_accuracy(
    estimator: Any, X: Any, y: np.ndarray, fold: Fold, n_labels: int, seed: int
) -> float:
    """Return the accuracy on held-out rows after training with few labels."""
    chosen = _some_of_each(y, fold.train, n_labels, seed)
    if len(np.unique(y[chosen])) < 2:
        return np.nan
    rows, others = (_safe_indexing(X, index) for index in (chosen, fold.test))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(encode(estimator, rows), y[chosen])
    return float(classifier.score(encode(estimator, others), y[fold.test]))


def _some_of_each(
    y: np.ndarray, among: np.ndarray, n_labels: int, seed: int
) -> np.ndarray:
    """Return indices of ``n_labels`` random rows of each class, among those given."""
    order = np.random.default_rng(seed).permutation(among)
    chosen = [order[y[order] == label][:n_labels] for label in np.unique(y[among])]
    return np.sort(np.concatenate(chosen))


def draw_map(estimator: Any, X: Any) -> np.ndarray:
    """Return codes in two dimensions: along their principal axes if there are more."""
    codes = encode(estimator, X)
    if codes.shape[1] > 2:
        return PCA(2).fit_transform(codes)
    return np.pad(codes, [(0, 0), (0, 2 - codes.shape[1])])
