"""Codes of rows without a network, which minimise UMAP's cross-entropy."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from .._machine.threads import limited_threads

# As in UMAP: repelling rows for each attracting one, a constant that keeps gradients
# finite, and the maximum gradient.
N_REPELLED, LEAST, LONGEST = 5, 1e-3, 4.0
# Passes over all edges, with decreasing step size.
N_EPOCHS = 300
# Bisections for the width of a neighbourhood, and its minimum, as a share of the mean
# distance.
N_BISECTIONS, LEAST_WIDTH = 64, 1e-3


class Edges(NamedTuple):
    """Pairs of rows, and how much they are neighbours, at most 1."""

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray


def fuzzy_edges(distances: np.ndarray, index: np.ndarray) -> Edges:
    """Return the fuzzy union of neighbourhoods of UMAP (McInnes et al., 2018).

    Row ``i`` has the neighbours ``index[i]`` at growing ``distances[i]``. The weight is
    ``exp(-(d - d_1) / s_i)``, and the weights of a row sum to ``log2(k + 1)``.
    """
    n_rows, n_neighbors = index.shape
    beyond = distances - distances[:, :1]
    low, high = np.zeros(n_rows), np.full(n_rows, np.inf)
    width = np.ones(n_rows)
    for _ in range(N_BISECTIONS):
        total = np.exp(-beyond / width[:, None]).sum(axis=1)
        is_wide = total > np.log2(n_neighbors + 1)
        low, high = np.where(is_wide, low, width), np.where(is_wide, width, high)
        width = np.where(np.isinf(high), 2 * width, (low + high) / 2)
    least = LEAST_WIDTH * distances.mean(axis=1)
    width = np.maximum(width, np.maximum(least, np.finfo(float).tiny))
    weights = np.exp(-beyond / width[:, None])
    first = np.repeat(np.arange(n_rows), n_neighbors)
    pairs = csr_array((weights.ravel(), (first, index.ravel())), (n_rows, n_rows))
    both = (pairs + pairs.T - pairs * pairs.T).tocoo()
    return Edges(both.row, both.col, both.data)


def lay_out(codes: np.ndarray, edges: Edges, seed: int) -> np.ndarray:
    """Move codes so that neighbours are near each other, and other rows are not.

    It minimises ``sum_ij w_ij log(1 + d_ij^2) + (1 - w_ij) log(1 + 1 / d_ij^2)`` for
    distances ``d`` of codes, by stochastic gradients of random pairs. All rows move at
    once, in one thread of the CPU, so that a seed gives the same bits everywhere.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    first, second = (torch.from_numpy(e.astype(np.int64)) for e in edges[:2])
    chances = torch.from_numpy(edges.weights.astype(np.float32))
    # Weaker edges would hardly be drawn.
    is_drawn = chances > 1 / N_EPOCHS
    first, second, chances = first[is_drawn], second[is_drawn], chances[is_drawn]
    z = torch.from_numpy(codes.astype(np.float32))
    with limited_threads(1):
        for epoch in range(N_EPOCHS):
            draws = torch.empty_like(chances).uniform_(generator=generator)
            is_drawn = draws < chances
            moves = _moves(z, first[is_drawn], second[is_drawn], generator)
            z = z + (1 - epoch / N_EPOCHS) * moves.clamp_(-LONGEST, LONGEST)
    return z.numpy()


def _moves(
    z: Tensor, first: Tensor, second: Tensor, generator: torch.Generator
) -> Tensor:
    """Return how neighbours attract rows, and how others repel them."""
    moves = torch.zeros_like(z)
    away, squares = _between(z, first, second)
    moves.index_add_(0, first, (-2 / (1 + squares) * away).clamp_(-LONGEST, LONGEST))
    first = first.repeat(N_REPELLED)
    others = torch.randint(len(z), (len(first),), generator=generator, device="cpu")
    away, squares = _between(z, first, others)
    slopes = 2 / ((LEAST + squares) * (1 + squares)) * away
    return moves.index_add_(0, first, slopes.clamp_(-LONGEST, LONGEST))


def _between(z: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences of codes, and their squared lengths."""
    away = z[first] - z[second]
    return away, away.square().sum(1, keepdim=True)
