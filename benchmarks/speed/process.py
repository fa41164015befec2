"""A fresh process that calls an estimator under a watch of its memory.

``python -m benchmarks.speed.process TASK JSON`` prints the figures as JSON. Linux
tells the memory of a process in ``/proc``.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skae import UndercompleteAE

from .made_rows import fill
from .timing import seconds_of

ROOT = pathlib.Path(__file__).parents[2]
SECONDS_BETWEEN = 0.05
PROCESS = pathlib.Path("/proc/self")


def measured(task: str, **settings: Any) -> dict[str, Any]:
    """Return what a task measures in a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.process", task]
    done = subprocess.run(
        [*command, json.dumps(settings)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def gigabytes(name: str) -> float:
    """Return a line of the process's status."""
    lines = (PROCESS / "status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / 1e9


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Yield what will be the peaks of resident and of anonymous memory."""
    # Where the system refuses to forget the peak so far, it is that since the start.
    with contextlib.suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")
    peaks, done = {"anonymous": 0.0}, threading.Event()

    def watch() -> None:
        while not done.wait(SECONDS_BETWEEN):
            peaks["anonymous"] = max(peaks["anonymous"], gigabytes("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()
        peaks["anonymous"] = max(peaks["anonymous"], gigabytes("RssAnon"))
        peaks["resident"] = gigabytes("VmHWM")


def limit_memory() -> None:
    """Let what is not to be had raise an error, before the system ends processes."""
    # Windows, where other suites run, has no such module.
    import resource

    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    available = int(0.9 * int(line.split()[1]) * 1024)
    resource.setrlimit(resource.RLIMIT_DATA, (available, available))


def is_out_of_memory(error: Exception) -> bool:
    """Whether numpy or torch asked for memory in vain."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def mapped(path: str, call: str, n_fitted: int) -> dict[str, float] | None:
    """Fit or encode rows of a mapped file; None if memory does not suffice."""
    X = np.load(path, mmap_mode="r")
    ae = UndercompleteAE(max_iter=1, random_state=0).fit(np.array(X[:n_fitted]))
    limit_memory()
    try:
        with watched() as peaks:
            seconds = seconds_of(partial(getattr(ae, call), X))
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            return None
        raise
    return {
        "peak_resident_gb": round(peaks["resident"], 3),
        "peak_anonymous_gb": round(peaks["anonymous"], 3),
        "seconds": round(seconds, 2),
    }


def grown(n_rows: int, n_features: int, n_repeats: int) -> dict[str, Any]:
    """Fit and encode rows in memory, and tell how much more of it that takes."""
    ae = UndercompleteAE(max_iter=3, random_state=0)
    ae.fit(fill(np.empty((1000, n_features), np.float32)))
    before = gigabytes("VmRSS")
    X = fill(np.empty((n_rows, n_features), np.float32))
    with watched() as peaks:
        times = {
            call.__name__: [seconds_of(partial(call, X)) for _ in range(n_repeats)]
            for call in (ae.fit, ae.transform)
        }
    memory = peaks["resident"] - before
    return {"times": times, "memory_gb": round(memory, 4), "gb": X.nbytes / 1e9}


TASKS = {"mapped": mapped, "grown": grown}

if __name__ == "__main__":
    with warnings.catch_warnings():
        # How good a fit of so few epochs is, nobody asks here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        figures = TASKS[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps(figures))
