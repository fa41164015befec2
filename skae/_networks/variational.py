"""Networks of variational autoencoders: a normal posterior for each row."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .convolutional import Convolutional
from .dense import Dense
from .linear_skip import FAR, LinearSkip
from .network import Network
from .weights import unset

# Variance that is added to a learnt one, else a perfect fit had an infinite likelihood.
LEAST_VARIANCE = 1e-6
# Logarithms of posterior variances are clipped there, where exponentials are finite.
LEAST_LOG, MOST_LOG = -30.0, 20.0


class Variational(Network):
    """An encoder of means and log-variances of codes, and a decoder of codes.

    Images have a ``shape``, and convolutions; other rows dense layers.
    ``log_variance`` is that of standardised features about the decoded code, less
    ``LEAST_VARIANCE``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        kind = Convolutional if "shape" in options else Dense
        self.network = kind(**options, heads=2)
        self.widths, self.n_values = self.network.widths, self.network.n_values
        self.draws_evenly = self.network.draws_evenly
        self.log_variance = unset()

    @property
    def n_products(self) -> int:
        return self.network.n_products

    @classmethod
    def count(cls, **options: Any) -> int:
        return (Convolutional if "shape" in options else Dense).count(**options)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of each row's code."""
        mean, log_variance = self.network.encode(x).chunk(2, dim=1)
        return mean, log_variance.clamp(LEAST_LOG, MOST_LOG)

    def encode(self, x: Tensor) -> Tensor:
        return self.posterior(x)[0]

    def decode(self, code: Tensor) -> Tensor:
        return self.network.decode(code)

    def variance(self) -> Tensor:
        """Return the variance of standardised features about the decoded code."""
        return self.log_variance.exp() + LEAST_VARIANCE

    @torch.no_grad()
    def set_variance(self, variance: Tensor) -> None:
        """Let the variance about the decoded code start at a value."""
        least = LEAST_VARIANCE / 100
        self.log_variance.copy_((variance - LEAST_VARIANCE).clamp(min=least).log())

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        self.network.reset_parameters(generator, output)
        self.log_variance.zero_()

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        self.network.zero_last_layers()


class VariationalSkip(LinearSkip):
    """Probabilistic PCA plus a network that adds what it misses.

    For principal variances ``l_j`` and the variance ``s`` of the others, the decoder
    of probabilistic PCA is ``A^T (sqrt(l - s) z) + c``. Its posterior has the means
    ``sqrt(l - s) / l A (x - c)`` and the variances ``s / l`` (Tipping and Bishop,
    1999), so the bound is the likelihood. The network adds to the decoded code, to the
    means in units of the posterior's deviation, and to the log-variances.
    """

    network: Variational
    stretch: Tensor
    shrinkage: Tensor
    posterior_log_variance: Tensor
    linear_variance: Tensor

    def __init__(self, network: Network, n_components: int, n_features: int) -> None:
        super().__init__(network, n_components, n_features)
        names = "stretch", "shrinkage", "posterior_log_variance"
        shapes = dict.fromkeys(names, (n_components,)) | {"linear_variance": ()}
        for name, shape in shapes.items():
            empty = torch.empty(shape, dtype=torch.float32, device="cpu")
            self.register_buffer(name, empty)

    def variance(self) -> Tensor:
        """Return the variance of standardised features about the decoded code."""
        return self.network.variance()

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of each row's code."""
        return self._posterior(x - self.centre)

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        far = FAR * self.deviation
        added = torch.cat(self.network.posterior(x.clamp(1e-30 - far, far)), dim=1)
        mean, log_variance = self._fade(x, added).chunk(2, dim=1)
        linear = self.shrinkage * F.linear(x, self.axes)
        return (
            torch.addcmul(linear, self.code_scale, mean),
            self.posterior_log_variance + log_variance,
        )

    def encode_scaled(self, x: Tensor) -> Tensor:
        return self._posterior(x)[0]

    def decode(self, code: Tensor) -> Tensor:
        missed = self.network.decode(code.clamp(-FAR, FAR))
        missed = self._fade(self.stretch * code, missed)
        return torch.addcmul(self.expand(code), self.output_scale[-1], missed)

    def project(self, x: Tensor) -> Tensor:
        return self.shrinkage * super().project(x)

    def expand(self, code: Tensor) -> Tensor:
        return super().expand(self.stretch * code)

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        super().zero_last_layers()
        self.network.set_variance(self.linear_variance)

    @torch.no_grad()
    def become_probabilistic(self, variances: Any, noise: float) -> None:
        """Let the linear part be probabilistic PCA with these principal variances.

        ``noise`` is the mean variance of the others.
        """
        noise = max(noise, LEAST_VARIANCE)
        principal = torch.as_tensor(variances, device="cpu").clamp(min=noise)
        self.linear_variance.fill_(noise)
        self.stretch.copy_((principal - noise).sqrt())
        self.shrinkage.copy_((principal - noise).sqrt() / principal)
        self.posterior_log_variance.copy_((noise / principal).log())
        self.code_scale.copy_((noise / principal).sqrt())
        self.zero_last_layers()
