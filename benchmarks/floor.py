"""Test error of ``UndercompleteAE`` over that of ``PCA``, on many data sets.

Both have default settings and the same width; rows are in raw units unless a name says
that they are scaled. Where PCA is exact there is nothing to compare.
"""

import os
import pathlib
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from skae import UndercompleteAE

from ._data import Rows, load
from ._record import write_record, write_table

WIDTHS = (2, 8, 32)
SEEDS = (0, 1, 2)
#: Of so many numbers on a fit uses all cores, alone, so that its time is its own.
LARGE = 10_000_000
EXACT = 1e-9


def squared_error(transformer: Any, X: Rows) -> float:
    """Mean over rows of the squared error of the reconstruction."""
    reconstruction = transformer.inverse_transform(transformer.transform(X))
    return float(np.square(X - reconstruction).sum(axis=1).mean())


def run(
    name: str, width: int, seed: int, train: Rows, test: Rows, **parameters: Any
) -> dict[str, Any]:
    """Fit both, and return their test errors as shares of the variance."""
    variance = np.square(test - train.mean(axis=0)).sum(axis=1).mean()
    pca = PCA(width, random_state=seed).fit(train)
    autoencoder = UndercompleteAE(width, random_state=seed, **parameters)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        autoencoder.fit(train)
    return {
        "data": name,
        "rows": len(train),
        "features": train.shape[1],
        "width": width,
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 2),
        "pca_error": float(squared_error(pca, test) / variance),
        "error": float(squared_error(autoencoder, test) / variance),
        "pca_score": autoencoder.pca_score_,
        "best_score": autoencoder.best_score_,
    }


def cases(train: Rows) -> list[tuple[int, int]]:
    """Return widths that fit, with seeds."""
    fitting = [width for width in WIDTHS if width < min(train.shape)]
    return [(width, seed) for width in fitting for seed in SEEDS]


def run_all(console: Console) -> Iterator[dict[str, Any]]:
    """Run small cases two at a time, large ones one by one."""
    loaded = {name: read() for name, read in load().items()}
    large = {name for name, (train, _) in loaded.items() if train.size >= LARGE}
    small = [
        delayed(run)(name, *case, *rows)
        for name, rows in loaded.items()
        if name not in large
        for case in cases(rows[0])
    ]
    results = Parallel(n_jobs=2, return_as="generator")(small)
    yield from track(results, "Small data", total=len(small), console=console)
    for name in sorted(large):
        rows = tuple(part.astype(float) for part in loaded[name])
        for case in track(cases(rows[0]), name, console=console):
            yield run(name, *case, *rows)


def ratios(runs: list[dict[str, Any]]) -> dict[tuple[str, int], float | None]:
    """Median over seeds of the ratio of errors; None where PCA is exact."""
    medians: dict[tuple[str, int], float | None] = {}
    for key in dict.fromkeys((r["data"], r["width"]) for r in runs):
        chosen = [r for r in runs if (r["data"], r["width"]) == key]
        exact = chosen[0]["pca_error"] < EXACT
        pairs = [r["error"] / max(r["pca_error"], EXACT) for r in chosen]
        medians[key] = None if exact else float(np.median(pairs))
    return medians


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Geometric mean and maximum of the ratios."""
    values = [value for value in ratios(runs).values() if value is not None]
    return {
        "data sets": len({r["data"] for r in runs}),
        "cases": len(values),
        "geometric mean": float(np.exp(np.mean(np.log(values)))),
        "worst": max(values),
    }


def table_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each data set: its size, and the ratio at each width."""
    medians, rows = ratios(runs), []
    for name in dict.fromkeys(r["data"] for r in runs):
        first = next(r for r in runs if r["data"] == name)
        shown = [
            ""
            if (name, width) not in medians
            else "exact"
            if (value := medians[name, width]) is None
            else f"{value:.3f}"
            for width in WIDTHS
        ]
        rows.append([name, str(first["rows"]), str(first["features"]), *shown])
    return rows


def main(output: pathlib.Path) -> None:
    """Run all cases; print the table; write it and the record."""
    console = Console()
    runs = list(run_all(console))
    table = write_table(
        output / "floor.csv",
        "Test error of UndercompleteAE over PCA's, median of 3 seeds",
        ["data", "rows", "features", *map(str, WIDTHS)],
        table_rows(runs),
    )
    console.print(table, summary(runs))
    record = output / "floor.json"
    write_record(
        record,
        suite="floor",
        command="python -m benchmarks floor",
        with_stored_data="SKAE_DATA" in os.environ,
        parameters=UndercompleteAE().get_params(),
        summary=summary(runs),
        runs=runs,
    )
    console.print(f"record: {record}")
