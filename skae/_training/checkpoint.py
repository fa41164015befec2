"""Checkpoints: a run that ends from outside goes on where its file was written."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from .._machine.devices import to_arrays, to_tensors
from .state import lay_out

# Seconds from one file to the next, and the largest share of the time for writing.
SECONDS, SHARE = 5.0, 0.02


class Checkpoint:
    """State of a fit in a file, which is replaced every few seconds.

    A fit has stages if layers are trained alone before the whole network. ``write``
    replaces the file; ``found`` is what was in it.
    """

    def __init__(
        self, write: Callable[[dict[str, Any]], None], found: dict[str, Any], seed: int
    ) -> None:
        self.write = write
        self.seed: int = found.get("seed", seed)
        #: Attributes of the estimator if the fit is over, and the warnings it gave.
        self.fitted: dict[str, Any] | None = found.get("fitted")
        self.told: list[tuple[str, str]] = found.get("told", [])
        #: Results of the stages that are over.
        self.stages: list[Any] = found.get("stages", [])
        self._run: dict[str, Any] | None = found.get("run")
        self._n_batches, self._start = 0, torch.empty(0)
        #: Why the file is not up to date; None if it is.
        self.error: OSError | None = None
        if not found:
            # At once, since this shows whether it can be written.
            self.write({"seed": seed})
        self._wait(0.0)

    @property
    def epoch_begun(self) -> tuple[Tensor, int]:
        """Where the generator was when this epoch began, and batches that are over."""
        return self._start, self._n_batches

    @property
    def n_epochs(self) -> int:
        """Number of epochs of this stage that are over."""
        return len(self._run["history"]) if self._run else 0

    def resume(self, net: Any) -> None:
        """Bring an engine to where it was."""
        if self._run is not None:
            restore(net, self._run["net"])
            net.history.extend(self._run["history"])

    def begin_epoch(
        self, net: Any, batches: Iterable[Tensor], total: Tensor
    ) -> tuple[Iterator[Tensor], int]:
        """Return the batches that are left in an epoch, and how many rows are done.

        Their losses are added to ``total``.
        """
        run, self._run = self._run, None
        epoch, left = run and run["epoch"], iter(batches)
        if not epoch:
            self._start, self._n_batches = net.generator.get_state(), 0
            return left, 0
        # The order of the batches is drawn again.
        now, self._start = net.generator.get_state(), torch.from_numpy(epoch["start"])
        net.generator.set_state(self._start)
        self._n_batches = epoch["n_batches"]
        deque(islice(left, self._n_batches), maxlen=0)
        net.generator.set_state(now)
        total.add_(epoch["total"])
        return left, epoch["n_rows"]

    def end_batch(self, net: Any, total: Tensor, n_rows: int) -> None:
        """Store the state within an epoch, if it is time."""
        self._n_batches += 1
        if time.monotonic() >= self._due:
            epoch = {
                "start": self._start.numpy(),
                "n_batches": self._n_batches,
                "total": total.item(),
                "n_rows": n_rows,
            }
            self._store_run(net, epoch)

    def end_epoch(self, net: Any) -> None:
        """Store the state between two epochs, if it is time."""
        if time.monotonic() >= self._due:
            self._store_run(net, None)

    def end_stage(self, result: Any) -> None:
        """Store the result of a stage; the next run is of the next stage."""
        self.stages.append(result)
        self._run = None
        self._store({})

    def end(self, fitted: dict[str, Any], told: list[tuple[str, str]]) -> None:
        """Store the fitted attributes and the warnings in place of all else."""
        self._write({"fitted": fitted, "told": told})

    def _store_run(self, net: Any, epoch: dict[str, Any] | None) -> None:
        history = net.history.to_list()
        history = history if epoch is None else history[:-1]
        self._store({"run": {"net": snapshot(net), "history": history, "epoch": epoch}})

    def _store(self, values: dict[str, Any]) -> None:
        began = time.monotonic()
        self._write({"seed": self.seed, "stages": self.stages, **values})
        self._wait((time.monotonic() - began) / SHARE)

    def _write(self, values: dict[str, Any]) -> None:
        self.error = None
        try:
            self.write(values)
        except OSError as error:
            # Training is worth more than its copy.
            self.error = error

    def _wait(self, seconds: float) -> None:
        self._due = time.monotonic() + max(SECONDS, seconds)


def snapshot(net: Any) -> dict[str, Any]:
    """Return all that changes while an engine runs, as plain values and arrays."""
    parts = {name: part.state_dict() for name, part in _parts(net).items()}
    generator = net.generator.get_state()
    drawn = torch.get_rng_state() if net.settings.draws_globally else None
    return to_arrays({**parts, "generator": generator, "drawn": drawn})


def restore(net: Any, values: dict[str, Any]) -> None:
    """Undo ``snapshot``, on an engine that is about to run."""
    values = to_tensors(values)
    for name, part in _parts(net).items():
        part.load_state_dict(values[name])
    lay_out(net.optimizer_)
    if net.rates is not None:
        # The optimizer has new groups now.
        net.rates.groups = net.optimizer_.param_groups
    net.generator.set_state(values["generator"])
    if values["drawn"] is not None:
        torch.set_rng_state(values["drawn"])


def _parts(net: Any) -> dict[str, Any]:
    parts = {
        "network": net.module_,
        "objective": net.criterion_,
        "optimizer": net.optimizer_,
        "rates": net.rates,
        "average": net.average,
        "stopping": net.stopping,
    }
    return {name: part for name, part in parts.items() if part is not None}
