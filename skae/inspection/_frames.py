"""Data frames of results: pandas, imported late, and the names of their columns."""

from typing import Any

import numpy as np

from .._machine.extras import imported
from .._rows.containers import column_names


def pandas(owner: str) -> Any:
    """Return pandas, or raise and name the extra that has it."""
    return imported("pandas", owner)


def index_of(X: Any) -> Any:
    """Return the names of the rows; None where they have none."""
    index = getattr(X, "index", None)
    # A list has a method of that name.
    return None if callable(index) else index


def feature_names(estimator: Any, X: Any, layout: tuple[int, ...]) -> list[Any]:
    """Return a name for each value of a row: that in ``X``, that of fit, or a place.

    Features are "x0", "x1", ... as in scikit-learn. The pixel of row 2 and column 5 of
    an image is "x2_5".
    """
    n_features = int(np.prod(layout))
    if len(layout) == 1 and hasattr(X, "columns"):
        return column_names(X, n_features)
    if len(names := getattr(estimator, "feature_names_in_", ())) == n_features:
        return list(names)
    places = np.ndindex(*layout)
    return ["x" + "_".join(map(str, place)) for place in places]


def component_names(estimator: Any, n_components: int) -> list[Any]:
    """Return the names of output features, or "component0", "component1", ..."""
    try:
        names = estimator.get_feature_names_out()
    except AttributeError:
        names = ()
    if len(names) == n_components:
        return list(names)
    return [f"component{j}" for j in range(n_components)]
