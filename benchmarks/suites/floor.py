"""Test error of ``UndercompleteAE`` over that of ``PCA``, on many data sets.

Both have default settings and the same width; rows are in raw units unless a name says
that they are scaled. Where PCA is exact there is nothing to compare.
"""

import functools
import pathlib
from typing import Any

from rich.table import Table

from skae import UndercompleteAE

from ..shared import data_sets
from ..shared.data_sets import Rows
from ..shared.pca_baseline import fit_both, ratios, summary
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTHS = (2, 8, 32)
N_SEEDS = 3
LARGE = ("MNIST", "Fashion-MNIST")
QUICK = ("iris", "wine, scaled", "S-curve")


@functools.lru_cache(maxsize=1)
def rows_of(data: str) -> tuple[Rows, Rows]:
    """Return training and test rows; the last data set stays in memory."""
    train, test = data_sets.rows(data)
    return train.astype(float), test.astype(float)


def cases(options: Options) -> list[Case]:
    """Return data sets, widths that fit, and seeds; large data sets last."""
    names = QUICK if options.quick else data_sets.load()
    shapes = {name: data_sets.rows(name)[0].shape for name in names}
    return [
        {"data": name, "n_components": width, "seed": seed}
        for name in sorted(names, key=lambda name: name in LARGE)
        for width in WIDTHS
        if width < min(shapes[name])
        for seed in options.seed_range(N_SEEDS)
    ]


def run(data: str, n_components: int, seed: int) -> dict[str, Any]:
    """Return the figures of both, with default settings."""
    train, test = rows_of(data)
    return {
        "rows": len(train),
        "features": train.shape[1],
        **fit_both(train, test, n_components, seed),
        "parameters": UndercompleteAE().get_params(),
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return a row for each data set: its size, and the ratio at each width."""
    medians, found = ratios(rows), []
    for name in dict.fromkeys(r["data"] for r in rows):
        first = next(r for r in rows if r["data"] == name)
        shown = [
            ""
            if (name, width) not in medians
            else "exact"
            if (value := medians[name, width]) is None
            else f"{value:.3f}"
            for width in WIDTHS
        ]
        found.append([name, str(first["rows"]), str(first["features"]), *shown])
    return found


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table, and its summary."""
    # Cases of data sets that are not there now come last: their order is that of names.
    order = {name: i for i, name in enumerate(data_sets.names())}
    rows = sorted(rows, key=lambda r: (r["data"] in LARGE, order[r["data"]]))
    total = summary(rows)
    sizes = [str(value) for value in list(total.values())[:2]]
    shares = [f"{value:.3f}" for value in list(total.values())[2:4]]
    chance = format(total["Wilcoxon's p"], ".1e")
    return [
        write_table(
            folder / "floor.csv",
            "Test error of UndercompleteAE over PCA's, median over seeds",
            ["data", "rows", "features", *map(str, WIDTHS)],
            table_rows(rows),
        ),
        write_table(
            folder / "floor_summary.csv",
            "Summary",
            list(total),
            [[*sizes, *shares, chance]],
        ),
    ]


def alone(case: Case) -> bool:
    """Give large data all cores, so that a fit's time is its own."""
    return case["data"] in LARGE


SUITE = Suite(
    "test errors over PCA's on many data sets", cases, run, report, alone=alone
)
