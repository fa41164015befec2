"""Neighbours among the rows, and what keeps them together in the code."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from .._machine.threads import one_thread
from .._rows.batches import Batches
from .._rows.chunks import chunks, n_at_once
from .._rows.pca import fit_pca

# Neighbours are looked for among so many rows at most, along so many of PCA's axes:
# in all, the search would take the square of the number of rows.
N_CANDIDATES, N_AXES = 2**16, 50
# As in UMAP: rows that repel for one that attracts, and what keeps a logarithm finite.
REPULSION, LEAST = 5.0, 1e-3


def nearest(rows: Any, index: Tensor, n_neighbors: int, seed: int) -> Tensor:
    """Return the neighbours of each row that ``index`` names, as indices too."""
    generator = torch.Generator("cpu").manual_seed(seed)
    order = torch.randperm(len(index), generator=generator, device="cpu")
    candidates = order[:N_CANDIDATES]
    places = _places(rows, index, index[candidates], seed)
    # One more, for the nearest of a row is itself.
    n_found = min(n_neighbors + 1, len(candidates))
    search = NearestNeighbors(n_neighbors=n_found).fit(places[candidates.numpy()])
    with one_thread():
        found = candidates[search.kneighbors(places, return_distance=False)]
    if n_found == 1:
        return index[found]
    is_other = found != torch.arange(len(index), device="cpu")[:, None]
    # Where a row does not find itself, the farthest is one too many.
    is_other[is_other.all(1), -1] = False
    return index[found[is_other].view(len(index), -1)]


def _places(rows: Any, index: Tensor, sample: Tensor, seed: int) -> np.ndarray:
    """Return rows by their coordinates along the principal axes of a sample."""
    width = _read(rows, index[:1]).shape[1]
    if width <= N_AXES:
        return _read(rows, index)
    seen = _read(rows, sample[:4096])
    axes = fit_pca(seen, np.zeros(width), 1.0, N_AXES, seed).axes.T.astype(np.float32)
    places = np.empty((len(index), axes.shape[1]), np.float32)
    with one_thread():
        for s in chunks(places, n_at_once(width)):
            places[s] = _read(rows, index[s]) @ axes
    return places


def _read(rows: Any, index: Tensor) -> np.ndarray:
    """Return rows, wherever they are, with the mean where values are missing."""
    home = getattr(rows, "device", index.device)
    return rows.index_select(0, index.to(home)).nan_to_num().cpu().numpy()


class PairedBatches(Batches):
    """Minibatches whose second half holds a random neighbour of each row before."""

    def __init__(self, *args: Any, neighbors: Tensor) -> None:
        super().__init__(*args)
        self.neighbors = neighbors

    def _choose(self) -> Iterator[Tensor]:
        positions = self._shuffled(torch.arange(len(self.index), device="cpu"))
        for chosen in torch.split(positions, self.batch_size):
            draws = torch.randint(
                self.neighbors.shape[1],
                (len(chosen), 1),
                generator=self.generator,
                device="cpu",
            )
            partners = self.neighbors[chosen].gather(1, draws).squeeze(1)
            yield torch.cat([self.index[chosen], partners])


def neighbor_cross_entropy(code: Tensor) -> Tensor:
    """Cross-entropy of UMAP, of a batch whose halves are neighbours.

    Neighbours attract each other, and all others of the batch repel.
    """
    # Far from zero, distances would lose their digits.
    first, second = (code - code.detach().mean(0)).chunk(2)
    squares = torch.cdist(first, second).square()
    together = squares.diagonal().log1p().mean()
    apart = ((1 + squares) / (LEAST + squares)).log()
    n_others = max(1, apart.numel() - len(first))
    return together + REPULSION * (apart.sum() - apart.diagonal().sum()) / n_others
