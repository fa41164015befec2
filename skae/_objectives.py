"""Objectives: ``mean_i loss(x_i, decode(encode(corrupt(x_i)))) + alpha * penalty``."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Loss(nn.Module):
    """Mean over rows and features of a distance between ``output`` and ``x``.

    Averaging over features too keeps the loss, and so the meaning of a penalty's
    weight, the same at any width. ``output`` is the decoder's answer; its
    ``inverse_link`` is the reconstruction of ``x``, and ``link`` undoes that.
    """

    #: Whether rows are centred, and divided by their spread, before they get here.
    centred = scaled = True
    #: Smallest and largest value that makes sense, in the data's units.
    domain: tuple[float, float] | None = None

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        return self.function(output, x)

    def link(self, mean: Tensor) -> Tensor:
        return mean

    def inverse_link(self, output: Tensor) -> Tensor:
        return output


class Bernoulli(Loss):
    """Log-loss of probabilities: ``-x log p - (1 - x) log(1 - p)``, output logit p."""

    centred = scaled = False
    domain = (0.0, 1.0)

    def __init__(self) -> None:
        super().__init__(F.binary_cross_entropy_with_logits)

    def link(self, mean: Tensor) -> Tensor:
        return torch.logit(mean, eps=1e-4)

    def inverse_link(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)


class Poisson(Loss):
    """Negative log-likelihood of counts: ``rate - x log rate``, output log rate."""

    centred = False
    domain = (0.0, torch.inf)

    def __init__(self) -> None:
        super().__init__(F.poisson_nll_loss)

    def link(self, mean: Tensor) -> Tensor:
        return mean.clamp(min=1e-4).log()

    def inverse_link(self, output: Tensor) -> Tensor:
        return output.exp()


class Gaussian(Loss):
    """Negative log-likelihood, less a constant, with one learned variance ``v``.

    ``((x - output)^2 / v + log v) / 2`` (Rybkin, Daniilidis and Levine, 2021). A
    variance for each feature would reward the exact copy of a few features above all
    else. ``v`` stops at 1e-6, or a perfect fit would send the loss to minus infinity.
    """

    def __init__(self) -> None:
        super().__init__(self._negative_log_likelihood)
        log_variance = torch.zeros((), dtype=torch.float32, device="cpu")
        self.log_variance = nn.Parameter(log_variance)

    def variance(self) -> Tensor:
        return self.log_variance.clamp(min=-13.8).exp()

    def _negative_log_likelihood(self, output: Tensor, x: Tensor) -> Tensor:
        variance = self.variance()
        return (F.mse_loss(output, x) / variance + variance.log()) / 2


LOSSES: dict[str, Callable[[], Loss]] = {
    "squared_error": lambda: Loss(F.mse_loss),
    "absolute_error": lambda: Loss(F.l1_loss),
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "poisson": Poisson,
}


def make_loss(loss: str | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Build a loss from its name or from ``function(output, x)``."""
    if isinstance(loss, str):
        return LOSSES[loss]()
    return Loss(lambda output, x: loss(output, x).mean())


class Objective(nn.Module):
    """What is minimised: a loss, and what a regularised autoencoder adds to it."""

    def __init__(
        self,
        loss: Loss,
        corrupt: Callable[[Tensor], Tensor] | None = None,
        penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
        alpha: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.corrupt = corrupt
        self.penalty = penalty
        self.alpha = alpha

    def forward(self, network: Any, x: Tensor) -> Tensor:
        seen = x if self.corrupt is None else self.corrupt(x)
        code = network.encode(seen)
        value = self.loss(network.decode(code), x)
        if self.penalty is None:
            return value
        return value + self.alpha * self.penalty(seen, code)
