"""Autoencoders that correct a Gaussian's predictions of missing entries."""

from functools import partial
from typing import Any

import numpy as np
from scipy.stats import t as student
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, get_tags

from .._rows.transformers import flat_answer
from .gaussian import (
    choose_noise,
    deviations,
    fill,
    fit_gaussian,
    hide_and_fill,
    in_unit,
)

#: Significance level of a gain on judged rows.
LEVEL = 0.1
#: Fewer rows cannot judge what was learnt. More judged rows tell little more.
LEAST_ROWS, MOST_JUDGED = 20, 2000
#: Least number of judged rows, if there are four times as many, or more.
LEAST_JUDGED = 20
#: Each judged row is seen so many times, with other entries hidden.
N_TIMES = 10
#: Variance of the noise with few rows.
USUAL_NOISE = 0.3
#: With so many values, a column's own calibration counts as much as that of all.
ENOUGH_VALUES = 20


def learn(
    estimator: Any,
    X: np.ndarray,
    level: float,
    validation_fraction: float,
    rng: np.random.RandomState,
) -> Bunch:
    """Fit a Gaussian to standardised rows with NaN, and train an estimator on them.

    Held-out rows decide how much noise the Gaussian has, and which share of the
    estimator's correction is kept.
    """
    gaussian, ones = fit_gaussian(X, rng), np.ones(X.shape[1])
    few = Bunch(gaussian=gaussian, estimator=None, weight=0.0, error_scale=ones)
    gaussian.noise = USUAL_NOISE
    if len(X) < LEAST_ROWS or X.shape[1] < 2:
        return few
    judged, rest = _split(X, validation_fraction, rng)
    truth = np.tile(judged, (N_TIMES, 1))
    seen = hide(truth, level, rng)
    if not (np.isnan(seen) & ~np.isnan(truth)).any():
        return few
    part = fit_gaussian(rest, rng)
    choose_noise(part, seen, truth)
    gaussian.noise = part.noise
    train(estimator, rest, part)
    found = _compare(estimator, part, truth, seen, len(judged))
    return Bunch(gaussian=gaussian, estimator=estimator, **found)


def _compare(
    estimator: Any, gaussian: Bunch, truth: np.ndarray, seen: np.ndarray, n_judged: int
) -> dict[str, Any]:
    """Return which share of a correction is kept, and how large errors then are."""
    hidden, filled = np.isnan(seen) & ~np.isnan(truth), fill(gaussian, seen)
    missed = np.where(hidden, truth - filled, 0.0)
    correction = np.where(hidden, answers(estimator, seen, filled) - filled, 0.0)
    weight = judge(missed, correction, n_judged)
    ratios = (missed - weight * correction) / deviations(gaussian, seen)
    return {"weight": weight, "error_scale": _column_scale(ratios, hidden)}


def _split(
    X: np.ndarray, validation_fraction: float, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that judge, and the others."""
    n_judged = max(round(validation_fraction * len(X)), min(LEAST_JUDGED, len(X) // 4))
    order, n_judged = rng.permutation(len(X)), min(n_judged, MOST_JUDGED)
    rest = X[order[n_judged:]]
    # A column must have a value.
    rest[0, np.isnan(rest).all(axis=0)] = 0.0
    return X[order[:n_judged]], rest


def predict(model: Bunch, X: np.ndarray) -> np.ndarray:
    """Fill in standardised rows."""
    filled = fill(model.gaussian, X)
    if not model.weight:
        return filled
    correction = answers(model.estimator, X, filled) - filled
    return np.where(np.isnan(X), filled + model.weight * correction, X)


def _column_scale(ratios: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return the root mean square of each column, drawn towards that of all."""
    squares, counts = np.square(ratios), hidden.sum(axis=0)
    overall = ENOUGH_VALUES * squares.sum() / counts.sum()
    return np.sqrt((squares.sum(axis=0) + overall) / (counts + ENOUGH_VALUES))


def hide(X: np.ndarray, level: float, rng: np.random.RandomState) -> np.ndarray:
    """Return rows with more NaN: from half to one and a half of a share ``level``."""
    chances = level * (0.5 + rng.random_sample((len(X), 1)))
    return np.where(rng.random_sample(X.shape) < chances, np.nan, X)


def sees_filled(estimator: Any) -> bool:
    """Whether an estimator is asked about rows that the Gaussian has filled."""
    is_filled = getattr(estimator, "noise", None) == "gaps"
    return is_filled or not get_tags(estimator).input_tags.allow_nan


def train(estimator: Any, X: np.ndarray, gaussian: Bunch) -> None:
    """Train an estimator on standardised rows with NaN, as it takes them."""
    if isinstance(estimator, FrozenEstimator):
        return
    if getattr(estimator, "noise", None) != "gaps":
        estimator.fit(fill(gaussian, X) if sees_filled(estimator) else X)
        return
    origin = np.nanmean(X, axis=0)
    unit = np.sqrt(np.nanmean(np.square(X - origin)))
    own, level = in_unit(gaussian, origin, unit), float(estimator.noise_level)
    estimator.set_params(noise=partial(hide_and_fill, gaussian=own, level=level))
    try:
        estimator.fit(X)
    finally:
        estimator.set_params(noise="gaps")


def answers(estimator: Any, X: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Return an estimator's reconstruction of standardised rows, in float64."""
    rows = filled if sees_filled(estimator) else X
    verb = "reconstruct" if hasattr(estimator, "reconstruct") else "inverse_transform"
    if verb == "inverse_transform":
        rows = estimator.transform(rows)
    found = flat_answer(estimator, verb, getattr(estimator, verb)(rows), X.shape)
    if not np.isfinite(found).all():
        raise ValueError(f"{type(estimator).__name__}.{verb} {_fault(found, rows)}.")
    return found.astype(np.float64)


def _fault(found: np.ndarray, rows: np.ndarray) -> str:
    """Say what is wrong with answers that are not finite."""
    if np.isfinite(found[~np.isnan(rows)]).all():
        return (
            "leaves missing values missing, so it cannot fill them in, as RecurrentAE "
            "after the end of a sequence: use another estimator"
        )
    return (
        "answered NaN or infinite values for standardised rows: fit it again with a "
        "lower learning_rate_init, or use another estimator"
    )


def judge(missed: np.ndarray, correction: np.ndarray, n_rows: int) -> float:
    """Return the share of a correction that reduces squared errors most, in [0, 1].

    It is 0 if the reduction may be chance, by a one-sided t test of the rows. They are
    repeated, each time with other hidden entries; elsewhere both arrays are 0.
    """
    size = np.square(correction).sum()
    if not size:
        return 0.0
    weight = float(np.clip((missed * correction).sum() / size, 0.0, 1.0))
    gains = np.square(missed) - np.square(missed - weight * correction)
    each = gains.sum(axis=1).reshape(-1, n_rows).sum(axis=0)
    error = each.std(ddof=1) / np.sqrt(n_rows)
    return weight * bool(each.mean() > student.ppf(1 - LEVEL, n_rows - 1) * error)
