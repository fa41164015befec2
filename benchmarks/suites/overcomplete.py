"""Codes wider than their input, as features for a linear classifier.

Digits, 128 units for 64 pixels, one layer. A plain autoencoder of that width copies its
input. Accuracy is that of a logistic regression on the codes of 50 labelled images,
over 10 draws, on test images. Settings were chosen on validation images.
"""

import pathlib
from typing import Any

from rich.table import Table

from skae import ContractiveAE, DenoisingAE, SparseAE, UndercompleteAE

from ..shared.data_sets import split_digits
from ..shared.linear_probe import N_DRAWS, accuracies
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTH, N_LABELS = 128, 50
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


def cases(options: Options) -> list[Case]:
    """Return the methods."""
    short = {"max_iter": 10} if options.quick else {}
    methods = ("plain", "sparse, L1", "denoising") if options.quick else METHODS
    return [{"data": "digits", "method": method, **short} for method in methods]


def run(data: str, method: str, max_iter: Any = "auto") -> dict[str, Any]:
    """Return the figures of one method."""
    parts = split_digits(0)
    estimator = METHODS[method].set_params(max_iter=max_iter, random_state=0)
    estimator.fit(parts[0])
    return {
        "explained_variance": round(estimator.score(parts[1]), 4),
        "accuracies": accuracies(estimator, N_LABELS, 0, parts),
        "dead": len(getattr(estimator, "dead_units_", [])),
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return method, explained variance, and accuracy in per cent."""
    return [
        [
            r["method"],
            f"{r['explained_variance']:.3f}",
            mean_and_deviation([100 * a for a in r["accuracies"]], 1),
        ]
        for r in rows
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = f"Digits, {WIDTH} units, {N_LABELS} labels, {N_DRAWS} draws"
    headings = ["method", "explained variance", "accuracy"]
    return [write_table(folder / "overcomplete.csv", title, headings, table_rows(rows))]


SUITE = Suite("codes wider than the input, for a linear classifier", cases, run, report)
