"""What ends training: a callback that asks for it, or an interrupt."""

from typing import Any

from skorch import NeuralNet

from .._machine.interrupts import Enough


class EndedNet(NeuralNet):
    """Tells callbacks that end training from interrupts, which skorch treats alike.

    A subclass has ``interrupts``, and ``stopping``, a callback that hears all last.
    """

    #: Whether a callback has asked to end training.
    is_stopped = False

    @property
    def ended_at_once(self) -> bool:
        """Whether training was ended before an epoch was over."""
        return self.stopping.is_finite and not self.epochs()

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
        """Whether the last of the epochs allowed still gained, of no schedule's."""
        is_last = self.stop_reason == "max_iter" and self.stopping.n_stale == 0
        return is_last and self.is_stationary and not self.settings.decays_rate

    def fit_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Run all epochs; of what ends them, note what came from outside."""
        try:
            return super().fit_loop(*args, **kwargs)
        except Enough:
            raise
        except KeyboardInterrupt:
            self.interrupts.note_raised()
            raise

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Tell the callbacks; the one that may end training hears it last."""
        getattr(self, method_name)(self, **cb_kwargs)
        for _, callback in self.callbacks_:
            self._tell(callback, method_name, cb_kwargs)
        getattr(self.stopping, method_name)(self, **cb_kwargs)
        # skorch ends training inside its loop alone.
        if self.is_stopped and not method_name.startswith("on_train"):
            raise Enough

    def _tell(self, callback: Any, method_name: str, values: dict[str, Any]) -> None:
        """Tell a callback, and note if it asks to end training."""
        n_interrupts = self.interrupts.count
        try:
            getattr(callback, method_name)(self, **values)
        except KeyboardInterrupt:
            if self.interrupts.count > n_interrupts:
                raise
            self.is_stopped = True
