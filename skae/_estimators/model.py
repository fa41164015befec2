"""A fitted network between rows in their unit and codes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from .._machine.devices import own_settings
from .._networks.network import Network
from .._objectives.losses import Loss
from .._rows.chunks import in_blocks, map_rows, n_at_once
from .._rows.standardise import scale_and_shift, standardise
from .refinement import refine

# Networks of narrow layers are slower where more rows pass at once.
MANY_ROWS = 2048


@dataclass
class Codec:
    """Encode, decode and differentiate arrays; ``domain`` bounds what is decoded."""

    network: Network
    loss: Loss
    mean: np.ndarray
    scale: float
    domain: tuple[float, float] | None
    device: torch.device
    #: Steps that improve codes.
    n_steps: int
    #: Whether values may be missing.
    has_gaps: bool
    #: Raises if rows hold what they should not.
    check: Callable[[np.ndarray], None]

    def map(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        X: Any,
        n_rows: int | None = None,
    ) -> np.ndarray:
        """Apply a function to rows or codes, so many at once as the network takes."""
        with own_settings(self.device, grad=False):
            return map_rows(function, X, n_rows or self._n_rows)

    @property
    def _n_rows(self) -> int:
        n_numbers = max(len(self.mean), self.network.widths[-1])
        return self._block * max(1, n_at_once(n_numbers) // self._block)

    @property
    def _block(self) -> int:
        # The weights of wide layers, which do not fit the cache, are read less often.
        return min(MANY_ROWS, 2 * n_at_once(self.network.n_values))

    @property
    def n_rows_of_slopes(self) -> int:
        """Return of how many rows the slopes of all codes fit in bounded memory."""
        return n_at_once(self.network.widths[-1] * self.network.n_values)

    def _map(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        return in_blocks(function, rows, self._block)

    def _send(self, x: np.ndarray) -> Tensor:
        return standardise(x, self.mean, self.scale, self.check).to(self.device)

    @cached_property
    def _offset(self) -> Tensor | None:
        if self.has_gaps or self.n_steps:
            return None
        return self.network.offset(from_dlpack(self.mean) / self.scale)

    def _encode(self, rows: Tensor) -> Tensor:
        # The network has seen zero, the mean, where values were missing.
        seen = rows.nan_to_num() if self.has_gaps else rows
        code = self.network.encode(seen)
        if not self.n_steps:
            return code
        with own_settings(self.device, grad=True):
            return refine(self._answer, code, rows, self.n_steps)

    def _answer(self, code: Tensor) -> Tensor:
        return self.loss.link.inverse(self.network.decode(code))

    def encode(self, x: np.ndarray) -> Tensor:
        """Encode rows."""
        if self._offset is None:
            return self._map(self._encode, self._send(x))
        rows = scale_and_shift(x, self.scale, self._offset, self.check)
        return self._map(self.network.encode_scaled, rows.to(self.device))

    def decode(self, code: Tensor | np.ndarray) -> np.ndarray:
        """Decode codes to rows in the unit and dtype of the mean."""
        if not isinstance(code, Tensor):
            code = torch.tensor(code, dtype=torch.float32, device=self.device)
        rows = self._map(self._answer, code).cpu().numpy()
        rows = np.add(rows.astype(self.mean.dtype) * self.scale, self.mean)
        # Adding the mean again may leave the domain by a rounding error.
        return rows if self.domain is None else np.clip(rows, *self.domain)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Differentiate the encoder at each row, per unit of the data."""
        slopes = self._slopes(x).cpu().numpy()
        with np.errstate(over="ignore"):
            return (slopes.astype(np.float64) / self.scale).astype(np.float32)

    def tangents(self, x: np.ndarray, n_directions: int) -> np.ndarray:
        """Return the directions in which the code of each row changes fastest."""
        directions = torch.linalg.svd(self._slopes(x), full_matrices=False).Vh
        directions = directions[:, :n_directions]
        # Of the two signs take the one whose largest entry is positive.
        largest = directions.abs().argmax(dim=2, keepdim=True)
        signs = directions.gather(2, largest).sign()
        return (signs * directions).cpu().numpy()

    def _slopes(self, x: np.ndarray) -> Tensor:
        with own_settings(self.device, grad=True):
            rows = self._send(x).nan_to_num().requires_grad_()
            # Rows do not meet, so that one pass serves an entry of all codes.
            slopes = [
                torch.autograd.grad(entry.sum(), rows, retain_graph=True)[0]
                for entry in self.network.encode(rows).unbind(1)
            ]
            return torch.stack(slopes, dim=1)
