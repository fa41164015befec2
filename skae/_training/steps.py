"""Steps of a solver on one batch: by a gradient, and by a line search."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .solvers import LBFGS_SCALE, is_decayed, unfit_solver


class Stage(NamedTuple):
    """Stages after training stalls: multiples of the initial rate and decay."""

    rate: float
    decay: float


# Too small or too large a decay shows only when nothing else helps.
STAGES = Stage(1.0, 3.0), Stage(0.3, 0.25), Stage(0.1, 0.06)
# Number of steps until the moments of gradients are reliable.
N_WARM = 20


class WarmRates:
    """Learning rates that grow in the first steps, with stages afterwards."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, stages: Iterable[Stage]
    ) -> None:
        self.groups, self.n_done = optimizer.param_groups, 0
        self.stages, self.n_stages = list(stages), 0
        self.full = [group["lr"] for group in self.groups]
        self.decays = [group.get("weight_decay", 0.0) for group in self.groups]

    def advance(self) -> None:
        """Set the rates of the next step."""
        self.n_done += 1
        if self.n_done <= N_WARM:
            self._set(self.n_done / N_WARM)

    def begin_stage(self) -> bool:
        """Set the rates and decays of the next stage; False if there is none."""
        if self.n_stages == len(self.stages):
            return False
        stage = self.stages[self.n_stages]
        self.n_stages += 1
        self.n_done = N_WARM
        self._set(stage.rate)
        for group, decay in zip(self.groups, self.decays, strict=True):
            if decay:
                group["weight_decay"] = stage.decay * decay
        return True

    def state_dict(self) -> dict[str, int]:
        """Return what changes, besides the rates and decays of the optimizer."""
        return {"n_done": self.n_done, "n_stages": self.n_stages}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Undo ``state_dict``."""
        self.n_done, self.n_stages = state["n_done"], state["n_stages"]

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

    def state_dict(self) -> dict[str, int]:
        """Return what changes, besides the rates of the optimizer."""
        return {"n_done": self.n_done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Undo ``state_dict``."""
        self.n_done = state["n_done"]


def _backward(loss: Any) -> None:
    """Set the gradients of a loss, or raise if it has none."""
    if not loss.requires_grad:
        raise ValueError(
            "No weight is trained, since a callback has frozen all of them: freeze a "
            "part of the network only."
        )
    loss.backward()


def gradient_of(net: Any, batch: Tensor) -> Tensor:
    """Set the gradient of the loss of a batch, and return that loss."""
    # The optimizer's own method takes as long as a small layer.
    for group in net.optimizer_.param_groups:
        for weight in group["params"]:
            weight.grad = None
    if net.leader is None:
        loss: Any = net.criterion_.training_loss(net.module_, batch, net.generator)
        _backward(loss)
        return loss
    return net.leader.gradient(net, batch)


def gradient_step(net: Any, batch: Tensor) -> Tensor:
    """Take one step along the gradient; return the loss before it."""
    loss = gradient_of(net, batch)
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

    It has no weight decay, so the penalty is added to the objective.
    """
    losses = list[Tensor]()
    decay = net.settings.weight_decay

    def closure() -> Tensor:
        net.optimizer_.zero_grad()
        if net.leader is None:
            loss = net.criterion_.training_loss(net.module_, batch, net.generator)
        else:
            loss = net.leader.gradient(net, batch, is_same=bool(losses))
        losses.append(loss.detach())
        penalty = decay / 2 * _squared_weights(net.module_) if decay else 0.0
        total = LBFGS_SCALE * (loss + penalty)
        if net.leader is None:
            _backward(total)
        else:
            _add_penalty(net.optimizer_, penalty)
        for weight in net.module_.parameters():
            # L-BFGS needs contiguous gradients, unlike those of channels_last.
            if weight.grad is not None:
                weight.grad = weight.grad.contiguous()
        net.tell_gradients(batch)
        return total

    net.optimizer_.step(closure)
    return losses[0]


def _add_penalty(optimizer: Any, penalty: Any) -> None:
    """Add the gradient of a penalty to that of the loss, and scale the sum."""
    if isinstance(penalty, Tensor):
        torch.autograd.backward(penalty)
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                weight.grad.mul_(LBFGS_SCALE)


def _squared_weights(network: Any) -> Any:
    named = network.named_parameters()
    return sum(w.square().sum() for name, w in named if is_decayed(name))
