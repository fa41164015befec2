"""Cost of a training step of each kind over that of the plain autoencoder.

Same rows, widths, batch, optimizer; steps of all kinds take turns in one process, and
ratios are those of medians. A penalty on the Jacobian asks for tied weights: it is
divided by a plain step with tied weights.
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
from torch import Tensor

from skae import ContractiveAE, DenoisingAE, SparseAE, UndercompleteAE
from skae._corruption import NOISES
from skae._engine import Engine

from ._record import write_record, write_table

HIDDEN, CODE = 256, 32
N_FEATURES, BATCH_SIZE = 784, 256
N_ROUNDS = 101
WARM_UP = 10
PLAIN, TIED, SHORT = "plain", "plain, tied", "plain, tied, no hidden layer"


def kinds() -> dict[str, tuple[str, Any]]:
    """Return, for each kind of step, the plain one beside it, and the estimator."""
    deep = {"hidden_layer_sizes": (HIDDEN,)}
    short = {"hidden_layer_sizes": (), "code_activation": "logistic"}
    exact = {"jacobian_norm": "exact"}
    return {
        PLAIN: (PLAIN, UndercompleteAE(CODE, **deep)),
        TIED: (TIED, UndercompleteAE(CODE, tied_weights=True, **deep)),
        SHORT: (SHORT, UndercompleteAE(CODE, tied_weights=True, **short)),
        **{n: (PLAIN, DenoisingAE(CODE, noise=n, **deep)) for n in NOISES},
        "top_k": (PLAIN, SparseAE(CODE, sparsity="top_k", k=4, **deep)),
        "closed form, one layer": (SHORT, ContractiveAE(CODE, **exact, **short)),
        "closed form, hidden layer": (TIED, ContractiveAE(CODE, **exact, **deep)),
        "hutchinson": (
            TIED,
            ContractiveAE(CODE, jacobian_norm="hutchinson", **deep),
        ),
    }


def stepper(estimator: Any, X: np.ndarray) -> Callable[[Tensor], Any]:
    """Return a function that takes a training step on a batch."""
    estimator.set_params(
        init="random",
        batch_size=BATCH_SIZE,
        learning_rate="constant",
        early_stopping=False,
        random_state=0,
    ).partial_fit(X)
    engine: Engine = estimator._engine(X, torch.device("cpu"), False, False)
    engine.initialize()
    engine._load_state(estimator._state)
    engine._set_training(True)
    return engine.train_step


def run() -> list[dict[str, Any]]:
    """Time steps of all kinds in turns."""
    X = np.random.default_rng(0).normal(size=(2 * BATCH_SIZE, N_FEATURES))
    batch = torch.from_numpy(X[:BATCH_SIZE].astype(np.float32))
    plain = {name: other for name, (other, _) in kinds().items()}
    steps = {name: stepper(kind, X) for name, (_, kind) in kinds().items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in track(range(WARM_UP + N_ROUNDS), "Timing"):
        for name, step in steps.items():
            start = time.perf_counter()
            step(batch)
            times[name].append(time.perf_counter() - start)
    medians = {n: statistics.median(t[WARM_UP:]) for n, t in times.items()}
    return [
        {
            "kind": n,
            "beside": plain[n],
            "ratio": round(medians[n] / medians[plain[n]], 3),
        }
        for n in steps
        if n != plain[n]
    ]


def table_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return kind, what it is divided by, and the ratio."""
    return [[r["kind"], r["beside"], f"{r['ratio']:.2f}"] for r in runs]


def main(output: pathlib.Path) -> None:
    """Time all kinds; print the table; write it and the record."""
    runs = run()
    title = f"Step of {N_FEATURES}-{HIDDEN}-{CODE} at batch {BATCH_SIZE} over"
    table = write_table(
        output / "steps.csv", title, ["step", "over", "ratio"], table_rows(runs)
    )
    Console().print(table)
    write_record(
        output / "steps.json",
        suite="steps",
        command="python -m benchmarks steps",
        threads=torch.get_num_threads(),
        runs=runs,
    )
