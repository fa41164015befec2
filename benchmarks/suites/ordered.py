"""Prefixes of one ordered code beside PCA, and beside separate fits of each width.

Also how many components ``UndercompleteAE(0.95)`` and ``PCA(0.95)`` need on digits.
"""

import pathlib
import statistics
import time
from typing import Any

from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import UndercompleteAE
from skae.metrics import explained_variance

from ..shared.data_sets import Rows, remember, rows
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTH = 32
SEPARATE = (2, 4, 8, 16, 32)
N_SEEDS = {"digits": 3, "optdigits": 1, "MNIST": 1}
SHARE = 0.95


def cases(options: Options) -> list[Case]:
    """Return ordered codes of each data set with its seeds, and a share to explain."""
    short = {"max_iter": 5} if options.quick else {}
    width, separate = (8, [2, 8]) if options.quick else (WIDTH, SEPARATE)
    sizes = {"n_components": width, "separate": separate}
    n_seeds = {"digits": 1} if options.quick else N_SEEDS
    return [
        *(
            {"data": data, **sizes, "seed": seed, **short}
            for data in n_seeds
            for seed in options.seed_range(n_seeds[data])
        ),
        {"data": "digits", "n_components": SHARE, **short},
    ]


def run(data: str, n_components: float, **case: Any) -> dict[str, Any]:
    """Return the figures of a number of components, or of a share."""
    if n_components < 1:
        return chosen_widths(data, n_components, **case)
    return prefixes(data, int(n_components), **case)


def prefixes(
    data: str,
    n_components: int,
    separate: list[int],
    seed: int,
    max_iter: Any = "auto",
) -> dict[str, Any]:
    """Return test explained variances of prefixes, of PCA and of separate fits."""
    train, test = (part.astype(float) for part in rows(data))
    common = {"max_iter": max_iter, "random_state": seed}
    whole, seconds = timed_fit(train, n_components, ordered=True, **common)
    fits = {str(width): timed_fit(train, width, **common) for width in separate}
    widths = range(1, n_components + 1)
    return {
        "fit_seconds": seconds,
        "scores": {width: fit.score(test) for width, (fit, _) in fits.items()},
        "separate_seconds": {width: seconds for width, (_, seconds) in fits.items()},
        "prefixes": [whole.truncate(k).score(test) for k in widths],
        "pca": [
            explained_variance(PCA(k, random_state=seed).fit(train), test)
            for k in widths
        ],
    }


def timed_fit(
    train: Rows, n_components: float, **parameters: Any
) -> tuple[UndercompleteAE, float]:
    """Return a fitted autoencoder, and how many seconds that took."""
    start = time.perf_counter()
    autoencoder = UndercompleteAE(n_components, **parameters).fit(train)
    return autoencoder, round(time.perf_counter() - start, 1)


def chosen_widths(data: str, share: float, max_iter: Any = "auto") -> dict[str, Any]:
    """Return how many components explain the share of digits' variance."""
    X = load_digits().data
    remember(data, X)
    ours = UndercompleteAE(share, max_iter=max_iter, random_state=0).fit(X)
    widths = {
        "UndercompleteAE": ours.n_components_,
        "PCA": PCA(share).fit(X).n_components_,
    }
    return {"components": {name: int(width) for name, width in widths.items()}}


def codes(rows: list[Row]) -> list[Row]:
    """Return the rows of ordered codes."""
    return [r for r in rows if "prefixes" in r]


def least_margin(row: Row) -> float:
    """Least lead of a prefix over PCA, in explained variance."""
    pairs = zip(row["prefixes"], row["pca"], strict=True)
    return min(ours - pca for ours, pca in pairs)


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return errors of prefixes over those of separate fits and of PCA."""
    return [
        [name, width, *ratios(rows, name, int(width))]
        for name, first in {r["data"]: r for r in codes(rows)}.items()
        for width in first["scores"]
    ]


def ratios(rows: list[Row], name: str, width: int) -> list[str]:
    """Return the median ratios of errors to those of separate fits and of PCA."""
    chosen = [r for r in codes(rows) if r["data"] == name]
    ours = [1 - r["prefixes"][width - 1] for r in chosen]
    others = (
        [1 - r["scores"][str(width)] for r in chosen],
        [1 - r["pca"][width - 1] for r in chosen],
    )
    return [
        f"{statistics.median(a / b for a, b in zip(ours, other, strict=True)):.3f}"
        for other in others
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table, with what else was found below it."""
    chosen = codes(rows)
    title = "Test error of prefixes of ordered components over that of"
    headings = ["data", "width", "separate fits", "PCA"]
    table = write_table(folder / "ordered.csv", title, headings, table_rows(rows))
    margin = min(map(least_margin, chosen))
    table.caption = f"Least lead over PCA of any prefix: {margin:.4f} of the variance."
    for found in (r["components"] for r in rows if "components" in r):
        table.caption += f" Components for {SHARE:.0%} of digits' variance: {found}"
    return [table]


def alone(case: Case) -> bool:
    """Give each fit all cores: its seconds are told."""
    return True


SUITE = Suite(
    "prefixes of one code beside PCA and separate fits",
    cases,
    run,
    report,
    alone=alone,
)
