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
from rich.table import Table
from torch import Tensor

from skae import ContractiveAE, DenoisingAE, SparseAE, UndercompleteAE
from skae._objectives.corruption import NOISES
from skae._training.state import load_state

from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

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
    )
    data, _ = estimator._read(X, is_part=False)
    engine, state = estimator._prepare(data, None)
    engine.initialize()
    load_state(engine, state.engine)
    engine._set_training(True)
    return engine.train_step


def cases(options: Options) -> list[Case]:
    """Return one case, for all kinds take turns."""
    return [{"n_rounds": 3 if options.quick else N_ROUNDS}]


def run(n_rounds: int) -> dict[str, Any]:
    """Time steps of all kinds in turns."""
    X = np.random.default_rng(0).normal(size=(2 * BATCH_SIZE, N_FEATURES))
    batch = torch.from_numpy(X[:BATCH_SIZE].astype(np.float32))
    plain = {name: other for name, (other, _) in kinds().items()}
    steps = {name: stepper(kind, X) for name, (_, kind) in kinds().items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(WARM_UP + n_rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step(batch)
            times[name].append(time.perf_counter() - start)
    medians = {n: statistics.median(t[WARM_UP:]) for n, t in times.items()}
    compared = [n for n in steps if n != plain[n]]
    return {
        "beside": {n: plain[n] for n in compared},
        "ratio": {n: round(medians[n] / medians[plain[n]], 3) for n in compared},
    }


def table_rows(row: Row) -> list[list[str]]:
    """Return kind, what it is divided by, and the ratio."""
    return [[n, row["beside"][n], f"{ratio:.2f}"] for n, ratio in row["ratio"].items()]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = f"Step of {N_FEATURES}-{HIDDEN}-{CODE} at batch {BATCH_SIZE} over"
    path, headings = folder / "steps.csv", ["step", "over", "ratio"]
    return [write_table(path, title, headings, table_rows(rows[0]))]


def alone(case: Case) -> bool:
    """Give the case all cores, for it measures time."""
    return True


SUITE = Suite(
    "the cost of a training step of each kind", cases, run, report, alone=alone
)
