"""Signals: fitted to normal ones, judged by the error of these and of outliers."""

import statistics
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from .data_sets import Rows, labelled_heartbeats, load
from .suite import Row


def classes(data: str) -> tuple[Rows, Rows]:
    """Return signals, and their classes: 1 is normal."""
    if data == "ECG5000":
        return labelled_heartbeats()
    normal, others = load()[data]()
    others = others[:, np.random.default_rng(0).permutation(others.shape[1])]
    return np.concatenate([normal, others]), np.repeat(
        [1, 2], [len(normal), len(others)]
    )


def errors(estimator: Any, X: Rows) -> Rows:
    """Return the mean squared error of each row."""
    answer = estimator.inverse_transform(estimator.transform(X))
    return np.square(answer - X).reshape(len(X), -1).mean(axis=1)


def find_outliers(estimator: Any, data: str, seed: int) -> dict[str, float]:
    """Fit to half of the normal signals; return the error of the other half.

    And how well errors tell the others: the area under the ROC curve.
    """
    X, y = classes(data)
    train, normal = train_test_split(X[y == 1], test_size=0.5, random_state=seed)
    estimator.fit(train)
    usual, others = errors(estimator, normal), errors(estimator, X[y != 1])
    is_other = np.repeat([0, 1], [len(usual), len(others)])
    auc = roc_auc_score(is_other, np.concatenate([usual, others]))
    return {
        "error": round(float(usual.mean()), 5),
        "auc": round(float(auc), 4),
    }


def median(rows: list[Row], name: str, **of: Any) -> float:
    """Return the median of a figure over the rows of a method or a width."""
    return statistics.median(r[name] for r in rows if of.items() <= r.items())
