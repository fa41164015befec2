"""How rare a row is: its place among training rows, in codes and residuals."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from .._rows.transformers import flat_answer
from .conformal import surprise

#: What a row is judged by together, and one more.
COMBINED = ("distance", "density", "mahalanobis")
MEASURES = (*COMBINED, "error")
#: Neighbours of the distance and of the expected row, and those of the density.
N_NEAREST, N_AROUND = 5, 20
#: Neighbours among more rows would cost time and memory, and tell little more.
MOST_NEIGHBORS = 10_000
#: Squares of this number can be summed in float64.
FARTHEST = 1e100


def fit_member(estimator: Any, X: np.ndarray, standardize: bool) -> Bunch:
    """Train an estimator, and learn where its training rows lie.

    The result is a plain Bunch, so that pickles name public paths only.
    """
    scaler = StandardScaler().fit(X) if standardize else None
    member = Bunch(scaler=scaler, estimator=estimator)
    rows = _scaled(member, X)
    # The fit of a FrozenEstimator does nothing, but asks for y.
    if not isinstance(estimator, FrozenEstimator):
        estimator.fit(rows)
    codes, residuals = _parts(member, rows)
    member.code_units = _code_units(codes)
    member.residual_unit = _residual_unit(residuals, rows)
    places = _places(member, codes, residuals)
    member.covariance = LedoitWolf().fit(places)
    chosen = slice(None, None, -(-len(places) // MOST_NEIGHBORS))
    member.rows = X[chosen]
    member.places = places[chosen]
    member.neighbors = _neighbors(member.places)
    spacing = member.neighbors.kneighbors()[0][:, -1]
    # Copies have the distance 0, beside which any distance would be large.
    member.spacing = np.maximum(spacing, 0.01 * spacing.mean() or 1.0)
    return member


def _neighbors(places: np.ndarray) -> NearestNeighbors:
    n_around = min(N_AROUND, len(places) - 1)
    return NearestNeighbors(n_neighbors=n_around).fit(places)


def to_plain(member: Bunch) -> dict[str, Any]:
    """Return a member without its tree of neighbours, whose class is private."""
    return {name: value for name, value in member.items() if name != "neighbors"}


def from_plain(values: dict[str, Any]) -> Bunch:
    """Undo ``to_plain``."""
    return Bunch(**values, neighbors=_neighbors(values["places"]))


def measure(member: Bunch, X: np.ndarray) -> np.ndarray:
    """Return how rare rows are by each of ``MEASURES``, in columns."""
    codes, residuals = _parts(member, _scaled(member, X))
    places = _places(member, codes, residuals)
    distances, found = member.neighbors.kneighbors(places)
    nearest = distances[:, :N_NEAREST][:, -1]
    density = distances[:, -1] / member.spacing[found].mean(axis=1)
    lengths = np.square(places[:, codes.shape[1] :]).sum(axis=1)
    far = member.covariance.mahalanobis(places)
    return np.column_stack([nearest, density, far, lengths])


def combined(
    measures: np.ndarray, known: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """Return how rare rows are by some measures, in natural logarithms.

    ``known`` are measures of held-out rows, sorted in each column.
    """
    columns = [MEASURES.index(name) for name in names]
    parts = [surprise(measures[:, j], known[:, j]) for j in columns]
    return np.sum(parts, axis=0)


def blame(
    member: Bunch, X: np.ndarray, rarity: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return how much less rare rows are if a column is as in similar rows."""
    places = _places(member, *_parts(member, _scaled(member, X)))
    similar = member.neighbors.kneighbors(places, return_distance=False)
    expected = member.rows[similar[:, :N_NEAREST]].mean(axis=1)
    before, gains = rarity(measure(member, X)), np.empty(X.shape)
    for j in range(X.shape[1]):
        changed = X.copy()
        changed[:, j] = expected[:, j]
        gains[:, j] = before - rarity(measure(member, changed))
    return gains


def _scaled(member: Bunch, X: np.ndarray) -> np.ndarray:
    # The scaler answers with a frame if scikit-learn is told so.
    return X if member.scaler is None else np.asarray(member.scaler.transform(X))


def _parts(member: Bunch, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes, and what is missing from reconstructions."""
    estimator = member.estimator
    codes = estimator.transform(rows)
    wanted = len(rows), "n_components"
    flat_codes = flat_answer(estimator, "transform", codes, wanted)
    if hasattr(estimator, "reconstruct"):
        answers = estimator.reconstruct(rows)
    else:
        answers = estimator.inverse_transform(codes)
    answers = flat_answer(estimator, "inverse_transform", answers, rows.shape)
    return flat_codes.astype(np.float64), rows - answers.astype(np.float64)


def _code_units(codes: np.ndarray) -> np.ndarray:
    """Return units in which codes have a mean squared length of 1."""
    units = codes.std(axis=0) * np.sqrt(codes.shape[1])
    # A component that did not vary may vary by rounding errors.
    return np.maximum(units, 1e-3 * units.max() or 1.0)


def _residual_unit(residuals: np.ndarray, rows: np.ndarray) -> float:
    """Return the unit in which residuals have a mean squared length of 1."""
    length = np.sqrt(np.square(residuals).sum(axis=1).mean())
    spread = np.sqrt(np.square(rows - rows.mean(axis=0)).sum(axis=1).mean())
    # Residuals of an exact reconstruction are rounding errors.
    return float(max(length, 0.01 * spread) or 1.0)


def _places(member: Bunch, codes: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Return rows as points that hold both codes and residuals."""
    places = np.hstack([codes / member.code_units, residuals / member.residual_unit])
    return np.nan_to_num(places, nan=FARTHEST).clip(-FARTHEST, FARTHEST)
