"""What all suites share: cases, the record they go to, tables and reports.

A record is a file of JSON lines, one for each finished case, appended as it comes: a
run that was stopped goes on with the cases that are missing.
"""

import csv
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning

from .data_sets import HINT, MissingData, hash_of, is_missing

PACKAGES = ("skae", "numpy", "scikit-learn", "skorch", "torch")

Case = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    quick: bool = False
    seeds: int | None = None

    def seed_range(self, default: int) -> range:
        """Return the seeds to run, of which a suite has so many by itself."""
        return range(self.seeds or (1 if self.quick else default))


def _never(case: Case) -> bool:
    """Let all cases share the cores."""
    return False


@dataclass(frozen=True)
class Suite:
    """What a module runs and shows.

    Cases are arguments of ``run``, and what it returns goes to the record but for
    arrays, which go to a file beside it. ``report`` writes tables and figures of rows
    (case, figures, seconds, and arrays where they are still there) to a folder, and
    returns what to print. A case that is ``alone`` has all cores; others run side by
    side, one on each.
    """

    summary: str
    cases: Callable[[Options], list[Case]]
    run: Callable[..., dict[str, Any]]
    report: Callable[[list[Row], pathlib.Path], list[Table]]
    alone: Callable[[Case], bool] = _never


class Record:
    """The lines of a suite's finished cases."""

    def __init__(self, folder: pathlib.Path, suite: str):
        self.path = folder / f"{suite}.jsonl"
        self.suite = suite
        text = self.path.read_bytes() if self.path.exists() else b""
        # A run that was killed may have left half a line.
        self._end = text.rfind(b"\n") + 1
        self._size = len(text)
        lines = enumerate(text[: self._end].splitlines(), 1)
        self.lines = [self._parsed(line, number) for number, line in lines]
        self._done = {key(line["case"]) for line in self.lines}

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        """Return a line of the record."""
        try:
            found = json.loads(line)
            return {**found, "case": found["case"], "figures": found["figures"]}
        except (ValueError, TypeError, KeyError) as error:
            raise SystemExit(
                f"{self.path}, line {number}, is no line of a record ({error!r}): "
                "delete it, and its case will run again."
            ) from None

    def __contains__(self, case: Case) -> bool:
        return key(case) in self._done

    def append(self, line: dict[str, Any]) -> None:
        """Write the line of a finished case, and its arrays before it."""
        figures = line["figures"]
        arrays = {n: v for n, v in figures.items() if isinstance(v, np.ndarray)}
        rest = {n: v for n, v in figures.items() if n not in arrays}
        if arrays:
            path = self._arrays(line["case"])
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **arrays)
        text = json.dumps(
            {"suite": self.suite, **line, "figures": rest}, default=_plain
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._size != (self.path.stat().st_size if self.path.exists() else 0):
            raise SystemExit(
                f"{self.path} has changed since it was read. Two runs at once need an "
                "--output each."
            )
        with self.path.open("ab") as file:
            file.truncate(self._end)
            file.write(text.encode() + b"\n")
            file.flush()
            self._end = self._size = file.tell()
        self.lines.append(json.loads(text))
        self._done.add(key(line["case"]))

    def rows(self, cases: Sequence[Case] = ()) -> list[Row]:
        """Return what is recorded, in the order of the cases, others last."""
        place = {key(case): i for i, case in enumerate(cases)}
        lines = sorted(
            self.lines, key=lambda line: place.get(key(line["case"]), len(place))
        )
        return [self._row(line) for line in lines]

    def _row(self, line: dict[str, Any]) -> Row:
        row = line["case"] | line["figures"] | {"seconds": line["seconds"]}
        if (path := self._arrays(line["case"])).exists():
            with np.load(path) as arrays:
                row |= dict(arrays)
        return row

    def _arrays(self, case: Case) -> pathlib.Path:
        """Name the file of a case's arrays."""
        digest = hashlib.sha256(key(case).encode()).hexdigest()[:12]
        return self.path.parent / "arrays" / f"{self.suite}-{digest}.npz"


def key(case: Case) -> str:
    """Return a text that is the same for equal cases."""
    return json.dumps(case, sort_keys=True)


def run_suite(
    name: str,
    suite: Suite,
    options: Options,
    data: Sequence[str],
    folder: pathlib.Path,
    console: Console,
) -> None:
    """Run the cases that the record lacks, and report."""
    folder.mkdir(parents=True, exist_ok=True)
    record, wanted = Record(folder, name), chosen_cases(suite, options, data)
    cases = [case for case in wanted if not is_missing(case.get("data"))]
    if not wanted:
        known = sorted({str(c.get("data")) for c in chosen_cases(suite, options, [])})
        console.print(f"{name} has no case of {', '.join(data)}: {', '.join(known)}")
        return
    if not cases:
        raise MissingData(f"{name}: {HINT}")
    if len(cases) < len(wanted):
        console.print(f"{len(wanted) - len(cases)} cases are left out. {HINT}")
    missing = [case for case in cases if case not in record]
    if len(missing) < len(cases):
        done = len(cases) - len(missing)
        console.print(f"{done} of {len(cases)} cases are in {record.path} already")
    mark = {"quick": True} if options.quick else {}
    results = track(
        run_cases(suite, missing), name, total=len(missing), console=console
    )
    for line in results:
        record.append(line | mark)
    report(name, suite, folder, console)


def report(name: str, suite: Suite, folder: pathlib.Path, console: Console) -> None:
    """Write tables and figures of a record, and print the tables."""
    record = Record(folder, name)
    if not record.lines:
        console.print(f"no record of {name} in {folder}")
        return
    cases = _as_json(suite.cases(Options(quick="quick" in record.lines[0])))
    try:
        tables = suite.report(record.rows(cases), folder)
    except (ArithmeticError, LookupError, ValueError):
        if all(case in record for case in cases):
            raise
        done = sum(case in record for case in cases)
        console.print(
            f"{name}: {done} of {len(cases)} cases are too few for its tables"
        )
        return
    for table in tables:
        console.print(table)
    console.print(f"record: {record.path}")


def chosen_cases(suite: Suite, options: Options, data: Sequence[str]) -> list[Case]:
    """Return a suite's cases, of some data sets only where they are named."""
    cases = _as_json(suite.cases(options))
    return [case for case in cases if not data or case.get("data") in data]


def _as_json(cases: list[Case]) -> list[Case]:
    """Return cases as a record has them: lists in place of tuples."""
    return json.loads(json.dumps(cases))


def run_cases(suite: Suite, cases: Iterable[Case]) -> Iterator[dict[str, Any]]:
    """Yield the lines of cases as they finish: small ones first, side by side."""
    apart = [case for case in cases if suite.alone(case)]
    shared = [case for case in cases if not suite.alone(case)]
    n_jobs = max(1, min(joblib.cpu_count(), len(shared)))
    workers = joblib.Parallel(n_jobs, return_as="generator_unordered")
    yield from workers(joblib.delayed(run_case)(suite.run, case) for case in shared)
    for case in apart:
        yield run_case(suite.run, case)


def run_case(run: Callable[..., dict[str, Any]], case: Case) -> dict[str, Any]:
    """Return the line of a case, but for the suite's name."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        # How good a fit is, its figures tell.
        warnings.simplefilter("ignore", ConvergenceWarning)
        figures = run(**case)
    return {
        "case": case,
        "figures": figures,
        "seconds": round(time.perf_counter() - start, 2),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "data_hash": hash_of(case.get("data")),
    }


def _plain(value: Any) -> Any:
    """Turn numbers of numpy into those of Python."""
    return value.item()


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [
        line.split(":")[1].strip() for line in lines if line.startswith("model name")
    ]
    return models[0] if models else platform.processor() or platform.machine()


def write_table(
    path: pathlib.Path, title: str, headings: Sequence[str], rows: Sequence[list[str]]
) -> Table:
    """Write rows as CSV, which the docs show, and return the table to print."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([headings, *rows])
    table = Table(title=title)
    for heading, first in zip(headings, rows[0], strict=True):
        is_number = first.replace(".", "").isdigit()
        table.add_column(heading, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*row)
    return table


def mean_and_deviation(values: Sequence[float], digits: int) -> str:
    """Format as ``mean ± standard deviation``; a value alone has none."""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"
