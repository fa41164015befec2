"""How time and memory grow with the number of rows."""

import statistics
from typing import Any

from ..shared.suite import Case, Options, Row
from .process import measured

N_FEATURES = 64
N_REPEATS = 3
#: The one in the middle is what times are divided by.
N_ROWS, QUICK_N_ROWS = (10_000, 100_000, 1_000_000), (1000, 2000)


def cases(options: Options) -> list[Case]:
    """Return one case, for its times are divided by each other."""
    return [{"n_rows": QUICK_N_ROWS if options.quick else N_ROWS}]


def run(n_rows: list[int]) -> dict[str, Any]:
    """Fit and encode each number of rows in a process of its own."""
    settings = {"n_features": N_FEATURES, "n_repeats": N_REPEATS}
    return {"found": [measured("grown", n_rows=n, **settings) for n in n_rows]}


def relative(found: list[dict[str, Any]], call: str) -> list[float]:
    """Divide median times by that of the number of rows in the middle."""
    medians = [statistics.median(one["times"][call]) for one in found]
    return [median / medians[len(medians) // 2] for median in medians]


def table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and lines."""
    (row,) = rows
    n_rows, found = row["n_rows"], row["found"]
    calls = (relative(found, call) for call in ("fit", "transform"))
    lines = [
        [
            str(n),
            f"{fit:.2f}",
            f"{transform:.2f}",
            f"{1000 * one['memory_gb']:.0f}",
            f"{one['memory_gb'] / one['gb']:.1f}",
        ]
        for n, one, fit, transform in zip(n_rows, found, *calls, strict=True)
    ]
    title = f"Times over those of {n_rows[len(n_rows) // 2]} rows, and memory"
    return title, ["rows", "fit", "transform", "MB", "bytes a byte"], lines
