"""Refinement of codes: smaller reconstruction errors than the encoder's."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from .._networks.network import Network
from .._objectives.ordered import prefix_weights

# Length of the first probe along the gradient, over the size of the code: a shorter one
# is lost in rounding.
PROBE = 0.1
# Relative decrease of the error from which a code counts as better in full: a lower one
# counts in part, so that rounding decides nothing.
MARGIN = 1e-2
# A step is at most this much longer than the one before: in flat directions, longer
# ones amplify rounding.
GROWTH = 1.2


@dataclass(frozen=True, eq=False)
class Answers:
    """Reconstructions of codes by all trained prefixes, side by side."""

    network: Network
    #: How much each width counts, as a root.
    shares: dict[int, float]
    pull: float = 0.0

    @classmethod
    def of(cls, network: Network, pull: float = 0.0) -> Self:
        """Return the answers of a network, weighted as training does."""
        roots = prefix_weights(network) ** 0.5
        return cls(
            network, dict(zip(network.widths, roots.tolist(), strict=True)), pull
        )

    def wanted(self, x: Tensor, code: Tensor) -> Tensor:
        """Return what codes should decode to."""
        rows = [_times(s, x) for s in self.shares.values()]
        return _side_by_side([*rows, *self._pulled(code)])

    def decode(self, code: Tensor, known: Tensor | float) -> Tensor:
        """Return the reconstructions of all prefixes."""
        width = self.network.widths[-1]
        answers = [
            _times(s * known, self.network.answer(code if n == width else code[:, :n]))
            for n, s in self.shares.items()
        ]
        return _side_by_side([*answers, *self._pulled(code)])

    def slope(
        self,
        code: Tensor,
        rows: Tensor,
        known: Tensor | float,
        held: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return reconstructions, and the gradient of their squared errors.

        Entries in ``held`` do not count in the gradient.
        """
        # Rows that are not finite have NaN gradients, and keep their codes.
        with torch.enable_grad(), torch.autograd.set_detect_anomaly(False):
            code = code.detach().requires_grad_()
            answer = self.decode(code, known)
            missed = 2 * (answer.detach() - as_answered(rows, answer.detach(), held))
            (slope,) = torch.autograd.grad(answer, code, missed)
        return answer.detach(), slope

    def _pulled(self, code: Tensor) -> list[Tensor]:
        """Return codes scaled by the root of ``pull``: further entries of the rows."""
        return [self.pull**0.5 * code] if self.pull else []


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
    Step lengths are spectral (Barzilai and Borwein, 1988; positive as of Dai, Al-Baali
    and Yang, 2015), one for each row, so that a row does not depend on the others. The
    best code of each row on the way is returned, or one between the best two where the
    last is hardly better. A row with NaN keeps its code. Entries that are 0 in
    ``known`` do not count.
    """
    answers = Answers.of(network, pull)
    return improve(answers, network.constant, code, x, n_steps, known)


def improve(
    answers: Answers,
    constant: Tensor | None,
    code: Tensor,
    x: Tensor,
    n_steps: int,
    known: Tensor | float = 1.0,
) -> Tensor:
    """Refine codes; ``constant`` tells the features that do not vary, if any."""
    rows = answers.wanted(x, code)
    held = None
    if constant is not None:
        held = constant.repeat(len(answers.shares))
        held = functional.pad(held, (0, rows.shape[1] - held.shape[0]))
    answer, slope = answers.slope(code, rows, known, held)
    first = code, answer
    # A constant feature must not change the code, but its error counts.
    aim = as_answered(rows, answer, held)
    found = _descend(answers, first, slope, aim, known, n_steps)
    if held is None:
        return found[0]
    # Not as a difference of errors: those of constant features may be much larger.
    gain = (answer - found[1]) * (answer + found[1] - 2 * rows)
    return torch.where(gain.sum(1, keepdim=True) > 0, found[0], code)


def as_answered(rows: Tensor, answer: Tensor, held: Tensor | None) -> Tensor:
    """Return rows with the entries in ``held`` as they are answered."""
    return rows if held is None else torch.where(held, answer, rows)


def _descend(
    answers: Answers,
    first: tuple[Tensor, Tensor],
    slope: Tensor,
    rows: Tensor,
    known: Tensor | float,
    n_steps: int,
) -> tuple[Tensor, Tensor]:
    """Return the best code of each row on the way, and its reconstruction."""
    code, answer = best = first
    least = _squares(answer - rows)
    rate = _first_rate(answers, known, code, answer, slope)
    for _ in range(n_steps - 1):
        before, slope_before = code, slope
        code = code - rate * slope
        answer, slope = answers.slope(code, rows, known)
        best, least = _better((code, answer), _squares(answer - rows), best, least)
        rate = _spectral(code - before, slope - slope_before, rate)
    code = code - rate * slope
    answer = answers.decode(code, known)
    return _better((code, answer), _squares(answer - rows), best, least)[0]


def _better(
    found: tuple[Tensor, Tensor],
    error: Tensor,
    best: tuple[Tensor, Tensor],
    least: Tensor,
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the better code of each row with its reconstruction, and its error.

    If it is hardly better, all three are between both.
    """
    share = ((least - error) / _positive(MARGIN * least)).nan_to_num(0.0).clamp(0, 1)
    # Codes that are worse may not be finite.
    code, answer, error = (
        torch.where(share > 0, torch.lerp(old, new, share), old)
        for old, new in zip((*best, least), (*found, error), strict=True)
    )
    return (code, answer), error


def _first_rate(
    answers: Answers,
    known: Tensor | float,
    code: Tensor,
    answer: Tensor,
    slope: Tensor,
) -> Tensor:
    """Return the best step length for a decoder that is linear along the gradient."""
    length = PROBE * ((1 + _squares(code)) / _positive(_squares(slope))).sqrt()
    change = (answers.decode(code - length * slope, known) - answer) / length
    return 0.5 * _squares(slope) / _positive(_squares(change))


def _spectral(moved: Tensor, bent: Tensor, rate: Tensor) -> Tensor:
    """Return spectral step lengths from the change of the gradient."""
    return torch.minimum(
        (_squares(moved) / _positive(_squares(bent))).sqrt(), GROWTH * rate
    )


def _times(factor: Tensor | float, x: Tensor) -> Tensor:
    """Multiply, without a copy of wide rows if the factor is 1."""
    return x if isinstance(factor, float) and factor == 1 else factor * x


def _side_by_side(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _squares(x: Tensor) -> Tensor:
    return x.square().sum(1, keepdim=True)


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=1e-30)
