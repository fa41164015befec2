"""Averages of weights over steps: they are evaluated and kept during training."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

# Maximum decay of the average, and how fast it is reached.
KEPT, FIRST = 0.99, 10


class Average:
    """Exponential averages of the weights of modules (Polyak and Juditsky, 1992).

    With a constant rate the weights oscillate about a minimum, and their average is
    near it. So no schedule needs to know when training ends.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.weights = [w for module in modules for w in module.parameters()]
        self.means = [w.detach().clone() for w in self.weights]
        self.n_steps = 0
        self.is_shown = False

    def update(self) -> None:
        """Add the weights after a step."""
        kept = self.advance()
        average: Any = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
        average(self.means, [w.data for w in self.weights], self.n_steps)

    def advance(self) -> float:
        """Count a step, and return the share of the averages that it keeps."""
        self.n_steps += 1
        return min(KEPT, (1 + self.n_steps) / (FIRST + self.n_steps))

    def move(self, share: Tensor) -> None:
        """Add the weights, with a share that only the device reads."""
        moves = torch._foreach_sub([w.data for w in self.weights], self.means)
        torch._foreach_mul_(moves, share)
        torch._foreach_add_(self.means, moves)

    def show(self) -> None:
        """Put the averages into the modules, until ``hide``."""
        if not self.is_shown:
            self._swap()

    def hide(self) -> None:
        """Put the trained weights back into the modules."""
        if self.is_shown:
            self._swap()

    def restart(self) -> None:
        """Restart the averages at the modules' weights."""
        for weight, mean in zip(self.weights, self.means, strict=True):
            mean.copy_(weight.data)

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from step to step."""
        state = {"n_steps": self.n_steps, "is_shown": self.is_shown}
        return {**state, "means": list(self.means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo ``state_dict``."""
        self.n_steps, self.is_shown = state["n_steps"], state["is_shown"]
        for mean, value in zip(self.means, state["means"], strict=True):
            mean.copy_(value)

    def _swap(self) -> None:
        for weight, mean in zip(self.weights, self.means, strict=True):
            weight.data, mean.data = mean.data, weight.data
        self.is_shown = not self.is_shown
