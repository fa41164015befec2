"""How fast autoencoders train, encode and search, and in how much memory.

Each part has a module of its own, which makes cases, runs them and shapes a table.
Times are ratios of what takes turns in one process.
"""

import pathlib
from types import ModuleType
from typing import Any

from rich.table import Table

from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite
from . import epoch, error, memory, rows, search, transform

PARTS: dict[str, ModuleType] = {
    "epoch": epoch,
    "error": error,
    "transform": transform,
    "memory": memory,
    "rows": rows,
    "search": search,
}


def cases(options: Options) -> list[Case]:
    """Return the cases of all parts."""
    return [
        {"part": name, **case}
        for name, part in PARTS.items()
        for case in part.cases(options)
    ]


def run(part: str, **case: Any) -> dict[str, Any]:
    """Run a case of a part."""
    return PARTS[part].run(**case)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write a table for each part that has rows."""
    tables = []
    for name, part in PARTS.items():
        if found := [row for row in rows if row["part"] == name]:
            path = folder / f"speed_{name}.csv"
            tables.append(write_table(path, *part.table(found)))
    return tables


def alone(case: Case) -> bool:
    """Give each case all cores, for it measures time or memory."""
    return True


SUITE = Suite(
    "time and memory of training, encoding and search", cases, run, report, alone=alone
)
