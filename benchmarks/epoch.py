"""A training epoch of ours over one of a loop written by hand.

Same network, batch, optimizer and precision; epochs of both take turns in one process,
and the ratio is that of their medians. The loop by hand keeps its rows in one tensor
and uses the fused optimizer. Our epoch includes all its book-keeping.
"""

import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from skae import UndercompleteAE

from ._record import write_record

N_ROWS = 20_000
CASES = ((64, 64, 16, 128), (784, 256, 32, 256))
N_PAIRS = 15


def epoch_by_hand(X: np.ndarray, widths: tuple[int, ...], batch_size: int) -> Any:
    """Return a function that trains for one epoch."""
    n_features, hidden, code = widths
    network = nn.Sequential(
        nn.Linear(n_features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, code),
        nn.Linear(code, hidden),
        nn.ReLU(),
        nn.Linear(hidden, n_features),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)
    rows = torch.from_numpy(X)

    def epoch() -> None:
        for index in torch.randperm(len(rows)).split(batch_size):
            x = rows[index]
            optimizer.zero_grad()
            F.mse_loss(network(x), x).backward()
            optimizer.step()

    return epoch


def epoch_of_ours(X: np.ndarray, widths: tuple[int, ...], batch_size: int) -> Any:
    """Return a function that trains for one epoch, through the engine."""
    _, hidden, code = widths
    estimator = UndercompleteAE(
        code,
        hidden_layer_sizes=(hidden,),
        activation="relu",
        batch_size=batch_size,
        n_iter_no_change=10**6,
        random_state=0,
    )
    estimator.partial_fit(X)
    engine = estimator._engine(X, partial=True)
    rows = torch.from_numpy(X)
    engine.run(rows, estimator._state)

    def epoch() -> None:
        with engine.limited_threads(len(rows)):
            engine.fit_loop(rows, epochs=1)

    return epoch


def seconds(function: Callable[[], None]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def run(n_features: int, hidden: int, code: int, batch_size: int) -> dict[str, Any]:
    """Time pairs of epochs of one case."""
    X = np.random.default_rng(0).normal(size=(N_ROWS, n_features)).astype(np.float32)
    widths = (n_features, hidden, code)
    hand, ours = (
        make(X, widths, batch_size) for make in (epoch_by_hand, epoch_of_ours)
    )
    pairs = [(seconds(hand), seconds(ours)) for _ in range(N_PAIRS + 2)][2:]
    by_hand, by_us = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "rows": N_ROWS,
        "widths": widths,
        "batch_size": batch_size,
        "pairs": [[round(value, 5) for value in pair] for pair in pairs],
        "ratio": round(by_us / by_hand, 3),
    }


def main(output: pathlib.Path) -> None:
    """Time all cases; print the table; write the record."""
    console = Console()
    runs = [run(*case) for case in track(CASES, "Timing", console=console)]
    table = Table(title=f"Epoch of ours over one by hand, median of {N_PAIRS}")
    for heading in ("widths", "batch", "ratio"):
        table.add_column(heading, justify="right")
    for result in runs:
        widths = "-".join(map(str, result["widths"]))
        table.add_row(widths, str(result["batch_size"]), f"{result['ratio']:.3f}")
    console.print(table)
    threads = torch.get_num_threads()
    write_record(
        output / "epoch.json",
        suite="epoch",
        command="python -m benchmarks epoch",
        threads=threads,
        runs=runs,
    )
