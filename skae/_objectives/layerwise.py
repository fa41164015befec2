"""The objective of one layer: to reconstruct the representation below it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._networks.links import Link
from .contraction import exact, hutchinson, is_layered
from .corruption import Corruption
from .losses import Loss
from .objective import Objective, Penalty
from .sparsity import l1


class Activated(Link):
    """The output is what an activation maps to the data."""

    def __init__(self, mean: np.ndarray, scale: float, activation: nn.Module) -> None:
        super().__init__(mean, scale)
        self.activation = activation

    def forward(self, reconstruction: Tensor) -> Tensor:
        # An activation may have no inverse. Zero is an output that it knows.
        return torch.zeros_like(reconstruction)

    def inverse(self, output: Tensor) -> Tensor:
        return (self.activation(output) - self.mean) / self.scale


class ActivationError(Loss):
    """``(x - (activation(output) - mean) / scale)^2``."""

    def __init__(self, mean: np.ndarray, scale: float, activation: nn.Module) -> None:
        super().__init__(mean, scale)
        self.link = Activated(mean, scale, activation)

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        return F.mse_loss(self.link.inverse(output), x, reduction=reduction)


class LayerObjective(Objective):
    """What a layer minimises on rows as the layers below it, ``below``, encode them.

    Encoded rows are standardised by ``mean`` and ``scale`` for the loss and for
    ``corrupt``, but the layer sees them in their own unit.
    """

    mean: Tensor

    def __init__(
        self,
        loss: Loss,
        below: Callable[[Tensor], Tensor],
        unit: tuple[np.ndarray, float],
        corrupt: Corruption | None = None,
        penalty: Penalty | None = None,
        alpha: float = 0.0,
    ) -> None:
        super().__init__(loss, corrupt, penalty, alpha)
        # A list keeps its weights out of parameters(): they are not trained.
        self._below = [below]
        mean, self.scale = unit
        values = torch.tensor(mean, dtype=torch.float32, device="cpu")
        self.register_buffer("mean", values)

    @torch.no_grad()
    def parts(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        return (self._below[0](batch) - self.mean) / self.scale, None

    def corrupted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return super().corrupted(x, generator) * self.scale + self.mean


def layer_penalty(
    kind: str, network: Any, scale: float, is_full_batch: bool
) -> tuple[Penalty | None, float]:
    """Return the penalty of a kind of layer, and what makes its unit that of the loss.

    The loss is that of rows divided by ``scale``, but the layer sees them undivided.
    """
    if kind == "sparse":
        return l1, 1 / scale
    if kind == "contractive":
        is_exact = is_layered(network) or is_full_batch
        return exact if is_exact else hutchinson, scale**2
    return None, 0.0
