"""Many calls in one process: what stays of their memory, files and threads.

Each case is a process of its own: it calls ``fit`` or ``transform`` many times, and
measures what the process holds after a tenth of the calls, and after all of them. Fits
are short, of few rows: what one leaves behind would add up.
"""

import gc
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.table import Table

import skae

from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

CALLS, QUICK = {"fit": 1000, "transform": 10_000}, 30
SMALL: dict[str, Any] = {"max_iter": 2, "hidden_layer_sizes": 8}
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "UndercompleteAE": lambda: skae.UndercompleteAE(2, **SMALL),
    "UndercompleteAE, map": lambda: skae.UndercompleteAE(
        2, neighbor_weight=1.0, **SMALL
    ),
    "SparseAE": lambda: skae.SparseAE(8, **SMALL),
    "DenoisingAE": lambda: skae.DenoisingAE(2, **SMALL),
    "ContractiveAE": lambda: skae.ContractiveAE(2, **SMALL),
    "ConvAE": lambda: skae.ConvAE(2, channels=(4,), **SMALL),
    "VariationalAE": lambda: skae.VariationalAE(2, **SMALL),
    "MaskedAE": lambda: skae.MaskedAE(2, max_iter=2),
    "RecurrentAE": lambda: skae.RecurrentAE(2, **SMALL),
    "StackedAE": lambda: skae.StackedAE(2, pretraining_max_iter=1, **SMALL),
    "TableAE": lambda: skae.TableAE(2, **SMALL),
}


def cases(options: Options) -> list[Case]:
    """Return many fits and many transforms of each estimator."""
    names = list(ESTIMATORS)[:1] if options.quick else ESTIMATORS
    return [
        {"method": name, "call": call, "n": QUICK if options.quick else n}
        for name in names
        for call, n in CALLS.items()
    ]


def run(**case: Any) -> dict[str, Any]:
    """Return what a process of its own measures."""
    code = "import sys, json; from benchmarks.suites import endurance; "
    code += "print(json.dumps(endurance.endure(**json.loads(sys.argv[1]))))"
    command = [sys.executable, "-c", code, json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def endure(method: str, call: str, n: int) -> dict[str, Any]:
    """Call many times, and return what the process holds more after than before."""
    rng = np.random.default_rng(0)
    shape = (64, 4, 2) if method in ("ConvAE", "RecurrentAE") else (64, 8)
    X, make = rng.normal(size=shape), ESTIMATORS[method]
    with warnings.catch_warnings(), _calls(call, make, X) as again:
        warnings.simplefilter("ignore")
        for _ in range(n // 10):
            again()
        before = _held()
        for _ in range(n - n // 10):
            again()
        after = _held()
    return {name: round(after[name] - before[name], 2) for name in before}


@contextmanager
def _calls(call: str, make: Any, X: np.ndarray) -> Iterator[Callable[[], Any]]:
    """Return what is called: with files, as deployed programs use them."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "fit.safetensors"

        def fit() -> Any:
            path.unlink(missing_ok=True)
            return make().set_params(checkpoint=path).fit(X)

        if call == "fit":
            yield fit
            return
        kept = pathlib.Path(folder) / "model.safetensors"
        fit().save(kept)
        model = skae.load(kept)

        def transform() -> Any:
            return model.transform(X)

        yield transform


def _held() -> dict[str, float]:
    """Return what the process holds now."""
    gc.collect()
    # An extra: the other suites do without it.
    import psutil

    process = psutil.Process()
    return {
        "megabytes": process.memory_info().rss / 1e6,
        "files": process.num_fds(),
        "threads": process.num_threads(),
    }


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write what each estimator left behind."""
    lines = [
        [
            row["method"],
            row["call"],
            str(row["n"]),
            f"{row['megabytes']:.1f}",
            f"{row['files']:.0f}",
            f"{row['threads']:.0f}",
        ]
        for row in rows
    ]
    headings = ["estimator", "call", "times", "MB", "files", "threads"]
    title = "What many calls leave in one process"
    return [write_table(folder / "endurance.csv", title, headings, lines)]


SUITE = Suite("memory, files and threads of many calls", cases, run, report)
