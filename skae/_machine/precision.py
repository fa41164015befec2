"""Precision of float32 products: settings of the whole process."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch

Setting = tuple[Callable[[], Any], Callable[[Any], object]]


class Pins:
    """Previous settings, and the number of blocks that override them."""

    def __init__(self, n_blocks: int = 0, undo: ExitStack | None = None) -> None:
        self.lock, self.n_blocks = threading.Lock(), n_blocks
        self.undo = undo or ExitStack()


_here = Pins()
_own = threading.local()


def _start_fork() -> None:
    """Keep the blocks of the only thread that exists in the fork."""
    global _here
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


def _attribute(owner: Any) -> Setting:
    def write(value: Any) -> None:
        owner.fp32_precision = value

    return (lambda: owner.fp32_precision), write
