"""Precision of products: of the whole process, and of one computation."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    suppress,
)
from typing import Any

import torch

#: How products may be rounded: to 24, 11 and 8 bits.
PRECISIONS = "float32", "tf32", "bfloat16"
Setting = tuple[Callable[[], Any], Callable[[Any], object]]


class Pins:
    """Previous settings, and the number of blocks that override them."""

    def __init__(self, n_blocks: int = 0, undo: ExitStack | None = None) -> None:
        self.lock, self.n_blocks = threading.Lock(), n_blocks
        self.undo = undo or ExitStack()
        #: Undoes what ``faster_products`` has set.
        self.lowered = ExitStack()


_here = Pins()
_own = threading.local()


def _start_fork() -> None:
    """Keep the blocks of the only thread that exists in the fork."""
    global _here
    _here.lowered.close()
    n_blocks, undo = getattr(_own, "n_blocks", 0), _here.undo
    _here = Pins(n_blocks, undo if n_blocks else None)
    if not n_blocks:
        undo.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_fork)


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply in full float32, for any setting of torch.

    With several blocks at once, the last one to end restores what the first one found.
    The choice of kernels is unchanged: some may crash on a machine.
    """
    with _here.lock:
        _here.lowered.close()
        if not _here.n_blocks:
            _pin(_here.undo)
        _here.n_blocks += 1
    _own.n_blocks = getattr(_own, "n_blocks", 0) + 1
    try:
        yield
    finally:
        _own.n_blocks -= 1
        with _here.lock:
            _here.n_blocks -= 1
            if not _here.n_blocks:
                _here.undo.close()


@contextmanager
def faster_products(precision: str) -> Iterator[None]:
    """Let NVIDIA GPUs round the factors of products to TF32, if that is asked for.

    The setting belongs to the process. Blocks of full precision end it, and it does not
    begin while another thread has one.
    """
    is_asked = precision == "tf32"
    with _here.lock:
        if is_asked and _here.n_blocks == getattr(_own, "n_blocks", 0):
            _allow_tf32(True, _here.lowered)
    try:
        yield
    finally:
        with _here.lock:
            _here.lowered.close()


def rounded_products(
    precision: str, device: torch.device
) -> AbstractContextManager[Any]:
    """Let the forward pass compute in bfloat16 where torch does, if that is asked for.

    The gradient of an operation has the precision of the operation.
    """
    if precision != "bfloat16":
        return nullcontext()
    # Rounded weights would be kept until the outermost context ends, for all steps.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def unrounded_products(device: torch.device) -> AbstractContextManager[Any]:
    """Compute a part of a forward pass in the precision of its operands."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _pin(undo: ExitStack) -> None:
    """Reset settings that are not torch's defaults; outer ones before inner ones."""
    # It cannot be read if the settings below contradict it: then those count.
    with suppress(RuntimeError):
        before = torch.get_float32_matmul_precision()
        if before != "highest":
            torch.set_float32_matmul_precision("highest")
            undo.callback(torch.set_float32_matmul_precision, before)
    for read, write in _settings():
        # Inner settings that are not set return the outer one.
        if (before := read()) not in ("none", "ieee"):
            write("none")
            undo.callback(write, before)
    # torch lets GPUs round the factors of convolutions by default.
    if torch.version.cuda:
        _allow_tf32(False, undo)


def _settings() -> list[Setting]:
    """Return how to read and write the settings of newer versions of torch."""
    mkldnn: Any = torch.backends.mkldnn
    if not hasattr(mkldnn, "matmul"):
        return []
    of_mkldnn: Setting = (
        lambda: mkldnn.fp32_precision,
        # As an attribute it would apply to all backends.
        lambda value: mkldnn.set_flags(None, None, None, value),
    )
    inner = map(_attribute, (mkldnn.matmul, mkldnn.conv, mkldnn.rnn))
    return [_attribute(torch.backends), of_mkldnn, *inner]


def _allow_tf32(is_allowed: bool, undo: ExitStack) -> None:
    """Let NVIDIA GPUs round the factors of products to TF32, or not."""
    cudnn: Any = torch.backends.cudnn
    owners: list[Any] = [torch.backends.cuda.matmul, cudnn]
    # Newer versions of torch have a setting for each operation, too: they must agree.
    parts = [owners[0], getattr(cudnn, "conv", None), getattr(cudnn, "rnn", None)]
    for part in parts:
        if hasattr(part, "fp32_precision"):
            undo.callback(setattr, part, "fp32_precision", part.fp32_precision)
    for owner in owners:
        # It cannot be read if the others contradict it: then those count.
        with suppress(RuntimeError):
            undo.callback(setattr, owner, "allow_tf32", owner.allow_tf32)
        owner.allow_tf32 = is_allowed


def _attribute(owner: Any) -> Setting:
    def write(value: Any) -> None:
        owner.fp32_precision = value

    return (lambda: owner.fp32_precision), write
