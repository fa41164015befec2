"""When training ends, and which weights it leaves."""

import dis
from typing import Any

import numpy as np
from skorch.callbacks import Callback
from torch import Tensor


def is_deliberate(interrupt: KeyboardInterrupt) -> bool:
    """Whether code raised it, as skorch's callbacks do to end training, or a signal."""
    trace = interrupt.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code.co_code
    return dis.opname[code[trace.tb_lasti]] == "RAISE_VARARGS"


class Stopping(Callback):
    """Ends training that stands still or blows up, and remembers the best weights.

    Best is the least error on the held-out rows, or on the training rows. Errors of an
    objective that ``is_moving`` cannot be compared: best are the last weights.
    """

    def __init__(self, tol: float, n_iter_no_change: int) -> None:
        self.tol, self.n_iter_no_change = tol, n_iter_no_change

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.weights: list[dict[str, Tensor]] | None = None
        self.reference: float | None = None
        self.best = np.inf
        self.n_stale = 0
        self.is_finite = True

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        error = net.history[-1, net.monitor]
        self.is_finite = bool(np.isfinite(error)) and net.is_finite()
        if not self.is_finite:
            raise KeyboardInterrupt  # skorch's way to end training early
        self.consider(net, error)
        self.n_stale += 1
        if net.is_moving or self._has_improved(error):
            self.reference, self.n_stale = error, 0
        if self.n_stale >= self.n_iter_no_change:
            raise KeyboardInterrupt

    def consider(self, net: Any, error: float) -> None:
        """Remember the weights if they are the best so far, and lose at no width."""
        if net.is_moving or (error < self.best and net.is_above_floor()):
            self.best, self.weights = error, net.weights()

    def _has_improved(self, error: float) -> bool:
        # By a share of its size, not of 1: losses may be tiny, and may be negative.
        return self.reference is None or (
            error < self.reference - self.tol * abs(self.reference)
        )
