"""The objective of ordered codes: every prefix is a code."""

from typing import Any

import numpy as np
from torch import Tensor

from .._networks.linear_skip import LinearSkip
from .._networks.network import Network
from .losses import Loss
from .objective import Objective


class OrderedObjective(Objective):
    """A weighted mean of the losses of some prefixes of the code.

    It is the expected loss of nested dropout (Rippel, Gelbart and Adams, 2014) with
    probabilities proportional to ``weights``, one for each of the network's ``widths``.
    The weights keep the large losses of few components from hiding those of many.
    """

    def __init__(self, loss: Loss, weights: np.ndarray) -> None:
        super().__init__(loss)
        self.weights = weights

    def reconstruction_loss(
        self, network: Any, code: Tensor, x: Tensor, seen: Tensor
    ) -> Tensor:
        losses = [self.loss(network.decode(code[:, :n]), x) for n in network.widths]
        return sum(w * v for w, v in zip(self.weights.tolist(), losses, strict=True))


def prefix_weights(network: Network) -> np.ndarray:
    """Weigh losses so that each width counts for a share of what PCA misses there.

    A code of one component has a small weight: it conflicts with the second.
    """
    widths = np.array(network.widths)
    weights = np.ones(len(widths))
    if isinstance(network, LinearSkip):
        missed = network.output_scale.cpu().numpy().astype(np.float64)[widths - 1]
        # If PCA is almost exact, an unbounded weight would hide the others.
        least = missed[0] / 100 or 1.0
        weights = 1 / np.square(np.maximum(missed, least))
    if len(widths) > 1:
        weights[0] *= 0.1
    return weights / weights.sum()
