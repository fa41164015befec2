"""Records: what was run, on what, and what came out."""

import csv
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table

PACKAGES = ("skae", "numpy", "scikit-learn", "skorch", "torch")


def write_record(path: pathlib.Path, **results: Any) -> None:
    """Write results as JSON, with date, versions and hardware."""
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "processor": _processor(),
        "cores": os.cpu_count(),
        **results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


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


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [
        line.split(":")[1].strip() for line in lines if line.startswith("model name")
    ]
    return models[0] if models else platform.processor() or platform.machine()


def mean_and_deviation(values: Sequence[float], digits: int) -> str:
    """Format as ``mean ± standard deviation``."""
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"
