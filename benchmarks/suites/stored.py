"""Rows in a file that is larger than memory: rows a second, memory, and passes.

Epochs of a memory-mapped file and of a Zarr array, which stop now and then for epochs
of fewer rows in memory, in the same process. The files are made on the fly, in the
folder for temporary files, or in ``SKAE_STORED``, and are deleted afterwards. The
environment variable ``SKAE_STORED_GB`` sets the size of the memory-mapped file, 20 by
default; the Zarr array, and fits that start from PCA, take longer and get a twentieth.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

import skae

from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

PROCESS = pathlib.Path("/proc/self")
ROOT = pathlib.Path(__file__).parents[2]
WIDTH, CHUNK_ROWS, N_IN_MEMORY = 784, 1000, 150_000
STORES = ("memmap", "zarr")
HIDDEN, BATCH_SIZE = 128, 1000
QUICK_GB, N_EPOCHS, QUICK_EPOCHS = 0.01, 3, 1
N_TURNS = 8
N_DIFFERENT, N_WARM = 20_000, 2_000


def cases(options: Options) -> list[Case]:
    """Return each store at the size that was asked for, with either start."""
    if options.quick:
        return [_case(store, QUICK_GB, "random", QUICK_EPOCHS) for store in STORES]
    size = float(os.environ.get("SKAE_STORED_GB", "20"))
    whole = _case("memmap", size, "random", N_EPOCHS)
    packed = _case("zarr", size / 20, "random", N_EPOCHS, N_EPOCHS)
    small = [_case(store, size / 20, "pca", N_EPOCHS) for store in STORES]
    return [whole, packed, *small]


def _case(store: str, gb: float, init: str, n_epochs: int, n_stored: int = 1) -> Case:
    """Return a case of so many epochs in memory, and so many of stored rows."""
    epochs = {"n_epochs": n_epochs, "n_stored": n_stored}
    return {"store": store, "gb": gb, "init": init, **epochs}


def run(store: str, gb: float, **asked: Any) -> dict[str, Any]:
    """Make the rows, and return what a process of its own measures."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("SKAE_STORED")) as folder:
        n_rows = int(gb * 1e9 / 4 / WIDTH)
        path = make(pathlib.Path(folder), store, n_rows)
        code = "import sys, json; from benchmarks.suites import stored; "
        code += "print(json.dumps(stored.measure(**json.loads(sys.argv[1]))))"
        asked |= {"store": store, "path": str(path)}
        command = [sys.executable, "-c", code, json.dumps(asked)]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
    return {"n_rows": n_rows, **json.loads(done.stdout)}


def make(folder: pathlib.Path, store: str, n_rows: int) -> pathlib.Path:
    """Write rows of rank 8 and noise, as float32, a chunk at a time."""
    rng, path = np.random.default_rng(0), folder / "rows"
    different = rng.standard_normal((N_DIFFERENT, 8), np.float32)
    different = different @ rng.standard_normal((8, WIDTH), np.float32)
    different += rng.standard_normal(different.shape, np.float32)
    rows = _open_to_write(path, store, n_rows)
    for start in range(0, n_rows, CHUNK_ROWS):
        end = min(start + CHUNK_ROWS, n_rows)
        # Rows that are drawn anew would take longer than all else.
        first = int(rng.integers(N_DIFFERENT - CHUNK_ROWS))
        rows[start:end] = different[first : first + end - start]
    return path


def _open_to_write(path: pathlib.Path, store: str, n_rows: int) -> Any:
    shape = n_rows, WIDTH
    if store == "memmap":
        with path.open("wb") as file:
            return np.lib.format.open_memmap(file.name, "w+", "float32", shape)
    import zarr

    return zarr.create_array(
        path,
        shape=shape,
        chunks=(CHUNK_ROWS, WIDTH),
        dtype="float32",
        compressors=zarr.codecs.BloscCodec(cname="lz4"),
    )


