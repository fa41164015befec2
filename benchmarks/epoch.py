"""A training epoch of ours over one of a loop written by hand.

Same network, batch, optimizer and precision; epochs of both take turns in one process,
and the ratio is that of their medians. The loop by hand keeps its rows in one tensor,
channels last where there are any, and uses the fused optimizer. Our epoch includes all
its book-keeping.
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

from skae import ConvAE, UndercompleteAE
from skae._engine import Engine
from skae._threads import limited_threads

from ._record import write_record

N_PAIRS = 15
WARM_UP = 3
DENSE_ROWS, CONV_ROWS = 20_000, 4_000


def dense(n_features: int, hidden: int, code: int) -> nn.Module:
    """Return the network that is written by hand in one line a layer."""
    return nn.Sequential(
        nn.Linear(n_features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, code),
        nn.Linear(code, hidden),
        nn.ReLU(),
        nn.Linear(hidden, n_features),
    )


def convolutional() -> nn.Module:
    """Return ConvAE's network for images of 28 x 28, and 32 components."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 32, 3, 2, 1),
        nn.SiLU(),
        nn.Conv2d(32, 64, 3, 2, 1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.SiLU(),
        nn.Linear(512, 32),
        nn.Linear(32, 512),
        nn.SiLU(),
        nn.Linear(512, 3136),
        nn.SiLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 3, 2, 1, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(32, 1, 3, 2, 1, 1),
        nn.Flatten(),
    ).to(memory_format=torch.channels_last)


#: Name, features, rows, batch, the network by hand, and ours.
CASES: list[tuple[str, int, int, int, nn.Module, Any]] = [
    (
        "64-64-16",
        64,
        DENSE_ROWS,
        128,
        dense(64, 64, 16),
        UndercompleteAE(16, hidden_layer_sizes=(64,), activation="relu"),
    ),
    (
        "784-256-32",
        784,
        DENSE_ROWS,
        256,
        dense(784, 256, 32),
        UndercompleteAE(32, hidden_layer_sizes=(256,), activation="relu"),
    ),
    (
        "ConvAE",
        784,
        CONV_ROWS,
        64,
        convolutional(),
        ConvAE(
            32,
            image_shape=(28, 28),
            channels=(32, 64),
            kernel_size=3,
            hidden_layer_sizes=(512,),
            activation="silu",
        ),
    ),
]


def epoch_by_hand(X: np.ndarray, network: nn.Module, batch_size: int) -> Any:
    """Return a function that trains for one epoch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)
    rows = torch.from_numpy(X)

    def epoch() -> None:
        for index in torch.randperm(len(rows)).split(batch_size):
            x = rows[index]
            optimizer.zero_grad()
            F.mse_loss(network(x), x).backward()
            optimizer.step()

    return epoch


def train_in_turns(estimator: Any, X: np.ndarray, other: Any) -> Any:
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


def run(
    name: str,
    n_features: int,
    n_rows: int,
    batch_size: int,
    network: nn.Module,
    estimator: Any,
) -> dict[str, Any]:
    """Time pairs of epochs of one case."""
    X = np.random.default_rng(0).normal(size=(n_rows, n_features)).astype(np.float32)
    estimator.set_params(
        init="random",
        solver="adam",
        learning_rate_init=0.001,
        batch_size=batch_size,
        max_iter=WARM_UP + N_PAIRS,
        n_iter_no_change=WARM_UP + N_PAIRS,
        early_stopping=False,
        random_state=0,
    )
    pairs = train_in_turns(estimator, X, epoch_by_hand(X, network, batch_size))
    hand, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "network": name,
        "rows": n_rows,
        "batch_size": batch_size,
        "pairs": [[round(value, 6) for value in pair] for pair in pairs],
        "ratio": round(ours / hand, 3),
    }


def main(output: pathlib.Path) -> None:
    """Time all cases; print the table; write the record."""
    console = Console()
    runs = [run(*case) for case in track(CASES, "Timing", console=console)]
    table = Table(title=f"Epoch of ours over one by hand, median of {N_PAIRS}")
    for heading in ("network", "batch", "ratio"):
        table.add_column(heading, justify="right")
    for result in runs:
        ratio = f"{result['ratio']:.3f}"
        table.add_row(result["network"], str(result["batch_size"]), ratio)
    console.print(table)
    threads = torch.get_num_threads()
    write_record(
        output / "epoch.json",
        suite="epoch",
        command="python -m benchmarks epoch",
        threads=threads,
        runs=runs,
    )
