"""Averages of weights over steps: what is judged and kept, while training goes on."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

# Share of an average that the steps before keep at most, and how fast it grows to that.
KEPT, FIRST = 0.99, 10


class Average:
    """Exponential averages of the weights of modules (Polyak and Juditsky, 1992).

    Steps at a constant rate swing about a minimum that their average is near to: no
    schedule has to know when training will end.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.weights = [w for module in modules for w in module.parameters()]
        self.means = [w.detach().clone() for w in self.weights]
        self.n_steps = 0
        self.is_shown = False

    def update(self) -> None:
        """Let the weights after a step enter."""
        self.n_steps += 1
        kept = min(KEPT, (1 + self.n_steps) / (FIRST + self.n_steps))
        average: Any = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
        average(self.means, [w.data for w in self.weights], self.n_steps)

    def show(self) -> None:
        """Let the modules hold the averages, until they are hidden."""
        if not self.is_shown:
            self._swap()

    def hide(self) -> None:
        """Let the modules hold the weights that train."""
        if self.is_shown:
            self._swap()

    def restart(self) -> None:
        """Go on from what the modules show."""
        for weight, mean in zip(self.weights, self.means, strict=True):
            mean.copy_(weight.data)

    def _swap(self) -> None:
        for weight, mean in zip(self.weights, self.means, strict=True):
            weight.data, mean.data = mean.data, weight.data
        self.is_shown = not self.is_shown
