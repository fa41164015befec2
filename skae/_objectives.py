"""Objectives: ``mean_i loss(x_i, decode(encode(corrupt(x_i)))) + alpha * penalty``."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._links import Link, Log, Logit, excess, log_ratio


class Loss(nn.Module):
    """Mean over rows and features of a distance between ``output`` and ``x``.

    Averaging over features too keeps the loss, and so the meaning of a penalty's
    weight, the same at any width. Rows ``x`` are standardised: less ``mean``, and
    divided by ``scale``. ``output`` is the decoder's answer, which ``link`` leads to
    from the reconstruction of ``x``.
    """

    link_class: ClassVar[type[Link]] = Link

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__()
        self.link = self.link_class(mean, scale)

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError

    def first_output(self) -> Tensor:
        """Return the output whose reconstruction is the mean."""
        return self.link(torch.zeros_like(self.link.mean))


class SquaredError(Loss):
    """``(x - output)^2``."""

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        return F.mse_loss(output, x)


class AbsoluteError(Loss):
    """``|x - output|``."""

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        return F.l1_loss(output, x)


class Gaussian(Loss):
    """Negative log-likelihood, less a constant, with one learned variance ``v``.

    ``((x - output)^2 / v + log v) / 2`` (Rybkin, Daniilidis and Levine, 2021). A
    variance for each feature would reward the exact copy of a few features above all
    else. ``v`` is above 1e-6, or a perfect fit would send the loss to minus infinity.
    """

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__(mean, scale)
        log_variance = torch.zeros((), dtype=torch.float32, device="cpu")
        self.log_variance = nn.Parameter(log_variance)

    def variance(self) -> Tensor:
        return torch.exp(self.log_variance) + 1e-6

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        variance = self.variance()
        return (F.mse_loss(output, x) / variance + variance.log()) / 2


class Bernoulli(Loss):
    """Log-loss of probabilities: ``-t log p - (1 - t) log(1 - p)``, output logit p.

    ``t`` is ``x`` in the data's own units.
    """

    link_class = Logit

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        target = x * self.link.scale + self.link.mean
        return F.binary_cross_entropy_with_logits(output, target)


class Poisson(Loss):
    """Negative log-likelihood of counts: ``rate - t log rate``, less a constant.

    ``t`` is the count over the mean of all counts, and ``rate = mean exp(s output)``,
    where ``s`` is the spread of ``t``: so neither the unit of the counts nor a large
    level matters. The loss is divided by ``s^2``, and zero at the mean.
    """

    link_class = Log

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        level = mean.mean() or 1.0
        super().__init__(mean / level, float(scale / level))

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        value = self.link.scale * output
        target = x * self.link.scale + self.link.mean
        deviance = self.link.mean * excess(value) - target * log_ratio(value)
        return deviance.mean() / self.link.scale**2


class CallableLoss(Loss):
    """Mean of a function of reconstruction and rows."""

    def __init__(
        self,
        mean: np.ndarray,
        scale: float,
        function: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__(mean, scale)
        self.function = function

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        return self.function(output, x).mean()


LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "poisson": Poisson,
}


def make_loss(
    loss: str | Callable[[Tensor, Tensor], Tensor], mean: np.ndarray, scale: float
) -> Loss:
    """Build a loss from its name or from ``function(reconstruction, rows)``."""
    if isinstance(loss, str):
        return LOSSES[loss](mean, scale)
    return CallableLoss(mean, scale, loss)


def try_out(loss: str | Callable[[Tensor, Tensor], Tensor], n_features: int) -> None:
    """Raise if a function is no loss of two tensors."""
    if isinstance(loss, str):
        return
    rows = torch.ones(2, n_features, dtype=torch.float32, device="cpu")
    value, reason = None, ""
    try:
        value = loss(rows.clone().requires_grad_(), rows)
    except Exception as error:
        reason = f" ({error})"
    if not (isinstance(value, Tensor) and value.requires_grad):
        raise TypeError(
            f"loss={loss!r} must make a differentiable tensor of two tensors, "
            f"reconstruction and rows; it gave {value!r}{reason}. Use a function such "
            f"as torch.nn.functional.huber_loss or one of {sorted(LOSSES)}."
        )


class Objective(nn.Module):
    """What is minimised: a loss, and what a regularised autoencoder adds to it."""

    def __init__(
        self,
        loss: Loss,
        corrupt: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        penalty: Callable[[Any, Tensor, Tensor], Tensor] | None = None,
        alpha: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.corrupt = corrupt
        self.penalty = penalty
        self.alpha = alpha

    def forward(self, network: Any, x: Tensor, generator: torch.Generator) -> Tensor:
        seen = x if self.corrupt is None else self.corrupt(x, generator)
        code = network.encode(seen)
        value = self.compare(network, code, x)
        if self.penalty is None:
            return value
        return value + self.alpha * self.penalty(network, seen, code)

    def compare(self, network: Any, code: Tensor, x: Tensor) -> Tensor:
        """Return the loss of the decoded code."""
        return self.loss(network.decode(code), x)


class OrderedObjective(Objective):
    """A weighted mean of the losses of some prefixes of the code.

    It is the expected loss of nested dropout (Rippel, Gelbart and Adams, 2014) with
    chances in proportion to ``weights``, one for each of the network's ``widths``. The
    weights keep what few components cannot tell from drowning what many do.
    """

    def __init__(self, loss: Loss, weights: np.ndarray) -> None:
        super().__init__(loss)
        self.weights = weights / weights.sum()

    def compare(self, network: Any, code: Tensor, x: Tensor) -> Tensor:
        losses = [self.loss(network.decode(code[:, :n]), x) for n in network.widths]
        return sum(w * v for w, v in zip(self.weights.tolist(), losses, strict=True))
