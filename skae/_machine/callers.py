"""Who calls: warnings point at the line of the user's."""

import inspect
import warnings
from types import FrameType


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


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's that led here, past scikit-learn's wrappers."""
    inner = ("skae.", "sklearn.", "joblib.", "contextlib")
    level = next(
        (i for i, frame in enumerate(callers(), 1) if not in_package(frame, *inner)), 1
    )
    warnings.warn(message, category, stacklevel=level)
