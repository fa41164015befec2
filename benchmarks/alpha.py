"""What each penalty holds down, over its weight, on digits.

Each fit is repeated with batches of another size, and with every feature doubled: alpha
shall mean the same. Training is long, for what is compared is the minimum.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from sklearn.datasets import load_digits

from skae import ContractiveAE, SparseAE

from ._record import write_record, write_table

# The noise of small batches slows them down.
N_STEPS = {32: 10_000, 256: 8000}
N_JOBS = 2
CASES = {"batch 32": (32, 1), "batch 256": (256, 1), "doubled": (32, 2)}
TARGET = 0.05


def n_active(estimator: Any, X: np.ndarray) -> float:
    """Mean number of active units (L1)."""
    return estimator.mean_active_


def distance(estimator: Any, X: np.ndarray) -> float:
    """Distance of the mean activation from its target (KL)."""
    return abs(float(estimator.transform(X).mean()) - TARGET)


def contraction(estimator: Any, X: np.ndarray) -> float:
    """Mean norm of the Jacobian (contractive)."""
    return estimator.contraction_


Measure = Callable[[Any, np.ndarray], float]
PENALTIES: dict[str, tuple[Any, Measure, tuple[float, ...]]] = {
    "L1": (SparseAE(64), n_active, (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)),
    "KL": (
        SparseAE(64, sparsity="kl", target_sparsity=TARGET),
        distance,
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    ),
    "contractive": (
        ContractiveAE(16, hidden_layer_sizes=(64,)),
        contraction,
        (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
    ),
}


def run(penalty: str, alpha: float, case: str, n_steps: int) -> dict[str, Any]:
    """Return what one fit reaches."""
    estimator, measure, _ = PENALTIES[penalty]
    batch_size, copies = CASES[case]
    X = np.tile(load_digits().data, copies)
    estimator.set_params(
        alpha=alpha,
        batch_size=batch_size,
        max_iter=n_steps * batch_size // len(X),
        n_iter_no_change=n_steps,
        learning_rate_init=0.003,
        weight_decay=0.0,
        early_stopping=False,
        random_state=0,
    ).fit(X)
    return {
        "penalty": penalty,
        "alpha": alpha,
        "case": case,
        "reached": round(measure(estimator, X), 5),
        "explained_variance": round(estimator.score(X), 4),
    }


def reached(runs: list[dict[str, Any]], penalty: str) -> np.ndarray:
    """Return what was reached: a row for each alpha, a column for each case."""
    chosen = [r["reached"] for r in runs if r["penalty"] == penalty]
    return np.reshape(chosen, (-1, len(CASES)))


def table_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return penalty, what is measured, alpha, and what each case reaches."""
    rows = []
    for penalty, (_, measure, alphas) in PENALTIES.items():
        name = (measure.__doc__ or "").split(" (")[0].lower()
        for alpha, values in zip(alphas, reached(runs, penalty), strict=True):
            rows.append([penalty, name, f"{alpha:g}", *(f"{v:.3g}" for v in values)])
    return rows


def main(output: pathlib.Path) -> None:
    """Run all fits; print the table; write it and the record."""
    console = Console()
    cases = [
        (p, a, c)
        for p, (*_, alphas) in PENALTIES.items()
        for a in alphas
        for c in CASES
    ]
    workers = Parallel(n_jobs=N_JOBS, return_as="generator")
    fits = workers(delayed(run)(*case, N_STEPS[CASES[case[2]][0]]) for case in cases)
    runs = list(track(fits, "Fitting", total=len(cases), console=console))
    headings = ["penalty", "of", "alpha", *CASES]
    console.print(
        write_table(output / "alpha.csv", "Digits", headings, table_rows(runs))
    )
    write_record(
        output / "alpha.json",
        suite="alpha",
        command="python -m benchmarks alpha",
        runs=runs,
    )