class Clock(Callback):
    """Sums up seconds of epochs, also of the processor; stops while others have a turn.

    ``turn`` is called after the first batch, and then after every ``n_between``.
    """

    def __init__(self, turn: Callable[[], None] | None, n_between: int) -> None:
        self.turn, self.n_between = turn, n_between
        self.n_batches, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start."""
        self.start = time.perf_counter(), time.process_time()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Stop."""
        self.seconds += time.perf_counter() - self.start[0]
        self.cpu_seconds += time.process_time() - self.start[1]

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Let others have a turn now and then."""
        if self.turn is not None and self.n_batches % self.n_between == 0:
            self.on_epoch_end(net)
            self.turn()
            self.on_epoch_begin(net)
        self.n_batches += 1


class InMemory:
    """Fits rows in memory whenever it is called; notes rates, and memory before."""

    def __init__(self, rows: np.ndarray, **how: Any) -> None:
        self.rows, self.how, self.before = rows, how, _megabytes("VmRSS")
        self.rates: list[dict[str, Any]] = []
        self.seconds, self.megabytes = 0.0, 0.0

    def __call__(self) -> None:
        """Fit; none of it counts for the peak of memory."""
        start = time.perf_counter()
        self.note_peak()
        self.rates.append(fitted(self.rows, **self.how))
        self.seconds += time.perf_counter() - start
        _forget_peak()

    def note_peak(self) -> None:
        """Note the peak of memory since the last fit."""
        self.megabytes = max(self.megabytes, _megabytes("VmHWM") - self.before)


def measure(
    store: str, path: str, init: str, n_epochs: int, n_stored: int
) -> dict[str, Any]:
    """Fit for some epochs; return their mean rates, other seconds, and memory."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = np.array(_open_to_read(store, path)[:N_IN_MEMORY])
    fitted(rows[:N_WARM], init, max_iter=1)
    turns = InMemory(rows, init=init, max_iter=n_epochs)
    _forget_peak()
    start = time.perf_counter()
    ours = fitted(_open_to_read(store, path), init, n_stored, turns)
    turns.note_peak()
    seconds = time.perf_counter() - start - turns.seconds
    return {
        **ours,
        "in_memory": turns.rates,
        "other_seconds": round(seconds - n_stored * ours["epoch_seconds"], 2),
        "megabytes": round(turns.megabytes),
    }


def fitted(
    X: Any, init: str, max_iter: int, turn: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Fit; return training rows for a second of an epoch, and of the processor."""
    network = {"hidden_layer_sizes": HIDDEN, "batch_size": BATCH_SIZE, "init": init}
    ae = skae.UndercompleteAE(32, max_iter=max_iter, random_state=0, **network)
    n_batches = max_iter * -(-X.shape[0] // BATCH_SIZE)
    clock = Clock(turn, max(1, n_batches // N_TURNS))
    ae.set_params(callbacks=[clock]).fit(X)
    n_rows = X.shape[0] - int(ae.validation_fraction * X.shape[0])
    return {
        "rows_a_second": round(n_rows * max_iter / clock.seconds),
        "rows_a_cpu_second": round(n_rows * max_iter / clock.cpu_seconds),
        "epoch_seconds": round(clock.seconds / max_iter, 2),
    }


def _open_to_read(store: str, path: str) -> Any:
    if store == "memmap":
        return np.load(path, mmap_mode="r")
    import zarr

    return zarr.open_array(path, mode="r")


def _forget_peak() -> None:
    """Begin the peak of memory anew, where the system does so."""
    with contextlib.suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")


def _megabytes(name: str) -> float:
    """Return the resident memory, or its peak, as Linux tells it."""
    lines = (PROCESS / "status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / 1e6


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write rows a second, also as a share of those in memory, and memory."""
    lines = [
        [
            row["store"],
            row["init"],
            f"{row['n_rows'] * WIDTH * 4 / 1e9:.2f}",
            f"{row['n_stored']}",
            f"{row['rows_a_second']}",
            _share(row, "rows_a_second"),
            _share(row, "rows_a_cpu_second"),
            f"{row['epoch_seconds']:.1f}",
            f"{row['other_seconds']:.1f}",
            f"{row['megabytes']}",
        ]
        for row in rows
    ]
    headings = [
        "rows in",
        "init",
        "GB",
        "epochs",
        "rows/s",
        "share",
        "of CPU",
        "epoch, s",
    ]
    headings += ["else, s", "MB"]
    title = f"Epochs of stored rows, {WIDTH} x float32"
    return [write_table(folder / "stored.csv", title, headings, lines)]


def _share(row: Row, rate: str) -> str:
    """Return a rate as a share of that of rows in memory."""
    return f"{row[rate] / np.median([other[rate] for other in row['in_memory']]):.2f}"


def alone(case: Case) -> bool:
    """Let no case share the disk and the cores."""
    return True


SUITE = Suite("rows larger than memory, in files", cases, run, report, alone)
