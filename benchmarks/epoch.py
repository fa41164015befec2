"""A training epoch of ours over one of a loop written by hand.

Same network, batch, optimizer and precision; epochs of both take turns in one process,
and the ratio is that of their medians. The loop by hand keeps its rows in one tensor,
channels last where there are any, and uses the fused optimizer. Our epoch includes all
its book-keeping.
"""

import pathlib
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from skae import ConvAE, UndercompleteAE
from skae._engine import Engine
from skae._threads import limited_threads

from ._runner import Case, Options, Row, Suite, write_table

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


#: Features, rows, batch, the network by hand, and ours.
NETWORKS: dict[str, tuple[int, int, int, Callable[[], nn.Module], Any]] = {
    "64-64-16": (
        64,
        DENSE_ROWS,
        128,
        partial(dense, 64, 64, 16),
        UndercompleteAE(16, hidden_layer_sizes=(64,), activation="relu"),
    ),
    "784-256-32": (
        784,
        DENSE_ROWS,
        256,
        partial(dense, 784, 256, 32),
        UndercompleteAE(32, hidden_layer_sizes=(256,), activation="relu"),
    ),
    "ConvAE": (
        784,
        CONV_ROWS,
        64,
        convolutional,
        ConvAE(
            32,
            image_shape=(28, 28),
            channels=(32, 64),
            kernel_size=3,
            hidden_layer_sizes=(512,),
            activation="silu",
        ),
    ),
}


def cases(options: Options) -> list[Case]:
    """Return the networks, with how many rows and pairs of epochs."""
    return [
        {
            "network": name,
            "n_rows": 512 if options.quick else n_rows,
            "n_pairs": 3 if options.quick else N_PAIRS,
        }
        for name, (_, n_rows, *_) in NETWORKS.items()
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


def run(network: str, n_rows: int, n_pairs: int) -> dict[str, Any]:
    """Time pairs of epochs of one network."""
    n_features, _, batch_size, by_hand, estimator = NETWORKS[network]
    X = np.random.default_rng(0).normal(size=(n_rows, n_features)).astype(np.float32)
    estimator.set_params(
        init="random",
        solver="adam",
        learning_rate_init=0.001,
        batch_size=batch_size,
        max_iter=WARM_UP + n_pairs,
        n_iter_no_change=WARM_UP + n_pairs,
        early_stopping=False,
        random_state=0,
    )
    pairs = train_in_turns(estimator, X, epoch_by_hand(X, by_hand(), batch_size))
    hand, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "batch_size": batch_size,
        "pairs": [[round(value, 6) for value in pair] for pair in pairs],
        "ratio": round(ours / hand, 3),
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return network, batch and ratio."""
    return [[r["network"], str(r["batch_size"]), f"{r['ratio']:.3f}"] for r in rows]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = f"Epoch of ours over one by hand, median of {rows[0]['n_pairs']}"
    path, headings = folder / "epoch.csv", ["network", "batch", "ratio"]
    return [write_table(path, title, headings, table_rows(rows))]


def alone(case: Case) -> bool:
    """Give each case all cores, for it measures time."""
    return True


SUITE = Suite(
    "a training epoch beside a loop written by hand", cases, run, report, alone=alone
)
