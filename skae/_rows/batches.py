"""Minibatches of standardised rows, in memory or read from a file."""

from collections.abc import Iterator
from itertools import islice, tee
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from torch import Tensor

from .._machine.processes import Part
from .chunks import chunks, take
from .standardise import standardise

# Maximum number of values that are standardised once and kept: half a gigabyte. Larger
# rows are read for each batch, from nearby positions.
KEPT_ELEMENTS = 2**27
# Number of values in a block of adjacent rows, and of blocks that are shuffled
# together.
SHUFFLED_ELEMENTS, N_SHUFFLED = 2**16, 128


class RawRows:
    """Rows that are standardised when they are selected."""

    def __init__(self, X: Any, mean: np.ndarray, scale: float) -> None:
        self.X, self.mean, self.scale = X, mean, scale
        self.is_long = not issparse(X) and X.size > KEPT_ELEMENTS

    def __len__(self) -> int:
        return self.X.shape[0]

    @property
    def nbytes(self) -> int:
        """Return the size of the standardised rows."""
        return 4 * int(np.prod(self.X.shape))

    def to(self, device: torch.device) -> Tensor:
        """Standardise all rows, on the device."""
        parts = (standardise(self.X[s], self.mean, self.scale) for s in chunks(self.X))
        return torch.cat([part.to(device) for part in parts])

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        return standardise(take(self.X, index.numpy()), self.mean, self.scale)

    def read_ahead(self, indices: Iterator[Tensor]) -> Iterator[Tensor]:
        """Select batch after batch, many in one pass through the file."""
        for first in indices:
            n_batches = N_SHUFFLED * SHUFFLED_ELEMENTS // (self.X.shape[1] * len(first))
            ahead = [first, *islice(indices, max(0, n_batches - 1))]
            index, places = torch.cat(ahead).sort()
            shape = len(index), self.X.shape[1]
            rows = torch.empty(shape, dtype=torch.float32, device="cpu")
            for s in chunks(rows):
                rows[places[s]] = self.index_select(0, index[s])
            yield from torch.split(rows, [len(index) for index in ahead])


def read_rows(X: Any, mean: np.ndarray, scale: float) -> Tensor | RawRows:
    """Return rows that are standardised once, or in each batch if memory is short."""
    if issparse(X) or X.dtype == np.uint8 or X.size > KEPT_ELEMENTS:
        return RawRows(X, mean, scale)
    rows = torch.empty(X.shape, dtype=torch.float32, device="cpu")
    for s in chunks(X):
        rows[s] = standardise(X[s], mean, scale)
    return rows


def shuffle_blocks(
    n_rows: int, block_size: int, n_blocks: int, generator: torch.Generator
) -> Tensor:
    """Return a random order that takes rows from a few random blocks at a time.

    All rows of ``n_blocks`` blocks of ``block_size`` rows come before those of other
    blocks: files are read a page at a time, and each page should be read once.
    """
    blocks = torch.split(torch.arange(n_rows, device="cpu"), block_size)
    order = torch.randperm(len(blocks), generator=generator, device="cpu").tolist()
    shuffled = []
    for together in gen_batches(len(blocks), n_blocks):
        rows = torch.cat([blocks[i] for i in order[together]])
        new = torch.randperm(len(rows), generator=generator, device="cpu")
        shuffled.append(rows[new])
    return torch.cat(shuffled)


class Batches:
    """Minibatches of the rows in ``index``; shuffled if there is a generator.

    The place of each row on a map is appended to it, if ``places`` are given. Of each
    batch only our own part is read, if other processes have the rest.
    """

    def __init__(
        self,
        rows: Any,
        index: Tensor,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
        places: Tensor | None = None,
        part: Part | None = None,
    ) -> None:
        self.places, self.part = places, part
        self.rows, self.index, self.batch_size = rows, index, batch_size
        self.device, self.generator = device, generator
        self.is_long = isinstance(rows, RawRows) and rows.is_long

    def __iter__(self) -> Iterator[Tensor]:
        home = getattr(self.rows, "device", torch.device("cpu"))
        indices, again = tee(self._choose())
        if self.part is not None:
            indices = map(self.part.own, indices)
        if self.is_long:
            batches = self.rows.read_ahead(indices)
        else:
            batches = (self.rows.index_select(0, i.to(home)) for i in indices)
        for batch, index in zip(batches, again, strict=True):
            if self.part is not None:
                index = self.part.begin(index)
            if self.places is not None:
                batch = torch.cat([batch, self.places[index].to(home)], dim=1)
            yield batch if home == self.device else self._send(batch)

    def _choose(self) -> Iterator[Tensor]:
        """Return the rows of each batch."""
        index, size = self._shuffled(self.index), self.batch_size
        first = torch.split(index, size)
        if self.generator is None or size == 1 or len(index) % size != 1:
            return iter(first)
        # A row alone would make as large a step as a batch, and has no variance.
        return iter([*first[:-2], torch.cat(first[-2:])])

    def _shuffled(self, index: Tensor) -> Tensor:
        if self.generator is None:
            return index
        if self.is_long:
            block_size = max(1, SHUFFLED_ELEMENTS // self.rows.X.shape[1])
            order = shuffle_blocks(len(index), block_size, N_SHUFFLED, self.generator)
        else:
            order = torch.randperm(len(index), generator=self.generator, device="cpu")
        return index[order]

    def _send(self, batch: Tensor) -> Tensor:
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)
