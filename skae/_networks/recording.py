"""Graphs of a network: what holds for values is not known while one is recorded."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

# Its functions have no types.
jit: Any = torch.jit

_is_recorded_by_us = ContextVar("_is_recorded_by_us", default=False)


@contextmanager
def recording() -> Iterator[None]:
    """Tell networks that a graph is recorded in another way than by torch's own."""
    token = _is_recorded_by_us.set(True)
    try:
        yield
    finally:
        _is_recorded_by_us.reset(token)


def is_recorded() -> bool:
    """Whether calls are recorded in a graph, so that no branch may depend on values."""
    return jit.is_tracing() or torch.compiler.is_compiling() or _is_recorded_by_us.get()


def width_of(code: Tensor) -> int:
    """Return the number of components, which is fixed in a graph."""
    if not jit.is_tracing():
        return int(code.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jit.TracerWarning)
        return int(code.shape[1])
