"""Links: from a reconstruction to the decoder's output, and back."""

import numpy as np
import torch
from torch import Tensor, nn


class Link(nn.Module):
    """The identity: the output is the reconstruction of a standardised row.

    ``mean`` and ``scale`` lead from a standardised row to the data: ``x scale + mean``.
    ``slope`` is a typical derivative of the output by the reconstruction.
    """

    mean: Tensor
    slope = 1.0

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__()
        self.scale = scale
        values = torch.tensor(mean, dtype=torch.float32, device="cpu")
        self.register_buffer("mean", values, persistent=False)

    def forward(self, reconstruction: Tensor) -> Tensor:
        return reconstruction

    def inverse(self, output: Tensor) -> Tensor:
        return output


class Logit(Link):
    """The output is the logit of the data, a probability."""

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__(mean, scale)
        self.slope = 4 * scale

    def forward(self, reconstruction: Tensor) -> Tensor:
        return torch.logit(reconstruction * self.scale + self.mean, eps=1e-4)

    def inverse(self, output: Tensor) -> Tensor:
        return (torch.sigmoid(output) - self.mean) / self.scale


class Log(Link):
    """The output is the logarithm of the data over their mean, divided by ``scale``."""

    def forward(self, reconstruction: Tensor) -> Tensor:
        # Of a feature that is always zero any ratio to the mean will do.
        mean = torch.where(self.mean > 0, self.mean, 1.0)
        ratio = 1 + reconstruction * self.scale / mean
        return ratio.clamp(min=1e-3).log() / self.scale

    def inverse(self, output: Tensor) -> Tensor:
        return self.mean * torch.expm1(self.scale * output) / self.scale
