"""The evidence lower bound of variational autoencoders (Kingma and Welling, 2014)."""

import math
from typing import Any

import torch
from torch import Tensor

from .._machine.processes import batch_mean
from .._networks.links import excess, log_ratio
from .corruption import standard_normal
from .losses import Bernoulli, Loss, Poisson, SquaredError
from .objective import Objective

# Codes drawn for each held-out row.
N_DRAWS = 4
# Above the log-density of a feature with the smallest variance.
OFFSET = 6.0
# Exponentials of larger numbers, times a number of float32, may overflow.
MOST_EXPONENT = 600.0
LOG_2_PI = math.log(2 * math.pi)

#: Means and log-variances of codes.
Posterior = tuple[Tensor, Tensor]


class Bound(Objective):
    """Minus the bound of a row's log-likelihood, divided by the number of features.

    ``(E_q[-log p(x | z)] + beta sum_j max(free_bits, KL_j)) / n_features``, where
    ``KL_j`` is the divergence of a component's posterior ``q`` from its prior, averaged
    over the rows of a batch. With several draws it is the importance-weighted bound,
    ``-E log mean_k p(x | z_k) (p(z_k) / q(z_k | x))^beta / n_features``.
    """

    judges = True

    def __init__(
        self, loss: Loss, beta: float, free_bits: float, n_draws: int = 1
    ) -> None:
        super().__init__(loss)
        self.beta, self.free_bits, self.n_draws = beta, free_bits, n_draws
        if isinstance(loss, SquaredError):
            self.offset = OFFSET

    def forward(
        self, network: Any, batch: Tensor, generator: torch.Generator
    ) -> Tensor:
        posterior: Posterior = network.posterior(batch)
        if self.n_draws > 1:
            return self._weighted(network, batch, posterior, generator).mean()
        missed = surprise(self.loss, network, draw(posterior, generator), batch).mean()
        divergences = divergence(*posterior).mean(0)
        if self.free_bits:
            divergences = batch_mean(divergences).clamp(min=self.free_bits)
        return (missed + self.beta * divergences.sum()) / batch.shape[1]

    def errors(
        self, network: Any, x: Tensor, seen: Tensor, generator: torch.Generator
    ) -> Tensor:
        posterior: Posterior = network.posterior(seen)
        if self.n_draws > 1:
            errors = self._weighted(network, x, posterior, generator)
            return errors[:, None] + self.offset
        codes = [draw(posterior, generator) for _ in range(N_DRAWS)]
        missed = sum(surprise(self.loss, network, code, x) for code in codes)
        nats = missed / N_DRAWS + self.beta * divergence(*posterior).sum(1)
        return nats[:, None] / x.shape[1] + self.offset

    def _weighted(
        self,
        network: Any,
        x: Tensor,
        posterior: Posterior,
        generator: torch.Generator,
    ) -> Tensor:
        """Return minus the importance-weighted bound of each row, over features."""
        like = posterior[0].expand(self.n_draws, -1, -1)
        noise = standard_normal(like, generator)
        weights = log_weights(self.loss, noise, network, x, posterior, self.beta)
        return -log_mean_exp(weights) / x.shape[1]

    def overall(self, errors: Tensor) -> float:
        mean = (errors.double().mean() - self.offset).item()
        if not self.offset:
            return mean
        # A density has no zero; the variance of a normal one has.
        size = math.exp(min(2 * mean, MOST_EXPONENT))
        # Beyond the range of floats it grows as the tangent.
        return size * (1 + max(2 * mean - MOST_EXPONENT, 0.0))


def draw(posterior: Posterior, generator: torch.Generator) -> Tensor:
    """Draw codes from normal posteriors."""
    mean, log_variance = posterior
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
    # The first point is rounded to torch's default dtype.
    points.fast_forward(1)
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
    groups = (log_weights(loss, group, network, x, posterior) for group in noise)
    return torch.stack([log_mean_exp(group) for group in groups]).mean(0)


def log_weights(
    loss: Loss,
    noise: Tensor,
    network: Any,
    x: Tensor,
    posterior: Posterior,
    beta: float = 1.0,
) -> Tensor:
    """Return ``log p(x | z_k) + beta log(p(z_k) / q(z_k | x))``, (n_rows, n_draws)."""
    mean, log_variance = posterior
    deviation, weights = (log_variance / 2).exp(), []
    for draws in noise:
        code = torch.addcmul(mean, deviation, draws)
        # The constants of the prior and the posterior cancel.
        ratio = (draws.square() + log_variance - code.square()).sum(1) / 2
        weights.append(beta * ratio - surprise(loss, network, code, x))
    return torch.stack(weights, dim=1)


def log_mean_exp(weights: Tensor) -> Tensor:
    """Return the logarithm of the mean weight of each row."""
    return weights.logsumexp(1) - math.log(weights.shape[1])
