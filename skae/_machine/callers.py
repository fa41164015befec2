"""Who calls: warnings point at the line of the user's."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

#: Messages and categories of warnings that are held back.
Held = list[tuple[str, type[Warning]]]
_held: ContextVar[Held | None] = ContextVar("_held", default=None)


def callers() -> list[FrameType]:
    """Return the frames from the function that asks outwards."""
    frames, frame = [], inspect.currentframe()
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
        frames.append(frame)
    return frames


def in_package(frame: FrameType, *packages: str) -> bool:
    """Whether a frame runs code of one of the packages."""
    return frame.f_globals.get("__name__", "").startswith(packages)


def is_called_by_scikit_learn() -> bool:
    """Whether a pipeline, a search or the like has called, not the user alone."""
    # Wrappers of methods are in these.
    wrappers = "sklearn.base", "sklearn.utils", "sklearn.callback"
    return any(
        in_package(frame, "sklearn.") and not in_package(frame, *wrappers)
        for frame in callers()
    )


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's that led here, past scikit-learn's wrappers."""
    if (held := _held.get()) is not None:
        held.append((message, category))
        return
    inner = ("skae.", "sklearn.", "joblib.", "contextlib")
    # A list: what interrupts a generator that is closed would be lost.
    outside = [not in_package(frame, *inner) for frame in callers()]
    level = outside.index(True) + 1 if any(outside) else 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def held_warnings() -> Iterator[Held]:
    """Hold warnings back: one that a filter turns into an error would undo work."""
    held: Held = []
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)


def warn_held(held: Held) -> None:
    """Give the warnings that were held back, each once."""
    while held:
        warn_caller(*held.pop(0))
