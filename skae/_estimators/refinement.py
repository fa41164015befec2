"""Codes that are nearer to their rows than the encoder's."""

from collections.abc import Callable

import torch
from torch import Tensor

# How far the curvature along the first slope is felt for: codes are about one.
PROBE = 0.01


def refine(
    decode: Callable[[Tensor], Tensor], code: Tensor, x: Tensor, n_steps: int
) -> Tensor:
    """Lower ``||x - decode(code)||^2`` for each row by so many gradient steps.

    Spectral steps (Barzilai and Borwein, 1988), long and short in turns, with a length
    for each row, so that no row depends on its company. The best code of each row on
    the way is the answer. Missing values of ``x``, NaN, do not count.
    """
    known, x = ~x.isnan(), x.nan_to_num()

    def errors(code: Tensor) -> tuple[Tensor, Tensor]:
        code = code.detach().requires_grad_()
        each = ((decode(code) - x) * known).square().sum(1, keepdim=True)
        (slope,) = torch.autograd.grad(each.sum(), code)
        return each.detach(), slope

    best, (least, slope) = code, errors(code)
    with torch.no_grad():
        # Where the decoder is straight along the slope, this length is the best.
        length = PROBE / _squares(slope).sqrt()
        change = (decode(code - length * slope) - decode(code)) * known / length
        rate = 0.5 * _squares(slope) / _squares(change)
    for step in range(n_steps):
        following = code - rate * slope
        each, next_slope = errors(following)
        moved, bent = following - code, next_slope - slope
        along = (moved * bent).sum(1, keepdim=True)
        long, short = _squares(moved) / along, along / _squares(bent)
        rate = torch.where(along > 0, short if step % 2 else long, rate)
        best = torch.where(each < least, following, best)
        least = torch.minimum(each, least)
        code, slope = following, next_slope
    return best


def _squares(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True).clamp(min=1e-30)
