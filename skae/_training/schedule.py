"""What to train, how long and in what steps, where the user leaves it open."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .solvers import is_full_batch

# An epoch's batches where rows come in parts, and nobody knows how many there are.
N_STREAMED = 100
# Features from which on rows are wide, like images: where there are fewer, two layers
# cost more when wider, and gain next to nothing.
WIDE = 512


@dataclass(frozen=True)
class Schedule:
    """Sizes chosen on splits of training rows.

    ``python -m benchmarks search`` compares them with others.
    """

    #: Steps of a solver after which little is left to gain.
    n_steps: int = 4000
    #: Steps without a gain of averaged weights after which none is expected.
    n_stale_steps: int = 1000

    #: Minibatches of an epoch, as long as they have neither few rows nor many.
    n_batches: int = 10
    #: Weight decay of "adamw" in all steps of an epoch together: an epoch of more rows
    #: says more of them, and shall not decay what it says more.
    decay: float = 2.0
    #: Weight decay of a step at most.
    most_decay: float = math.inf
    #: Epochs of a whole fit at least.
    least_epochs: int = 1
    #: Hidden layers, each half as wide as the one before, and the width of the first at
    #: most.
    n_layers: int = 1
    widest: int = 512

    #: Rows of a minibatch at most.
    largest_batch: int = 320

    def hidden_layer_sizes(self, n_features: int) -> list[int]:
        """Return widths that leave room for a curved code of so many features."""
        first = int(np.clip(4 * n_features, 128, self.widest))
        return [first // 2**i for i in range(self.n_layers)]

    def batch_size(self, n_rows: int) -> int:
        """Return the size of even batches."""
        most = np.clip(n_rows // self.n_batches, 32, self.largest_batch)
        # A last batch of few rows would make as large a step as the others.
        return math.ceil(n_rows / math.ceil(n_rows / most))

    def weight_decay(self, n_batches: int) -> float:
        """Return the share of an epoch's decay that is due in a step."""
        return min(self.decay / n_batches, self.most_decay)

    def n_epochs(self, n_rows: int, batch_size: int) -> int:
        """Return how many epochs take enough steps, but no end on few rows."""
        n_epochs = self.n_steps * batch_size // n_rows
        return int(np.clip(n_epochs, self.least_epochs, 800))

    def patience(self, n_epochs: int, n_batches: int, averages: bool) -> int:
        """Return how many epochs may pass without a gain.

        Averages seldom stall; large steps on their way along a schedule often do.
        """
        if averages:
            return int(np.clip(self.n_stale_steps // n_batches, 3, 10))
        return max(10, n_epochs // 4)

    def fill_in(self, asked: Any, n_rows: int, is_part: bool) -> dict[str, Any]:
        """Return number and size of steps as asked by parameters, or for "auto"."""
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
