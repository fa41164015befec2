"""How much faster a grid search is with two workers than with one."""

from functools import partial
from typing import Any

from sklearn.model_selection import GridSearchCV, ParameterGrid

import skae

from ..shared import data_sets
from ..shared.suite import Case, Options, Row
from .timing import N_ROUNDS, in_turns, ratio_of_medians

WIDTHS = (2, 4, 8, 16)
#: Names of estimators, and what is searched besides the width of the code.
GRIDS = {
    "UndercompleteAE": {"learning_rate_init": (0.003, 0.01, 0.03)},
    "SparseAE": {"alpha": (0.001, 0.01, 0.1)},
}
N_FOLDS = 3


def cases(options: Options) -> list[Case]:
    """Return the estimators."""
    return [
        {
            "data": "digits",
            "method": method,
            "max_iter": 1 if options.quick else 30,
            "n_rounds": 1 if options.quick else N_ROUNDS,
        }
        for method in list(GRIDS)[: 1 if options.quick else None]
    ]


def run(data: str, method: str, max_iter: int, n_rounds: int) -> dict[str, Any]:
    """Let searches with one worker and with two take turns."""
    X, _ = data_sets.rows(data)
    grid = {"n_components": WIDTHS, **GRIDS[method]}
    ae = getattr(skae, method)(max_iter=max_iter, random_state=0)

    def search(n_jobs: int) -> None:
        GridSearchCV(ae, grid, cv=N_FOLDS, n_jobs=n_jobs).fit(X)

    # The first round, which does not count, starts the workers.
    times = in_turns({str(n): partial(search, n) for n in (1, 2)}, n_rounds)
    return {
        "n_candidates": len(ParameterGrid(grid)),
        "times": times,
        "ratio": ratio_of_medians(times["1"], times["2"]),
    }


def table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and lines."""
    title = f"Search with one worker over two, median of {rows[0]['n_rounds']}"
    names = ["method", "data", "n_candidates", "max_iter"]
    lines = [[*(str(r[n]) for n in names), f"{r['ratio']:.2f}"] for r in rows]
    headings = ["method", "data", "candidates", "epochs", "one worker / two"]
    return title, headings, lines
