"""What a suite is, and which of its cases the command line asks for."""

import json
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

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


def chosen_cases(suite: Suite, options: Options, data: Sequence[str]) -> list[Case]:
    """Return a suite's cases, of some data sets only where they are named."""
    cases = _as_json(suite.cases(options))
    return [case for case in cases if not data or case.get("data") in data]


def _as_json(cases: list[Case]) -> list[Case]:
    """Return cases as a record has them: lists in place of tuples."""
    return json.loads(json.dumps(cases))
