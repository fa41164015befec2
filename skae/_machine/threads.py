"""How many threads share a sum: their number changes its last bits."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

# Operations of a step from which several threads pay. Two of them then take two thirds
# of the time of one on quiet cores, and as long on cores that others use too; at a
# sixth of it five sixths, and twice as long, for they spin while they wait.
LARGE_STEP = 3e8


def threads_of_step(n_rows: int, n_products: int) -> int | None:
    """Return how many threads shall share a step on so many rows; None for all.

    One gives the same bits in any worker of a search. Only large steps, which would
    wait too long, take all threads come what may.
    """
    return None if 6 * n_rows * n_products >= LARGE_STEP else 1


def available_threads() -> int | None:
    """Return how many threads a fork or a worker of joblib's may use; None elsewhere.

    Its processes of "loky" know their share of the cores. Threads would each take all,
    and so would other processes. In a fork OpenMP waits forever for the threads of the
    parent, whoever made it.
    """
    in_thread = threading.current_thread() is not threading.main_thread()
    is_own = multiprocessing.current_process().daemon
    shares = is_worker() and (in_thread or is_own)
    return 1 if _here.is_fork or shares else None


def is_worker() -> bool:
    """Whether a worker of joblib's runs this, beside others."""
    backend, _ = get_active_backend()
    return bool(backend.nesting_level)


class Process:
    """What this process keeps of its threads, which a fork keeps anew.

    Of the parent's threads a fork has one: a lock that another held would never open.
    """

    def __init__(self, is_fork: bool = False, n_limits: int = 0) -> None:
        self.is_fork = is_fork
        self.lock, self.blas_lock = threading.Lock(), threading.Lock()
        # A callback may fit another estimator.
        self.draw_lock = threading.RLock()
        #: Whether torch may have started threads for a task of ours.
        self.has_helpers = False
        #: What each limit in force, of all threads, has to put back.
        self.found = n_limits * [1]


_here = Process()
_own = threading.local()


def _start_fork() -> None:
    """Know of the fork, and put back no more than one thread."""
    global _here
    if _here.has_helpers:
        # It would wait for them in any call of torch, such as that of network_.
        torch.set_num_threads(1)
    n_limits = len(getattr(_own, "limits", ()))
    _here, _own.limits = Process(True, n_limits), n_limits * (1,)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_fork)


@contextmanager
def limited_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use as many threads in this one of Python's; None changes nothing.

    torch keeps the number for each thread, but also one for threads to come: of several
    fits at once the last to leave must put back what the first one found. Of limits
    within each other the inner gives back to the outer.
    """
    _here.has_helpers |= n_threads != 1
    if n_threads is None:
        yield
        return
    outer = getattr(_own, "limits", ())
    with _here.lock:
        _here.found.append(_here.found[0] if _here.found else torch.get_num_threads())
    _own.limits = (*outer, n_threads)
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        # A fork in the block has changed what there is to put back.
        _own.limits = _own.limits[:-1]
        with _here.lock:
            before = _here.found.pop()
            torch.set_num_threads(_own.limits[-1] if _own.limits else before)


def draw_lock() -> AbstractContextManager[Any]:
    """Return what the thread holds that draws from torch's global generators."""
    return _here.draw_lock


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy and scikit-learn compute in one thread.

    The number of threads changes bits, and a search has fewer. It belongs to the
    process: two fits at once would put back each other's.
    """
    with _here.blas_lock, threadpool_limits(limits=1):
        yield
