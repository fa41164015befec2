"""What to train, how long and in what steps, where the user leaves it open."""

import math
from dataclasses import dataclass

import numpy as np

# Steps of a solver after which little is left to gain.
N_STEPS = 4000


@dataclass
class Schedule:
    """Sizes chosen by ``python -m benchmarks search`` and its like."""

    #: Minibatches of an epoch, as long as they have neither few rows nor many.
    n_batches: int = 10
    #: Weight decay of "adamw".
    weight_decay: float = 0.2
    #: Hidden layers, each half as wide as the one before.
    n_layers: int = 1

    def hidden_layer_sizes(self, n_features: int) -> list[int]:
        """Return widths that leave room for a curved code of so many features."""
        first = int(np.clip(4 * n_features, 128, 512))
        return [first // 2**i for i in range(self.n_layers)]

    def batch_size(self, n_rows: int) -> int:
        """Return the size of even batches."""
        most = np.clip(n_rows // self.n_batches, 32, 256)
        # A last batch of few rows would make as large a step as the others.
        return math.ceil(n_rows / math.ceil(n_rows / most))

    def n_epochs(self, n_rows: int, batch_size: int) -> int:
        """Return how many epochs take enough steps, but no end on few rows."""
        return int(np.clip(N_STEPS * batch_size // n_rows, 10, 800))
