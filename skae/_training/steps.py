"""Steps of a solver on one batch: by a gradient, and by a line search."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .solvers import LBFGS_SCALE, is_decayed, unfit_solver


class Stage(NamedTuple):
    """Of training that stands still: shares of the first rate and decay."""

    rate: float
    decay: float


# Where decay is too little for the rows, or too much, is seen when nothing else gains.
STAGES = Stage(1.0, 3.0), Stage(0.3, 0.25), Stage(0.1, 0.06)
# Steps in which moments of gradients become worth something.
N_WARM = 20


class WarmRates:
    """Learning rates that grow to their size in the first steps, and stages after."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, stages: Iterable[Stage]
    ) -> None:
        self.groups, self.n_done = optimizer.param_groups, 0
        self.stages = iter(stages)
        self.full = [group["lr"] for group in self.groups]
        self.decays = [group.get("weight_decay", 0.0) for group in self.groups]

    def advance(self) -> None:
        """Set the rates of the next step."""
        self.n_done += 1
        if self.n_done <= N_WARM:
            self._set(self.n_done / N_WARM)

    def begin_stage(self) -> bool:
        """Set the rates and decays of the next stage; False if there is none."""
        if (stage := next(self.stages, None)) is None:
            return False
        self.n_done = N_WARM
        self._set(stage.rate)
        for group, decay in zip(self.groups, self.decays, strict=True):
            if decay:
                group["weight_decay"] = stage.decay * decay
        return True

    def _set(self, share: float) -> None:
        for group, rate in zip(self.groups, self.full, strict=True):
            group["lr"] = share * rate


class CosineRates:
    """Learning rates that fall along half a cosine, to zero at the last step."""

    def __init__(self, optimizer: torch.optim.Optimizer, n_steps: int) -> None:
        self.groups, self.n_steps, self.n_done = optimizer.param_groups, n_steps, 0
        self.first = [group["lr"] for group in self.groups]

    def advance(self) -> None:
        """Set the rates of the next step."""
        share = (1 + math.cos(math.pi * self.n_done / self.n_steps)) / 2
        self.n_done += 1
        for group, rate in zip(self.groups, self.first, strict=True):
            group["lr"] = share * rate


def gradient_step(net: Any, batch: Tensor) -> Tensor:
    """Take one step along the gradient; return the loss before it."""
    # The optimizer's own way takes as long as a small layer.
    for group in net.optimizer_.param_groups:
        for weight in group["params"]:
            weight.grad = None
    loss = net.criterion_.forward(net.module_, batch, net.generator)
    loss.backward()
    net.tell_gradients(batch)
    if net.rates is not None:
        net.rates.advance()
    try:
        net.optimizer_.step()
    except Exception as error:
        raise unfit_solver(net.settings.solver, error) from error
    if net.average is not None:
        net.average.update()
    return loss.detach()


def line_search_step(net: Any, batch: Tensor) -> Tensor:
    """Take one step of L-BFGS; return the loss before it.

    It knows no weight decay, so that the term enters the objective.
    """
    losses, decay = [], net.settings.weight_decay

    def closure() -> Tensor:
        net.optimizer_.zero_grad()
        loss = net.criterion_(net.module_, batch, net.generator)
        losses.append(loss.detach())
        penalty = decay / 2 * _squared_weights(net.module_) if decay else 0.0
        total = LBFGS_SCALE * (loss + penalty)
        total.backward()
        for weight in net.module_.parameters():
            # L-BFGS views gradients as flat, which channels that lie last are not.
            if weight.grad is not None:
                weight.grad = weight.grad.contiguous()
        net.tell_gradients(batch)
        return total

    net.optimizer_.step(closure)
    return losses[0]


def _squared_weights(network: Any) -> Any:
    named = network.named_parameters()
    return sum(w.square().sum() for name, w in named if is_decayed(name))
