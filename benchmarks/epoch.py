"""A training epoch of ours over one of a loop written by hand.

Same network, batch, optimizer and precision; epochs of both take turns in one process,
and the ratio is that of their medians. The loop by hand keeps its rows in one tensor
and uses the fused optimizer. Our epoch includes all its book-keeping.
"""

import pathlib
import statistics
import time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from skae import UndercompleteAE
from skae._engine import Engine
from skae._threads import limited_threads

from ._record import write_record

N_ROWS = 20_000
CASES = ((64, 64, 16, 128), (784, 256, 32, 256))
N_PAIRS = 15
WARM_UP = 3


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


def train_in_turns(estimator: UndercompleteAE, X: np.ndarray, other: Any) -> Any:
    """Return seconds of other's epochs and of ours, which take turns in one fit."""
    estimator.partial_fit(X)
    engine = estimator._engine(X, torch.device("cpu"), partial=False, validate=False)
    n_threads = torch.get_num_threads()
    times: list[tuple[float, float]] = []
    marks = [0.0, 0.0]

    def take_turns(net: Engine, **kwargs: Any) -> None:
        # From the end of one turn of other's to the start of the next is our epoch.
        start = time.perf_counter()
        with limited_threads(n_threads):
            other()
        end = time.perf_counter()
        times.append((marks[0], start - marks[1]))
        marks[:] = end - start, time.perf_counter()
        Engine.on_epoch_begin(net, net, **kwargs)

    engine.on_epoch_begin = take_turns
    engine.run(torch.from_numpy(X), estimator._state)
    return times[WARM_UP:]


def run(n_features: int, hidden: int, code: int, batch_size: int) -> dict[str, Any]:
    """Time pairs of epochs of one case."""
    X = np.random.default_rng(0).normal(size=(N_ROWS, n_features)).astype(np.float32)
    estimator = UndercompleteAE(
        code,
        hidden_layer_sizes=(hidden,),
        init="random",
        activation="relu",
        solver="adam",
        batch_size=batch_size,
        max_iter=WARM_UP + N_PAIRS,
        n_iter_no_change=WARM_UP + N_PAIRS,
        early_stopping=False,
        random_state=0,
    )
    by_hand = epoch_by_hand(X, (n_features, hidden, code), batch_size)
    pairs = train_in_turns(estimator, X, by_hand)
    hand, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "rows": N_ROWS,
        "widths": (n_features, hidden, code),
        "batch_size": batch_size,
        "pairs": [[round(value, 6) for value in pair] for pair in pairs],
        "ratio": round(ours / hand, 3),
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
