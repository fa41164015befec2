"""The evidence lower bound of variational autoencoders (Kingma and Welling, 2014)."""

import math
from typing import Any

import torch
from torch import Tensor

from .._networks.links import excess, log_ratio
from .corruption import standard_normal
from .losses import Bernoulli, Loss, Poisson, SquaredError
from .objective import Objective

# Codes drawn for each held-out row.
N_DRAWS = 4
# Above the log-density of a feature with the smallest variance.
OFFSET = 6.0
LOG_2_PI = math.log(2 * math.pi)


class Bound(Objective):
    """Minus the bound of a row's log-likelihood, divided by the number of features.

    ``(E_q[-log p(x | z)] + beta sum_j max(free_bits, KL_j)) / n_features``, where
    ``KL_j`` is the divergence of a component's posterior ``q`` from its prior, averaged
    over the rows of a batch.
    """

    judges = True

    def __init__(self, loss: Loss, beta: float, free_bits: float) -> None:
        super().__init__(loss)
        self.beta, self.free_bits = beta, free_bits
        if isinstance(loss, SquaredError):
            self.offset = OFFSET

    def forward(
        self, network: Any, batch: Tensor, generator: torch.Generator
    ) -> Tensor:
        mean, log_variance = network.posterior(batch)
        code = draw(mean, log_variance, generator)
        missed = surprise(self.loss, network, code, batch).mean()
        divergences = divergence(mean, log_variance).mean(0)
        if self.free_bits:
            divergences = divergences.clamp(min=self.free_bits)
        return (missed + self.beta * divergences.sum()) / batch.shape[1]

    def errors(
        self, network: Any, x: Tensor, seen: Tensor, generator: torch.Generator
    ) -> Tensor:
        mean, log_variance = network.posterior(seen)
        missed = sum(
            surprise(self.loss, network, draw(mean, log_variance, generator), x)
            for _ in range(N_DRAWS)
        )
        divergences = divergence(mean, log_variance).sum(1)
        nats = missed / N_DRAWS + self.beta * divergences
        return nats[:, None] / x.shape[1] + self.offset

    def overall(self, errors: Tensor) -> float:
        mean = (errors.double().mean() - self.offset).item()
        # A density has no zero; the variance of a normal one has.
        return math.exp(2 * mean) if self.offset else mean


def draw(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """Draw codes from normal posteriors."""
    noise = standard_normal(mean, generator)
    return torch.addcmul(mean, (log_variance / 2).exp(), noise)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ``KL(N(mean, variance) | N(0, 1))`` of each entry, in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def surprise(loss: Loss, network: Any, code: Tensor, x: Tensor) -> Tensor:
    """Return ``-log p(x | z)`` of each row, in nats.

    It is a density of standardised rows for the squared error, and a probability for
    the other losses.
    """
    output = network.decode(code)
    if isinstance(loss, SquaredError):
        variance = network.variance()
        squares = (x - output).square().sum(1)
        return (squares / variance + x.shape[1] * (variance.log() + LOG_2_PI)) / 2
    if isinstance(loss, Bernoulli):
        return loss.distance(output, x, "none").sum(1)
    assert isinstance(loss, Poisson)
    return _surprise_of_counts(loss, output, x).sum(1)


def _surprise_of_counts(loss: Poisson, output: Tensor, x: Tensor) -> Tensor:
    """Return ``rate - count log rate + log count!``."""
    mean, value = loss.level * loss.link.mean, loss.link.scale * output
    count = (loss.level * loss.link.scale * x + mean).clamp(min=0)
    log_rate = mean.clamp(min=1e-30).log() + log_ratio(value)
    rate = mean * (1 + excess(value))
    return rate - count * log_rate + torch.lgamma(count + 1)


def even_normal(n_groups: int, n_draws: int, n_components: int) -> Tensor:
    """Return normal numbers that fill space evenly, (n_groups, n_draws, n_components).

    Each is normal, but together they lie more evenly than independent ones: scrambled
    points of Sobol (Owen, 1998).
    """
    engine: Any = torch.quasirandom.SobolEngine
    points = engine(n_components, scramble=True, seed=0)
    uniform = points.draw(n_groups * n_draws, dtype=torch.float64)
    normal = torch.special.ndtri(uniform.clamp(1e-9, 1 - 1e-9)).float()
    return normal.view(n_groups, n_draws, n_components)


@torch.no_grad()
def importance_weighted(loss: Loss, noise: Tensor, network: Any, x: Tensor) -> Tensor:
    """Return ``mean log mean_k p(x, z_k) / q(z_k | x)`` of each row, in nats.

    ``z_k`` is the posterior's mean plus its deviation times ``noise[:, k]``. With more
    in a group the bound is tighter (Burda, Grosse and Salakhutdinov, 2016).
    """
    posterior = network.posterior(x)
    bounds = [_log_mean(loss, group, network, x, posterior) for group in noise]
    return torch.stack(bounds).mean(0)


def _log_mean(
    loss: Loss, noise: Tensor, network: Any, x: Tensor, posterior: tuple[Tensor, Tensor]
) -> Tensor:
    """Return ``log mean_k p(x, z_k) / q(z_k | x)`` of each row."""
    mean, log_variance = posterior
    deviation = (log_variance / 2).exp()
    total = torch.full_like(x[:, 0], -torch.inf, dtype=torch.float64)
    for draws in noise:
        code = torch.addcmul(mean, deviation, draws)
        # The constants of the prior and the posterior cancel.
        of_posterior = (draws.square() + log_variance).double().sum(1) / 2
        of_prior = code.double().square().sum(1) / 2
        missed = surprise(loss, network, code, x)
        total = torch.logaddexp(total, of_posterior - of_prior - missed)
    return total - math.log(len(noise))
