"""Epochs: skorch's loop over batches, and what is recorded of it."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._machine.precision import faster_products
from .ending import EndedNet


class RecordedNet(EndedNet):
    """Trains and validates an epoch, and records the mean losses.

    skorch's own loop reads and records the loss of every batch, which takes up to a
    tenth of the time of a small network. It runs only if there are callbacks.
    """

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Take a step for each batch and record the mean loss."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            self._begin_epoch()
        loop = self._booked_steps if self.callbacks else self._steps
        batches = iterator if training else self.validation
        precision = self.settings.precision if training else "float32"
        with faster_products(precision):
            loss = loop(batches, training, prefix, step_fn)
        name = f"{prefix}_loss"
        if training and self.average is not None:
            self.average.show()
        if not training:
            self.history.record("unexplained", loss)
            loss = self.validation.aim(self.module_, loss)
        else:
            rate = self.optimizer_.param_groups[0].get("lr", math.nan)
            self.history.record("learning_rate", float(rate))
        best = all(loss < epoch[name] for epoch in self.history[:-1])
        self.history.record(name, loss)
        self.history.record(f"{name}_best", best)

    def _begin_epoch(self) -> None:
        """Go back to the trained weights, and update what depends on the epoch."""
        if self.average is not None:
            self.average.hide()
        self.criterion_.advance(self.module_, self._share_done())

    def _share_done(self) -> float:
        """Return the share of the epochs that are over; 1 if there is no limit."""
        if self.settings.is_full_batch or self.max_epochs == 1:
            return 1.0
        return (len(self.history) - 1) / self.max_epochs

    def _booked_steps(
        self, batches: Iterable[Tensor], training: bool, prefix: str, step_fn: Any
    ) -> float:
        leader = self.leader if training else None
        if leader is not None:
            leader.begin_epoch(self)
        super().run_single_epoch(batches, training, prefix, step_fn)
        keys = f"{prefix}_loss", f"{prefix}_batch_size"
        booked = [b for b in self.history[-1]["batches"] if keys[0] in b]
        losses, sizes = ([b[key] for b in booked] for key in keys)
        if leader is not None:
            sizes = leader.end_epoch()
        return float(np.average(losses, weights=sizes))

    def _steps(
        self, batches: Iterable[Tensor], training: bool, prefix: str, step_fn: Any
    ) -> float:
        # A list of small tensors would keep the memory of freed batches.
        device = torch.device(self.device)
        dtype = torch.float32 if device.type == "mps" else torch.float64
        total, n_rows = torch.zeros((), dtype=dtype, device=device), 0
        checkpoint = self.checkpoint if training else None
        if checkpoint is not None:
            batches, n_rows = checkpoint.begin_epoch(self, batches, total)
        leader = self.leader if training else None
        if leader is not None:
            leader.begin_epoch(self)
        for batch in batches:
            loss = step_fn(batch)["loss"]
            n_new = len(batch) if leader is None else leader.part.n_rows
            total.add_(loss, alpha=n_new)
            n_rows += n_new
            if checkpoint is not None:
                checkpoint.end_batch(self, total, n_rows)
        if leader is not None:
            leader.end_epoch()
        return total.item() / n_rows

    def epochs(self) -> list[dict[str, Any]]:
        """Return the records of the completed epochs."""
        epochs = [epoch for epoch in self.history if self.monitor in epoch]
        return epochs if self.stopping.is_finite else epochs[:-1]


def tabulated(epochs: list[dict[str, Any]], n_before: int) -> dict[str, list[float]]:
    """Return the records of epochs as columns; NaN if no rows were held out."""
    return {
        "epoch": list(range(n_before + 1, n_before + 1 + len(epochs))),
        "loss": [epoch["train_loss"] for epoch in epochs],
        "validation_loss": [epoch.get("valid_loss", math.nan) for epoch in epochs],
        "explained_variance": [1 - e.get("unexplained", math.nan) for e in epochs],
        "learning_rate": [epoch["learning_rate"] for epoch in epochs],
        "seconds": [epoch.get("dur", math.nan) for epoch in epochs],
    }
