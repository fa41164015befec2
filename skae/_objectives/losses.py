"""Losses: ``loss(x_i, decode(z_i))``."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._machine.processes import batch_total
from .._networks.links import Link, Log, Logit, bend, log_ratio
from .._rows.checks import described

# Share of the rows' variance that a link may lose.
MOST_LOST = 0.01
# Mean probabilities below which the loss avoids cancellation.
RARE = 0.01


class Loss(nn.Module):
    """Mean over rows and features of a distance between ``output`` and ``x``.

    Averaging over features makes the loss, and so the effect of a penalty's weight,
    independent of their number. Rows ``x`` are standardised by ``mean`` and ``scale``.
    ``output`` is the decoder's output: ``link`` of the reconstruction of ``x``. With
    ``weights``, one for each entry, the mean is weighted.
    """

    link_class: ClassVar[type[Link]] = Link
    #: Whether a lower squared error is a lower loss.
    falls_with_squares: ClassVar[bool] = True
    #: Scale of the data below which gradients vanish for a solver.
    least_scale: ClassVar[float] = 0.0

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__()
        self.link = self.link_class(mean, scale)

    def forward(
        self, output: Tensor, x: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        if weights is None:
            return self.distance(output, x, "mean")
        distances = self.distance(output, x, "none")
        return (weights * distances).sum() / batch_total(weights.sum()).clamp(min=1e-6)

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        """Return the distance of each entry ("none"), or their mean ("mean")."""
        raise NotImplementedError

    def first_output(self) -> Tensor:
        """Return the output whose reconstruction is the mean."""
        return self.link(torch.zeros_like(self.link.mean))


class SquaredError(Loss):
    """``(x - output)^2``."""

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        return F.mse_loss(output, x, reduction=reduction)


class AbsoluteError(Loss):
    """``|x - output|``."""

    falls_with_squares = False

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        return F.l1_loss(output, x, reduction=reduction)


class Gaussian(Loss):
    """Negative log-likelihood, up to a constant, with one learnt variance ``v``.

    ``((x - output)^2 / v + log v) / 2`` (Rybkin, Daniilidis and Levine, 2021). With a
    variance for each feature, exact copies of a few features would dominate. ``v`` is
    above 1e-6, else a perfect fit would have a loss of minus infinity.
    """

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__(mean, scale)
        log_variance = torch.zeros((), dtype=torch.float32, device="cpu")
        self.log_variance = nn.Parameter(log_variance)

    def variance(self) -> Tensor:
        return torch.exp(self.log_variance) + 1e-6

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        variance = self.variance()
        squares = F.mse_loss(output, x, reduction=reduction)
        return (squares / variance + variance.log()) / 2


class Bernoulli(Loss):
    """Log-loss of probabilities: ``-t log p - (1 - t) log(1 - p)``, output logit p.

    ``t`` is ``x`` in the data's own units.
    """

    link_class = Logit
    falls_with_squares = False
    least_scale = 1e-11

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        super().__init__(mean, scale)
        self.is_rare = bool(mean.max() < RARE)

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        target = x * self.link.scale + self.link.mean
        if self.is_rare:
            # torch's formula cancels if all probabilities are small.
            loss = F.softplus(output) - target * output
            return loss if reduction == "none" else loss.mean()
        return F.binary_cross_entropy_with_logits(output, target, reduction=reduction)


class Poisson(Loss):
    """Negative log-likelihood of counts, ``rate - t log rate``, up to a constant.

    ``t`` is the count divided by the mean of all counts, and ``rate = mean exp(s
    output)``, where ``s`` is the deviation of ``t``. So the loss is independent of the
    unit of the counts, and accurate for a large mean. It is divided by ``s^2``, and
    zero at the mean.
    """

    link_class = Log
    falls_with_squares = False

    def __init__(self, mean: np.ndarray, scale: float) -> None:
        level = mean.mean()
        # The sum may overflow float32.
        level = level if np.isfinite(level) else mean.mean(dtype=np.float64)
        level = level or 1.0
        super().__init__(mean / level, float(scale / level))
        self.level = float(level)

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        scale = self.link.scale
        value = scale * output
        # ``mean excess - t log_ratio`` without the terms that cancel.
        deviance = self.link.mean * bend(value) / scale - x * log_ratio(value)
        deviance = deviance if reduction == "none" else deviance.mean()
        return deviance / scale


class CallableLoss(Loss):
    """Mean of a function of reconstruction and rows.

    The function may return values for entries, rows or all; it always sees whole rows.
    """

    def __init__(
        self,
        mean: np.ndarray,
        scale: float,
        function: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__(mean, scale)
        self.function = function

    def forward(
        self, output: Tensor, x: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        if weights is None:
            return self.function(output, x).mean()
        # There are few distinct weights: sum over their levels.
        levels = [w for w in torch.unique(weights).tolist() if w > 0] or [1.0]
        layers = zip([0.0, *levels], levels, strict=False)
        means = [
            (high - low) * self._mean(output, x, weights >= high)
            for low, high in layers
        ]
        return sum(means) * x.numel() / batch_total(weights.sum()).clamp(min=1e-6)

    def _mean(self, output: Tensor, x: Tensor, counts: Tensor) -> Tensor:
        """Evaluate whole rows, with exact values of entries that do not count."""
        return self.function(torch.where(counts, output, x), x).mean()


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


def check_resolved(name: Any, loss: Loss, x: Tensor) -> None:
    """Raise if rounding of the link loses the differences between rows."""
    x, scale, mean = x.nan_to_num(), loss.link.scale, loss.link.mean
    lost = (loss.link.inverse(loss.link(x)) - x).square().mean()
    # Rows that do not vary lose nothing.
    is_kept = bool(lost <= MOST_LOST * x.square().mean().clamp(min=1e-6))
    if not is_kept or scale < loss.least_scale:
        raise ValueError(
            f"loss={name!r} cannot tell the rows of X apart: their deviation "
            f"{scale:.3g} from means of {mean.min():.3g} to {mean.max():.3g} is too "
            "small for float32. Rescale X (MinMaxScaler) or use another loss."
        )


def try_out(loss: str | Callable[[Tensor, Tensor], Tensor], n_features: int) -> None:
    """Raise if a function is not a loss of two tensors."""
    if isinstance(loss, str):
        return
    rows = torch.ones(2, n_features, dtype=torch.float32, device="cpu")
    value: Any = None
    reason = ""
    try:
        value = loss(rows.clone().requires_grad_(), rows)
    except Exception as error:
        reason = f" ({error})"
    is_tensor = isinstance(value, Tensor)
    is_complex = is_tensor and value.is_complex()
    if not (is_tensor and value.requires_grad) or is_complex:
        given = "a tensor without a gradient" if is_tensor else described(value)
        given = "a complex tensor" if is_complex else given
        raise TypeError(
            f"loss={loss!r} must map two tensors, reconstruction and rows, to a "
            f"differentiable tensor; it gave {given}{reason}. Use a function such as "
            f"torch.nn.functional.huber_loss or one of {sorted(LOSSES)}."
        )
