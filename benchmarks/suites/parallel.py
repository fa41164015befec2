"""Fits that one process and two processes share, and a plan for many rows on GPUs.

Rows are 784 wide and made. Fits of one process and of two take turns in the same two
processes, each with one thread, and figures are medians over epochs. Messages are timed
alone too: in a fit, a process also waits for the other one.

The plan computes what a billion rows would take. It has three kinds of numbers: those
that the record measures, the arithmetic of the network, and ASSUMED ones.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning

from skae import UndercompleteAE
from skae._machine.processes import sharing_processes
from skae._training.leading import OVER, message_of
from skae.distributed import data_parallel

from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

ROOT = pathlib.Path(__file__).parents[2]
N_FEATURES = 784
#: Hidden layers and code, and the number of rows of a batch.
NETWORKS = {
    "784-256-32": ((256,), 32, 256),
    "784-1000-500-250-30": ((1000, 500, 250), 30, 1000),
}
N_ROWS, QUICK_ROWS = 16_000, 1000
N_EPOCHS, N_ROUNDS, N_MESSAGES = 3, 5, 50

#: What the plan assumes: none of it is measured here.
ASSUMED = {
    # Published peak of an H100 SXM in float32 without tensor cores, in FLOP a second.
    "peak": 67e12,
    # Share of the peak that products of matrices reach.
    "efficiency": 0.4,
    # Bytes a second from the disks of a machine, and between machines.
    "reading": 5e9,
    "network": 25e9,
    # Bytes a second between the GPUs of a machine.
    "links": 200e9,
    # Seconds of Python and of launches in a step, and of two messages.
    "step": 1e-3,
    "latency": 1e-4,
    # Cores that the first process has for its start, and dollars an hour of a GPU.
    "cores": 16,
    "price": 3.0,
}
PLANNED = {"n_rows": 10**9, "n_epochs": 10, "batch_size": 32_768, "held_out": 0.1}
N_GPUS, ON_A_MACHINE = (1, 8, 64), 8


def cases(options: Options) -> list[Case]:
    """Return one case for each network."""
    n_rows, n_rounds = (QUICK_ROWS, 1) if options.quick else (N_ROWS, N_ROUNDS)
    names = list(NETWORKS)[: 1 if options.quick else None]
    return [{"network": n, "n_rows": n_rows, "n_rounds": n_rounds} for n in names]


def run(**case: Any) -> dict[str, Any]:
    """Start two processes, which take turns at fitting alone and together."""
    launch = "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"
    command = [sys.executable, *launch, "-m", __name__, json.dumps(case)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def estimator(network: str) -> UndercompleteAE:
    """Return what is fitted: all its time is in steps."""
    hidden, width, batch_size = NETWORKS[network]
    return UndercompleteAE(
        width,
        hidden_layer_sizes=hidden,
        batch_size=batch_size,
        max_iter=N_EPOCHS,
        n_iter_no_change=N_EPOCHS,
        early_stopping=False,
        random_state=0,
    )


def made_rows(n_rows: int) -> np.ndarray:
    """Return rows of rank 8 and noise."""
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((8, N_FEATURES), np.float32)
    rows = rng.standard_normal((n_rows, 8), np.float32) @ axes
    return rows + rng.standard_normal(rows.shape, np.float32)


def measured(network: str, n_rows: int, n_rounds: int) -> dict[str, Any]:
    """Return the figures of the first of two processes."""
    X = made_rows(n_rows)
    ae, seconds = estimator(network), {1: list[float](), 2: list[float]()}
    starts = []
    for _ in range(n_rounds):
        with data_parallel() as accelerator:
            processes: Any = sharing_processes()
            # The first epoch also fills caches.
            seconds[2] += ae.fit(X).history_["seconds"][1:]
        if processes.is_first:
            began = time.perf_counter()
            epochs = ae.fit(X).history_["seconds"]
            seconds[1] += epochs[1:]
            # Checks, PCA, and what follows training.
            starts.append(time.perf_counter() - began - sum(epochs))
        accelerator.wait_for_everyone()
    message = message_of(list(ae.network_.parameters()), OVER)
    messages = _time_of_messages(processes, message)
    accelerator.end_training()
    if not processes.is_first:
        return {}
    rates = {n: n_rows / statistics.median(times) for n, times in seconds.items()}
    n_steps = -(-n_rows // NETWORKS[network][2])
    share = n_steps * messages * rates[2] / n_rows
    return {
        "rows_per_second": {str(n): round(rate) for n, rate in rates.items()},
        "gain": round(rates[2] / rates[1], 2),
        "share_of_messages": round(share, 3),
        "message_bytes": 4 * len(message),
        "messages_seconds": round(messages, 6),
        "products_per_row": int(ae.network_.n_products),
        "start_rows_per_second": round(n_rows / statistics.median(starts)),
    }


def _time_of_messages(processes: Any, message: Any) -> float:
    """Return the median time of the two messages of a step."""
    times = []
    for _ in range(N_MESSAGES):
        began = time.perf_counter()
        processes.spread(message)
        processes.sum_to_first(message.clone())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def rate_rows(rows: list[Row]) -> list[list[str]]:
    """Return the rates of each network, and the share of the messages."""
    return [
        [
            row["network"],
            str(NETWORKS[row["network"]][2]),
            *(f"{row['rows_per_second'][n]:.0f}" for n in ("1", "2")),
            f"{row['gain']:.2f}",
            f"{100 * row['share_of_messages']:.1f}",
            f"{6e-9 * row['products_per_row'] * row['rows_per_second']['1']:.0f}",
        ]
        for row in rows
    ]


def plan(row: Row, n_gpus: int) -> dict[str, float]:
    """Return the seconds of each part of an epoch, those of the start, and the price.

    A step takes 6 operations for each product of the network: 2 forward and 4 backward.
    Held-out rows take 2, on the first GPU alone.
    """
    a, n_rows, held_out = ASSUMED, PLANNED["n_rows"], PLANNED["held_out"]
    speed = a["peak"] * a["efficiency"]
    n_trained, n_machines = n_rows * (1 - held_out), -(-n_gpus // ON_A_MACHINE)
    n_steps = n_trained / PLANNED["batch_size"]
    way = a["network"] if n_machines > 1 else a["links"]
    message = 2 * row["message_bytes"] / way + a["latency"]
    products = row["products_per_row"]
    parts = {
        "compute": 6 * products * n_trained / (n_gpus * speed),
        "steps": n_steps * a["step"],
        "messages": n_steps * message if n_gpus > 1 else 0.0,
        "validation": 2 * products * n_rows * held_out / speed,
        # Each machine reads all pages of the file.
        "reading": 4 * N_FEATURES * n_rows / a["reading"],
    }
    # A thread reads the next rows while the GPU computes.
    epoch = max(parts["reading"], sum(parts.values()) - parts["reading"])
    n_epochs = PLANNED["n_epochs"]
    start = n_rows / (row["start_rows_per_second"] * a["cores"])
    hours = (start + n_epochs * epoch) / 3600
    price = hours * n_gpus * a["price"]
    return {**parts, "start": start, "hours": hours, "price": price}


def plan_rows(rows: list[Row]) -> list[list[str]]:
    """Return the plan of the larger network, or of the only one."""
    plans = [(n, plan(rows[-1], n)) for n in N_GPUS]
    parts = "compute", "steps", "messages", "validation", "reading", "start"
    return [
        [
            str(n),
            *(f"{made[part]:.0f}" for part in parts),
            f"{made['hours']:.1f}",
            f"{made['price']:.0f}",
        ]
        for n, made in plans
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the rates, and the plan."""
    headings = ["network", "batch", "1 process", "2 processes", "gain"]
    headings += ["messages, %", "GFLOP/s of 1"]
    parts = ["compute", "steps", "messages", "validation", "reading", "start"]
    plan_headings = ["GPUs", *(f"{part}, s" for part in parts), "hours", "dollars"]
    return [
        write_table(
            folder / "parallel.csv", "Rows a second", headings, rate_rows(rows)
        ),
        write_table(
            folder / "parallel_plan.csv",
            "A billion rows, not run",
            plan_headings,
            plan_rows(rows),
        ),
    ]


def alone(case: Case) -> bool:
    """Give the case all cores, for it measures time."""
    return True


SUITE = Suite(
    "fits that two processes share, and a plan for GPUs", cases, run, report, alone
)

if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    figures = measured(**json.loads(sys.argv[1]))
    if os.environ["RANK"] == "0":
        print(json.dumps(figures))
