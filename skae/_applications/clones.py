"""Clones of a user's estimator, with seeds."""

from typing import Any

import numpy as np
from sklearn.base import clone


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
