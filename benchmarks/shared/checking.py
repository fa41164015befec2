"""Which records are of today's code, and whether it still gives the others."""

import datetime
import itertools
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .code import code_hash
from .data_sets import is_missing
from .record import Record
from .report import write_table
from .suite import Case, Suite

Line = dict[str, Any]
#: Words in the names of figures that no second run repeats.
MEASURED = {"second", "seconds", "minutes", "memory", "megabytes", "peak", "version"}


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
        wrong = [line for line in chosen if not _is_repeated(line, suite)]
        if not chosen:
            found = "not checked: its cases take too long, or their data are not there"
        elif wrong:
            found = f"today's code gives others for {wrong[0]['case']}; run it again"
        else:
            found = f"the same figures, in {len(chosen)} of {len(lines)} cases"
            for line in lines:
                line["code"] = code
            record.rewrite()
        console.print(f"{name}, {kind}: {found}")


def _is_repeated(line: Line, suite: Suite) -> bool:
    """Whether a case can still be run, and gives the same figures."""
    try:
        return repeats(line["figures"], suite.run(**line["case"]))
    except TypeError:
        return False


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
    """Whether the figures that a second run can repeat are the same.

    There must be some beside whole numbers, which are often sizes. Arrays are not in a
    record. A parameter that came later is not in an earlier line.
    """
    before, now = _repeatable(recorded), _repeatable(found)
    is_told = any(not isinstance(value, int) for value in before.values())
    return is_told and before.keys() == now.keys() and _same(before, now)


def _repeatable(figures: Mapping[Any, Any]) -> dict[Any, Any]:
    # In a record names are text, also those that are numbers, such as widths.
    return {
        str(name): value
        for name, value in figures.items()
        if not MEASURED.intersection(str(name).split("_"))
        and not isinstance(value, np.ndarray)
    }


def _same(recorded: Any, found: Any) -> bool:
    if isinstance(recorded, dict) and isinstance(found, dict):
        before, now = _repeatable(recorded), _repeatable(found)
        return all(k in now and _same(before[k], now[k]) for k in before)
    if isinstance(recorded, list) and isinstance(found, list | tuple):
        pairs = zip(recorded, found, strict=False)
        return len(recorded) == len(found) and all(_same(*pair) for pair in pairs)
    if isinstance(recorded, float) and isinstance(found, float):
        both_nan = math.isnan(recorded) and math.isnan(found)
        return both_nan or math.isclose(recorded, found, rel_tol=1e-6)
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
