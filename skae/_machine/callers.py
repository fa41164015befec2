"""Callers: warnings point at the user's line."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from .processes import is_silent

#: Messages and categories of warnings that are held back.
Held = list[tuple[str, type[Warning]]]
_held: ContextVar[Held | None] = ContextVar("_held", default=None)


def callers() -> list[FrameType]:
    """Return the frames of the callers, innermost first."""
    frames, frame = [], inspect.currentframe()
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
        frames.append(frame)
    return frames


def in_package(frame: FrameType, *packages: str) -> bool:
    """Whether a frame runs code of one of the packages."""
    return frame.f_globals.get("__name__", "").startswith(packages)


def is_called_by_scikit_learn() -> bool:
    """Whether a pipeline, a search or the like is among the callers."""
    # These contain wrappers of methods.
    wrappers = "sklearn.base", "sklearn.utils", "sklearn.callback"
    return any(
        in_package(frame, "sklearn.") and not in_package(frame, *wrappers)
        for frame in callers()
    )


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the user's line that led here, outside scikit-learn's wrappers."""
    if (held := _held.get()) is not None:
        held.append((message, category))
        return
    if is_silent():
        return
    inner = ("skae.", "sklearn.", "joblib.", "contextlib")
    # A list: an interrupt in a closed generator would be lost.
    outside = [not in_package(frame, *inner) for frame in callers()]
    level = outside.index(True) + 1 if any(outside) else 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def held_warnings() -> Iterator[Held]:
    """Hold warnings back: a filter may turn one into an error, which undoes work."""
    held: Held = []
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)


def warn_held(held: Held) -> None:
    """Issue the warnings that were held back, each once."""
    while held:
        warn_caller(*held.pop(0))
