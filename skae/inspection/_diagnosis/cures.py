"""Cures: parameters by name, with a value to try."""

import math
from numbers import Integral, Real

from ..._rows.split import LEAST_HELD_OUT, n_held_out
from .subject import Subject

# Maximum share of rows to hold out.
MOST_HELD_OUT = 0.5


def scaled(subject: Subject, name: str, factor: float) -> list[str]:
    """Return a parameter at a multiple of its value; nothing if that is the same."""
    value = subject.fitted(f"{name}_", subject.parameter(name))
    if not isinstance(value, Real) or isinstance(value, bool):
        return []
    new = factor * float(value)
    if isinstance(value, Integral):
        new = max(1, round(new))
    text = str(new) if isinstance(new, int) else f"{new:.3g}"
    return [f"{name}={text}"] if new != value else []


def lower_rate(subject: Subject) -> list[str]:
    """Return a smaller step size; "lbfgs" finds its own."""
    if subject.parameter("solver") == "lbfgs":
        return ["solver='adam'"]
    return scaled(subject, "learning_rate_init", 1 / 3)


def more_epochs(subject: Subject) -> list[str]:
    """Return twice as many epochs, or calls of ``partial_fit``, which makes one."""
    more, calls = scaled(subject, "max_iter", 2), ["more calls of partial_fit"]
    if subject.fitted("max_iter_") != 1 or subject.fitted("validation_scores_"):
        return more
    # Without early stopping, max_iter=1 cannot be told from partial_fit.
    may_be_fit = subject.parameter("max_iter") == 1
    if may_be_fit and not subject.parameter("early_stopping"):
        return [*more, *calls]
    return calls


def more_held_out(subject: Subject) -> list[str]:
    """Return a larger share of rows to hold out, if it holds out more of them."""
    fraction = subject.parameter("validation_fraction")
    if not fraction:
        return []
    larger = min(MOST_HELD_OUT, 2 * fraction)
    cure = f"validation_fraction={larger:.3g}"
    if larger <= fraction:
        return ["more rows"]
    if subject.is_of_training:
        n_rows = len(subject.rows)
        gains = n_held_out(n_rows, larger) > n_held_out(n_rows, fraction)
        return [cure] if gains else ["more rows"]
    enough = max((LEAST_HELD_OUT + 1) / larger, 1 / (larger - fraction))
    return [f"{cure} (of {math.ceil(enough)} rows or more)"]


def either(*cures: list[str]) -> str:
    """Join all cures there are."""
    return ", or ".join(cure for some in cures for cure in some)
