"""Search for defaults: training rows alone, split again into two parts.

The rows that judge in ``python -m benchmarks floor`` are never read here.
"""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import UndercompleteAE
from skae.metrics import explained_variance

from ._data import Rows, load
from ._record import write_record, write_table
from .floor import run, summary

#: What each candidate changes of the defaults.
CANDIDATES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "64 hidden": {"hidden_layer_sizes": (64,)},
    "512 hidden": {"hidden_layer_sizes": (512,)},
    "2 hidden layers": {"hidden_layer_sizes": (128, 128)},
    "relu": {"activation": "relu"},
    "rate 0.003": {"learning_rate_init": 0.003},
    "rate 0.03": {"learning_rate_init": 0.03},
    "constant rate": {"learning_rate": "constant"},
    "no decay": {"weight_decay": 0.0},
    "decay 0.2 a step": {"weight_decay": 0.2},
    "decay 1.0 a step": {"weight_decay": 1.0},
    "batches of 32": {"batch_size": 32},
    "patience 20": {"n_iter_no_change": 20},
    "random start": {"init": "random"},
}
#: The same for ordered codes.
ORDERED: dict[str, dict[str, Any]] = {
    "ordered": {},
    "ordered, 1 hidden layer": {"hidden_layer_sizes": (256,)},
    "ordered, decay 0.2 a step": {"weight_decay": 0.2},
    "ordered, decay 5.0 a step": {"weight_decay": 5.0},
    "ordered, batches of 32": {"batch_size": 32},
    "ordered, patience 50": {"n_iter_no_change": 50},
}
ORDERED_DATA = ("digits", "optdigits", "ECG5000", "bumps")
ORDERED_WIDTHS = (2, 4, 8, 16, 32)
#: One width, for a search over more would take an hour.
WIDTHS = (8,)
MOST_ROWS = 1500
#: A fit of more numbers takes too long for a search.
MOST_NUMBERS = 300_000


def parts() -> dict[str, tuple[Rows, Rows]]:
    """Return rows to train on and rows to validate, of each data set."""
    chosen = {}
    for name, read in load().items():
        rows = read()[0][: 4 * MOST_ROWS].astype(float)
        train, validation = train_test_split(rows, test_size=0.25, random_state=1)
        if (train := train[:MOST_ROWS]).size <= MOST_NUMBERS:
            chosen[name] = train, validation
    return chosen


def table_rows(results: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each candidate."""
    keys = "geometric mean", "worst"
    return [[r["candidate"], *(f"{r[key]:.3f}" for key in keys)] for r in results]


def run_plain(
    name: str, widths: Sequence[int], train: Rows, validation: Rows, **changes: Any
) -> list[dict[str, Any]]:
    """Fit a code of each width, with defaults changed."""
    return [run(name, width, 0, train, validation, **changes) for width in widths]


def run_ordered(
    name: str, widths: Sequence[int], train: Rows, validation: Rows, **changes: Any
) -> list[dict[str, Any]]:
    """Fit one ordered code, and return its prefixes as if each were a fit."""
    whole = UndercompleteAE(max(widths), ordered=True, random_state=0, **changes)
    whole.fit(train)
    return [
        {
            "data": name,
            "width": width,
            "pca_error": 1 - explained_variance(PCA(width).fit(train), validation),
            "error": 1 - whole.truncate(width).score(validation),
        }
        for width in widths
    ]


def main(output: pathlib.Path) -> None:
    """Fit all candidates; print the table; write it and the record."""
    console = Console()
    wide = {n: rows for n, rows in parts().items() if min(rows[0].shape) > max(WIDTHS)}
    chosen = {name: wide[name] for name in ORDERED_DATA if name in wide}
    plain = [(n, c, run_plain, WIDTHS, wide) for n, c in CANDIDATES.items()]
    ordered = [(n, c, run_ordered, ORDERED_WIDTHS, chosen) for n, c in ORDERED.items()]
    results = []
    for candidate, changes, fit, widths, cases in plain + ordered:
        start = time.perf_counter()
        fits = Parallel(n_jobs=2, return_as="generator")(
            delayed(fit)(name, widths, *rows, **changes) for name, rows in cases.items()
        )
        runs = list(track(fits, candidate, total=len(cases), console=console))
        seconds = round((time.perf_counter() - start) / len(cases), 2)
        found = summary([r for part in runs for r in part]) | {"seconds": seconds}
        results.append({"candidate": candidate, "changes": changes, **found})
    table = write_table(
        output / "search.csv",
        "Validation error over PCA's: geometric mean and maximum",
        ["candidate", "mean", "worst"],
        table_rows(results),
    )
    console.print(table)
    write_record(
        output / "search.json",
        suite="search",
        command="python -m benchmarks search",
        results=results,
    )
