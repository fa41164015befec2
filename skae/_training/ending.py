"""How training ends: by a callback, or by an interrupt."""

from typing import Any

from skorch import NeuralNet

from .._machine.interrupts import Enough
from .checkpoint import Checkpoint
from .leading import Leader


class EndedNet(NeuralNet):
    """Distinguishes callbacks that end training from interrupts; skorch does not.

    A subclass has ``interrupts``, and ``stopping``, a callback that is called last.
    """

    #: State in a file, from which training goes on; None if there is none.
    checkpoint: Checkpoint | None = None
    #: Processes that share each batch; None if it is this one alone.
    leader: Leader | None = None

    #: Whether a callback has asked to end training.
    is_stopped = False

    @property
    def ended_at_once(self) -> bool:
        """Whether training ended before the first epoch was over, of one or more."""
        return self.max_epochs > 0 and self.stopping.is_finite and not self.epochs()

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came."""
        return self.interrupts.count > 0

    @property
    def stop_reason(self) -> str:
        """Why training ended."""
        reasons = {
            "interrupt": self.interrupted,
            "divergence": self.diverged,
            "no_change": self.stopping.stands_still,
            "max_iter": len(self.epochs()) >= self.max_epochs,
        }
        return next((name for name, holds in reasons.items() if holds), "callback")

    @property
    def is_cut_short(self) -> bool:
        """Whether the last allowed epoch still improved, without a rate schedule."""
        is_last = self.stop_reason == "max_iter" and self.stopping.n_stale == 0
        is_steady = self.is_stationary and not self.settings.decays_rate
        return is_last and is_steady and self.max_epochs > 0

    def fit_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Run all epochs that are left, and note an end that came from outside."""
        n_done = self.checkpoint.n_epochs if self.checkpoint else 0
        try:
            return super().fit_loop(*args, epochs=self.max_epochs - n_done, **kwargs)
        except Enough:
            raise
        except KeyboardInterrupt:
            self.interrupts.note_raised()
            raise

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Notify the callbacks; the one that may end training comes last."""
        getattr(self, method_name)(self, **cb_kwargs)
        for _, callback in self.callbacks_:
            self._tell(callback, method_name, cb_kwargs)
        getattr(self.stopping, method_name)(self, **cb_kwargs)
        # skorch ends training only inside its loop.
        if self.is_stopped and not method_name.startswith("on_train"):
            raise Enough
        if self.checkpoint is not None and method_name == "on_epoch_end":
            self.checkpoint.end_epoch(self)

    def _tell(self, callback: Any, method_name: str, values: dict[str, Any]) -> None:
        """Notify a callback, and note if it asks to end training."""
        n_interrupts = self.interrupts.count
        try:
            getattr(callback, method_name)(self, **values)
        except KeyboardInterrupt:
            if self.interrupts.count > n_interrupts:
                raise
            self.is_stopped = True
