"""A run that several processes share: the first one trains, the others only help.

The first process runs a fit as if it were alone: it starts from PCA, steps, validates,
stops and selects. In each step it sends the weights. All processes compute the gradient
of the loss of their part of the batch, and it gets the sum. So nothing can be decided
in two ways, and any solver works.
"""

import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._machine.devices import place, seeded
from .._machine.interrupts import Interrupts, postponed
from .._machine.precision import faster_products
from .._machine.processes import Part, Processes, computing
from .._machine.threads import limited_threads
from .._networks.windows import BatchNorm
from .._objectives.losses import CallableLoss
from .._rows.batches import Batches, read_rows

#: What a message of weights asks for: the next batch, the same one again, or no more.
NEXT, AGAIN, OVER = 1.0, 2.0, 0.0


@dataclass(frozen=True, eq=False)
class RunOrder:
    """Asks the other processes to take part in a run."""

    network: Any
    objective: Any
    mean: np.ndarray
    scale: float
    index: np.ndarray
    places: np.ndarray | None
    #: None for all rows at once.
    batch_size: int | None
    n_threads: int | None
    draws_globally: bool


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """Asks the other processes to take part in an epoch."""

    #: State of the generator when the epoch began, and after the batches that are over.
    start: np.ndarray
    now: np.ndarray
    n_done: int
    share: float
    buffers: list[Tensor]


@dataclass(frozen=True, eq=False)
class Result:
    """Tells the other processes how the fit ended."""

    fitted: dict[str, Any]
    is_interrupted: bool
    error: BaseException | None = None


class Leader:
    """The first process of a fit: it asks the others for gradients.

    ``unit`` is the mean and the scale of the rows.
    """

    def __init__(self, processes: Processes, unit: tuple[np.ndarray, float]) -> None:
        self.processes, self.unit, self.part = processes, unit, Part(processes)
        self._net: Any = None
        #: What the others wait for, if this process fails.
        self._steps = self._sums = False
        self._n_rows = list[int]()

    def begin_epoch(self, net: Any) -> None:
        """Ask the others to take part in an epoch, from its next batch."""
        if net is not self._net:
            check_shareable(net)
            self.processes.tell(self._order(net))
            self._net = net
        start, n_done = net.generator.get_state(), 0
        if net.checkpoint is not None:
            start, n_done = net.checkpoint.epoch_begun
        now = net.generator.get_state().numpy()
        share, buffers = net._share_done(), _buffers(net.module_, net.criterion_)
        order = EpochOrder(start.numpy(), now, n_done, share, buffers)
        with postponed(net.interrupts):
            self.processes.tell(order)
            self._steps, self._n_rows = True, []

    def _order(self, net: Any) -> RunOrder:
        return RunOrder(
            net.module_,
            net.criterion_,
            *self.unit,
            net.split[0],
            None if net.places is None else net.places.numpy(),
            None if net.settings.is_full_batch else net.batch_size,
            net.n_threads,
            net.settings.draws_globally,
        )

    def end_epoch(self) -> list[int]:
        """Let the others wait for the next epoch; return the sizes of the batches."""
        with postponed(self._net.interrupts):
            self.processes.spread(self._message(OVER))
            self._steps = False
        return self._n_rows

    def gradient(self, net: Any, batch: Tensor, is_same: bool = False) -> Tensor:
        """Set the gradient of the loss of the whole batch, and return that loss."""
        with postponed(net.interrupts):
            self.processes.spread(self._message(AGAIN if is_same else NEXT))
            self._sums = True
            if not is_same:
                self._n_rows.append(self.part.n_rows)
            weights = _weights(net.module_, net.criterion_)
            loss = partial_gradient(net.module_, net.criterion_, batch, net, self.part)
            total = self.processes.sum_to_first(_gradients(weights, loss, 0.0))
            self._sums = False
        *slopes, loss, n_failed = torch.split(
            total, [*(weight.numel() for weight in weights), 1, 1]
        )
        if n_failed:
            raise RuntimeError(
                f"{int(n_failed)} of the other processes of this fit failed: their own "
                "output says why."
            )
        for weight, slope in zip(weights, slopes, strict=True):
            if weight.grad is not None:
                weight.grad.copy_(slope.view_as(weight))
        return loss[0]

    def _message(self, kind: float) -> Tensor:
        return message_of(_weights(self._net.module_, self._net.criterion_), kind)

    def end(self, result: Result) -> None:
        """Tell the others how the fit ended, whatever they wait for."""
        if self.processes.is_lost:
            return
        if self._sums:
            message = self._message(OVER)
            self.processes.sum_to_first(torch.cat([message, message[:1]]))
            self._sums = False
        if self._steps:
            self.end_epoch()
        self.processes.tell(result)


@contextmanager
def leading(
    leader: Leader, fitted: Callable[[], dict[str, Any]], interrupts: Interrupts
) -> Iterator[None]:
    """Tell the other processes how the block ended: what was fitted, or an error."""
    try:
        yield
        leader.end(Result(fitted(), interrupts.count > 0))
    except BaseException as error:
        interrupts.n_held = math.inf
        leader.end(Result({}, False, _sendable(error)))
        raise


