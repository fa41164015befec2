"""A training epoch of ours over one of a loop written by hand.

Same network, batch, optimizer, precision and threads at most; epochs of both take turns
in one process, and the ratio is that of their medians. The loop by hand keeps its rows
in one tensor, channels last where there are any, and uses the fused optimizer. Our
epoch includes all its book-keeping.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skae import ConvAE, UndercompleteAE
from skae._machine.interrupts import Interrupts
from skae._training.engine import Engine

from ..shared.suite import Case, Options, Row
from .timing import (
    N_THREADS,
    THREADS,
    by_threads,
    ratio_of_medians,
    seconds_of,
    threads,
)

N_PAIRS = 15
WARM_UP = 3


def dense(*widths: int) -> nn.Module:
    """Return the network by hand: widths from the features to the code, and back."""
    layers: list[nn.Module] = []
    for half in (widths, widths[::-1]):
        for n_in, n_out in itertools.pairwise(half):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        # Neither the code nor the answer is bent.
        layers.pop()
    return nn.Sequential(*layers)


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


def ours_of(*widths: int) -> UndercompleteAE:
    """Return the estimator with the same layers."""
    _, *hidden, code = widths
    return UndercompleteAE(code, hidden_layer_sizes=hidden, activation="relu")


@dataclass(frozen=True)
class Problem:
    """A network by hand, the same of ours, and how it is trained."""

    n_features: int
    n_rows: int
    batch_size: int
    by_hand: Callable[[], nn.Module]
    ours: Callable[[], Any]


def dense_problem(n_rows: int, batch_size: int, *widths: int) -> Problem:
    """Return the problem of a dense network."""
    makers = partial(dense, *widths), partial(ours_of, *widths)
    return Problem(widths[0], n_rows, batch_size, *makers)


NETWORKS: dict[str, Problem] = {
    "64-64-16": dense_problem(20_000, 128, 64, 64, 16),
    "784-256-32": dense_problem(20_000, 256, 784, 256, 32),
    "784-1000-500-250-30": dense_problem(8_000, 256, 784, 1000, 500, 250, 30),
    "ConvAE": Problem(
        784,
        4_000,
        64,
        convolutional,
        partial(
            ConvAE,
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
    """Return the networks, with how many rows, pairs of epochs and threads."""
    return [
        {
            "network": name,
            "n_rows": problem.batch_size if options.quick else problem.n_rows,
            "n_pairs": 3 if options.quick else N_PAIRS,
            "n_threads": n_threads,
        }
        for name, problem in NETWORKS.items()
        for n_threads in N_THREADS
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


def train_in_turns(
    estimator: Any, X: np.ndarray, other: Callable[[], None], n_threads: int
) -> list[tuple[float, float]]:
    """Return seconds of other's epochs and of ours, which take turns in one fit."""
    data, _ = estimator._read(X, is_part=False)
    engine, state = estimator._prepare(data, None)
    times: list[tuple[float, float]] = []
    marks = [0.0, 0.0]

    def take_turns(net: Engine, **kwargs: Any) -> None:
        # From the end of one turn of other's to the start of the next is our epoch.
        start = time.perf_counter()
        times.append((marks[0], start - marks[1]))
        with threads(n_threads):
            marks[0] = seconds_of(other)
        marks[1] = time.perf_counter()
        Engine.on_epoch_begin(net, net, **kwargs)

    engine.on_epoch_begin = take_turns
    engine.run(torch.from_numpy(X), data.split, state.engine, Interrupts())
    return times[WARM_UP:]


def run(network: str, n_rows: int, n_pairs: int, n_threads: int) -> dict[str, Any]:
    """Time pairs of epochs of one network."""
    problem = NETWORKS[network]
    shape = n_rows, problem.n_features
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    estimator = problem.ours().set_params(
        init="random",
        solver="adam",
        learning_rate_init=0.001,
        batch_size=problem.batch_size,
        max_iter=WARM_UP + n_pairs,
        n_iter_no_change=WARM_UP + n_pairs,
        early_stopping=False,
        random_state=0,
    )
    epoch = epoch_by_hand(X, problem.by_hand(), problem.batch_size)
    with threads(n_threads):
        pairs = train_in_turns(estimator, X, epoch, n_threads)
    hand, ours = zip(*pairs, strict=True)
    return {
        "batch_size": problem.batch_size,
        "pairs": [[round(value, 6) for value in pair] for pair in pairs],
        "ratio": ratio_of_medians(ours, hand),
    }


def table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and lines."""
    title = f"Epoch of ours over one by hand, median of {rows[0]['n_pairs']}"
    names = ["network", "batch_size"]
    lines = by_threads(rows, names, lambda row: f"{row['ratio']:.3f}")
    return title, ["network", "batch", *THREADS], lines
