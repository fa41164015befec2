"""Dead and saturated units of a network."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..._rows.chunks import sample
from .subject import Subject

# Number of rows on which units are computed.
N_SAMPLE = 1000
# Share of the range of an activation that counts as its bound, and share of rows at the
# bound from which a unit is saturated.
BOUND, MOST_ROWS = 0.01, 0.95
#: The range of codes of these activations.
RANGES = {"logistic": (0.0, 1.0), "tanh": (-1.0, 1.0)}
#: The same for layers of a network.
BOUNDED: dict[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: RANGES["logistic"],
    nn.Tanh: RANGES["tanh"],
}


def are_dead(values: np.ndarray) -> Any:
    """Return which units, the columns, are zero in every row."""
    return np.all(values == 0, axis=0)


def are_saturated(values: np.ndarray, low: float, high: float) -> Any:
    """Return which units, the columns, lie at a bound of their range in most rows."""
    margin = BOUND * (high - low)
    at_bound = (values < low + margin) | (values > high - margin)
    return at_bound.mean(axis=0) > MOST_ROWS


def share_of_hidden(subject: Subject, are_ill: Callable[..., Any]) -> float:
    """Return the share of hidden units that are ill, among those that can be."""
    found = [are_ill(*layer) for layer in _layers(subject, are_ill)]
    return float(np.concatenate(found).mean()) if found else 0.0


def _layers(
    subject: Subject, are_ill: Callable[..., Any]
) -> list[tuple[np.ndarray, ...]]:
    """Return outputs of hidden layers, with their range if it has two bounds."""
    kinds = (nn.ReLU,) if are_ill is are_dead else tuple(BOUNDED)
    answers = _answers(subject, kinds)
    return [
        (_units(answer), *BOUNDED.get(type(module), ())) for module, answer in answers
    ]


def _units(answer: Tensor) -> np.ndarray:
    """Return units as columns; a channel is one unit, at all places of all images."""
    return answer.movedim(1, -1).flatten(0, -2).numpy()


@torch.no_grad()
def _answers(
    subject: Subject, kinds: tuple[type[nn.Module], ...]
) -> list[tuple[nn.Module, Tensor]]:
    """Run rows through the network; return outputs of hidden modules of some kinds."""
    # A copy: hooks on the estimator's own network would be pickled.
    network = copy.deepcopy(subject.fitted("network_")).eval()
    heard: list[tuple[nn.Module, Tensor]] = []
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda m, _, out: heard.append((m, out)))
    code = network.encode(_standardised(subject))
    network.decode(code)
    # The code is not a hidden layer.
    return [(m, out) for m, out in heard if not torch.equal(out, code)]


def _standardised(subject: Subject) -> Tensor:
    rows = subject.standardised(sample(subject.rows, N_SAMPLE))
    return torch.from_numpy(np.nan_to_num(rows).astype(np.float32))
