"""Whether the loss ended far above where it began."""

from typing import Any


def has_diverged(net: Any) -> bool:
    """Whether the last epoch or the last weights are far worse than the first."""
    if not net.stopping.is_finite:
        return True
    _, last = net.training_rows.first_losses(net.module_)
    objective = net.criterion_
    is_more = objective.judges or objective.penalty is not None or objective.n_given > 0
    of_epochs = [] if is_more else [e["train_loss"] for e in net.epochs()[-1:]]
    return any(has_grown(net, loss) for loss in [last, *of_epochs])


def has_grown(net: Any, loss: float) -> bool:
    """Whether a loss is NaN, or far above those of the mean and the first weights."""
    # A linear start may leave the domain of the loss, and be worse than the mean.
    before = max(net.losses_before)
    return not loss <= before + max(1.0, abs(before))
