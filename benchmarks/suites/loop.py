"""Seconds of an epoch over those of a loop that is written by hand, on a GPU.

Both train the same network on the same rows, which are on the device, with AdamW and
the same batches. The loop by hand replays a CUDA graph of a whole step. On a machine
without a GPU both take plain steps, on the processor.
"""

import pathlib
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn

from skae import UndercompleteAE
from skae._machine.precision import faster_products, full_precision, rounded_products

from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

#: Widths, batches and rows of a large and a small network.
NETWORKS: dict[str, tuple[list[int], int, int]] = {
    "784-1000-500-250-30": ([784, 1000, 500, 250, 30], 1000, 60_000),
    "64-256-128-8": ([64, 256, 128, 8], 160, 16_000),
}
N_ROUNDS, N_EPOCHS = 5, 6
HOW = "by hand", "constant", "averaged"


def cases(options: Options) -> list[Case]:
    """Return networks and precisions."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precisions = ["float32", "tf32", "bfloat16"] if device == "cuda" else ["float32"]
    names = list(NETWORKS)[1:] if options.quick else NETWORKS
    rounds = 2 if options.quick else N_ROUNDS
    return [
        {"network": name, "precision": precision, "device": device, "n_rounds": rounds}
        for name in names
        for precision in precisions
    ]


class Loop:
    """A loop by hand, which records its step and replays it."""

    def __init__(
        self, rows: Tensor, widths: list[int], batch_size: int, precision: str
    ) -> None:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for n_inputs, n_outputs in pairwise([*widths, *widths[-2::-1]]):
            layers += [nn.Linear(n_inputs, n_outputs), nn.GELU()]
        half = len(layers) // 2
        self.network = nn.Sequential(*layers[: half - 1], *layers[half:-1])
        self.network.to(rows.device)
        is_gpu = rows.is_cuda
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-3, fused=True, capturable=is_gpu
        )
        self.rows, self.precision = rows, precision
        self.batch, self.loss = rows[:batch_size].clone(), rows.new_zeros(())
        self.total = rows.new_zeros((), dtype=torch.float64)
        self.graph = self._record() if is_gpu else None

    def _step(self) -> None:
        self.optimizer.zero_grad()
        with rounded_products(self.precision, self.rows.device):
            loss = (self.network(self.batch) - self.batch).square().mean()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.loss = loss.detach()

    def _record(self) -> Any:
        with full_precision(), faster_products(self.precision):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self._step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad()
            with torch.cuda.graph(graph):
                self._step()
        return graph

    def epochs(self) -> Iterator[float]:
        """Yield the seconds of each epoch."""
        for _ in range(N_EPOCHS):
            start = time.perf_counter()
            order = torch.randperm(len(self.rows), device=self.rows.device)
            self.total.zero_()
            for index in order.split(len(self.batch)):
                torch.index_select(self.rows, 0, index, out=self.batch)
                if self.graph is None:
                    self._step()
                else:
                    self.graph.replay()
                self.total += self.loss
            self.total.item()
            yield time.perf_counter() - start


def run(network: str, precision: str, device: str, n_rounds: int) -> dict[str, Any]:
    """Let epochs of both take turns."""
    widths, batch_size, n_rows = NETWORKS[network]
    X = np.random.default_rng(0).normal(size=(n_rows, widths[0])).astype(np.float32)
    loop = Loop(torch.from_numpy(X).to(device), widths, batch_size, precision)
    options = {
        "hidden_layer_sizes": tuple(widths[1:-1]),
        "init": "random",
        "batch_size": batch_size,
        "max_iter": N_EPOCHS,
        "early_stopping": False,
        "learning_rate_init": 1e-3,
        "precision": precision,
        "device": device,
        "random_state": 0,
    }
    seconds: dict[str, list[float]] = {how: [] for how in HOW}
    for _ in range(n_rounds):
        for how in HOW[1:]:
            ae = UndercompleteAE(widths[-1], learning_rate=how, **options).fit(X)
            # The first epoch also loads kernels and records.
            seconds[how] += ae.history_["seconds"][1:]
        seconds["by hand"] += list(loop.epochs())[1:]
    medians = {how: statistics.median(values) for how, values in seconds.items()}
    name = torch.cuda.get_device_name() if device == "cuda" else "processor"
    return {"name": name, "epoch": {h: round(s, 6) for h, s in medians.items()}}


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return a row for each network and precision."""
    found = []
    for row in rows:
        base = row["epoch"]["by hand"]
        ratios = [f"{row['epoch'][how] / base:.2f}" for how in HOW[1:]]
        found.append([row["network"], row["precision"], f"{1e3 * base:.1f}", *ratios])
    return found


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = f"An epoch over that of a loop by hand, on: {rows[0]['name']}"
    headings = ["network", "precision", "ms by hand", "constant rate", "averaged"]
    return [write_table(folder / "loop.csv", title, headings, table_rows(rows))]


def alone(case: Case) -> bool:
    """Give each case all cores, for it measures time."""
    return True


SUITE = Suite(
    "an epoch on a GPU beside a loop by hand", cases, run, report, alone=alone
)
