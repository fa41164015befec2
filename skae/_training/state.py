"""What a run of the engine leaves for the next."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .._machine.devices import to_arrays, to_tensors


@dataclass(frozen=True, eq=False)
class EngineState:
    """What the next run needs to go on as if training had never stopped, as arrays."""

    generator: np.ndarray
    split_seed: int
    #: Weights and buffers of the objective.
    objective: dict[str, Any] = field(default_factory=dict)
    #: Class of the optimizer, and its moments for each weight.
    optimizer: str | None = None
    slots: dict[Any, Any] = field(default_factory=dict)


def load_state(net: Any, state: EngineState) -> None:
    """Let an engine go on where another stopped."""
    net.generator.set_state(torch.tensor(state.generator, device="cpu"))
    net.split_seed = state.split_seed
    net.criterion_.load_state_dict(to_tensors(state.objective), strict=False)
    if state.optimizer == type(net.optimizer_).__name__:
        groups = net.optimizer_.state_dict()["param_groups"]
        slots = {k: to_tensors(slot) for k, slot in state.slots.items()}
        net.optimizer_.load_state_dict({"state": slots, "param_groups": groups})


def state_of(net: Any, keep_optimizer: bool) -> EngineState:
    """Return the state of an engine, with the optimizer's moments or without."""
    optimizer, slots = None, {}
    # The curvature that L-BFGS has seen means nothing on other rows.
    if keep_optimizer and not net.settings.is_full_batch:
        optimizer = type(net.optimizer_).__name__
        moments = net.optimizer_.state_dict()["state"]
        slots = {k: to_arrays(slot) for k, slot in moments.items()}
    return EngineState(
        net.generator.get_state().numpy(),
        net.split_seed,
        to_arrays(net.criterion_.state_dict()),
        optimizer,
        slots,
    )
