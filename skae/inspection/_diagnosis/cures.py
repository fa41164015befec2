"""Cures: parameters by name, with a value to try."""

from numbers import Integral, Real

from .subject import Subject


def scaled(subject: Subject, name: str, factor: float) -> list[str]:
    """Return a parameter at a multiple of its value; nothing if it has no number."""
    value = subject.fitted(f"{name}_", subject.parameter(name))
    if not isinstance(value, Real) or isinstance(value, bool) or not value:
        return []
    new = factor * float(value)
    return [f"{name}={max(1, round(new)) if isinstance(value, Integral) else new:.3g}"]


def lower_rate(subject: Subject) -> list[str]:
    """Return a smaller step size."""
    return scaled(subject, "learning_rate_init", 1 / 3)


def more_epochs(subject: Subject) -> list[str]:
    """Return twice as many epochs."""
    return scaled(subject, "max_iter", 2)


def more_held_out(subject: Subject) -> list[str]:
    """Return twice the share of rows to hold out, half of them at most."""
    fraction = subject.parameter("validation_fraction")
    return [f"validation_fraction={min(0.5, 2 * fraction):.3g}"] if fraction else []


def either(*cures: list[str]) -> str:
    """Join all cures there are."""
    return ", or ".join(cure for some in cures for cure in some)
