"""Test error and processor time of ours and of autoencoders that others made.

Each has the settings it comes with, and then, where it has batches, the best of three
sizes of them: the one with the least error on a fifth of the training rows, after
training on the rest. Error is the share of the test rows' variance that is left. A fit
is a process of its own with one thread.
"""

import itertools
import json
import pathlib
import statistics
import tempfile
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.model_selection import train_test_split

from ..shared.environments import Failed, NotInstalled, run_alone
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite
from ..speed.aim import load
from . import worker
from .methods import METHODS, OURS, Rows, Settings

N_COMPONENTS = (2, 8, 32)
#: Data sets, and how many of their rows train; all if None.
DATA = (
    ("digits", None),
    ("table", None),
    ("easy table", None),
    ("MNIST", 10_000),
    ("MNIST", None),
)
BATCH_SIZES = (32, 128, 512)
OWN, BEST = "own", "best"
#: Batches are compared on so many rows at most: on more that would take hours a rival.
N_COMPARED = 10_000
PLACE = ("data", "n_rows", "n_components", "batches")
FIGURES = ("error", "fit_seconds", "transform_seconds")


def cases(options: Options) -> list[Case]:
    """Return data sets, widths and methods; quick ones need nothing installed."""
    if options.quick:
        places = [(("digits", None), 2, OWN)]
    else:
        places = list(itertools.product(DATA, N_COMPONENTS, (OWN, BEST)))
    return [
        {
            **dict(zip(PLACE, (*data, n_components, batches), strict=True)),
            "method": name,
            "seed": seed,
            "n_epochs": 2 if options.quick else None,
        }
        for data, n_components, batches in places
        for name, method in METHODS.items()
        for seed in options.seed_range(1)
        if batches == OWN or method.has_batches
        if not (options.quick and method.requirements)
    ]


def read(data: str, n_rows: int | None) -> tuple[Rows, Rows]:
    """Return training and test rows; images have values between 0 and 1."""
    train, test = load(data)
    largest = train.max() if data == "digits" else 1
    return train[:n_rows] / largest, test / largest


def run(
    data: str,
    n_rows: int | None,
    n_components: int,
    batches: str,
    method: str,
    seed: int,
    n_epochs: int | None,
) -> dict[str, Any]:
    """Return the figures of a fit, and of the batches that were tried for it."""
    train, test = read(data, n_rows)
    settings = Settings(n_components, seed, n_epochs=n_epochs)
    if batches == OWN:
        return measured(method, settings, train, test)
    tried = compared(method, settings, train)
    errors = {n: found["error"] for n, found in tried.items() if "error" in found}
    if not errors:
        return tried[BATCH_SIZES[0]]
    best = min(errors, key=errors.__getitem__)
    figures = measured(method, replace(settings, batch_size=best), train, test)
    return {**figures, "batch_size": best, "tried": errors}


def compared(method: str, settings: Settings, train: Rows) -> dict[int, dict[str, Any]]:
    """Return the figures of fits with each size of batches, judged by training rows."""
    rows = train_test_split(train[:N_COMPARED], test_size=0.2, random_state=0)
    return {
        size: measured(method, replace(settings, batch_size=size), *rows)
        for size in BATCH_SIZES
    }


def measured(
    method: str, settings: Settings, train: Rows, test: Rows
) -> dict[str, Any]:
    """Return the figures of a fit, or what is missing where there is none."""
    if settings.n_epochs is not None:
        # So few epochs are a check, which an error is to stop.
        answer, figures = worker.fit(method, settings, train, test)
    else:
        try:
            answer, figures = apart(method, settings, train, test)
        except NotInstalled as reason:
            return {"missing": f"not installed: {reason}"}
        except Failed as reason:
            return {"missing": f"failed: {reason}"}
    error = share_left(answer, train, test)
    if not np.isfinite(error):
        return {"missing": "diverged: the answer is not finite"}
    return {"error": round(error, 3), **figures}


