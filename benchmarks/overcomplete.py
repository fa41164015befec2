"""Codes wider than their input, as features for a linear classifier.

Digits, 128 units for 64 pixels, one layer. A plain autoencoder of that width copies its
input. Accuracy is that of a logistic regression on the codes of 50 labelled images,
over 10 draws, on test images. Settings were chosen on validation images.
"""

import pathlib
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from skae import ContractiveAE, DenoisingAE, SparseAE, UndercompleteAE

from ._record import mean_and_deviation, write_record, write_table
from .digits import N_DRAWS, accuracies, split

WIDTH, N_LABELS = 128, 50
N_JOBS = 2
LAYER = {"hidden_layer_sizes": (), "init": "random"}
TIED = {"tied_weights": True}
METHODS = {
    "plain": UndercompleteAE(WIDTH, code_activation="relu", **LAYER),
    "sparse, L1": SparseAE(WIDTH, alpha=0.1, **TIED),
    "sparse, KL": SparseAE(WIDTH, sparsity="kl", alpha=3.0, **TIED),
    "sparse, top k": SparseAE(WIDTH, sparsity="top_k", k=6, support=3.0, **TIED),
    "sparse, batch top k": SparseAE(WIDTH, sparsity="batch_top_k", k=6, **TIED),
    "sparse, jump ReLU": SparseAE(WIDTH, sparsity="jump_relu", alpha=0.3, **TIED),
    "denoising": DenoisingAE(WIDTH, noise_level=1.0, code_activation="relu", **LAYER),
    "contractive": ContractiveAE(WIDTH, alpha=0.1, code_activation="logistic", **LAYER),
}


def run(method: str) -> dict[str, Any]:
    """Return the figures of one method."""
    data = split(0)
    estimator = METHODS[method].set_params(random_state=0).fit(data[0])
    return {
        "method": method,
        "explained_variance": round(estimator.score(data[1]), 4),
        "accuracies": accuracies(estimator, N_LABELS, 0, data),
        "dead": len(getattr(estimator, "dead_units_", [])),
    }


def table_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return method, explained variance, and accuracy in per cent."""
    return [
        [
            r["method"],
            f"{r['explained_variance']:.3f}",
            mean_and_deviation([100 * a for a in r["accuracies"]], 1),
        ]
        for r in runs
    ]


def main(output: pathlib.Path) -> None:
    """Run all fits; print the table; write it and the record."""
    console = Console()
    fits = Parallel(n_jobs=N_JOBS, return_as="generator")(map(delayed(run), METHODS))
    runs = list(track(fits, "Fitting", total=len(METHODS), console=console))
    table = write_table(
        output / "overcomplete.csv",
        f"Digits, {WIDTH} units, {N_LABELS} labels, {N_DRAWS} draws",
        ["method", "explained variance", "accuracy"],
        table_rows(runs),
    )
    console.print(table)
    write_record(
        output / "overcomplete.json",
        suite="overcomplete",
        command="python -m benchmarks overcomplete",
        runs=runs,
    )
