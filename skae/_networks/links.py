"""Links: from a reconstruction to the decoder's output, and back."""

import math

import numpy as np
import torch
from torch import Tensor, nn


class Link(nn.Module):
    """The identity: the output is the reconstruction of a standardised row.

    The data are ``x scale + mean`` for a standardised row ``x``. ``slope`` is a typical
    derivative of the output with respect to the reconstruction.
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
        probability = reconstruction * self.scale + self.mean
        # Rare and almost certain events need a margin to the bound.
        least = min(1e-9, 1e-3 * self.scale)
        low = 1e-3 * torch.minimum(self.mean, 1 - self.mean).clamp(min=least)
        high = 1 - low.clamp(min=1e-6)
        return torch.logit(torch.maximum(torch.minimum(probability, high), low))

    def inverse(self, output: Tensor) -> Tensor:
        return (torch.sigmoid(output) - self.mean) / self.scale


class Log(Link):
    """The output is the logarithm of the data over their mean, divided by ``scale``.

    Above ``e`` times the mean it is linear, ``data / (e mean)``: an exponential would
    turn a small error of the output into a huge error of the data.
    """

    def forward(self, reconstruction: Tensor) -> Tensor:
        # For a feature that is always zero the ratio to the mean is arbitrary.
        mean = torch.where(self.mean > 0, self.mean, 1.0)
        # With a large mean the ratio itself would lose the differences between rows.
        change = reconstruction * self.scale / mean
        small = change.clamp(min=1e-3 - 1).log1p()
        large = (1 + change) / math.e
        return torch.where(change < math.e - 1, small, large) / self.scale

    def inverse(self, output: Tensor) -> Tensor:
        return self.mean * excess(self.scale * output) / self.scale


def excess(value: Tensor) -> Tensor:
    """Return the ratio to the mean, minus one."""
    return torch.where(value < 1, torch.expm1(value.clamp(max=1)), math.e * value - 1)


def log_ratio(value: Tensor) -> Tensor:
    """Return the logarithm of the ratio to the mean."""
    return torch.where(value < 1, value, 1 + value.clamp(min=1).log())


def bend(value: Tensor) -> Tensor:
    """Return ``excess - log_ratio``, accurate near zero."""
    near = value.square() / 2 * (1 + value / 3 * (1 + value / 4))
    far = excess(value) - log_ratio(value)
    return torch.where(value.abs() < 0.03, near, far)