def apart(
    method: str, settings: Settings, train: Rows, test: Rows
) -> tuple[Rows, dict[str, Any]]:
    """Return answer and figures of a worker, in the environment of the method."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        np.save(folder / "train.npy", train)
        np.save(folder / "test.npy", test)
        told = json.dumps(asdict(settings))
        run_alone(METHODS[method].requirements, worker.__name__, name, method, told)
        figures = json.loads((folder / "figures.json").read_text())
        return np.load(folder / "answer.npy"), figures


def share_left(answer: Rows, train: Rows, test: Rows) -> float:
    """Return the share of the test rows' variance that is left, in per cent."""
    left = np.square(answer - test, dtype=float).sum()
    return float(100 * left / np.square(test - train.mean(axis=0), dtype=float).sum())


def by_place(rows: list[Row]) -> dict[tuple[Any, ...], dict[str, Row]]:
    """Return what each line of the table has to show, by method."""
    places: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for row in rows:
        place = tuple(row[name] for name in PLACE)
        places.setdefault(place, {}).setdefault(row["method"], []).append(row)
    return {
        place: {name: middle(seeds) for name, seeds in found.items()}
        for place, found in places.items()
    }


def middle(rows: list[Row]) -> Row:
    """Return medians over seeds, or what is missing with one of them."""
    missing = [row for row in rows if "missing" in row]
    if missing:
        return missing[0]
    return {name: statistics.median(row[name] for row in rows) for name in FIGURES}


def heading(place: tuple[Any, ...]) -> list[str]:
    """Return the first columns of a line."""
    data, n_rows, n_components, batches = place
    name = f"{data}, {n_rows} rows" if n_rows else data
    return [name, str(n_components), batches]


def shown(row: Row | None) -> str:
    """Return error and seconds, or in a word why there are none."""
    if row is None:
        return ""
    if "missing" in row:
        return row["missing"].split(":")[0]
    fit, transform = row["fit_seconds"], row["transform_seconds"]
    return f"{row['error']:.2f} / {fit:.1f} / {transform:.2g}"


def against_best(found: dict[str, Row]) -> tuple[str, float, float] | None:
    """Return the rival of least error, our error over its, and our seconds over its."""
    there = {name: row for name, row in found.items() if "missing" not in row}
    mine = there.pop(OURS, None)
    if mine is None or not there:
        return None
    name, best = min(there.items(), key=lambda item: item[1]["error"])
    # PCA takes less time than can be measured.
    seconds = mine["fit_seconds"] / max(best["fit_seconds"], 0.001)
    return name, mine["error"] / best["error"], seconds


def summary(places: dict[tuple[Any, ...], dict[str, Row]]) -> list[list[str]]:
    """Return a line for each one of the table in which there is a comparison."""
    lines = {place: against_best(found) for place, found in places.items()}
    return [
        [*heading(place), line[0], f"{line[1]:.3f}", f"{line[2]:.2f}"]
        for place, line in lines.items()
        if line is not None
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table, and ours beside the best of the rivals."""
    places, first = by_place(rows), ["data", "components", "batches"]
    compared = summary(places)
    n_best = sum(float(line[4]) < 1 for line in compared)
    title = f"Ours has the least error in {n_best} of {len(compared)} lines"
    return [
        write_table(
            folder / "rivals.csv",
            "Test variance left in per cent / seconds of fit / of transform",
            [*first, *METHODS],
            [
                [*heading(place), *(shown(found.get(name)) for name in METHODS)]
                for place, found in places.items()
            ],
        ),
        write_table(
            folder / "rivals_summary.csv",
            title,
            [*first, "best rival", "our error over its", "our fit over its"],
            compared,
        ),
    ]


def alone(case: Case) -> bool:
    """Give each case the machine, for it measures time."""
    return True


SUITE = Suite(
    "error and time of autoencoders that others made", cases, run, report, alone=alone
)
