"""Processes that share the minibatches of a fit: each computes a part of every batch.

What an objective computes of all rows of a batch goes through the functions at the end.
Without processes they do nothing.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import Tensor


class Processes:
    """The processes that share a fit; the first one decides and writes.

    ``device`` is where messages are, as the backend of the process group needs.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device
        #: Whether one of them has not answered, so that no message is safe.
        self.is_lost = False

    @property
    def is_first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    def collect(self, value: Any) -> list[Any]:
        """Return the values of all processes, in their order."""
        values = self.size * [None]
        with self._answered():
            torch.distributed.all_gather_object(values, value)
        return values

    def tell(self, value: Any) -> None:
        """Send a value from the first process to the others, which ``hear`` it."""
        file = io.BytesIO()
        torch.save(value, file)
        with self._answered():
            torch.distributed.broadcast_object_list([file.getvalue()], device=self._at)

    def hear(self, device: torch.device) -> Any:
        """Return the value that the first process tells; its tensors on a device."""
        values: list[Any] = [None]
        with self._answered():
            torch.distributed.broadcast_object_list(values, device=self._at)
        file = io.BytesIO(values[0])
        return torch.load(file, map_location=device, weights_only=False)

    @property
    def _at(self) -> torch.device | None:
        return None if self.device.type == "cpu" else self.device

    def spread(self, x: Tensor) -> Tensor:
        """Return the tensor of the first process."""
        message = x.to(self.device)
        with self._answered():
            torch.distributed.broadcast(message, src=0)
        return message.to(x.device)

    def sum_to_first(self, x: Tensor) -> Tensor:
        """Return the sum over processes, in the first one."""
        message = x.to(self.device)
        with self._answered():
            torch.distributed.reduce(message, dst=0)
        return message.to(x.device)

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over processes, in all of them."""
        message = x.detach().to(self.device, copy=True).contiguous()
        with self._answered():
            torch.distributed.all_reduce(message)
        return message.to(x.device)

    def gather(self, x: Tensor) -> list[Tensor]:
        """Return the tensors, of one shape, of all processes."""
        message = x.detach().to(self.device).contiguous()
        parts = [torch.empty_like(message) for _ in range(self.size)]
        with self._answered():
            torch.distributed.all_gather(parts, message)
        return [part.to(x.device) for part in parts]

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Raise if another process does not answer."""
        if self.is_lost:
            raise RuntimeError(
                "A process of data_parallel was lost in an earlier fit: start all "
                "processes again."
            )
        try:
            yield
        except RuntimeError as error:
            self.is_lost = True
            raise RuntimeError(
                "Another process of this fit ended, or did not answer within the "
                "time-out of the process group. Its own output may say why. Start all "
                f"processes again. Here the message is: {error}"
            ) from error


class Part:
    """The rows of the present batch that are this process's.

    With fewer rows than processes, the last processes have the first row, and it does
    not count.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes, self.n_rows = processes, 0

    def begin(self, index: Tensor) -> Tensor:
        """Begin a batch of these rows, and return those of them that are our own."""
        self.n_rows = len(index)
        return self.own(index)

    def own(self, x: Tensor, dim: int = 0) -> Tensor:
        """Return our part of all rows of a batch."""
        n_rows = x.shape[dim]
        first, count = self._bounds(n_rows, self.processes.rank)
        return x.narrow(dim, first, count) if count else x.narrow(dim, 0, 1)

    @property
    def weight(self) -> float:
        """Return the share of the rows that are our own."""
        return self._bounds(self.n_rows, self.processes.rank)[1] / self.n_rows

    def whole(self, x: Tensor) -> Tensor:
        """Return the rows of all processes, without a gradient."""
        counts = [
            self._bounds(self.n_rows, rank)[1] for rank in range(self.processes.size)
        ]
        missing = counts[0] - len(x)
        if missing:
            x = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
        parts = self.processes.gather(x)
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])

    def _bounds(self, n_rows: int, rank: int) -> tuple[int, int]:
        """Return the first row of a process, and how many it has."""
        least, extra = divmod(n_rows, self.processes.size)
        return rank * least + min(rank, extra), least + (rank < extra)


_processes: ContextVar[Processes | None] = ContextVar("_processes", default=None)
_is_busy: ContextVar[bool] = ContextVar("_is_busy", default=False)
_part: ContextVar[Part | None] = ContextVar("_part", default=None)


def sharing_processes() -> Processes | None:
    """Return the processes that share the next fit; None if it is not shared."""
    return None if _is_busy.get() else _processes.get()


def local_device() -> torch.device | None:
    """Return this process's own device among several processes; None elsewhere."""
    processes = _processes.get()
    return None if processes is None else processes.device


def is_silent() -> bool:
    """Whether another process says the same."""
    processes = _processes.get()
    return processes is not None and not processes.is_first


@contextmanager
def set_to(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Set a context variable in a block."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def shared_by(processes: Processes | None) -> Any:
    """Let these processes share the fits in a block."""
    return set_to(_processes, processes)


def busy() -> Any:
    """Let fits in a block, such as those of callbacks, be of this process alone."""
    return set_to(_is_busy, True)


def computing(part: Part | None) -> Any:
    """Compute a part of a batch in a block; None for a whole batch."""
    return set_to(_part, part)


def is_shared() -> bool:
    """Whether a part of a batch is computed now."""
    return _part.get() is not None


def on_whole_batch(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function, which needs no gradient, to all rows of the batch."""
    if (part := _part.get()) is None:
        return function(x)
    with computing(None):
        return part.own(function(part.whole(x)))


def whole_batch(x: Tensor) -> Tensor:
    """Return the rows of all processes, without a gradient."""
    part = _part.get()
    return x if part is None else part.whole(x)


def rows_in_batch(own: Tensor) -> int:
    """Return the number of rows of the batch, given our own rows."""
    return len(own) if (part := _part.get()) is None else part.n_rows


def drawn(
    draw: Callable[[tuple[int, ...]], Tensor], shape: tuple[int, ...], dim: int = 0
) -> Tensor:
    """Draw numbers for all rows of a batch, and return those for our own ones."""
    if (part := _part.get()) is None:
        return draw(shape)
    return part.own(draw((*shape[:dim], part.n_rows, *shape[dim + 1 :])), dim)


def batch_mean(own: Tensor) -> Tensor:
    """Return the mean over all rows, given that over our own rows."""
    part = _part.get()
    return own if part is None else _shared_mean(own, part)


def batch_total(own: Tensor) -> Tensor:
    """Return our share of the sum over all rows, given the sum over our own rows."""
    if (part := _part.get()) is None:
        return own
    weight = part.weight
    # A row that does not count has a loss that does not count.
    return part.processes.sum(own if weight else 0 * own) * (weight or 1.0)


def in_whole_batch(own: Tensor) -> Tensor:
    """Return where a condition holds in any of the processes."""
    if (part := _part.get()) is None:
        return own
    return part.processes.sum(own.float()) > 0


class _Mean(torch.autograd.Function):
    """A mean over processes, which the losses of all of them depend on."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, part: Part) -> Tensor:
        ctx.processes, ctx.weight = part.processes, part.weight
        return part.processes.sum(own * part.weight)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.sum(slopes[0]) * ctx.weight, None


_shared_mean = cast(Callable[[Tensor, Part], Tensor], _Mean.apply)
