"""Refinement of codes: smaller reconstruction errors than the encoder's."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from .._networks.network import Network
from .._objectives.ordered import prefix_weights

# Length of the first probe along the gradient, for codes of size one: a shorter one is
# lost in rounding.
PROBE = 0.1
# Relative decrease of the error that counts as better, above rounding.
MARGIN = 1e-4

Map = Callable[[Tensor], Tensor]


def refine(
    network: Network,
    code: Tensor,
    x: Tensor,
    n_steps: int,
    pull: float = 0.0,
    known: Tensor | float = 1.0,
) -> Tensor:
    """Lower ``||x - decode(z)||^2 + pull ||z - code||^2`` by gradient steps.

    For an ordered code it is the weighted mean over prefixes that training minimises.
    Step lengths are spectral (Barzilai and Borwein, 1988), one for each row, so that a
    row does not depend on the others. The best code of each row on the way is returned.
    A row with NaN keeps its code. Entries that are 0 in ``known`` do not count.
    """
    roots = prefix_weights(network) ** 0.5
    shares = dict(zip(network.widths, roots.tolist(), strict=True))

    def decode(code: Tensor) -> Tensor:
        """Return the reconstructions of all prefixes, side by side."""
        answers = [s * known * network.answer(code[:, :n]) for n, s in shares.items()]
        return torch.cat([*answers, *pulled(code)], dim=1)

    def pulled(code: Tensor) -> list[Tensor]:
        """Return codes scaled by the root of ``pull``: further entries of the rows."""
        return [pull**0.5 * code] if pull else []

    rows = torch.cat([*(s * x for s in shares.values()), *pulled(code)], dim=1)
    if network.constant is None:
        return _descend(decode, code, rows, n_steps)
    # A constant feature must not change the code, but its error counts.
    first = decode(code)
    constant = network.constant.repeat(len(shares))
    constant = functional.pad(constant, (0, rows.shape[1] - len(constant)))
    found = _descend(decode, code, torch.where(constant, first, rows), n_steps)
    errors = _squares(decode(found) - rows), _squares(first - rows)
    return _better(found, errors[0], code, errors[1])[0]


def _descend(decode: Map, code: Tensor, rows: Tensor, n_steps: int) -> Tensor:
    """Return the best code of each row on the way."""
    best, least = code, torch.full_like(code[:, :1], torch.inf)
    rate = before = slope_before = code
    for step in range(n_steps):
        answer, slope = _slope(decode, code, rows)
        best, least = _better(code, _squares(answer - rows), best, least)
        if step:
            rate = _spectral(code - before, slope - slope_before, rate)
        else:
            rate = _first_rate(decode, code, answer, slope)
        before, slope_before = code, slope
        code = code - rate * slope
    return _better(code, _squares(decode(code) - rows), best, least)[0]


def _slope(decode: Map, code: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return reconstructions, and the gradient of their squared errors."""
    # Rows that are not finite have NaN gradients, and keep their codes.
    with torch.enable_grad(), torch.autograd.set_detect_anomaly(False):
        code = code.detach().requires_grad_()
        answer = decode(code)
        (slope,) = torch.autograd.grad((answer - rows).square().sum(), code)
    return answer.detach(), slope


def _better(
    code: Tensor, error: Tensor, best: Tensor, least: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the better code of each row, and its error."""
    is_better = error < (1 - MARGIN) * least
    return torch.where(is_better, code, best), torch.where(is_better, error, least)


def _first_rate(decode: Map, code: Tensor, answer: Tensor, slope: Tensor) -> Tensor:
    """Return the best step length for a decoder that is linear along the gradient."""
    length = PROBE / _positive(_squares(slope)).sqrt()
    change = (decode(code - length * slope) - answer) / length
    return 0.5 * _squares(slope) / _positive(_squares(change))


def _spectral(moved: Tensor, bent: Tensor, rate: Tensor) -> Tensor:
    """Return spectral step lengths from the change of the gradient, or those before."""
    along = (moved * bent).sum(1, keepdim=True)
    return torch.where(along > 0, along / _positive(_squares(bent)), rate)


def _squares(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True)


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=1e-30)
