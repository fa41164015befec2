"""When training ends, and which weights it leaves."""

import math
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor

from .._machine.interrupts import Enough

CHANGING = "weights", "reference", "best", "n_stale", "patience", "is_finite"


class Stopping(Callback):
    """Ends training that stalls or diverges, and remembers the best weights.

    The best weights have the lowest error on the held-out rows, or on the training
    rows. If the objective changes during training, errors cannot be compared, and the
    last weights are the best.
    """

    def __init__(self, tol: float, n_iter_no_change: int) -> None:
        self.tol, self.n_iter_no_change = tol, n_iter_no_change

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.weights: list[dict[str, Tensor]] | None = None
        self.reference: float | None = None
        self.best = np.inf
        self.n_stale, self.patience = 0, self.n_iter_no_change
        self.is_finite = True

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        error = net.history[-1, net.monitor]
        self.is_finite = bool(np.isfinite(error)) and _has_finite_weights(net)
        # skorch ends training by this exception; Ctrl-C may have been lost in a
        # destructor.
        if not self.is_finite or net.interrupted:
            raise Enough
        self.consider(net, error)
        self.n_stale += 1
        if not net.is_stationary or self._has_improved(error):
            self.reference, self.n_stale = error, 0
        if self.stands_still:
            if not net.begin_stage():
                raise Enough
            # The weights are near a minimum now: improvement would show sooner.
            self.n_stale, self.patience = 0, math.ceil(self.n_iter_no_change / 2)

    @property
    def stands_still(self) -> bool:
        """Whether there was no improvement for long enough."""
        return self.n_stale >= self.patience

    def consider(self, net: Any, error: float) -> None:
        """Remember weights if they are the best so far, and not worse at any width."""
        if not net.is_stationary or (
            error < self.best and not net.validation.loses_at_a_width(net.module_)
        ):
            self.best, self.weights = error, _copied_weights(net)

    def _has_improved(self, error: float) -> bool:
        # Relative to the loss, which may be tiny, and may be negative.
        return self.reference is None or (
            error < self.reference - self.tol * abs(self.reference)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from epoch to epoch."""
        return {name: getattr(self, name) for name in CHANGING}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo ``state_dict``."""
        self.__dict__.update(state)

    def restore(self, net: Any) -> None:
        """Go back to the best weights, if there are any."""
        if self.weights is not None:
            for module, weights in zip(_learners(net), self.weights, strict=True):
                module.load_state_dict(weights)


def _learners(net: Any) -> tuple[Any, Any]:
    """Return the modules with weights: the network and the objective."""
    return net.module_, net.criterion_


def _copied_weights(net: Any) -> list[dict[str, Tensor]]:
    return [
        {name: value.clone() for name, value in module.state_dict().items()}
        for module in _learners(net)
    ]


def _has_finite_weights(net: Any) -> bool:
    # One question for all of them, since each one waits for the device.
    are_finite = [torch.isfinite(w).all() for w in net.module_.parameters()]
    return bool(torch.stack(are_finite).all())
