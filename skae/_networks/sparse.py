"""Sparse codes: layers that keep few entries."""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from .._machine.processes import is_shared, whole_batch
from .activations import make_activation
from .dense import Dense
from .weights import filled

# Additional entries that top-k keeps at the start of training, as a multiple of k.
ANNEALING = 3.0
# Weight of a batch in the running mean of the threshold.
MOMENTUM = 0.05
# Initial thresholds of jump ReLUs: about what a useless unit adds.
THRESHOLD = 0.1
# Width of the band at a threshold that estimates how many entries it cuts off, on the
# logarithmic scale of the threshold.
BAND = 0.5
#: Sparsities, and the activation that each has by default.
SPARSITIES = {
    "l1": "relu",
    "kl": "logistic",
    "top_k": "identity",
    "batch_top_k": "relu",
    "jump_relu": "identity",
}
#: Activations with which a code can be scaled, and the decoder by the inverse.
HOMOGENEOUS = ("relu", "leaky_relu", "identity")
#: Those that keep ``k`` entries, and have no penalty.
COUNTED = ("top_k", "batch_top_k")


class TopK(nn.Module):
    """Keep the ``k`` largest entries of a row, and ``support * k`` in evaluation.

    In the first half of training their number falls to ``k``, so that all units learn
    (Makhzani and Frey, 2013).
    """

    def __init__(self, n_components: int, k: int, support: float) -> None:
        super().__init__()
        self.n_components, self.k, self.n_trained = n_components, k, k
        self.support(support)

    def support(self, factor: float) -> None:
        """Keep ``factor * k`` entries in evaluation."""
        self.n_kept = min(self.n_components, round(factor * self.k))

    def advance(self, share: float) -> None:
        """Set the number of entries in training, by the share of training done."""
        surplus = ANNEALING * max(0.0, 1 - 2 * share)
        self.n_trained = min(self.n_components, round((1 + surplus) * self.k))

    def forward(self, x: Tensor) -> Tensor:
        n_kept = self.n_trained if self.training else self.n_kept
        values, index = x.topk(n_kept, dim=1, sorted=False)
        return torch.zeros_like(x).scatter(1, index, values)


class BatchTopK(nn.Module):
    """Keep the largest entries of a batch, ``k`` per row on average.

    In evaluation, keep entries from ``threshold`` up, the running mean of the smallest
    entry that was kept (Bussmann, Leask and Nanda, 2024).
    """

    threshold: Tensor

    def __init__(self, n_components: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("threshold", filled((), 0.0))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * (x >= self.threshold)
        if is_shared():
            codes = whole_batch(x)
            least = codes.flatten().topk(self.k * len(codes), sorted=False)[0].min()
            self._follow(least)
            return x * (x >= least)
        values, index = x.flatten().topk(self.k * len(x), sorted=False)
        self._follow(values.detach().min())
        return torch.zeros_like(x).flatten().scatter(0, index, values).view_as(x)

    @torch.no_grad()
    def _follow(self, least: Tensor) -> None:
        """Move the threshold towards the smallest entry that a batch keeps."""
        has_begun = self.threshold > 0
        share = torch.ones_like(self.threshold).masked_fill_(has_begun, MOMENTUM)
        self.threshold.lerp_(least.float(), share)


class Step(torch.autograd.Function):
    """Whether entries exceed ``exp(log_threshold)``, with a gradient of the threshold.

    It is estimated from the entries in the band from ``low`` to ``high`` about the
    threshold, on the logarithmic scale.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, log_threshold: Tensor, low: float, high: float
    ) -> Tensor:
        near = (x > (log_threshold + low).exp()) & (x < (log_threshold + high).exp())
        ctx.save_for_backward(near.to(x) / (high - low))
        return (x > log_threshold.exp()).to(x)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (density,) = ctx.saved_tensors
        return torch.zeros_like(density), -(slopes[0] * density).sum(0), None, None


step = cast(Callable[[Tensor, Tensor, float, float], Tensor], Step.apply)


class JumpReLU(nn.Module):
    """Keep entries above a learnt threshold of their unit, unchanged.

    Rajamanoharan et al. (2024).
    """

    def __init__(self, n_components: int) -> None:
        super().__init__()
        start = filled((n_components,), math.log(THRESHOLD))
        self.log_threshold = nn.Parameter(start)

    def active(self, code: Tensor) -> Tensor:
        """Return which entries are active, those above the threshold."""
        return step(code, self.log_threshold, 0.0, BAND)

    def forward(self, x: Tensor) -> Tensor:
        # Entries just below show what a lower threshold would gain.
        return x.relu() * step(x, self.log_threshold, -BAND, BAND)


class SparseDense(Dense):
    """Fully connected autoencoder with a layer that makes its code sparse."""

    def __init__(
        self,
        sizes: Sequence[int],
        code_activation: Any,
        sparsity: str,
        k: int,
        support: float,
        **options: Any,
    ) -> None:
        super().__init__(sizes, **options)
        layers: dict[str, Callable[[], nn.Module]] = {
            "top_k": lambda: TopK(sizes[-1], k, support),
            "batch_top_k": lambda: BatchTopK(sizes[-1], k),
            "jump_relu": lambda: JumpReLU(sizes[-1]),
        }
        self.sparsify = nn.Sequential(make_activation(code_activation))
        if sparsity in layers:
            self.sparsify.append(layers[sparsity]())
        self.to("cpu", torch.float32)

    def encode(self, x: Tensor) -> Tensor:
        return self.sparsify(self.encoder(x))

    def support(self, factor: float) -> None:
        """Let a top-k code keep ``factor * k`` entries in evaluation."""
        if isinstance(layer := self.sparsify[-1], TopK):
            layer.support(factor)

    @torch.no_grad()
    def normalise(self) -> None:
        """Scale the decoder's columns to unit norm, and the code by their norms."""
        first = self.decoder_weights()[0]
        norms = first.norm(dim=0).clamp(min=1e-12)
        last = cast(nn.Linear, self.encoder[-1])
        last.weight.mul_(norms[:, None])
        last.bias.mul_(norms)
        first.div_(norms)
