"""Problems of the rows."""

import numpy as np

from ..._rows.checks import DOMAINS
from .cures import either, more_held_out
from .findings import Finding
from .subject import Subject

# Maximum share of a single row, and as a multiple of the share 1 / n_rows.
HEAVY, TIMES_EQUAL = 0.2, 3
# Errors below this share of the variance are rounding errors.
ROUNDING = 1e-9
OUTSIDE, OUTWEIGH = "outside the output's range", "rows that outweigh all"


def find_outside_domain(subject: Subject) -> Finding | None:
    """Find rows with values that no reconstruction can have with this loss."""
    loss = subject.parameter("loss")
    if not subject.has_rows or not isinstance(loss, str) or loss not in DOMAINS:
        return None
    low, high = DOMAINS[loss]
    outside = (subject.rows < low) | (subject.rows > high)
    if not (n_outside := np.count_nonzero(outside.any(axis=1))):
        return None
    message = (
        f"{n_outside} of {len(subject.rows)} rows have values outside "
        f"[{low:g}, {high:g}], the range of reconstructions with loss={loss!r}."
    )
    return Finding(OUTSIDE, message, "loss='squared_error', or a MinMaxScaler before")


def find_other_unit(subject: Subject) -> Finding | None:
    """Find rows that are far from the training rows, or vary far less."""
    if not subject.has_rows or not subject.is_elsewhere:
        return None
    cures = ["X in the unit of fit, by the same scaler"]
    message = (
        f"Rows deviate {subject.deviation:.3g} times as much from mean_ as the "
        "training rows, where nothing was learnt."
    )
    if not subject.is_far:
        message = (
            f"The standard deviation of X is {subject.relative_spread:.3g} times that "
            f"of the training rows, and its mean lies {subject.shift:.3g} of the "
            "latter away from mean_."
        )
        cures += ["rows of all kinds that fit has seen"]
    return Finding(OUTSIDE, message, either(cures))


def find_far_rows(subject: Subject) -> Finding | None:
    """Find that training left out rows far from all others."""
    if not (n_far := subject.fitted("n_far_rows_")):
        return None
    message = (
        f"n_far_rows_={n_far}: too few held-out rows are so far out to judge training "
        "there, so only PCA reconstructs such rows."
    )
    cure = either(["RobustScaler before", "fit without them"], more_held_out(subject))
    return Finding(OUTWEIGH, message, cure)


def find_heavy_errors(subject: Subject) -> Finding | None:
    """Find a row that makes a large share of the squared error."""
    if not subject.has_rows or subject.unexplained < ROUNDING:
        return None
    return _heaviest(subject.errors, "squared error")


def find_heavy_distances(subject: Subject) -> Finding | None:
    """Find a row that makes a large share of the variance."""
    return _heaviest(subject.distances, "variance") if subject.has_rows else None


def _heaviest(parts: np.ndarray, whole: str) -> Finding | None:
    """Name the row that makes the largest part, if that is too large."""
    share, row = float(parts.max() / parts.sum()), int(parts.argmax())
    if share < max(HEAVY, TIMES_EQUAL / len(parts)):
        return None
    message = f"Row {row} of X alone makes {share:.0%} of the {whole}."
    return Finding(OUTWEIGH, message, f"X without row {row}, or RobustScaler before")
