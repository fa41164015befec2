"""skorch's callbacks: which of them work here."""

from typing import Any

from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
    WandbLogger,
)
from torch.optim.lr_scheduler import ReduceLROnPlateau

#: What the history records in each epoch; VALIDATED only with held-out rows.
RECORDED = {"epoch", "dur", "train_loss", "train_loss_best"}
VALIDATED = {"valid_loss", "valid_loss_best", "unexplained"}


def check_callbacks(
    callbacks: list[Any] | None, learning_rate: str, validates: bool
) -> None:
    """Raise if one is not a skorch callback, or cannot work here."""
    members = [_unnamed(callbacks, callback) for callback in callbacks or []]
    for member in members:
        if reason := _why_useless(member, learning_rate):
            raise ValueError(f"callbacks={callbacks!r} holds {reason}")
    made = [_made(callbacks, member) for member in members]
    recorded = RECORDED | _named(made)
    for member in made:
        reason = _why_unheld(member, validates) or _why_unknown(member, recorded, made)
        if reason:
            raise ValueError(f"callbacks={callbacks!r} holds {reason}")


def _unnamed(callbacks: Any, callback: Any) -> Any:
    """Return a callback, or its class, without its name; raise if it is not one."""
    is_named = isinstance(callback, tuple) and len(callback) == 2
    member = callback[1] if is_named else callback
    if not _is_of(member, Callback):
        raise TypeError(
            f"callbacks={callbacks!r} holds {callback!r}, which is not a skorch "
            "callback: derive it from skorch.callbacks.Callback."
        )
    return member


def _made(callbacks: Any, member: Any) -> Any:
    """Return a callback, or an instance of its class."""
    if not isinstance(member, type):
        return member
    try:
        return member()
    except TypeError as error:
        raise TypeError(
            f"callbacks={callbacks!r} holds {member!r}, a class that needs arguments "
            f"({error}): pass an instance."
        ) from error


def _is_of(member: Any, *kinds: type) -> bool:
    """Whether a callback is of one of the classes, or is such a class."""
    return issubclass(member if isinstance(member, type) else type(member), kinds)


def _why_useless(member: Any, learning_rate: str) -> str:
    """Say why a callback could not work in any fit; empty if it could."""
    if _is_of(member, LRScheduler) and learning_rate != "constant":
        return (
            "an LRScheduler, which has no effect with "
            f"learning_rate={learning_rate!r}: use learning_rate='constant'."
        )
    if _is_of(member, EpochScoring, BatchScoring):
        return (
            f"{member!r}, which needs labels: read validation_scores_, or net.history "
            "in a callback of your own."
        )
    if _is_of(member, InputShapeSetter):
        return (
            f"{member!r}, which would rebuild the network: leave it out, since the "
            "rows set the sizes."
        )
    return ""


def _why_unheld(member: Any, validates: bool) -> str:
    """Say why a callback cannot work without held-out rows; empty if it can."""
    is_mean = isinstance(member, PassthroughScoring) and not member.on_train
    saves = isinstance(member, WandbLogger) and member.save_model
    needs = _monitored(member) in VALIDATED or is_mean or saves
    # A mean of train_loss over validation batches does not exist.
    if not needs or (validates and not (is_mean and member.name == "train_loss")):
        return ""
    cures = {
        PassthroughScoring: "on_train=True",
        WandbLogger: "save_model=False",
        Checkpoint: "monitor='train_loss_best'",
    }
    kinds = (cure for kind, cure in cures.items() if isinstance(member, kind))
    cure = next(kinds, "monitor='train_loss'")
    return (
        f"{member!r}, which needs held-out rows, but there are none in partial_fit and "
        f"with early_stopping=False: give it {cure}, or use fit with "
        "early_stopping=True."
    )


def _why_unknown(member: Any, recorded: set[str], members: list[Any]) -> str:
    """Say that nothing records what a callback reads; empty if something may."""
    is_own = any(not type(m).__module__.startswith("skorch.") for m in members)
    monitor = _monitored(member)
    if monitor is None or is_own or monitor in recorded | VALIDATED:
        return ""
    return (
        f"{member!r}, but the history has no monitor={monitor!r}. It has "
        f"{', '.join(sorted(recorded | VALIDATED))}; your own callback may record more."
    )


def _monitored(member: Any) -> str | None:
    """Return the name in the history that a callback reads after each epoch."""
    policy = getattr(member, "policy", None)
    lowers = policy in (ReduceLROnPlateau, ReduceLROnPlateau.__name__)
    by_epoch = getattr(member, "step_every", "epoch") == "epoch"
    reads = isinstance(member, EarlyStopping | Checkpoint) or (lowers and by_epoch)
    monitor = getattr(member, "monitor", None) if reads else None
    return monitor if isinstance(monitor, str) else None


def _named(members: list[Any]) -> set[str]:
    """Return the names, given by the user, that skorch's callbacks record."""
    names = [getattr(member, "event_name", None) for member in members]
    names += [m.name for m in members if isinstance(m, PassthroughScoring)]
    return {name for name in names if name}
