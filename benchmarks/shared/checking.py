"""Which records are of today's code, and whether it still gives the others."""

import datetime
import itertools
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from .code import code_hash
from .data_sets import is_missing
from .record import Record
from .report import write_table
from .suite import Case, Suite

Line = dict[str, Any]
#: Parts of the names of figures that no second run repeats.
MEASURED = ("second", "memory", "rate", "bytes", "peak", "version")


def check(
    name: str, suite: Suite, folder: pathlib.Path, seconds: float, console: Console
) -> None:
    """Run some cases of a record again, and stamp it where the figures are the same.

    Of each kind of case they are the shortest one of each data set, then others, of as
    many as took ``seconds`` together.
    """
    record, code = Record(folder, name), code_hash(suite.run.__module__)
    if record.lines and all(line.get("code") == code for line in record.lines):
        console.print(f"{name}: all cases are of today's code")
    kinds: dict[str, list[Line]] = {}
    for line in record.lines:
        if line.get("code") != code:
            kinds.setdefault(kind_of(line["case"]), []).append(line)
    for kind, lines in kinds.items():
        chosen = _chosen(lines, seconds)
        same = [repeats(line["figures"], suite.run(**line["case"])) for line in chosen]
        if not chosen:
            console.print(f"{name}, {kind}: not checked, it takes too long")
        elif all(same):
            for line in lines:
                line["code"] = code
            record.rewrite()
            console.print(
                f"{name}, {kind}: the same figures, in {len(same)} of {len(lines)} cases"
            )
        else:
            console.print(f"{name}, {kind}: today's code gives others; run it again")


def _chosen(lines: Iterable[Line], seconds: float) -> list[Line]:
    """Return short lines, first one of each data set."""
    firsts: dict[Any, Line] = {}
    others = []
    for line in sorted(lines, key=_seconds):
        if is_missing(data := line["case"].get("data")):
            continue
        if firsts.setdefault(data, line) is not line:
            others.append(line)
    ordered = [*firsts.values(), *others]
    sums = itertools.accumulate(map(_seconds, ordered))
    return [line for line, total in zip(ordered, sums, strict=True) if total <= seconds]


def kind_of(case: Case) -> str:
    """Name what is run, whatever the data, the seed and the sizes."""
    named = {k: v for k, v in case.items() if isinstance(v, str) and k != "data"}
    return " ".join(named.values()) or "all cases"


def _seconds(line: Line) -> float:
    # Early lines tell no time.
    return math.inf if line["seconds"] is None else float(line["seconds"])


def repeats(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether all figures that can be repeated are the same, and there are some.

    A parameter that came later is not in an earlier line.
    """
    kept = [k for k in recorded if not any(part in k for part in MEASURED)]
    return bool(kept) and all(k in found and _same(recorded[k], found[k]) for k in kept)


def _same(recorded: Any, found: Any) -> bool:
    if isinstance(recorded, dict):
        return all(k in found and _same(recorded[k], found[k]) for k in recorded)
    if isinstance(recorded, list):
        pairs = zip(recorded, found, strict=False)
        return len(recorded) == len(found) and all(_same(*pair) for pair in pairs)
    if isinstance(recorded, float):
        return math.isclose(recorded, found, rel_tol=1e-6)
    return bool(recorded == found)


def states(suites: Mapping[str, Suite], folder: pathlib.Path) -> list[list[str]]:
    """Return a row for each record: its cases, those of today's code, and its age."""
    found = []
    for name, suite in suites.items():
        lines = Record(folder, name).lines
        code = code_hash(suite.run.__module__)
        n_today = sum(line.get("code") == code for line in lines)
        hours = sum(line["seconds"] or 0 for line in lines) / 3600
        dates = sorted(line["date"] for line in lines) or ["never"]
        row = [name, len(lines), n_today, dates[0], f"{hours:.2f}" if hours else ""]
        found.append([str(value) for value in row])
    return found


def report_states(suites: Mapping[str, Suite], folder: pathlib.Path) -> Table:
    """Write the table of all records."""
    headings = ["record", "cases", "of today's code", "first run", "hours"]
    title = f"Records and the code of {datetime.date.today():%Y-%m-%d}"
    return write_table(folder / "code.csv", title, headings, states(suites, folder))
