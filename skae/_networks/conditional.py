"""Probabilistic PCA's answers for hidden entries, plus what a network adds."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .._machine.precision import unrounded_products
from .filling import Filling
from .linear_skip import FAR, LinearSkip
from .recording import is_recorded, width_of
from .transformer import MaskedTransformer
from .weights import filled

# Maximum number of factors: each row needs a system of so many equations.
N_FACTORS = 32
# Variances of the noise to choose from, in units of a feature's variance.
NOISES = tuple(10 ** (-n / 2) for n in range(9, -2, -1))
# Least variance of the noise, as a share of all: float32 cannot resolve less.
LEAST_NOISE = 1e-6


class ConditionalSkip(LinearSkip, Filling):
    """Conditional mean of hidden entries by probabilistic PCA, plus a network.

    ``fill(x) = link(c + W (W_v^T W_v + s I)^-1 W_v^T (x - c)_v) + r network.fill(near(x
    - c))``, where ``v`` are the visible features and ``W W^T + s I`` is the covariance
    of the rows (Tipping and Bishop, "Probabilistic principal component analysis",
    1999). The code is the network's. If the network's answers are zero, it is PCA's
    code of the row as filled.
    """

    network: MaskedTransformer
    variances: Tensor
    noise: Tensor
    missed: Tensor

    def __init__(self, network: Any, n_components: int, n_features: int) -> None:
        super().__init__(network, n_components, n_features)
        self.n_features = n_features
        self.n_factors = min(n_components, n_features, N_FACTORS)
        self.register_buffer("variances", filled((n_components,), 0.0))
        self.register_buffer("noise", filled((), 1.0))
        self.register_buffer("missed", filled((), 1.0))

    @property
    def hidden_together(self) -> Tensor:
        return self.network.hidden_together

    def encode(self, x: Tensor) -> Tensor:
        x = x - self.centre
        if is_recorded():
            is_silent = self.network.is_silent
            return torch.where(is_silent, self._code(x), self._network_code(x))
        return self._code(x) if self.network.is_silent else self._network_code(x)

    def _network_code(self, x: Tensor) -> Tensor:
        return self.network.encode(self._near(x))

    def _code(self, x: Tensor) -> Tensor:
        """Return PCA's code of centred rows as filled."""
        return F.linear(torch.where(x.isnan(), self._conditional(x), x), self.axes)

    def fill(self, x: Tensor) -> Tensor:
        answers, x = self.expand(x), x - self.centre
        missed = self._fade(x.nan_to_num(), self.network.fill(self._near(x)))
        return torch.addcmul(answers, self.link.slope * self.missed, missed)

    def project(self, x: Tensor) -> Tensor:
        return x

    def expand(self, x: Tensor) -> Tensor:
        return self.link(self._conditional(x - self.centre) + self.centre)

    def _near(self, x: Tensor) -> Tensor:
        far = FAR * self.deviation
        return x.clamp(1e-30 - far, far)

    def _conditional(self, x: Tensor) -> Tensor:
        """Return the conditional mean of all entries, given those that are not NaN."""
        # The systems may be close to singular.
        with unrounded_products(x.device):
            return self._solved(x)

    def _solved(self, x: Tensor) -> Tensor:
        loadings = (self.axes * self.variances.sqrt()[:, None])[: self.n_factors]
        grams = self._grams(~x.isnan(), loadings.T)
        noise = torch.maximum(self.noise, LEAST_NOISE * self.variances.sum())
        unit = torch.eye(self.n_factors, dtype=x.dtype, device=x.device)
        products = F.linear(x.nan_to_num(), loadings)
        return _solve(grams + noise * unit, products) @ loadings

    def _grams(self, seen: Tensor, loadings: Tensor) -> Tensor:
        """Return ``W_v^T W_v`` of each row, (n, n_factors, n_factors)."""
        squares = (loadings[:, :, None] * loadings[:, None, :]).flatten(1)
        known = seen.to(squares)
        if not is_recorded():
            known, squares = self._by_tokens(known, squares)
        return (known @ squares).view(-1, self.n_factors, self.n_factors)

    def _by_tokens(self, known: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors of the same product, which costs less with whole tokens."""
        token_of = self.network.token_of
        sizes = token_of.bincount()
        counts = known.new_zeros(len(known), len(sizes)).index_add(1, token_of, known)
        if not ((counts == 0) | (counts == sizes)).all():
            return known, squares
        sums = squares.new_zeros(len(sizes), squares.shape[1])
        return counts / sizes, sums.index_add(0, token_of, squares)

    @torch.no_grad()
    def become_linear(
        self, axes: Any, centre: Any, deviation: Any, variances: Any, unexplained: Any
    ) -> None:
        super().become_linear(axes, centre, deviation, variances, unexplained)
        self.variances.copy_(torch.as_tensor(variances, device="cpu"))

    @torch.no_grad()
    def choose_noise(self, x: Tensor, seen: Tensor) -> float:
        """Choose the noise by hidden entries; return their mean squared error."""
        hidden, errors = seen.isnan() & ~x.isnan(), {}
        if not hidden.any():
            return 1.0
        for noise in NOISES:
            self.noise.fill_(noise)
            answers = self._conditional(seen - self.centre) + self.centre
            errors[noise] = float((answers - x)[hidden].square().mean())
        best = min(errors, key=errors.__getitem__)
        self.noise.fill_(best)
        least = float(self.output_scale[-1]) / self.link.slope
        self.missed.fill_(max(least, errors[best] ** 0.5))
        return errors[best]


def _solve(matrices: Tensor, values: Tensor) -> Tensor:
    """Solve a positive definite system for each row of ``values``."""
    if not is_recorded():
        roots, _ = torch.linalg.cholesky_ex(matrices)
        return torch.cholesky_solve(values[:, :, None], roots)[:, :, 0]
    # Graphs of ONNX have no Cholesky decomposition.
    system = torch.cat([matrices, values[:, :, None]], dim=2)
    order = torch.arange(width_of(values), device=values.device)
    for place in range(width_of(values)):
        row = system[:, place : place + 1] / system[:, place : place + 1, place, None]
        others = system[:, :, place : place + 1] * row
        system = torch.where((order == place)[:, None], row, system - others)
    return system[:, :, -1]
