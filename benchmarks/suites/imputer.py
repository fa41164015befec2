"""Missing values: their error, and what a classifier after the imputer loses.

Gaps: a share of the entries of tables is missing, of training rows and of test rows.
The error is that of the missing entries of test rows, divided by the standard deviation
of the feature, root mean squared.

Classes: a logistic regression is trained on filled training rows, and judged on filled
test rows.

Defaults were chosen on other splits of five of the tables (wine, cardio, letter,
pendigits, vowels), whose held-out rows may be among the test rows here.
"""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderImputer

from ..shared.data_sets import TEST_SHARE, remember
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite
from ..shared.tables import TABLES, table

SHARES, N_ROWS, N_SEEDS = (0.1, 0.2, 0.4), 2000, 3
QUICK_TABLES, QUICK_ROWS = ("wine", "diabetes"), 100
CLASSES: dict[str, Callable[..., Any]] = {
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
}

IMPUTERS: dict[str, Callable[..., Any]] = {
    "mean": lambda seed: SimpleImputer(keep_empty_features=True),
    "KNNImputer": lambda seed: KNNImputer(keep_empty_features=True),
    "IterativeImputer": lambda seed: IterativeImputer(
        random_state=seed, keep_empty_features=True
    ),
    "AutoencoderImputer": lambda seed: AutoencoderImputer(
        random_state=seed, keep_empty_features=True
    ),
}
TASKS = {"gaps": "error", "classes": "accuracy"}


def cases(options: Options) -> list[Case]:
    """Return each imputer on each table and share, and before a classifier."""
    sets = {"gaps": TABLES, "classes": tuple(CLASSES)}
    if options.quick:
        sets = {"gaps": QUICK_TABLES, "classes": ("wine",)}
    n_rows = QUICK_ROWS if options.quick else N_ROWS
    return [
        {
            "task": task,
            "data": data,
            "missing": share,
            "method": method,
            "seed": seed,
            "n_rows": n_rows,
        }
        for task, names in sets.items()
        for data in names
        for share in (SHARES[1:2] if options.quick else SHARES)
        for method in IMPUTERS
        for seed in options.seed_range(N_SEEDS)
    ]


def run(task: str, **case: Any) -> dict[str, Any]:
    """Return the figures of one task."""
    return classes(**case) if task == "classes" else gaps(**case)


def gaps(
    data: str, missing: float, method: str, seed: int, n_rows: int
) -> dict[str, Any]:
    """Return the error of missing values of test rows."""
    train, test = train_test_split(
        table(data)[:n_rows], test_size=TEST_SHARE, random_state=seed
    )
    rng = np.random.default_rng(seed)
    lost = rng.random(test.shape) < missing
    train = np.where(rng.random(train.shape) < missing, np.nan, train)
    scaler = StandardScaler().fit(train)
    # A column that is constant in training has no unit.
    lost &= scaler.var_ > 0
    train, test = scaler.transform(train), scaler.transform(test)
    start, seen = time.time(), np.where(lost, np.nan, test)
    filled = IMPUTERS[method](seed).fit(train).transform(seen)
    return {
        "error": round(float(np.sqrt(np.square((filled - test)[lost]).mean())), 4),
        "fill_seconds": round(time.time() - start, 1),
    }


def classes(
    data: str, missing: float, method: str, seed: int, n_rows: int
) -> dict[str, Any]:
    """Return the accuracy of a classifier of filled rows, in per cent."""
    X, y = CLASSES[data](return_X_y=True)
    remember(data, X)
    lost = np.random.default_rng(seed).random(X.shape) < missing
    rows = train_test_split(
        np.where(lost, np.nan, X), y, test_size=TEST_SHARE, random_state=seed
    )
    classifier = make_pipeline(
        IMPUTERS[method](seed), StandardScaler(), LogisticRegression(max_iter=1000)
    )
    classifier.fit(rows[0][:n_rows], rows[2][:n_rows])
    return {"accuracy": round(100 * classifier.score(rows[1], rows[3]), 2)}


def rows_of(rows: list[Row], measure: str) -> list[list[str]]:
    """Return the measure of each imputer, by data and share."""
    digits = 3 if measure == "error" else 1
    found = []
    for data, share in dict.fromkeys((r["data"], r["missing"]) for r in rows):
        own = [r for r in rows if (r["data"], r["missing"]) == (data, share)]
        values = [
            mean_and_deviation([r[measure] for r in own if r["method"] == m], digits)
            for m in IMPUTERS
        ]
        found.append([f"{share:g}", data, *values])
    return found


def summary(rows: list[Row]) -> list[list[str]]:
    """Return the geometric mean of errors over tables, by share."""
    return [
        [
            f"{share:g}",
            *(
                f"{_geometric_mean(rows, missing=share, method=method):.3f}"
                for method in IMPUTERS
            ),
        ]
        for share in dict.fromkeys(r["missing"] for r in rows)
    ]


def _geometric_mean(rows: list[Row], **chosen: Any) -> float:
    own = [r["error"] for r in rows if all(r[k] == v for k, v in chosen.items())]
    return float(np.exp(np.log(own).mean()))


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write a table for each task, and means over tables."""
    tables = []
    for task, measure in TASKS.items():
        own = [r for r in rows if r["task"] == task]
        headings = ["missing", "data", *IMPUTERS]
        path, title = folder / f"imputer_{task}.csv", f"Missing values, {measure}"
        tables.append(write_table(path, title, headings, rows_of(own, measure)))
    own = [r for r in rows if r["task"] == "gaps"]
    title, path = "Error, geometric mean over tables", folder / "imputer_summary.csv"
    tables.append(write_table(path, title, ["missing", *IMPUTERS], summary(own)))
    return tables


SUITE = Suite(
    "missing values, and classifiers of filled rows",
    cases,
    run,
    report,
)
