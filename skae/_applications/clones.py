"""Clones of a user's estimator, with seeds, and fits of them."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator


def seeded_clone(estimator: Any, rng: np.random.RandomState) -> Any:
    """Return a clone that draws as ``rng`` says, except where the user has a seed."""
    copy = clone(estimator)
    seeds = sorted(
        name
        for name, value in copy.get_params().items()
        if name.split("__")[-1] == "random_state" and value is None
    )
    # A FrozenEstimator returns nothing here.
    copy.set_params(**{name: rng.randint(2**31 - 1) for name in seeds})
    return copy


def fit_unless_frozen(estimator: Any, rows: np.ndarray) -> None:
    """Train an estimator, but not one that was trained before and is to stay so."""
    # Its fit would ask for y.
    if not isinstance(estimator, FrozenEstimator):
        estimator.fit(rows)
