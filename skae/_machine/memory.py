"""Memory of this machine and of its devices."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# A weight, its gradient and a copy for the solver or the best epoch, in float32.
BYTES_OF_A_WEIGHT = 3 * 4


def total_memory() -> int | None:
    """Return the total memory in bytes; None if the system does not tell."""
    names = "SC_PHYS_PAGES", "SC_PAGE_SIZE"
    if not set(names) <= set(getattr(os, "sysconf_names", ())):
        return None
    n_pages, page_size = (os.sysconf(name) for name in names)
    return n_pages * page_size


def check_memory(n_weights: int, what: str) -> None:
    """Raise if ``n_weights`` weights do not fit in memory."""
    needed, total = BYTES_OF_A_WEIGHT * n_weights, total_memory()
    if total is not None and needed > total:
        raise ValueError(
            f"{what} make a network of {n_weights:.3g} weights, which needs at least "
            f"{needed:.3g} bytes to train, but this machine has {total:.3g}. Use fewer "
            "or narrower layers."
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the machine or a device has no memory left."""
    kinds = MemoryError, torch.OutOfMemoryError
    # torch has no class for the memory of a CPU.
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error)


@contextmanager
def told_of_memory(cure: Callable[[], str]) -> Iterator[None]:
    """Turn an error of torch about memory into one that says what helps."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        told = f" ({error})" if str(error) else ""
        raise MemoryError(f"Not enough memory to train{told}: {cure()}.") from error


def in_smaller_parts(function: Callable[[int], Any], n_rows: int, least: int) -> Any:
    """Call a function with ``n_rows``; with fewer while memory is too short."""
    while True:
        try:
            return function(n_rows)
        except Exception as error:
            if not is_out_of_memory(error) or n_rows <= least:
                raise
        n_rows = max(n_rows // 2, least)
        torch.cuda.empty_cache()
