"""What the parts of the suite ``speed`` share: threads, clocks, made rows, tables."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import gen_batches
from threadpoolctl import threadpool_limits

from ..shared.suite import Row

N_THREADS = (1, 2)
THREADS = ["one thread", "two threads"]
N_ROUNDS = 9
CHUNK = 10_000


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


def fill(rows: np.ndarray) -> np.ndarray:
    """Fill an array, chunk by chunk, with rows of rank 8 and noise; grey if uint8."""
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((8, rows.shape[1]), np.float32)
    for chunk in gen_batches(len(rows), CHUNK):
        shape = rows[chunk].shape
        made = rng.standard_normal((shape[0], 8), np.float32) @ axes
        made += rng.standard_normal(shape, np.float32)
        if rows.dtype == np.uint8:
            made = np.clip(128 + 30 * made, 0, 255)
        rows[chunk] = made
    return rows


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
