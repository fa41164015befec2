"""A map of rows: codes that keep neighbours together, and the places of new rows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import gen_batches
from torch import Tensor

from .._machine.threads import one_thread
from .._rows.chunks import chunks, n_at_once, sample
from .._rows.pca import fit_pca
from .layout import fuzzy_edges, lay_out

# Maximum number of rows of a map, and of PCA's axes for their distances: the search for
# neighbours is quadratic in the number of rows.
N_ROWS, N_AXES = 2**16, 32
# Number of rows for the principal axes.
N_SAMPLE = 4096
# Iterations of Weiszfeld's algorithm, and the distance below which codes are equal.
N_ITERATIONS, NEAR = 10, 1e-3
# Number of distances that a GPU computes at once: half a gigabyte.
N_DISTANCES = 2**27
# Maximum value for which distances are finite in float32.
FARTHEST = 1e15
# Minimum gap between rows: that of a map with one row is zero.
TINY = 1e-30
# Weight of the farthest neighbour, since the next one may be as far.
LEAST_WEIGHT = 1e-6

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class NeighborMap:
    """Distinct rows, and a code for each."""

    #: Axes for distances of rows, shape (n_axes, n_features); None for all features.
    axes: np.ndarray | None
    #: Coordinates of the rows of the map along the axes.
    places: np.ndarray
    #: Codes with unit standard deviation.
    codes: np.ndarray
    #: Standard deviation of the codes that are returned.
    spread: float
    #: Neighbours that the map was drawn with.
    n_neighbors: int
    #: The largest distance of a row of the map from the nearest other one.
    gap: float = 0.0

    def find(
        self, rows: np.ndarray, n_neighbors: int, device: torch.device = CPU
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of complete, standardised rows on the map.

        The second value is how far to trust them: 1 for rows at most ``2 gap`` from the
        nearest row of the map, 0 from ``4 gap`` on.
        """
        places = _project(np.clip(rows, -FARTHEST, FARTHEST), self.axes)
        codes, nearest = [], []
        for s in chunks(places, n_at_once(min(n_neighbors + 1, len(self.places)))):
            distances, index = self.nearest(places[s], n_neighbors, device)
            codes.append(self.between(distances, index))
            nearest.append(distances[:, :1])
        gaps = np.concatenate(nearest) / max(2 * self.gap, TINY)
        return np.concatenate(codes), np.clip(2 - gaps, 0, 1).astype(np.float32)

    def nearest(
        self, places: np.ndarray, n_neighbors: int, device: torch.device = CPU
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the nearest rows, plus one more."""
        n_found = min(n_neighbors + 1, len(self.places))
        if device.type == "cuda":
            return nearest_on(device, places, self.places, n_found)
        with one_thread():
            distances, index = self._search.kneighbors(places, n_found)
        return distances, index

    def between(self, distances: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return geometric medians of codes, with lower weights for farther rows.

        The weight of the last row is almost 0, so that codes do not jump when another
        row becomes one of the nearest. A mean would lie between groups if neighbours
        are in two.
        """
        n_numbers = index.shape[1] * self.codes.shape[1]
        slices = chunks(index, n_at_once(n_numbers))
        return np.concatenate([self._medians(distances[s], index[s]) for s in slices])

    def _medians(self, distances: np.ndarray, index: np.ndarray) -> np.ndarray:
        codes, farthest = self.codes[index].astype(np.float64), distances[:, -1:]
        shares = 1 - distances / np.where(farthest > 0, farthest, np.inf)
        weights = np.maximum(shares, LEAST_WEIGHT)
        found = _mean(codes, weights)
        for _ in range(N_ITERATIONS):
            away = codes - found[:, None]
            lengths = np.sqrt(np.einsum("ijk,ijk->ij", away, away))
            found = _mean(codes, weights / (lengths + NEAR))
        return (self.spread * found).astype(np.float32)

    @cached_property
    def _search(self) -> NearestNeighbors:
        return NearestNeighbors().fit(self.places)


def draw_map(
    rows: Any,
    index: Tensor,
    n_components: int,
    spread: float,
    n_neighbors: int,
    seed: int,
    device: torch.device = CPU,
) -> tuple[NeighborMap, np.ndarray]:
    """Return a map of the rows in ``index``, and their places on it."""
    axes = _axes(rows, index, seed)
    all_places = np.concatenate([_project(part, axes) for part in _read(rows, index)])
    places, copies = _distinct(all_places)
    first = _first_codes(places, n_components, seed)
    drawn = NeighborMap(axes, places, first, spread, n_neighbors)
    distances, nearest = drawn.nearest(places, n_neighbors, device)
    # A distinct row is nearest to itself.
    others = distances[:, 1:], nearest[:, 1:]
    codes = lay_out(first, fuzzy_edges(*others), seed) if len(places) > 1 else first
    codes = codes - codes.mean(axis=0)
    codes = (codes / (codes.std() or 1.0)).astype(np.float32)
    gap = float(others[0][:, :1].max(initial=0))
    drawn = replace(drawn, codes=codes, gap=gap)
    return drawn, drawn.between(distances, nearest)[copies]


def find_rows(
    neighbor_map: NeighborMap, rows: Any, index: Tensor, device: torch.device = CPU
) -> np.ndarray:
    """Return the places of the rows in ``index`` on a map."""
    how = neighbor_map.n_neighbors, device
    found = [neighbor_map.find(part, *how)[0] for part in _read(rows, index)]
    return np.concatenate(found)


def nearest_on(
    device: torch.device, places: np.ndarray, others: np.ndarray, n_found: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and indices of the nearest of other rows, by torch."""
    there, found = torch.from_numpy(others).to(device), []
    for s in gen_batches(len(places), max(1, N_DISTANCES // len(others))):
        rows = torch.from_numpy(places[s]).to(device)
        # Differences of squared norms would lose the digits of near rows.
        gaps = torch.cdist(rows, there, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = gaps.topk(n_found, largest=False)
        found.append([part.cpu().numpy() for part in nearest])
    distances, index = map(np.concatenate, zip(*found, strict=True))
    return distances.astype(np.float64), index


def _distinct(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct places, those in the middle first, and where each one is.

    Rows in the middle are near to most others: a search that meets them first has
    fewer neighbours to replace.
    """
    distinct, where = np.unique(places, axis=0, return_inverse=True)
    middle = distinct.mean(axis=0, dtype=np.float64)
    order = np.argsort(np.linalg.norm(distinct - middle, axis=1), kind="stable")
    return distinct[order], np.argsort(order)[where.ravel()]


def _first_codes(places: np.ndarray, n_components: int, seed: int) -> np.ndarray:
    """Return PCA's codes, scaled like UMAP's initial codes."""
    codes = np.random.default_rng(seed).normal(size=(len(places), n_components)) * 1e-4
    mean = places.mean(axis=0, dtype=np.float64)
    axes = fit_pca(places, mean, 1.0, n_components, seed).axes
    with one_thread():
        projected = (places - mean) @ axes.T
    widths = np.ptp(projected, axis=0)
    codes[:, : len(axes)] += projected * (10 / np.where(widths > 0, widths, np.inf))
    return codes


def _axes(rows: Any, index: Tensor, seed: int) -> np.ndarray | None:
    """Return the principal axes of a sample of rows; None if there are few features."""
    chosen = torch.from_numpy(sample(index.numpy(), N_SAMPLE))
    seen = np.concatenate(list(_read(rows, chosen)))
    width = seen.shape[1]
    if width <= N_AXES:
        return None
    return fit_pca(seen, np.zeros(width), 1.0, N_AXES, seed).axes.astype(np.float32)


def _project(rows: np.ndarray, axes: np.ndarray | None) -> np.ndarray:
    """Return coordinates along the axes.

    With sums in float64 the bits of float32 do not depend on the other rows.
    """
    if axes is None:
        return rows
    with one_thread():
        return (rows.astype(np.float64) @ axes.T.astype(np.float64)).astype(np.float32)


def _read(rows: Any, index: Tensor) -> Any:
    """Yield rows in bounded memory, with the mean where values are missing."""
    home = getattr(rows, "device", index.device)
    width = rows.index_select(0, index[:1].to(home)).shape[1]
    for s in chunks(index, n_at_once(width)):
        yield rows.index_select(0, index[s].to(home)).nan_to_num().cpu().numpy()


def _mean(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.einsum("ij,ijk->ik", weights, codes)
    return np.asarray(total / weights.sum(axis=1, keepdims=True))
