"""Search for defaults: training rows alone, split again into two parts.

The rows that judge in ``python -m benchmarks floor`` are never read here.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import UndercompleteAE
from skae.metrics import explained_variance

from ..shared.data_sets import Rows, load
from ..shared.pca_baseline import fit_both, summary
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

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
    "cosine rate": {"learning_rate": "cosine"},
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


def cases(options: Options) -> list[Case]:
    """Return the candidates; a quick search looks at few data sets, for few epochs."""
    if options.quick:
        few = {"names": ["iris", "S-curve, 20-D"], "widths": [2]}
        short = {"max_iter": 3}
        return [
            {"candidate": "short", "changes": short, **few},
            {
                "candidate": "short, relu",
                "changes": {"activation": "relu"} | short,
                **few,
            },
            {
                "candidate": "ordered, short",
                "changes": {"ordered": True} | short,
                **few,
            },
        ]
    return [
        *(
            {"candidate": name, "changes": changes, "widths": WIDTHS}
            for name, changes in CANDIDATES.items()
        ),
        *(
            {
                "candidate": name,
                "changes": {"ordered": True} | changes,
                "widths": ORDERED_WIDTHS,
                "names": ORDERED_DATA,
            }
            for name, changes in ORDERED.items()
        ),
    ]


def run(
    candidate: str,
    changes: dict[str, Any],
    widths: list[int],
    names: list[str] | None = None,
) -> dict[str, Any]:
    """Return the summary of one candidate over data sets."""
    chosen = {
        name: rows
        for name, rows in parts(names or list(load())).items()
        if min(rows[0].shape) > max(widths)
    }
    fit = fit_ordered if changes.get("ordered") else fit_plain
    return summary(
        [
            {"data": name, **figures}
            for name, rows in chosen.items()
            for figures in fit(widths, *rows, **changes)
        ]
    )


def parts(names: Sequence[str]) -> dict[str, tuple[Rows, Rows]]:
    """Return rows to train on and rows to validate, of each data set."""
    chosen, loaders = {}, load()
    for name in names:
        rows = loaders[name]()[0][: 4 * MOST_ROWS].astype(float)
        train, validation = train_test_split(rows, test_size=0.25, random_state=1)
        if (train := train[:MOST_ROWS]).size <= MOST_NUMBERS:
            chosen[name] = train, validation
    return chosen


def fit_plain(
    widths: Sequence[int], train: Rows, validation: Rows, **changes: Any
) -> list[dict[str, Any]]:
    """Fit a code of each width, with defaults changed."""
    return [
        {"n_components": k, **fit_both(train, validation, k, 0, **changes)}
        for k in widths
    ]


def fit_ordered(
    widths: Sequence[int], train: Rows, validation: Rows, **changes: Any
) -> list[dict[str, Any]]:
    """Fit one ordered code, and return its prefixes as if each were a fit."""
    whole = UndercompleteAE(max(widths), random_state=0, **changes)
    whole.fit(train)
    return [
        {
            "n_components": k,
            "pca_error": 1 - explained_variance(PCA(k).fit(train), validation),
            "error": 1 - whole.truncate(k).score(validation),
        }
        for k in widths
    ]


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return a row for each candidate."""
    keys = "geometric mean", "worst"
    return [[r["candidate"], *(f"{r[key]:.3f}" for key in keys)] for r in rows]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = "Validation error over PCA's: geometric mean and maximum"
    headings = ["candidate", "mean", "worst"]
    return [write_table(folder / "search.csv", title, headings, table_rows(rows))]


SUITE = Suite("candidates for the defaults, on training rows", cases, run, report)
