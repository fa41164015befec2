"""Greedy pretraining: each layer is trained on rows as the layers below encode them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._machine.devices import to_arrays, to_tensors
from .._machine.interrupts import Interrupts
from .._machine.threads import limited_threads
from .._networks.dense import Dense
from .._networks.layers import Layer, layer, n_layers
from .._networks.linear_skip import LinearSkip
from .._objectives.layerwise import ActivationError
from .._objectives.losses import Loss, make_loss
from .._objectives.objective import Objective
from .._rows.chunks import sample
from .._rows.standardise import standardise
from .._training.engine import Engine
from .._training.state import EngineState
from .data import Data

# Number of rows that measure the input of a layer.
N_SAMPLE = 4096
# A deviation of float32 numbers, in units of their size, that rounding may make.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Input:
    """Maps standardised rows to what the first layer of a network sees."""

    whole: Any
    is_added: bool

    def __call__(self, x: Tensor) -> Tensor:
        return self.whole.near(x - self.whole.centre) if self.is_added else x


@dataclass(frozen=True, eq=False)
class Below:
    """Maps standardised rows to what a layer sees; other processes get it too."""

    enter: Input
    layers: nn.Sequential

    def __call__(self, x: Tensor) -> Tensor:
        return self.layers(self.enter(x))


class Stack:
    """The layers of the network that an engine is about to train, and its rows.

    A network that is added to PCA has hidden layers only: its code and its output start
    at zero.
    """

    def __init__(
        self, engine: Engine, rows: Any, data: Data, interrupts: Interrupts
    ) -> None:
        self.engine, self.rows, self.data = engine, rows, data
        self.interrupts = interrupts
        self.whole: Any = engine.module.to(engine.device)
        self.is_added = isinstance(self.whole, LinearSkip)
        self.network: Dense = self.whole.network if self.is_added else self.whole
        #: Rows as the first layer sees them.
        self.enter = Input(self.whole, self.is_added)

    def __len__(self) -> int:
        return n_layers(self.network) - self.is_added

    def part(self, place: int) -> "Part":
        """Return a layer, counted from the input, and what it is trained on."""
        # Random activations below the layer are off.
        self.whole.eval()
        return Part(self, layer(self.network, place), is_first=place == 0)

    def run(
        self, part: "Part", objective: Objective, n_epochs: int, state: EngineState
    ) -> Engine:
        """Train a layer with the settings of the whole network."""
        settings = replace(
            self.engine.settings,
            max_epochs=n_epochs,
            keeps_start=False,
            # In so few steps no other decay shows its effect.
            decay_is_open=False,
        )
        engine = Engine(
            part.layer.network,
            objective,
            settings,
            device=self.engine.device,
            verbose=self.engine.verbose,
        )
        engine.checkpoint, engine.leader = self.engine.checkpoint, self.engine.leader
        engine.run(self.rows, self.data.split, state, self.interrupts)
        if engine.interrupted:
            raise KeyboardInterrupt
        # Only the last engine holds back an interrupt, to store its results.
        self.interrupts.n_held = 0
        return engine

    def result(self, place: int) -> dict[str, Any] | None:
        """Return what training a layer left in the checkpoint, and set the weights."""
        checkpoint = self.engine.checkpoint
        if checkpoint is None or place >= len(checkpoint.stages):
            return None
        result: dict[str, Any] = checkpoint.stages[place]
        self.whole.load_state_dict(to_tensors(result["weights"]))
        return result

    def keep(self, losses: list[float], generator: np.ndarray) -> dict[str, Any]:
        """Return the result of a layer, and store it in the checkpoint."""
        result = {"losses": losses, "generator": generator}
        if (checkpoint := self.engine.checkpoint) is not None:
            weights = to_arrays(self.whole.state_dict())
            checkpoint.end_stage({**result, "weights": weights})
        return result

    def close(self) -> None:
        """Let a network that is added to PCA start at zero again."""
        if self.is_added:
            self.whole.zero_last_layers()
        if self.engine.max_epochs:
            self.say("All layers")

    def say(self, heading: str) -> None:
        """Print what the lines of epochs that follow are about, if there are any."""
        if self.engine.verbose:
            print(heading, flush=True)


@dataclass(frozen=True, eq=False)
class Part:
    """A layer of a stack, and its input: rows as the layers below encode them."""

    stack: Stack
    layer: Layer
    is_first: bool

    @property
    def below(self) -> Below:
        """What maps standardised rows to the layer's input."""
        return Below(self.stack.enter, self.layer.below)

    @cached_property
    def unit(self) -> tuple[np.ndarray, float]:
        """Mean and deviation of the input; rows of the data are standardised."""
        if self.is_first:
            return np.zeros(self.layer.n_inputs, np.float32), 1.0
        index = torch.from_numpy(sample(self.stack.data.split[0], N_SAMPLE))
        rows = self.stack.rows.index_select(0, index).to(self.stack.engine.device)
        # The number of threads changes the last bits.
        with torch.no_grad(), limited_threads(1):
            seen = self.below(rows)
            mean = seen.mean(0)
            scale = float((seen - mean).square().mean().sqrt())
            least = ROUNDING * float(mean.square().mean().sqrt())
        # A layer of dead units, or of equal rows, varies by rounding at most.
        return mean.cpu().numpy(), scale if scale > least else 1.0

    def zeros(self) -> Tensor:
        """Return an input of zeros, standardised; of data, zeros in their unit."""
        mean, scale = self.unit
        if not self.is_first:
            return torch.from_numpy(-mean / scale)
        data = self.stack.data
        row = standardise(np.zeros_like(data.mean)[np.newaxis], data.mean, data.scale)
        return self.stack.enter(row.to(self.stack.engine.device))[0].cpu()

    def loss(self, name: Any) -> Loss:
        """Return the error of the layer; the loss of this name is for rows of data."""
        if not self.is_first:
            return ActivationError(*self.unit, self.layer.activation)
        if self.stack.is_added:
            return make_loss("squared_error", *self.unit)
        return make_loss(name, self.stack.data.mean, self.stack.data.scale)
