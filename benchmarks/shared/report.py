"""The report of a record: tables, which are printed and written as CSV."""

import csv
import pathlib
import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .record import Record
from .suite import Options, Suite, chosen_cases


def report(name: str, suite: Suite, folder: pathlib.Path, console: Console) -> None:
    """Write tables and figures of a record, and print the tables."""
    record = Record(folder, name)
    if not record.lines:
        console.print(f"no record of {name} in {folder}")
        return
    cases = chosen_cases(suite, Options(quick="quick" in record.lines[0]), [])
    try:
        tables = suite.report(record.rows(cases), folder)
    except (ArithmeticError, LookupError, ValueError):
        done = sum(case in record for case in cases)
        if done == len(cases):
            raise
        console.print(
            f"{name}: {done} of {len(cases)} cases are too few for its tables"
        )
        return
    for table in tables:
        console.print(table)
    console.print(f"record: {record.path}")


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
