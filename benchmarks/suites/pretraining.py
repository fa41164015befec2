"""What pretraining of layers gains for the reconstruction of tables and images.

``StackedAE`` with each kind of pretraining and without it, at its default sizes and
steps. Of a large data set 2000 training and 2000 test rows are used. The defaults were
chosen on other splits, of training rows only.
"""

import pathlib
import statistics
from typing import Any

import numpy as np
from rich.table import Table

from skae import StackedAE

from ..shared.data_sets import rows as rows_of
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

N_ROWS = 2000
#: Widths of the codes.
DATA = {
    "digits": 8,
    "cardio": 4,
    "satellite": 6,
    "letter": 8,
    "vowels": 3,
    "ECG5000": 8,
    "MNIST": 16,
}
KINDS: dict[str, dict[str, Any]] = {
    "none": {"pretraining_max_iter": 0},
    **{k: {"pretraining": k} for k in ("plain", "denoising", "sparse", "contractive")},
}


def cases(options: Options) -> list[Case]:
    """Return kinds of pretraining, for each start and data set."""
    data, inits, kinds = list(DATA), ["random", "pca"], list(KINDS)
    if options.quick:
        data, inits, kinds = ["digits"], ["random"], ["none", "denoising"]
    return [
        {"data": name, "init": init, "kind": kind, "seed": seed}
        for name in data
        for init in inits
        for kind in kinds
        for seed in options.seed_range(3)
    ]


def run(data: str, init: str, kind: str, seed: int) -> dict[str, Any]:
    """Return the share of the variance of test rows that is left."""
    rng = np.random.default_rng(seed)
    train, test = (rng.permutation(part)[:N_ROWS] for part in rows_of(data))
    estimator = StackedAE(DATA[data], init=init, random_state=seed, **KINDS[kind])
    estimator.fit(train.astype(np.float32))
    left = 1 - estimator.score(test.astype(np.float32))
    return {"unexplained": float(f"{left:.5g}"), "is_pca": estimator.is_pca_}


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return what is left with each kind, over what is left without pretraining."""
    left = {
        (r["init"], r["kind"], r["data"], r["seed"]): r["unexplained"] for r in rows
    }
    data = list(dict.fromkeys(row["data"] for row in rows))
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for (init, kind, name, seed), value in left.items():
        ratio = value / left[init, "none", name, seed]
        ratios.setdefault((init, kind, name), []).append(ratio)
    means = {key: statistics.geometric_mean(found) for key, found in ratios.items()}
    groups = dict.fromkeys((init, kind) for init, kind, _ in means if kind != "none")
    found = []
    for group in groups:
        of_data = [means[*group, name] for name in data]
        shown = [f"{m:.3f}" for m in (*of_data, statistics.geometric_mean(of_data))]
        found.append([*group, *shown])
    return found


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    data = dict.fromkeys(row["data"] for row in rows)
    title = "Unexplained variance of test rows, over that without pretraining"
    headings = ["init", "pretraining", *data, "geometric mean"]
    path = folder / "pretraining.csv"
    return [write_table(path, title, headings, table_rows(rows))]


SUITE = Suite("reconstruction after pretraining of layers", cases, run, report)
