"""Whether training ended far above where it began."""

from typing import Any


def has_diverged(net: Any) -> bool:
    """Whether the last epoch or the last weights are far worse than the first."""
    if not net.stopping.is_finite or is_lost(net):
        return True
    objective = net.criterion_
    is_penalised = objective.penalty is not None or objective.neighbor_weight
    return not is_penalised and _has_grown(net, net.epochs()[-1]["train_loss"])


def is_lost(net: Any) -> bool:
    """Whether the network answers far worse than before training, or nonsense."""
    _, loss = net.training_rows.first_losses(net.module_)
    return _has_grown(net, loss)


def _has_grown(net: Any, loss: float) -> bool:
    # A linear start may leave the domain of the loss, and do worse than the mean.
    before = max(net.losses_before)
    return not loss <= before + max(1.0, abs(before))
