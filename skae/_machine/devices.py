"""Where and how torch computes: devices, settings, generators."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .precision import full_precision
from .processes import local_device
from .threads import available_threads, draw_lock, limited_threads, worker_number


def resolve_device(device: str) -> torch.device:
    """Return the device of a name, or raise if this machine does not have it."""
    if (found := find_device(device)) is None:
        raise ValueError(
            f"device={device!r} is not available: this machine has {_available()}; "
            "device='auto' uses the first."
        )
    return found


def find_device(device: str) -> torch.device | None:
    """Return the device of a name; None if this machine does not have it."""
    available, own = _available(), local_device()
    if device == "auto":
        return own or torch.device(_own_of(available))
    if device == "cuda" and own is not None and own.type == "cuda":
        return own
    name = {"cuda": "cuda:0", "cpu:0": "cpu", "mps:0": "mps"}.get(device, device)
    if not re.fullmatch(r"cpu|mps|cuda:(0|[1-9]\d*)", name):
        raise ValueError(
            f"device={device!r} is not a device: use 'cpu', 'cuda', 'cuda:1', 'mps' or "
            f"'auto'; this machine has {available}."
        )
    return torch.device(name) if name in available else None


def _available() -> list[str]:
    """Return the names of the devices that this machine has, the fastest first."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _own_of(available: list[str]) -> str:
    """Return the fastest device; workers of a search take different GPUs in turn."""
    gpus = [name for name in available if name.startswith("cuda")]
    return gpus[worker_number() % len(gpus)] if gpus else available[0]


def check_precision(precision: str, device: str) -> None:
    """Raise if the device of this name has no such products."""
    if precision == "tf32" and (found := resolve_device(device)).type != "cuda":
        raise ValueError(
            f"precision={precision!r} needs an NVIDIA GPU, but device={device!r} is "
            f"{str(found)!r} here: use precision='float32' or 'bfloat16'."
        )


def place(rows: Any, device: torch.device) -> Any:
    """Move rows to the device, if they need at most half of its free memory.

    Otherwise they are sent batch by batch.
    """
    if device.type == "cpu":
        return rows
    if device.type != "cuda":
        return rows.to(device) if isinstance(rows, Tensor) else rows
    fits = rows.nbytes <= torch.cuda.mem_get_info(device)[0] / 2
    return rows.to(device) if fits else rows


def to_arrays(tensors: Any) -> Any:
    """Turn tensors in nested containers into arrays; other values are unchanged."""
    return _converted(tensors, Tensor, lambda tensor: tensor.cpu().numpy().copy())


def to_tensors(arrays: Any) -> Any:
    """Undo ``to_arrays``."""
    return _converted(arrays, np.ndarray, partial(torch.tensor, device="cpu"))


def _converted(values: Any, kind: type, convert: Callable[[Any], Any]) -> Any:
    if isinstance(values, kind):
        return convert(values)
    if isinstance(values, Mapping):
        return {k: _converted(value, kind, convert) for k, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_converted(value, kind, convert) for value in values)
    return values


@contextmanager
def own_settings(device: torch.device, *, grad: bool) -> Iterator[None]:
    """Compute in float32, with gradients or without, in any context of the caller."""
    with (
        limited_threads(available_threads()),
        full_precision(),
        torch.inference_mode(False),
        torch.set_grad_enabled(grad),
        torch.autocast(device.type, enabled=False),
        _default_device(),
        # Overflow and underflow of float32 give infinity or zero without a warning.
        np.errstate(over="ignore", under="ignore", invalid="ignore"),
    ):
        yield


def _default_device() -> AbstractContextManager[Any]:
    """Let the user's functions make tensors on the CPU, where generators are.

    Does nothing if the CPU is the default already: it would slow every call of torch.
    """
    # Unlike torch.get_default_device it sees a context in any version.
    is_cpu = torch.empty(0).device.type == "cpu"
    return nullcontext() if is_cpu else torch.device("cpu")


@contextmanager
def seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators from ours, and restore them afterwards.

    They belong to the process: other threads wait for them.
    """
    devices = [device] if device.type == "cuda" else []
    seed = int(torch.randint(2**62, (), generator=generator, device="cpu"))
    with draw_lock(), torch.random.fork_rng(devices):
        # torch.manual_seed would seed those of all devices, which are not restored.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield
