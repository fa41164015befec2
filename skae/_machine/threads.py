"""How many threads share a sum: their number changes its last bits."""

import multiprocessing
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager

import torch
from joblib.parallel import get_active_backend

# Operations of a step from which the speed of several threads is worth last bits.
LARGE_STEP = 5e7
# Elements from which torch shares a sum among threads.
SHARED_SUM = 2**15


def splits_unevenly(size: int) -> bool:
    """Whether matrix products of this size change bits when two threads share them.

    The halves of these few sizes meet other kernels of MKL than the whole.
    """
    return 4 < size < 12 and size % 4 != 0


def reproducible_threads(
    widths: Set[int], batches: Set[int], n_products: int, convolves: bool
) -> int | None:
    """Return how many threads give the same bits in any worker of a search.

    Only large steps, which would wait too long, take all threads come what may: None.
    """
    if 6 * max(batches) * n_products >= LARGE_STEP:
        return None
    shares_sums = max(batches) * max(widths) >= SHARED_SUM
    alone = convolves or shares_sums or any(map(splits_unevenly, widths | batches))
    return 1 if alone else min(2, torch.get_num_threads())


def available_threads() -> int | None:
    """Return how many threads a worker of joblib's may use; None elsewhere.

    Its processes of "loky" know their share of the cores. Threads and forks each would
    take all; and in a fork OpenMP waits forever for the threads of the parent.
    """
    in_thread = threading.current_thread() is not threading.main_thread()
    is_fork = multiprocessing.current_process().daemon
    return 1 if is_worker() and (in_thread or is_fork) else None


def is_worker() -> bool:
    """Whether a worker of joblib's runs this, beside others."""
    backend, _ = get_active_backend()
    return bool(backend.nesting_level)


_limit_lock = threading.Lock()
_limits: list[int] = []
_own = threading.local()


@contextmanager
def limited_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use as many threads in this one of Python's; None changes nothing.

    torch keeps the number for each thread, but also one for threads to come: of several
    fits at once the last to leave must put back what the first one found. Of limits
    within each other the inner gives back to the outer.
    """
    if n_threads is None:
        yield
        return
    outer = getattr(_own, "limit", None)
    with _limit_lock:
        before = _limits[0] if _limits else torch.get_num_threads()
        _limits.append(before)
    _own.limit = n_threads
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        with _limit_lock:
            _limits.pop()
            torch.set_num_threads(outer or before)
        _own.limit = outer
