"""Tokens: groups of the features of flat rows, and linear maps of them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .weights import PLAIN

# Standard deviation of initial biases: at first they tell where a token is.
SPREAD = 1.0


def n_tokens(shape: Sequence[int], patch_size: int) -> int:
    """Return how many patches cover rows of shape (channels, ...sizes)."""
    return math.prod(-(-size // patch_size) for size in shape[1:])


def cut(shape: Sequence[int], patch_size: int) -> np.ndarray:
    """Return the features of each patch, shape (n_tokens, n_entries).

    Where a patch is longer than the rest of a row, the index is the number of features,
    which is that of no feature.
    """
    n_features = math.prod(shape)
    lengths = [min(patch_size, size) for size in shape[1:]]
    counts = [n_tokens((1, n), k) for n, k in zip(shape[1:], lengths, strict=True)]
    padding = [
        (0, n * k - size) for n, k, size in zip(counts, lengths, shape[1:], strict=True)
    ]
    index = np.arange(n_features).reshape(shape)
    index = np.pad(index, [(0, 0), *padding], constant_values=n_features)
    pairs = [size for pair in zip(counts, lengths, strict=True) for size in pair]
    index = index.reshape(shape[0], *pairs)
    axes = range(1, index.ndim)
    index = index.transpose(*axes[::2], 0, *axes[1::2])
    return index.reshape(math.prod(counts), -1)


class TokenMap(nn.Module):
    """Linear map of each token: weights are shared or its own, the bias is its own."""

    def __init__(
        self, n_tokens: int, n_inputs: int, n_outputs: int, shares_weights: bool
    ) -> None:
        super().__init__()
        self.shares_weights = shares_weights
        shape = 1 if shares_weights else n_tokens, n_outputs, n_inputs
        self.weight = nn.Parameter(torch.empty(shape, **PLAIN))
        self.bias = nn.Parameter(torch.empty((n_tokens, n_outputs), **PLAIN))

    def forward(self, tokens: Tensor) -> Tensor:
        if self.shares_weights:
            return F.linear(tokens, self.weight[0]) + self.bias
        return torch.einsum("nti,toi->nto", tokens, self.weight) + self.bias

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw weights and biases such that what a token is counts as its place."""
        spread = self.weight.shape[2] ** -0.5
        self.weight.normal_(0.0, spread, generator=generator)
        self.bias.normal_(0.0, SPREAD, generator=generator)
