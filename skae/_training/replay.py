"""Steps that a GPU repeats from a CUDA graph.

A small network waits for its operations to be launched, not for their results. A graph
launches all those of a step at once.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .._objectives.losses import CallableLoss
from .steps import gradient_of, gradient_step

# Number of steps of a batch size that show what a step needs, before it is recorded.
N_BEFORE = 3
# Products of a step from which launches do not matter.
LARGE = 2e10


def can_replay(net: Any) -> bool:
    """Whether a step does the same with each batch, and nobody looks into it."""
    objective, settings = net.criterion_, net.settings
    return (
        torch.device(net.device).type == "cuda"
        and settings.solver in ("adam", "adamw")
        and net.leader is None
        and not net.callbacks
        and not settings.draws_globally
        and not torch.is_anomaly_enabled()
        and objective.is_repeatable
        and not isinstance(objective.loss, CallableLoss)
        and net.module_.n_products * net.batch_size < LARGE
    )


class Replay:
    """Takes steps like ``gradient_step``, from a graph for each size of a batch."""

    def __init__(self) -> None:
        self.graphs: dict[int, Recording] = {}
        self.n_before: dict[int, float] = {}

    def __call__(self, net: Any, batch: Tensor) -> Tensor:
        """Take one step; return the loss before it, which the next step replaces."""
        size = len(batch)
        graph = self.graphs.get(size)
        if graph is None or graph.fixed != fixed_values(net):
            self.n_before[size] = self.n_before.get(size, 0) + 1
            if self.n_before[size] <= N_BEFORE:
                return gradient_step(net, batch)
            try:
                graph = self.graphs[size] = Recording(net, batch)
            except RuntimeError:
                # Nothing was computed, but something cannot be recorded.
                self.n_before[size] = -math.inf
                return gradient_step(net, batch)
        return graph.step(net, batch)


def fixed_values(net: Any) -> list[float]:
    """Return what a graph cannot read anew: weight decays, and where weights are."""
    groups = net.optimizer_.param_groups
    return [g["weight_decay"] for g in groups] + [groups[0]["params"][0].data_ptr()]


@cache
def _stream(device: torch.device) -> Any:
    """Return where steps are recorded: cuBLAS keeps memory for each stream."""
    make: Any = torch.cuda.Stream
    return make(device)


class Recording:
    """A step of one batch size. It reads the batch and the rates at fixed places."""

    def __init__(self, net: Any, batch: Tensor) -> None:
        self.fixed = fixed_values(net)
        self.groups = net.optimizer_.param_groups
        self.batch = batch.clone()
        self.rates = [Place(batch) for _ in self.groups]
        self.share = Place(batch)
        self.graph = torch.cuda.CUDAGraph()
        recording = torch.cuda.graph(
            self.graph,
            stream=_stream(batch.device),
            capture_error_mode="thread_local",
        )
        with torch.cuda.device(batch.device), recording, self._rates_at_places():
            self.loss = gradient_of(net, self.batch).detach()
            net.optimizer_.step()
            if net.average is not None:
                net.average.move(self.share.value)

    @contextmanager
    def _rates_at_places(self) -> Iterator[None]:
        """Let the optimizer read its rates at fixed places."""
        before = [(group["lr"], group["capturable"]) for group in self.groups]
        for group, place in zip(self.groups, self.rates, strict=True):
            group["lr"], group["capturable"] = place.value, True
        try:
            yield
        finally:
            for group, (rate, is_capturable) in zip(self.groups, before, strict=True):
                group["lr"], group["capturable"] = rate, is_capturable

    def step(self, net: Any, batch: Tensor) -> Tensor:
        """Take the step with another batch."""
        self.batch.copy_(batch)
        if net.rates is not None:
            net.rates.advance()
        for group, place in zip(self.groups, self.rates, strict=True):
            place.put(group["lr"])
        if net.average is not None:
            self.share.put(1 - net.average.advance())
        self.graph.replay()
        return self.loss


class Place:
    """A number on the device, that is written only if it changes."""

    def __init__(self, like: Tensor) -> None:
        self.value, self.last = like.new_zeros(()), 0.0

    def put(self, value: float) -> None:
        """Write the number."""
        if value != self.last:
            self.last = value
            self.value.fill_(value)
