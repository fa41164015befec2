"""Seconds until the test error is half of PCA's, beside those of others.

The clock is that of training alone: test rows are judged while it stands still. Ours
has default settings, and runs from the call of ``fit``. Each rival first finds its best
size of batches, with two threads; then all take turns, with one thread and with two. A
rival is cut off at ``CUTOFF`` times ours.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from skae import UndercompleteAE
from skae._estimators.embedding import N_REFINEMENTS
from skae._estimators.refinement import refine

from ..shared.suite import Case, Options, Row
from .aim import N_COMPONENTS, Enough, Problem, Watch, error_of
from .rivals import RIVALS, Rival, Rows
from .timing import N_ROUNDS, N_THREADS, threads

SHARE = 0.5
CUTOFF = 4
ABSENT = "not installed"


def cases(options: Options) -> list[Case]:
    """Return data sets; a quick one has an easy aim."""
    if options.quick:
        return [{"data": "digits", "share": 1.5, "n_rows": 600, "n_rounds": 2}]
    whole = {"share": SHARE, "n_rows": None, "n_rounds": N_ROUNDS}
    return [{"data": data, **whole} for data in N_COMPONENTS]


class Hook(Callback):
    """Shows our epochs to a watch. Batches are booked for it, which takes us longer."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.watch(partial(self.reconstruct, net.module_.eval()))

    @torch.no_grad()
    def reconstruct(self, network: Any, X: Rows) -> Rows:
        """Reconstruct rows by the weights of this epoch, as ``reconstruct`` does."""
        mean, scale = network.link.mean.numpy(), network.link.scale
        rows = torch.from_numpy(((X - mean) / scale).astype(np.float32))
        code = refine(network, network.encode(rows), rows, N_REFINEMENTS)
        return network.decode(code).numpy() * scale + mean


def train_ours(problem: Problem, seed: int) -> float:
    """Return the seconds of ours until the error is reached."""
    ae = UndercompleteAE(problem.widths.code, random_state=seed)
    watch = Watch(problem, math.inf)
    ae.set_params(callbacks=[Hook(watch)]).fit(problem.X)
    return reached(watch, seed)


def fit_ours(problem: Problem, seed: int) -> tuple[float, dict[str, float]]:
    """Return the same of a fit that goes on to its end, and what comes of that."""
    ae = UndercompleteAE(problem.widths.code, random_state=seed)
    watch = Watch(problem, math.inf, stops=False)
    ae.set_params(callbacks=[Hook(watch)]).fit(problem.X)
    seconds = watch.elapsed()
    error = error_of(ae.reconstruct, problem.X_test) / problem.pca_error
    whole = {"seconds": round(seconds, 3), "error_over_pca": round(error, 4)}
    return reached(watch, seed), whole


def reached(watch: Watch, seed: int) -> float:
    """Return the seconds until the error was reached."""
    if watch.seconds is None:
        raise RuntimeError(f"Ours does not reach the error with random_state={seed}.")
    return watch.seconds


def train(
    rival: Rival, problem: Problem, batch_size: int, seed: int, limit: float
) -> float | None:
    """Return the seconds of a rival until the error is reached, None if cut off."""
    watch = Watch(problem, limit)
    try:
        rival.train(problem.X, problem.widths, batch_size, seed, watch)
    except Enough:
        return watch.seconds
    if watch.seconds is None and watch.elapsed() < limit:
        # skorch ends quietly where somebody presses Ctrl-C.
        raise KeyboardInterrupt
    return watch.seconds


def warm_up(rivals: dict[str, Rival], problem: Problem) -> None:
    """Let each train for an epoch on few rows, so that all is loaded."""
    X, X_test = problem.X[:600], problem.X_test[:10]
    few = replace(problem, X=X, X_test=X_test, share=math.inf)
    train_ours(few, 0)
    for rival in rivals.values():
        train(rival, few, rival.batch_sizes[0], 0, math.inf)


def best_batch(rival: Rival, problem: Problem, limit: float) -> int | None:
    """Return the size of batches that is fastest, if any is fast enough."""
    best = None
    for batch_size in rival.batch_sizes:
        seconds = train(rival, problem, batch_size, 0, limit)
        if seconds is not None:
            best, limit = batch_size, seconds
    return best


def take_turns(
    problem: Problem, best: dict[str, tuple[Rival, int]], n_rounds: int
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Return the seconds of all in each round, and what comes of a whole fit."""
    seconds: dict[str, list[Any]] = {name: [] for name in ("ours", *best)}
    whole: dict[str, float] = {}
    for seed in range(n_rounds):
        if seed:
            ours = train_ours(problem, seed)
        else:
            ours, whole = fit_ours(problem, seed)
        seconds["ours"].append(round(ours, 4))
        for name, (rival, batch_size) in best.items():
            found = train(rival, problem, batch_size, seed, CUTOFF * ours)
            seconds[name].append(found and round(found, 4))
    return seconds, whole


def ratio(ours: Sequence[float], theirs: Sequence[float | None]) -> float:
    """Return the median of theirs over ours; what was cut off counts as the cut-off."""
    ratios = [CUTOFF if b is None else b / a for a, b in zip(ours, theirs, strict=True)]
    return round(statistics.median(ratios), 3)


def run(data: str, share: float, n_rows: int | None, n_rounds: int) -> dict[str, Any]:
    """Let all take turns; a rival that no batch makes fast enough is cut off unseen."""
    problem = Problem.of(data, n_rows, share)
    rivals = {n: rival for n, rival in RIVALS.items() if rival.is_installed()}
    with threads(max(N_THREADS)):
        warm_up(rivals, problem)
        limit = CUTOFF * train_ours(problem, 0)
        batch = {n: best_batch(r, problem, limit) for n, r in rivals.items()}
    best = {n: (rivals[n], size) for n, size in batch.items() if size}
    runs = []
    for n_threads in N_THREADS:
        with threads(n_threads):
            seconds, whole = take_turns(problem, best, n_rounds)
        seconds |= {n: [None] * n_rounds for n in rivals if n not in best}
        ratios = {n: ratio(seconds["ours"], seconds[n]) for n in rivals}
        runs.append(
            {
                "n_threads": n_threads,
                "seconds_to_error": seconds,
                "ratio": ratios,
                "whole_fit": whole,
            }
        )
    return {"batch_size": batch, "runs": runs}


def shown(ratios: dict[str, float], name: str) -> str:
    """Return a rival's ratio, if it has one that is not the cut-off."""
    if name not in ratios:
        return ABSENT
    return f"> {CUTOFF}" if ratios[name] >= CUTOFF else f"{ratios[name]:.2f}"


def table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and lines."""
    lines = [
        [
            row["data"],
            str(run["n_threads"]),
            *(shown(run["ratio"], name) for name in RIVALS),
            f"{whole_over_reached(run):.1f}",
            f"{run['whole_fit']['error_over_pca']:.2f}",
        ]
        for row in rows
        for run in row["runs"]
    ]
    title = f"Time to {rows[0]['share']:g} of PCA's error over that of ours"
    ours = ["our whole fit", "its error over PCA's"]
    return title, ["data", "threads", *RIVALS, *ours], lines


def whole_over_reached(run: dict[str, Any]) -> float:
    """Divide the seconds of our whole fit by those until the error was reached."""
    return run["whole_fit"]["seconds"] / run["seconds_to_error"]["ours"][0]
