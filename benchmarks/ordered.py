"""Prefixes of one ordered code beside PCA, and beside separate fits of each width.

Also how many components ``UndercompleteAE(0.95)`` and ``PCA(0.95)`` need on digits.
"""

import pathlib
import statistics
import time
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import UndercompleteAE
from skae.metrics import explained_variance

from ._data import Rows, load
from ._record import write_record

WIDTH = 32
SEPARATE = (2, 4, 8, 16, 32)
SEEDS = {"digits": (0, 1, 2), "MNIST": (0,)}
SHARE = 0.95


def run(name: str, seed: int, train: Rows, test: Rows) -> dict[str, Any]:
    """Return test explained variances of prefixes, of PCA and of separate fits."""
    start = time.perf_counter()
    whole = UndercompleteAE(WIDTH, ordered=True, random_state=seed).fit(train)
    seconds = round(time.perf_counter() - start, 1)
    separate = {
        str(width): UndercompleteAE(width, random_state=seed).fit(train).score(test)
        for width in SEPARATE
    }
    return {
        "data": name,
        "seed": seed,
        "seconds": seconds,
        "separate": separate,
        "prefixes": [whole.truncate(k).score(test) for k in range(1, WIDTH + 1)],
        "pca": [
            explained_variance(PCA(k, random_state=seed).fit(train), test)
            for k in range(1, WIDTH + 1)
        ],
    }


def chosen_widths() -> dict[str, int]:
    """Return how many components explain the share of digits' variance."""
    X = load_digits().data
    return {
        "UndercompleteAE": UndercompleteAE(SHARE, random_state=0).fit(X).n_components_,
        "PCA": int(PCA(SHARE).fit(X).n_components_),
    }


def least_margin(result: dict[str, Any]) -> float:
    """Least lead of a prefix over PCA, in explained variance."""
    pairs = zip(result["prefixes"], result["pca"], strict=True)
    return min(ours - pca for ours, pca in pairs)


def make_table(runs: list[dict[str, Any]]) -> Table:
    """Build the table: errors of prefixes over those of separate fits and of PCA."""
    table = Table(title=f"Test error of prefixes of {WIDTH} ordered components over")
    for heading in ("data", "width", "separate fits'", "PCA's"):
        table.add_column(heading, justify="right")
    for name in dict.fromkeys(r["data"] for r in runs):
        for width in SEPARATE:
            table.add_row(name, str(width), *ratios(runs, name, width))
    return table


def ratios(runs: list[dict[str, Any]], name: str, width: int) -> list[str]:
    """Return the median ratios of errors to those of separate fits and of PCA."""
    chosen = [r for r in runs if r["data"] == name]
    ours = [1 - r["prefixes"][width - 1] for r in chosen]
    others = (
        [1 - r["separate"][str(width)] for r in chosen],
        [1 - r["pca"][width - 1] for r in chosen],
    )
    return [
        f"{statistics.median(a / b for a, b in zip(ours, other, strict=True)):.3f}"
        for other in others
    ]


def main(output: pathlib.Path) -> None:
    """Run all fits; print the table; write the record."""
    console, loaders = Console(), load()
    cases = [(n, s) for n, seeds in SEEDS.items() if n in loaders for s in seeds]
    runs = []
    for name, seed in track(cases, "Fitting", console=console):
        train, test = (rows.astype(float) for rows in loaders[name]())
        runs.append(run(name, seed, train, test))
    widths, margin = chosen_widths(), min(map(least_margin, runs))
    console.print(make_table(runs))
    console.print(f"Least lead over PCA of any prefix: {margin:.4f} of the variance.")
    console.print(f"Components for {SHARE:.0%} of digits' variance: {widths}")
    record = output / "ordered.json"
    write_record(
        record,
        suite="ordered",
        command="python -m benchmarks ordered",
        components=widths,
        runs=runs,
    )
    console.print(f"record: {record}")
