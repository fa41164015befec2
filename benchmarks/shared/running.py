"""Running a suite: the cases that its record lacks, by workers side by side."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import joblib
import torch
from rich.console import Console
from rich.progress import track
from sklearn.exceptions import ConvergenceWarning

from .code import code_hash
from .data_sets import HINT, MissingData, hash_of, is_missing
from .record import Record
from .report import report
from .suite import Case, Options, Suite, chosen_cases

# Lines at most that tell of progress where there is no terminal.
N_LINES = 20
PACKAGES = ("skae", "numpy", "scikit-learn", "skorch", "torch")


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
    if not wanted:
        known = sorted({str(c.get("data")) for c in chosen_cases(suite, options, [])})
        console.print(f"{name} has no case of {', '.join(data)}: {', '.join(known)}")
        return
    code = code_hash(suite.run.__module__)
    missing = _not_in(record, _at_hand(name, wanted, console), code, console)
    mark = {"code": code, "quick": True} if options.quick else {"code": code}
    lines, total, is_live = run_cases(suite, missing), len(missing), console.is_terminal
    shown = track(lines, name, total=total, console=console, disable=not is_live)
    for number, line in enumerate(shown, 1):
        record.put(line | mark)
        # A file or a pipe cannot show a bar that grows.
        if not is_live and number * N_LINES // total > (number - 1) * N_LINES // total:
            console.print(f"{name}: {number} of {total} cases")
    report(name, suite, folder, console)


def _at_hand(name: str, wanted: list[Case], console: Console) -> list[Case]:
    """Return the cases whose data sets are there, and tell if others are not."""
    cases = [case for case in wanted if not is_missing(case.get("data"))]
    if not cases:
        raise MissingData(f"{name}: {HINT}")
    if len(cases) < len(wanted):
        console.print(f"{len(wanted) - len(cases)} cases are left out. {HINT}")
    return cases


def _not_in(
    record: Record, cases: list[Case], code: str, console: Console
) -> list[Case]:
    """Return the cases that a record lacks, or has of other code, and tell so."""
    missing = [case for case in cases if not record.is_of(code, case)]
    if len(missing) < len(cases):
        done = len(cases) - len(missing)
        console.print(f"{done} of {len(cases)} cases are in {record.path} already")
    if earlier := sum(case in record for case in missing):
        console.print(f"{earlier} cases there are of other code, and run again")
    return missing


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
        "versions": _versions(),
        "hardware": _hardware(),
        "data_hash": hash_of(case.get("data")),
    }


def _versions() -> dict[str, str]:
    """Return the versions of Python and of packages."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **packages}


def _hardware() -> dict[str, Any]:
    """Return the processor, its cores, and how many threads torch uses."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [
        line.split(":")[1].strip() for line in lines if line.startswith("model name")
    ]
    return models[0] if models else platform.processor() or platform.machine()
