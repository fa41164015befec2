"""State that a run of the engine leaves for the next."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._machine.devices import to_arrays, to_tensors


@dataclass(frozen=True, eq=False)
class EngineState:
    """What the next run needs to continue as if training had not stopped, as arrays."""

    #: State of torch's generator, of 5 kB, or a seed for it.
    generator: np.ndarray | int
    split_seed: int
    #: Weights and buffers of the objective.
    objective: dict[str, Any] = field(default_factory=dict)
    #: Name of the optimizer, and its moments by the name of each weight.
    optimizer: str | None = None
    moments: dict[str, dict[str, Any]] = field(default_factory=dict)


def load_state(net: Any, state: EngineState) -> None:
    """Let an engine continue where another one stopped."""
    if isinstance(state.generator, int):
        net.generator.manual_seed(state.generator)
    else:
        net.generator.set_state(torch.tensor(state.generator, device="cpu"))
    net.split_seed = state.split_seed
    net.criterion_.load_state_dict(to_tensors(state.objective), strict=False)
    if state.optimizer == _kind(net.optimizer_):
        _load_moments(net, state.moments)


def _load_moments(net: Any, moments: dict[str, dict[str, Any]]) -> None:
    """Restore the moments of weights by name: parameter groups may have changed."""
    optimizer, slots = net.optimizer_, {}
    weights = [w for group in optimizer.param_groups for w in group["params"]]
    places = {id(weight): place for place, weight in enumerate(weights)}
    for name, weight in net.get_all_learnable_params():
        slot = to_tensors(moments.get(name, {}))
        if slot and all(_suits(value, weight) for value in slot.values()):
            slots[places[id(weight)]] = slot
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    lay_out(optimizer)


def lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Store moments in the order of their weights, as fused steps expect."""
    for weight, slot in optimizer.state.items():
        for name, value in slot.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                slot[name] = torch.empty_like(weight).copy_(value)


def _suits(value: Any, weight: Tensor) -> bool:
    """Whether a moment has the shape of the weight, or is a number."""
    return not isinstance(value, Tensor) or value.shape in ((), weight.shape)


def _kind(optimizer: torch.optim.Optimizer) -> str:
    """Name an optimizer and the options that decide which moments it has."""
    defaults = optimizer.defaults.items()
    options = {k: v for k, v in defaults if k not in ("lr", "weight_decay")}
    return f"{type(optimizer).__name__}({options})"


def state_of(net: Any, may_go_on: bool, is_sound: bool) -> EngineState:
    """Return the state of an engine; moments of the optimizer only if they are sound.

    If it may go on, the generator does too. Else a seed is enough for another run.
    """
    kind, moments = None, {}
    # The curvature that L-BFGS estimated is not valid for other rows.
    if may_go_on and is_sound and not net.settings.is_full_batch:
        kind, state = _kind(net.optimizer_), net.optimizer_.state
        named = net.get_all_learnable_params()
        moments = {name: to_arrays(state[w]) for name, w in named if w in state}
    generator = net.generator.get_state().numpy()
    if not may_go_on:
        generator = int(torch.randint(2**62, (), generator=net.generator, device="cpu"))
    return EngineState(
        generator,
        net.split_seed,
        to_arrays(net.criterion_.state_dict()),
        kind,
        moments,
    )
