"""Values of "auto" parameters: sizes of networks, numbers and sizes of steps."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .solvers import is_full_batch

# Batches of an epoch in partial_fit, where the number of rows is unknown.
N_STREAMED = 100
# Rows with so many features or more are wide, like images. With fewer features, two
# wider layers cost more and gain almost nothing.
WIDE = 512


@dataclass(frozen=True)
class Schedule:
    """Sizes chosen on splits of training rows.

    ``python -m benchmarks search`` compares them with others.
    """

    #: Steps after which further ones gain little.
    n_steps: int = 4000
    #: Steps without improvement of averaged weights after which none is expected.
    n_stale_steps: int = 1000
    #: The same in epochs, at most.
    n_stale_epochs: int = 10

    #: Minibatches of an epoch, if their size is within the limits.
    n_batches: int = 10
    #: Weight decay of "adamw" over all steps of an epoch: an epoch with more rows
    #: should not decay more.
    decay: float = 2.0
    #: Maximum weight decay of a step.
    most_decay: float = math.inf
    #: Minimum number of epochs of a fit.
    least_epochs: int = 1
    #: Hidden layers, each half as wide as the one before, and the maximum width of the
    #: first.
    n_layers: int = 1
    widest: int = 512

    #: Maximum number of rows in a minibatch.
    largest_batch: int = 320

    def hidden_layer_sizes(self, n_features: int) -> list[int]:
        """Return the widths of hidden layers for ``n_features`` features."""
        first = int(np.clip(4 * n_features, 128, self.widest))
        return [first // 2**i for i in range(self.n_layers)]

    def batch_size(self, n_rows: int) -> int:
        """Return the size of even batches."""
        most = np.clip(n_rows // self.n_batches, 32, self.largest_batch)
        # A small last batch would make as large a step as the others.
        return math.ceil(n_rows / math.ceil(n_rows / most))

    def weight_decay(self, n_batches: int) -> float:
        """Return the weight decay of one step."""
        return min(self.decay / n_batches, self.most_decay)

    def n_epochs(self, n_rows: int, batch_size: int) -> int:
        """Return the number of epochs that make enough steps, within limits."""
        n_epochs = self.n_steps * batch_size // n_rows
        return int(np.clip(n_epochs, self.least_epochs, 800))

    def patience(self, n_epochs: int, n_batches: int, averages: bool) -> int:
        """Return how many epochs may pass without a gain.

        Averages seldom stall; large steps of a schedule often do.
        """
        if averages:
            n_epochs = self.n_stale_steps // n_batches
            return int(np.clip(n_epochs, 3, self.n_stale_epochs))
        return max(10, n_epochs // 4)

    def fill_in(self, asked: Any, n_rows: int, is_part: bool) -> dict[str, Any]:
        """Return number and size of steps, with "auto" parameters replaced."""
        batch_size = int(_unless_auto(asked.batch_size, self.batch_size(n_rows)))
        batch_size = n_rows if is_full_batch(asked.solver) else min(batch_size, n_rows)
        n_epochs = int(_unless_auto(asked.max_iter, self.n_epochs(n_rows, batch_size)))
        n_batches = N_STREAMED if is_part else math.ceil(n_rows / batch_size)
        decay = self.weight_decay(n_batches) if asked.solver == "adamw" else 0.0
        averages = asked.learning_rate == "averaged" and not is_full_batch(asked.solver)
        return {
            "batch_size": batch_size,
            "max_epochs": 1 if is_part else n_epochs,
            "weight_decay": _unless_auto(asked.weight_decay, decay),
            "decay_is_open": bool(asked.weight_decay == "auto" and decay),
            "n_iter_no_change": _unless_auto(
                asked.n_iter_no_change,
                self.patience(n_epochs, n_batches, averages),
            ),
        }


def _unless_auto(value: Any, choice: float) -> Any:
    return choice if value == "auto" else value
