"""Numbers of threads: they change the last bits of sums."""

import multiprocessing
import os
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

# Operations of a step from which several threads are worthwhile. Two threads then take
# two thirds of the time of one on idle cores, and as long on busy cores. With a sixth
# of the operations they take five sixths, and twice as long, because they spin while
# waiting.
LARGE_STEP = 3e8


def threads_of_step(n_rows: int, n_products: int) -> int | None:
    """Return the number of threads for a step on ``n_rows`` rows; None for all.

    One thread gives the same bits in any worker of a search. Only large steps, which
    would take too long, use all threads.
    """
    return None if 6 * n_rows * n_products >= LARGE_STEP else 1


def available_threads() -> int | None:
    """Return how many threads a fork or a joblib worker may use; None elsewhere.

    Processes of "loky" know their share of the cores. Threads, and other processes,
    would each use all cores. In any fork OpenMP waits forever for the threads of the
    parent.
    """
    in_thread = threading.current_thread() is not threading.main_thread()
    is_own = multiprocessing.current_process().daemon
    shares = is_worker() and (in_thread or is_own)
    return 1 if _here.is_fork or shares else None


def is_worker() -> bool:
    """Whether this runs in a joblib worker."""
    backend, _ = get_active_backend()
    return bool(backend.nesting_level)


def worker_number() -> int:
    """Return the number, from 0, that the parent gave this process; 0 if it did not."""
    name = multiprocessing.current_process().name
    number = re.search(r"\d+$", name)
    return int(number[0]) - 1 if number else 0


class Process:
    """State of the threads of this process; a fork starts with a new one.

    A fork has one of the parent's threads: a lock that another one held never opens.
    """

    def __init__(self, is_fork: bool = False, n_limits: int = 0) -> None:
        self.is_fork = is_fork
        self.lock, self.blas_lock = threading.Lock(), threading.Lock()
        # A callback may fit another estimator.
        self.draw_lock = threading.RLock()
        #: Whether torch may have started threads for a task of ours.
        self.has_helpers = False
        #: What each active limit, of all threads, has to restore.
        self.found = n_limits * [1]


_here = Process()
_own = threading.local()


def _start_fork() -> None:
    """Note the fork, and restore at most one thread."""
    global _here
    if _here.has_helpers:
        # Any call of torch, such as that of network_, would wait for them.
        torch.set_num_threads(1)
    n_limits = len(getattr(_own, "limits", ()))
    _here, _own.limits = Process(True, n_limits), n_limits * (1,)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_fork)


@contextmanager
def limited_threads(n_threads: int | None) -> Iterator[None]:
    """Set the number of torch's threads in this Python thread; None changes nothing.

    torch has a number for each thread, but also one for new threads: with several fits
    at once, the last one to end must restore what the first one found. Nested limits
    restore the outer limit.
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
        # A fork in the block has changed what to restore.
        _own.limits = _own.limits[:-1]
        with _here.lock:
            before = _here.found.pop()
            torch.set_num_threads(_own.limits[-1] if _own.limits else before)


def draw_lock() -> AbstractContextManager[Any]:
    """Return the lock of torch's global generators."""
    return _here.draw_lock


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy and scikit-learn compute in one thread.

    The number of threads changes the last bits, and is lower in a search. It belongs to
    the process: two fits at once would restore each other's.
    """
    with _here.blas_lock, _pools().limit(limits=1):
        yield


@cache
def _pools() -> ThreadpoolController:
    """Return the pools of threads of all loaded libraries; a search takes 5 ms."""
    return ThreadpoolController()
