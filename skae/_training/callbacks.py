"""Callbacks of skorch's: which of them can work here."""

from typing import Any

from skorch.callbacks import BatchScoring, EpochScoring, LRScheduler


def check_callbacks(callbacks: list[Any] | None, learning_rate: str) -> None:
    """Raise if one is no callback of skorch's, or could do nothing here."""
    for callback in callbacks or []:
        is_named = isinstance(callback, tuple) and len(callback) == 2
        member = callback[1] if is_named else callback
        if not hasattr(member, "on_epoch_end"):
            raise TypeError(
                f"callbacks={callbacks!r} holds {callback!r}, which is no skorch "
                "callback: derive it from skorch.callbacks.Callback."
            )
        if _is_of(member, LRScheduler) and learning_rate != "constant":
            raise ValueError(
                f"callbacks={callbacks!r} holds an LRScheduler, which has no effect "
                f"beside learning_rate={learning_rate!r}: use learning_rate='constant'."
            )
        if _is_of(member, EpochScoring) or _is_of(member, BatchScoring):
            raise ValueError(
                f"callbacks={callbacks!r} holds {callback!r}, which needs labels: read "
                "validation_scores_, or net.history in a callback of your own."
            )


def _is_of(member: Any, kind: type) -> bool:
    """Whether a callback is of a class, or is such a class."""
    return isinstance(member, kind) or (
        isinstance(member, type) and issubclass(member, kind)
    )
