"""Prefixes of one ordered code beside PCA, and beside separate fits of each width.

Also how many components ``UndercompleteAE(0.95)`` and ``PCA(0.95)`` need on digits.
"""

import pathlib
import statistics
import time
from typing import Any

from rich.console import Console
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import UndercompleteAE
from skae.metrics import explained_variance

from ._data import Rows, load
from ._record import write_record, write_table

WIDTH = 32
SEPARATE = (2, 4, 8, 16, 32)
SEEDS = {"digits": (0, 1, 2), "optdigits": (0,), "MNIST": (0,)}
SHARE = 0.95


def run(name: str, seed: int, train: Rows, test: Rows) -> dict[str, Any]:
    """Return test explained variances of prefixes, of PCA and of separate fits."""
    whole, seconds = timed_fit(
        train, n_components=WIDTH, ordered=True, random_state=seed
    )
    fits = {
        str(width): timed_fit(train, n_components=width, random_state=seed)
        for width in SEPARATE
    }
    return {
        "data": name,
        "seed": seed,
        "seconds": seconds,
        "separate": {width: fit.score(test) for width, (fit, _) in fits.items()},
        "separate_seconds": {width: seconds for width, (_, seconds) in fits.items()},
        "prefixes": [whole.truncate(k).score(test) for k in range(1, WIDTH + 1)],
        "pca": [
            explained_variance(PCA(k, random_state=seed).fit(train), test)
            for k in range(1, WIDTH + 1)
        ],
    }


def timed_fit(train: Rows, **parameters: Any) -> tuple[UndercompleteAE, float]:
    """Return a fitted autoencoder, and how many seconds that took."""
    start = time.perf_counter()
    autoencoder = UndercompleteAE(**parameters).fit(train)
    return autoencoder, round(time.perf_counter() - start, 1)


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


def table_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return errors of prefixes over those of separate fits and of PCA."""
    return [
        [name, str(width), *ratios(runs, name, width)]
        for name in dict.fromkeys(r["data"] for r in runs)
        for width in SEPARATE
    ]


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
    """Run all fits; print the table; write it and the record."""
    console, loaders = Console(), load()
    cases = [(n, s) for n, seeds in SEEDS.items() if n in loaders for s in seeds]
    runs = []
    for name, seed in track(cases, "Fitting", console=console):
        train, test = (rows.astype(float) for rows in loaders[name]())
        runs.append(run(name, seed, train, test))
    widths, margin = chosen_widths(), min(map(least_margin, runs))
    table = write_table(
        output / "ordered.csv",
        f"Test error of prefixes of {WIDTH} ordered components over that of",
        ["data", "width", "separate fits", "PCA"],
        table_rows(runs),
    )
    console.print(table)
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