def _sendable(error: BaseException) -> BaseException:
    """Return an error that can be sent to other processes."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Follower:
    """Another process of a fit: it computes gradients until it hears the result."""

    def __init__(
        self, processes: Processes, X: Any, device: torch.device, interrupts: Interrupts
    ) -> None:
        self.processes, self.X, self.device = processes, X, device
        self.part = Part(processes)
        self.generator = torch.Generator("cpu")
        self.rows: Any = None
        #: What made this process unable to help.
        self.error: Exception | None = None
        #: The first process decides what an interrupt does; a second one is obeyed.
        interrupts.n_held = 1

    def follow(self) -> Result:
        """Take part in all runs of the fit, and return how it ended."""
        while True:
            order = self.processes.hear(self.device)
            if isinstance(order, RunOrder):
                self.order = order
            elif isinstance(order, EpochOrder):
                self._run(order)
            elif self.error is not None:
                raise self.error
            else:
                return order

    def _batches(self, epoch: EpochOrder) -> Iterator[Tensor]:
        """Yield our parts of the batches that are left in an epoch."""
        self.generator.set_state(torch.from_numpy(epoch.start))
        batches = iter(self._all_batches())
        for _ in range(epoch.n_done):
            next(batches)
        if epoch.n_done:
            self.generator.set_state(torch.from_numpy(epoch.now))
        yield from batches

    def _all_batches(self) -> Batches:
        order = self.order
        if self.rows is None:
            rows = read_rows(self.X, order.mean, order.scale)
            self.rows = place(rows, self.device)
        index, places = torch.tensor(order.index, device="cpu"), order.places
        is_full = order.batch_size is None
        return Batches(
            self.rows,
            index,
            order.batch_size or len(index),
            self.device,
            None if is_full else self.generator,
            None if places is None else torch.from_numpy(places),
            self.part,
        )

    def _run(self, epoch: EpochOrder) -> None:
        """Compute gradients of the batches of an epoch."""
        network, objective = self.order.network, self.order.objective
        network.train()
        objective.train()
        objective.advance(network, epoch.share)
        for own, new in zip(_buffers(network, objective), epoch.buffers, strict=True):
            own.copy_(new)
        seeds: AbstractContextManager[None] = nullcontext()
        if self.order.draws_globally:
            seeds = seeded(self._own_generator(epoch), self.device)
        faster = faster_products(objective.precision)
        with limited_threads(self.order.n_threads), seeds, faster:
            self._answer(self._batches(epoch))

    def _own_generator(self, epoch: EpochOrder) -> torch.Generator:
        """Return a generator for modules that draw for our own rows."""
        own = torch.Generator("cpu")
        own.set_state(torch.from_numpy(epoch.now))
        seed = int(torch.randint(2**62, (), generator=own, device="cpu"))
        return own.manual_seed(seed + self.processes.rank)

    def _answer(self, batches: Iterator[Tensor]) -> None:
        """Answer with gradients until the epoch is over."""
        weights = _weights(self.order.network, self.order.objective)
        sizes = [weight.numel() for weight in weights]
        message = message_of(weights, OVER)
        network, objective = self.order.network, self.order.objective
        batch = message
        while True:
            *values, kind = torch.split(self.processes.spread(message), [*sizes, 1])
            if kind == OVER:
                return
            for weight, value in zip(weights, values, strict=True):
                weight.data.copy_(value.view_as(weight))
                weight.grad = None
            loss = message.new_zeros(())
            try:
                batch = next(batches) if kind == NEXT else batch
                loss = partial_gradient(network, objective, batch, self, self.part)
            except Exception as error:
                self.error = error
            has_failed = float(self.error is not None)
            self.processes.sum_to_first(_gradients(weights, loss, has_failed))


def message_of(weights: list[Tensor], kind: float) -> Tensor:
    """Return weights, and what they are for, as one message."""
    parts = [weight.detach().reshape(-1) for weight in weights]
    return torch.cat([*parts, parts[0].new_full((1,), kind)])


def partial_gradient(
    network: Any, objective: Any, batch: Tensor, owner: Any, part: Part
) -> Tensor:
    """Set the gradient of our share of the loss of a batch, and return that share."""
    with computing(part):
        loss = objective.training_loss(network, batch, owner.generator)
        loss = part.weight * loss
        loss.backward()
    return loss.detach()


def _gradients(weights: list[Tensor], loss: Tensor, failed: float) -> Tensor:
    """Return gradients, a loss, and whether there is none, as one message."""
    slopes = [
        torch.zeros_like(w).view(-1) if w.grad is None else w.grad.reshape(-1)
        for w in weights
    ]
    return torch.cat([*slopes, loss.view(1), loss.new_full((1,), failed)])


def _weights(*modules: nn.Module) -> list[Tensor]:
    return [weight for module in modules for weight in module.parameters()]


def _buffers(*modules: nn.Module) -> list[Tensor]:
    return [buffer for module in modules for buffer in module.buffers()]


def check_shareable(net: Any) -> None:
    """Raise if a part of a batch would not do what the whole batch does."""
    for module in net.module_.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(
            module, BatchNorm | nn.SyncBatchNorm
        ):
            raise ValueError(
                f"data_parallel cannot share {module!r}: each process would normalise "
                "by its own rows. Use layer or group normalization."
            )
    loss = net.criterion_.loss
    if isinstance(loss, CallableLoss) and not _is_mean(net, loss):
        raise ValueError(
            f"data_parallel cannot share loss={loss.function!r}: its value for some "
            "rows is not the mean of those for each of them."
        )


@torch.no_grad()
def _is_mean(net: Any, loss: CallableLoss) -> bool:
    """Whether the loss of two rows is the mean of their losses."""
    batch = next(iter(net.get_iterator(torch.tensor(net.split[0][:2], device="cpu"))))
    x, _ = net.criterion_.parts(batch)
    x = x.nan_to_num()
    output = loss.first_output().expand_as(x)
    each = [loss(output[i : i + 1], x[i : i + 1]) for i in range(len(x))]
    return bool(torch.isclose(loss(output, x), torch.stack(each).mean(), rtol=1e-3))
