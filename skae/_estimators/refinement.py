"""Codes that are nearer to their rows than the encoder's."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .._networks.network import Network
from .._objectives.ordered import prefix_weights

# How far the curvature along the first slope is felt for, where codes are about one: a
# shorter way is lost in rounding.
PROBE = 0.1
# Share of an error by which a code is better: rounding decides nothing.
MARGIN = 1e-6


def refine(network: Network, code: Tensor, x: Tensor, n_steps: int) -> Tensor:
    """Lower ``||x - decode(code)||^2`` for each row by so many gradient steps.

    Of an ordered code it is the mean over prefixes that training lowers too. Steps are
    spectral ones (Barzilai and Borwein, 1988), with a length for each row, so that no
    row depends on its company. The best code of each row on the way is the answer. A
    row with NaN, of which no error is known, keeps its code.
    """
    shares = prefix_weights(network).tolist()
    miss = partial(_misses, network, dict(zip(network.widths, shares, strict=True)), x)
    best, least, rate = code, None, code
    before, slope_before = code, code
    for step in range(n_steps):
        missed, slope = _slope(miss, code)
        best, least = _better(code, missed, best, least)
        if step:
            rate = _spectral(code - before, slope - slope_before, rate)
        else:
            rate = _first_rate(miss, code, missed, slope)
        before, slope_before = code, slope
        code = code - rate * slope
    return _better(code, miss(code), best, least)[0]


def _misses(
    network: Network, shares: dict[int, float], x: Tensor, code: Tensor
) -> Tensor:
    """Return answers less the rows, the root of its share of each width."""
    each = [
        share**0.5 * (network.link.inverse(network.decode(code[:, :width])) - x)
        for width, share in shares.items()
    ]
    return torch.cat(each, dim=1)


def _slope(miss: Callable[[Tensor], Tensor], code: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        code = code.detach().requires_grad_()
        missed = miss(code)
        (slope,) = torch.autograd.grad(missed.square().sum(), code)
    return missed.detach(), slope


def _better(
    code: Tensor, missed: Tensor, best: Tensor, least: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the better code of each row, and its error."""
    error = missed.square().sum(1, keepdim=True)
    if least is None:
        return code, error
    is_better = error < (1 - MARGIN) * least
    return torch.where(is_better, code, best), torch.where(is_better, error, least)


def _first_rate(
    miss: Callable[[Tensor], Tensor], code: Tensor, missed: Tensor, slope: Tensor
) -> Tensor:
    """Return the best length where the decoder is straight along the slope."""
    length = PROBE / _squares(slope).sqrt()
    change = (miss(code - length * slope) - missed) / length
    return 0.5 * _squares(slope) / _squares(change)


def _spectral(moved: Tensor, bent: Tensor, rate: Tensor) -> Tensor:
    """Return lengths that fit how the slope changed, or those before."""
    along = (moved * bent).sum(1, keepdim=True)
    return torch.where(along > 0, along / _squares(bent), rate)


def _squares(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True).clamp(min=1e-30)
