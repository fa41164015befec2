"""Sparse codes: penalties, and units that stay silent."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._machine.processes import batch_mean, in_whole_batch, rows_in_batch
from .._networks.sparse import TopK
from .._networks.weights import filled
from .losses import Loss
from .objective import Objective, Penalty

# Steps without activity after which a unit is revived.
N_SILENT_STEPS = 100
# Weight of the revival loss (Gao et al., 2024).
REVIVAL_WEIGHT = 1 / 32
# Rows over which mean activations are averaged: those of a batch are biased.
KL_WINDOW = 1024
# Growth of log alpha in a step with twice as many active entries as the target.
ADAPTATION = 0.005


def l1(network: Any, seen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Penalise codes by their L1 norm, on the scale of a standardised row.

    An entry counts by how much it changes the output: a small code with large decoder
    weights is not cheaper.
    """
    code = network.encode(seen)
    norms = (code.abs() @ network.column_norms()).mean()
    return code, norms / seen[0].numel() ** 0.5


def active_share(
    network: Any, seen: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Penalise codes of jump ReLUs by the share of entries that are not zero."""
    code = network.encode(seen)
    return code, network.sparsify[-1].active(code).mean()


class KL(nn.Module):
    """Penalise codes by the divergence of the units' mean activations from a target.

    ``mean_j t log(t / r_j) + (1 - t) log((1 - t) / (1 - r_j))`` (Ng, 2011), where the
    mean ``r_j`` runs over the last ``window`` rows; 0 is the batch alone.
    """

    means: Tensor

    def __init__(self, n_components: int, target: float, window: int) -> None:
        super().__init__()
        self.target, self.window = target, window
        self.register_buffer("means", filled((n_components,), -1.0))

    def forward(
        self, network: Any, seen: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        code = network.encode(seen)
        return code, self.divergence(self._rates(code))

    def divergence(self, rates: Tensor) -> Tensor:
        rates = rates.clamp(1e-6, 1 - 1e-6)
        on = self.target * (self.target / rates).log()
        off = (1 - self.target) * ((1 - self.target) / (1 - rates)).log()
        return (on + off).mean()

    def _rates(self, code: Tensor) -> Tensor:
        rates = batch_mean(code.float().mean(0))
        if not (self.training and self.window):
            return rates
        share = min(1.0, rows_in_batch(code) / self.window)
        weight = torch.full_like(rates, share).masked_fill_(self.means < 0, 1.0)
        self.means.lerp_(rates.detach(), weight)
        # The value of the running mean, with the gradient of the batch mean.
        return rates + (self.means - rates).detach()


class SparseObjective(Objective):
    """Loss and penalty; revives silent units, and may adapt ``alpha`` to a target.

    Silent units learn to reconstruct what the others miss: a second loss is that of the
    code with the most active silent units switched on.
    """

    n_silent: Tensor
    factor: Tensor

    def __init__(
        self,
        loss: Loss,
        penalty: Penalty | None,
        alpha: float,
        n_components: int,
        target: float | None,
        revives: bool,
    ) -> None:
        super().__init__(loss, None, penalty, alpha)
        self.target, self.revives = target, revives
        self.adapts = target is not None
        self.is_stationary = not self.adapts
        self.register_buffer("n_silent", filled((n_components,), 0.0))
        self.register_buffer("factor", filled((), 1.0))

    def penalty_weight(self) -> Any:
        return self.alpha * self.factor if self.adapts else self.alpha

    def get_extra_state(self) -> Tensor:
        """Return the ``alpha`` that ``factor`` belongs to."""
        return torch.tensor(self.alpha, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Reset ``factor`` if it belongs to another ``alpha``."""
        if float(state) != self.alpha:
            self.factor.fill_(1.0)

    def last_alpha(self) -> float:
        """Return the final weight of the penalty; 0.0 if there is none."""
        return 0.0 if self.penalty is None else float(self.penalty_weight())

    def forward(self, network: Any, x: Tensor, generator: torch.Generator) -> Tensor:
        code, penalty = self.encode(network, x, generator)
        value = self.reconstruction_loss(network, code, x, x) + penalty
        if self.target is not None:
            self._adapt(batch_mean((code != 0).float().mean()) / self.target)
        return value + self._revive(network, code, x) if self.revives else value

    def advance(self, network: Any, share: float) -> None:
        if isinstance(layer := network.sparsify[-1], TopK):
            # Validation uses the trained width; it is widened after training.
            layer.support(1.0)
            layer.advance(share)
            self.is_stationary = layer.n_trained <= layer.k

    def _adapt(self, ratio: Tensor) -> None:
        self.factor.mul_(torch.exp(ADAPTATION * (ratio - 1).clamp(-1, 1)))

    def _revive(self, network: Any, code: Tensor, x: Tensor) -> Tensor | float:
        self.n_silent.add_(1).mul_(~in_whole_batch((code != 0).any(0)))
        silent = (self.n_silent >= N_SILENT_STEPS).nonzero()[:, 0]
        if not len(silent):
            return 0.0
        raw = network.encoder(x)[:, silent]
        # However negative a unit is, it should be active at its maximum.
        raw = F.softplus(raw - batch_mean(raw.mean(0).detach()))
        n_helpers = min(len(silent), max(1, x[0].numel() // 2))
        values, index = raw.topk(n_helpers, dim=1, sorted=False)
        helped = code.detach().scatter(1, silent[index], values)
        return REVIVAL_WEIGHT * self.loss(network.decode(helped), x)
