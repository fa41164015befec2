"""When training ends, and which weights it leaves."""

import math
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor

from .._machine.interrupts import Enough


class Stopping(Callback):
    """Ends training that stands still or blows up, and remembers the best weights.

    Best is the least error on the held-out rows, or on the training rows. Errors of an
    objective that is not stationary cannot be compared: best are the last weights.
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
        # skorch's way to end training early; Ctrl-C may have been lost in a destructor.
        if not self.is_finite or net.interrupted:
            raise Enough
        self.consider(net, error)
        self.n_stale += 1
        if not net.is_stationary or self._has_improved(error):
            self.reference, self.n_stale = error, 0
        if self.stands_still:
            if not net.begin_stage():
                raise Enough
            # The weights are near a minimum now: a gain would show sooner.
            self.n_stale, self.patience = 0, math.ceil(self.n_iter_no_change / 2)

    @property
    def stands_still(self) -> bool:
        """Whether there has been no gain for long enough."""
        return self.n_stale >= self.patience

    def consider(self, net: Any, error: float) -> None:
        """Remember the weights if they are the best so far, and lose at no width."""
        if not net.is_stationary or (
            error < self.best and not net.validation.loses_at_a_width(net.module_)
        ):
            self.best, self.weights = error, _copied_weights(net)

    def _has_improved(self, error: float) -> bool:
        # By a share of its size, not of 1: losses may be tiny, and may be negative.
        return self.reference is None or (
            error < self.reference - self.tol * abs(self.reference)
        )

    def restore(self, net: Any) -> None:
        """Go back to the best weights, if any were good."""
        if self.weights is not None:
            for module, weights in zip(_learners(net), self.weights, strict=True):
                module.load_state_dict(weights)


def _learners(net: Any) -> tuple[Any, Any]:
    """Return what has weights: the network, and the objective."""
    return net.module_, net.criterion_


def _copied_weights(net: Any) -> list[dict[str, Tensor]]:
    return [
        {name: value.clone() for name, value in module.state_dict().items()}
        for module in _learners(net)
    ]


def _has_finite_weights(net: Any) -> bool:
    return all(bool(torch.isfinite(w).all()) for w in net.module_.parameters())
