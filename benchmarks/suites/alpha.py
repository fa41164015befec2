"""What each penalty holds down, over its weight, on digits.

Each fit is repeated with batches of another size, and with every feature doubled: alpha
shall mean the same. Training is long, for what is compared is the minimum.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.datasets import load_digits

from skae import ContractiveAE, SparseAE

from ..shared.data_sets import remember
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

# The noise of small batches slows them down.
N_STEPS = {32: 10_000, 256: 8000}
SETTINGS = {"batch 32": (32, 1), "batch 256": (256, 1), "doubled": (32, 2)}
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


def cases(options: Options) -> list[Case]:
    """Return each penalty with its weights, in each setting."""
    penalties = ("L1", "contractive") if options.quick else PENALTIES
    return [
        {
            "data": "digits",
            "penalty": penalty,
            "alpha": alpha,
            "setting": setting,
            "n_steps": 300 if options.quick else N_STEPS[SETTINGS[setting][0]],
        }
        for penalty in penalties
        for alpha in PENALTIES[penalty][-1][:: 5 if options.quick else 1]
        for setting in SETTINGS
    ]


def run(
    data: str, penalty: str, alpha: float, setting: str, n_steps: int
) -> dict[str, Any]:
    """Return what one fit reaches."""
    estimator, measure, _ = PENALTIES[penalty]
    batch_size, copies = SETTINGS[setting]
    X = load_digits().data
    remember(data, X)
    X = np.tile(X, copies)
    estimator.set_params(
        alpha=alpha,
        batch_size=batch_size,
        max_iter=n_steps * batch_size // len(X),
        n_iter_no_change=n_steps,
        learning_rate="cosine",
        learning_rate_init=0.003,
        weight_decay=0.0,
        early_stopping=False,
        random_state=0,
    ).fit(X)
    return {
        "reached": round(measure(estimator, X), 5),
        "explained_variance": round(estimator.score(X), 4),
    }


def reached(rows: list[Row], penalty: str) -> np.ndarray:
    """Return what was reached: a row for each alpha, a column for each setting."""
    chosen = [r["reached"] for r in rows if r["penalty"] == penalty]
    return np.reshape(chosen, (-1, len(SETTINGS)))


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return penalty, what is measured, alpha, and what each setting reaches."""
    found = []
    for penalty in dict.fromkeys(r["penalty"] for r in rows):
        name = (PENALTIES[penalty][1].__doc__ or "").split(" (")[0].lower()
        alphas = dict.fromkeys(r["alpha"] for r in rows if r["penalty"] == penalty)
        for alpha, values in zip(alphas, reached(rows, penalty), strict=True):
            found.append([penalty, name, f"{alpha:g}", *(f"{v:.3g}" for v in values)])
    return found


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    headings = ["penalty", "of", "alpha", *SETTINGS]
    return [write_table(folder / "alpha.csv", "Digits", headings, table_rows(rows))]


SUITE = Suite("what a penalty reaches over its weight", cases, run, report)
