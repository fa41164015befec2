"""What ``verbose`` prints."""

from typing import Any

from skorch.callbacks import Callback


class Log(Callback):
    """Prints a line for each epoch: losses, rows a second, the longest time left."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.seconds: list[float] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        epoch = net.history[-1]
        self.seconds.append(epoch["dur"])
        # Files and pipes should show it now, not when training ends.
        print(", ".join(self._parts(epoch, net)), flush=True)

    def _parts(self, epoch: dict[str, Any], net: Any) -> list[str]:
        n_done, n_epochs = len(self.seconds), net.max_epochs
        parts = [
            f"Epoch {n_done:{len(str(n_epochs))}}/{n_epochs}",
            f"loss {epoch['train_loss']:.6g}",
        ]
        if "unexplained" in epoch:
            parts.append(f"explained variance {1 - epoch['unexplained']:.4f}")
        left = sum(self.seconds) / n_done * (n_epochs - n_done)
        # Validation is part of an epoch, but only training rows count.
        rate = len(net.split[0]) / max(epoch["dur"], 1e-9)
        parts.append(f"{epoch['dur']:.2f} s, {rate:,.0f} rows/s")
        return [*parts, f"at most {_shown(left)} left"]


def _shown(seconds: float) -> str:
    """Return a duration in a suitable unit."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
