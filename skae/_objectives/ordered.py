"""The objective of codes of which every prefix is a code."""

from typing import Any

import numpy as np
from torch import Tensor

from .losses import Loss
from .objective import Objective


class OrderedObjective(Objective):
    """A weighted mean of the losses of some prefixes of the code.

    It is the expected loss of nested dropout (Rippel, Gelbart and Adams, 2014) with
    chances in proportion to ``weights``, one for each of the network's ``widths``. The
    weights keep what few components cannot tell from drowning what many do.
    """

    def __init__(self, loss: Loss, weights: np.ndarray) -> None:
        super().__init__(loss)
        self.weights = weights / weights.sum()

    def compare(self, network: Any, code: Tensor, x: Tensor, seen: Tensor) -> Tensor:
        losses = [self.loss(network.decode(code[:, :n]), x) for n in network.widths]
        return sum(w * v for w, v in zip(self.weights.tolist(), losses, strict=True))
