"""Tables of mixed kinds: the error of numbers and of categories on test rows.

The error of numbers is squared, divided by the variance of the column in training. That
of booleans and categories is the share of wrong values. Both are means over columns.

Gaps: the same errors of values that are hidden from test rows, a tenth of all.

Defaults were chosen on training rows of other splits of the four stored tables, whose
rows may be among the test rows here, and on tables of ADBench with cut columns.
"""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skae import TableAE, UndercompleteAE

from ..shared.data_sets import TEST_SHARE
from ..shared.mixed_tables import (
    MADE,
    TABLES,
    categories_of,
    mixed_table,
    numbers_of,
)
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTHS, N_SEEDS, N_TRAINING, N_TEST = (2, 8), 3, 10_000, 5_000
QUICK_ROWS, HIDDEN = 150, 0.1
KINDS = {"numbers": "number", "categories": "category"}


class OneHot:
    """A transformer of numbers, after a one-hot encoding and a scaler."""

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(self, frame: pd.DataFrame) -> "OneHot":
        self.numbers, self.texts = numbers_of(frame), categories_of(frame)
        self.means = frame[self.numbers].mean()
        self.encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self.encoder.fit(_texts(frame, self.texts))
        rows = self._encode(frame)
        self.scaler = StandardScaler().fit(rows)
        rows = self.scaler.transform(rows)
        self.transformer.set_params(
            n_components=min(self.transformer.n_components, *rows.shape)
        )
        self.transformer.fit(rows)
        return self

    def reconstruct(self, frame: pd.DataFrame) -> pd.DataFrame:
        rows = self.scaler.transform(self._encode(frame))
        codes = self.transformer.transform(rows)
        rows = self.scaler.inverse_transform(self.transformer.inverse_transform(codes))
        levels = self.encoder.categories_
        ends = np.cumsum([len(self.numbers), *map(len, levels)])
        numbers, *groups, _ = np.split(rows, ends, axis=1)
        answer = dict(zip(self.numbers, numbers.T, strict=True))
        for name, group, found in zip(self.texts, groups, levels, strict=True):
            is_known = ~pd.isna(found)
            answer[name] = found[is_known][group[:, is_known].argmax(axis=1)]
        return pd.DataFrame(answer)

    def _encode(self, frame: pd.DataFrame) -> np.ndarray:
        numbers = frame[self.numbers].fillna(self.means)
        return np.hstack([numbers, self.encoder.transform(_texts(frame, self.texts))])


def _texts(frame: pd.DataFrame, names: list[Any]) -> np.ndarray:
    values = frame[names].astype(object)
    return values.where(values.notna(), None).to_numpy()


class Constant:
    """The mean of numbers, and the most frequent category."""

    def fit(self, frame: pd.DataFrame) -> "Constant":
        self.answers = dict(frame[numbers_of(frame)].mean())
        self.answers |= dict(frame[categories_of(frame)].mode().iloc[0])
        return self

    def reconstruct(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(self.answers, index=range(len(frame)))


METHODS: dict[str, Callable[[int, int], Any]] = {
    "constant": lambda width, seed: Constant(),
    "one-hot + PCA": lambda width, seed: OneHot(PCA(width, random_state=seed)),
    "one-hot + UndercompleteAE": lambda width, seed: OneHot(
        UndercompleteAE(width, random_state=seed)
    ),
    "TableAE": lambda width, seed: TableAE(width, random_state=seed),
    "TableAE, gaps": lambda width, seed: TableAE(
        width, noise="gaps", noise_level=HIDDEN, random_state=seed
    ),
}


def cases(options: Options) -> list[Case]:
    """Return each method on each table and width."""
    return [
        {
            "data": data,
            "n_components": width,
            "method": method,
            "seed": seed,
            "n_training": QUICK_ROWS if options.quick else N_TRAINING,
        }
        for data in (MADE if options.quick else TABLES)
        for width in (WIDTHS[:1] if options.quick else WIDTHS)
        for method in METHODS
        for seed in options.seed_range(N_SEEDS)
    ]


def run(
    data: str, n_components: int, method: str, seed: int, n_training: int
) -> dict[str, Any]:
    """Return errors by kind of column, of known and of hidden values."""
    train, test = train_test_split(
        mixed_table(data), test_size=TEST_SHARE, random_state=seed
    )
    train, test = train[:n_training], test[:N_TEST]
    start = time.time()
    model = METHODS[method](n_components, seed).fit(train)
    figures: dict[str, Any] = {"fit_seconds": round(time.time() - start, 1)}
    answer = model.reconstruct(test)
    figures |= errors(test, answer, train, test.notna().to_numpy())
    lost = np.random.default_rng(seed).random(test.shape) < HIDDEN
    filled = model.reconstruct(_hide(test, lost))
    gaps = errors(test, filled, train, lost & test.notna().to_numpy())
    figures |= {f"{name}_gaps": value for name, value in gaps.items()}
    if method.startswith("TableAE"):
        figures["same_dtypes"] = bool((answer.dtypes == test.dtypes).all())
        figures["n_missing"] = int(test.isna().sum().sum())
        figures["n_left"] = int(answer.isna().sum().sum())
    return figures


def _hide(frame: pd.DataFrame, lost: np.ndarray) -> pd.DataFrame:
    """Return a table without the lost values; what cannot be missing is an object."""
    hidden = frame.astype(dict.fromkeys(numbers_of(frame), float))
    hidden = hidden.astype(dict.fromkeys(categories_of(frame), object))
    return hidden.mask(lost)


def errors(
    truth: pd.DataFrame, answer: pd.DataFrame, train: pd.DataFrame, counts: np.ndarray
) -> dict[str, float]:
    """Return the mean error of columns of numbers, and that of the others."""
    found: dict[str, list[float]] = {"number": [], "category": []}
    for name, counted in zip(truth, counts.T, strict=True):
        if name in numbers_of(truth):
            missed = truth[name].to_numpy() - answer[name].to_numpy()
            squares = np.square(missed[counted]) / train[name].var(ddof=0)
            found["number"].append(float(squares.mean()))
        else:
            values = (
                frame[name].astype(object).to_numpy() for frame in (truth, answer)
            )
            given, answered = values
            found["category"].append(float((given != answered)[counted].mean()))
    return {kind: round(float(np.nanmean(e)), 4) for kind, e in found.items()}


def table_rows(rows: list[Row], measure: str) -> list[list[str]]:
    """Return the measure of each method, by table and width."""
    return [
        [
            data,
            str(width),
            *(
                mean_and_deviation(values_of(rows, measure, data, width, method), 3)
                for method in METHODS
            ),
        ]
        for data, width in dict.fromkeys((r["data"], r["n_components"]) for r in rows)
    ]


def values_of(
    rows: list[Row], measure: str, data: str, width: int, method: str
) -> list[float]:
    """Return a measure of one method for each seed."""
    wanted = {"data": data, "n_components": width, "method": method}
    return [r[measure] for r in rows if wanted.items() <= r.items()]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write a table for each kind of column, of known and of hidden values."""
    headings, tables = ["data", "components", *METHODS], []
    for suffix, title in (("", "Error of"), ("_gaps", "Error of hidden")):
        for kind, measure in KINDS.items():
            path = folder / f"mixed_{kind}{suffix}.csv"
            own = table_rows(rows, f"{measure}{suffix}")
            tables.append(write_table(path, f"{title} {kind}", headings, own))
    return tables


SUITE = Suite("tables of numbers, booleans and categories", cases, run, report)
