"""Estimators inside a FrozenEstimator of scikit-learn."""

from typing import Any

from sklearn.frozen import FrozenEstimator


def thawed(estimator: Any) -> Any:
    """Return what is inside a FrozenEstimator, or the estimator itself."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator
