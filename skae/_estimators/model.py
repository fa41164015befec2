"""The fitted model: between rows in their unit and codes."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from .._machine.devices import own_settings
from .._machine.memory import in_smaller_parts
from .._machine.threads import limited_threads, threads_of_step
from .._networks.network import Network
from .._networks.prefix import Prefix
from .._objectives.neighbors import NeighborMap
from .._rows.checks import check_finite
from .._rows.chunks import BLOCK, in_blocks, map_rows, n_at_once
from .._rows.standardise import scale_and_shift, standardise
from .refinement import refine
from .subspace import Subspace

# Networks of narrow layers are slower with more rows at once.
MANY_ROWS = 2048
# Factor of neighbor_weight, chosen so that a weight of 1 keeps groups apart.
PULL = 10.0


@dataclass(frozen=True)
class Coding:
    """How codes are computed: where they start, and how many steps refine them."""

    n_steps: int = 0
    #: Number of neighbours on the map; 0 for the encoder's code.
    n_neighbors: int = 0
    #: Weight of the squared distance from the place on the map.
    weight: float = 0.0
    #: Whether rows with missing values are refined too, by the known ones.
    by_known: bool = False


ENCODER = Coding()


@dataclass(frozen=True, eq=False)
class FittedModel:
    """Encodes, decodes and differentiates arrays of rows; it never changes."""

    network: Network
    mean: np.ndarray
    scale: float
    #: Shape of a row in the input and the output.
    layout: tuple[int, ...]
    #: Smallest and largest values of each feature in training, in its unit.
    seen: tuple[np.ndarray, np.ndarray]
    #: Smallest and largest value of reconstructions.
    domain: tuple[float, float] | None
    #: Whether values may be missing.
    allows_nan: bool
    #: Name of the estimator, for errors.
    owner: str
    #: Map of the training rows and their neighbours.
    neighbor_map: NeighborMap | None = None
    _copies: dict[torch.device, tuple[list[Any], Self]] = field(
        default_factory=dict, init=False, repr=False
    )
    #: The space of the answers, if it was needed and is small.
    _space: list[Subspace] = field(default_factory=list, init=False, repr=False)

    @property
    def whole(self) -> Network:
        """The network that was trained, perhaps with more components than are used."""
        network = self.network
        return network.network if isinstance(network, Prefix) else network

    @property
    def n_components(self) -> int:
        """Width of the code."""
        return self.network.widths[-1]

    @property
    def is_cut(self) -> bool:
        """Whether the code is narrower than the trained one."""
        return self.n_components < self.whole.widths[-1]

    def first(self, n_components: int) -> Self:
        """Return the model of the first components only."""
        is_all = n_components == self.whole.widths[-1]
        network = self.whole if is_all else Prefix(self.whole, n_components)
        return replace(self, network=network)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def on(self, device: torch.device) -> Self:
        """Return the model on a device; a copy there is reused until weights change."""
        if device == self.device:
            return self
        weights = self.network.state_dict(keep_vars=True).values()
        versions = [(w.data_ptr(), w._version) for w in weights]
        if self._copies.get(device, (None,))[0] != versions:
            network = copy.deepcopy(self.network).to(device)
            self._copies[device] = versions, replace(self, network=network)
        return self._copies[device][1]

    def map(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        X: Any,
        n_rows: int | None = None,
    ) -> np.ndarray:
        """Apply a function to rows or codes in chunks that fit the network."""
        n_threads = threads_of_step(X.shape[0], self.network.n_products)
        with own_settings(self.device, grad=False), limited_threads(n_threads):
            return in_smaller_parts(
                lambda n: map_rows(function, X, n), n_rows or self._n_rows, BLOCK
            )

    @property
    def _n_rows(self) -> int:
        n_numbers = max(len(self.mean), self.n_components)
        return self._block * max(1, n_at_once(n_numbers) // self._block)

    @property
    def _block(self) -> int:
        # With larger blocks, wide layers that exceed the cache are read less often.
        return min(MANY_ROWS, 2 * n_at_once(self.network.n_values))

    @property
    def n_rows_of_slopes(self) -> int:
        """Return the number of rows whose Jacobians fit in bounded memory."""
        return n_at_once(self.n_components * self.network.n_values)

    def encode(self, x: np.ndarray, coding: Coding = ENCODER) -> Tensor:
        """Encode rows, or find their codes in another way."""
        offset = None
        if coding == ENCODER and not self.allows_nan:
            offset = self.network.offset(from_dlpack(self.mean) / self.scale)
        if offset is None:
            return self._map(lambda r: self._encode(r, coding), self._send(x))
        rows = scale_and_shift(x, self.scale, offset, self._check)
        return self._map(self.network.encode_scaled, rows.to(self.device))

    def _encode(self, rows: Tensor, coding: Coding) -> Tensor:
        # As in training: rows may have missing values.
        seen = self.network.seen(rows) if self.allows_nan else rows
        if self.neighbor_map is not None and coding.n_neighbors:
            place = self._place(seen, self.neighbor_map, coding.n_neighbors)
            return self._refine_place(place, rows, self.neighbor_map.spread, coding)
        code = self.network.encode(seen)
        if coding.n_steps:
            known: Tensor | float = 1.0
            if coding.by_known:
                known, rows = (~rows.isnan()).to(rows), seen
            code = refine(self.network, code, rows, coding.n_steps, known=known)
        return code

    def _refine_place(
        self, place: Tensor, rows: Tensor, spread: float, coding: Coding
    ) -> Tensor:
        if not coding.n_steps:
            return place
        # The weight is for the mean over features, but the error is a sum.
        pull = PULL * coding.weight * rows.shape[1] / spread**2
        network = self.network
        if (space := Subspace.of(network, *self._space)) is not None:
            self._space[:] = [space]
            network, rows = space.along(network), space(rows)
        return refine(network, place, rows, coding.n_steps, pull)

    def _place(
        self, rows: Tensor, neighbor_map: NeighborMap, n_neighbors: int
    ) -> Tensor:
        """Return places of rows on the map; rows beyond it have the encoder's code."""
        found = neighbor_map.find(rows.cpu().numpy(), n_neighbors, rows.device)
        place, nearness = (torch.from_numpy(part).to(rows.device) for part in found)
        place = place[:, : self.n_components]
        if bool((nearness == 1).all()):
            return place
        return torch.lerp(self.network.encode(rows), place, nearness)

    def reconstruct(self, x: np.ndarray, coding: Coding, clip: bool) -> np.ndarray:
        """Map flat rows to reconstructions in the unit and dtype of the mean."""
        if self.network.is_invertible:
            return self.decode(self.encode(x, coding), clip)
        return self._in_unit(self._map(self.network.reconstruct, self._send(x)), clip)

    def decode(self, code: Tensor | np.ndarray, clip: bool) -> np.ndarray:
        """Decode codes to flat rows in the unit and dtype of the mean.

        ``clip`` keeps them in the range of the training rows.
        """
        if not isinstance(code, Tensor):
            code = torch.tensor(code, dtype=torch.float32, device=self.device)
        return self._in_unit(self._map(self.network.answer, code), clip)

    def _in_unit(self, answers: Tensor, clip: bool) -> np.ndarray:
        rows = answers.cpu().numpy()
        rows = np.add(rows.astype(self.mean.dtype) * self.scale, self.mean)
        # Adding the mean may exceed the domain by a rounding error.
        rows = rows if self.domain is None else np.clip(rows, *self.domain)
        return np.clip(rows, *self.seen, dtype=rows.dtype) if clip else rows

    def apply(
        self, function: Callable[[Network, Tensor], Tensor], x: np.ndarray
    ) -> np.ndarray:
        """Apply a function of the network and of standardised rows."""
        answers = self._map(lambda rows: function(self.network, rows), self._send(x))
        return answers.cpu().numpy()

    def in_layout(self, rows: np.ndarray) -> np.ndarray:
        """Reshape outputs (..., n_features) to the layout of the training rows."""
        return rows.reshape(*rows.shape[:-1], *self.layout)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Differentiate the encoder at each row, per unit of the data."""
        slopes = self._slopes(x).cpu().numpy()
        with np.errstate(over="ignore"):
            return (slopes.astype(np.float64) / self.scale).astype(np.float32)

    def tangents(self, x: np.ndarray, n_directions: int) -> np.ndarray:
        """Return the directions in which the code of each row changes fastest."""
        directions = torch.linalg.svd(self._slopes(x), full_matrices=False).Vh
        directions = directions[:, :n_directions]
        # The sign is arbitrary: make the entry with the largest magnitude positive.
        largest = directions.abs().argmax(dim=2, keepdim=True)
        signs = directions.gather(2, largest).sign()
        return (signs * directions).cpu().numpy()

    def _slopes(self, x: np.ndarray) -> Tensor:
        with own_settings(self.device, grad=True):
            rows = self.network.seen(self._send(x)).requires_grad_()
            # Rows are independent, so one pass differentiates an entry of all codes.
            slopes = [
                torch.autograd.grad(entry.sum(), rows, retain_graph=True)[0]
                for entry in self.network.encode(rows).unbind(1)
            ]
            return torch.stack(slopes, dim=1)

    def _map(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        return in_blocks(function, rows, self._block)

    def _send(self, x: np.ndarray) -> Tensor:
        return standardise(x, self.mean, self.scale, self._check).to(self.device)

    def _check(self, x: np.ndarray) -> None:
        check_finite(x, self.allows_nan, self.owner)
