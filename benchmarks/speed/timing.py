"""Seconds of calls that take turns, by one thread and by two, and columns of both."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from ..shared.suite import Row

N_THREADS = (1, 2)
THREADS = ["one thread", "two threads"]
N_ROUNDS = 9


@contextmanager
def threads(n_threads: int) -> Iterator[None]:
    """Let torch and numpy use so many threads, and give them back what they had."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(n_threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def seconds_of(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: dict[str, Callable[[], Any]], n_rounds: int) -> dict[str, Any]:
    """Return the seconds of calls that take turns, after a round that warms up."""
    rounds = [
        {name: round(seconds_of(call), 6) for name, call in calls.items()}
        for _ in range(1 + n_rounds)
    ]
    return {name: [turn[name] for turn in rounds[1:]] for name in calls}


def ratio_of_medians(above: Sequence[float], below: Sequence[float]) -> float:
    """Divide the medians of what took turns."""
    return round(statistics.median(above) / statistics.median(below), 3)


def by_threads(
    rows: list[Row], names: Sequence[str], figure: Callable[[Row], str]
) -> list[list[str]]:
    """Return a line for each case, its figures with one and two threads in columns."""
    lines: dict[tuple[str, ...], dict[int, str]] = {}
    for row in rows:
        line = tuple(str(row[name]) for name in names)
        lines.setdefault(line, {})[row["n_threads"]] = figure(row)
    return [
        [*line, *(found.get(n, "") for n in N_THREADS)] for line, found in lines.items()
    ]
