"""Minibatches of standardised rows, in memory or read from a file."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from torch import Tensor

from .._machine.processes import Part
from .ahead import Reader
from .chunks import announce, chunks, n_at_once, scattered_chunks, take
from .standardise import standardise

# Maximum number of values that are standardised once and kept: half a gigabyte. Of
# larger rows so many held-out ones are kept, and others are read for each batch, from
# nearby positions.
KEPT_ELEMENTS = 2**27
# Number of values in a block of adjacent rows, and of blocks that are shuffled
# together.
SHUFFLED_ELEMENTS, N_SHUFFLED = 2**16, 128
# Minimum number of chunks that are shuffled together, however large they are.
LEAST_SHUFFLED = 4


class RawRows:
    """Rows that are standardised when they are selected."""

    def __init__(self, X: Any, mean: np.ndarray, scale: float) -> None:
        self.X, self.mean, self.scale = X, mean, scale
        self.is_long = not issparse(X) and X.size > KEPT_ELEMENTS
        self._reader = Reader()
        self._kept: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return self.X.shape[0]

    @property
    def nbytes(self) -> int:
        """Return the size of the standardised rows."""
        return 4 * int(np.prod(self.X.shape))

    def to(self, device: torch.device) -> Tensor:
        """Standardise all rows, on the device."""
        self._reader.wait()
        parts = (standardise(self.X[s], self.mean, self.scale) for s in chunks(self.X))
        return torch.cat([part.to(device) for part in parts])

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        self._reader.wait()
        return standardise(take(self.X, index.numpy()), self.mean, self.scale)

    def read_ahead(
        self,
        windows: Sequence[Tensor],
        sizes: Sequence[int],
        device: torch.device,
        keep: bool = False,
    ) -> Iterator[Tensor]:
        """Yield batches of such sizes, from windows that are read one after another.

        If ``keep`` is set, few values are read in the first pass only.
        """
        index = torch.cat([*windows])
        batches = self._batches(_cut_at_ends(windows, sizes), sizes, device)
        if not keep or len(index) * self.X.shape[1] > KEPT_ELEMENTS:
            return batches
        if self._kept is None or not torch.equal(self._kept[0], index):
            return self._keep(index, batches)
        # Copies: users may change a batch.
        return (rows.clone() for rows in torch.split(self._kept[1], [*sizes]))

    def _batches(
        self,
        windows: Sequence[Sequence[Tensor]],
        sizes: Sequence[int],
        device: torch.device,
    ) -> Iterator[Tensor]:
        """Put the pieces of windows together."""
        is_array = isinstance(self.X, np.ndarray)
        # Beside cores that train, a thread takes longer than they would for an array.
        in_thread = device.type != "cpu" if is_array else self.X.is_read_ahead
        ahead = self._reader.each(self._read, self._announce, windows, in_thread)
        pieces = itertools.chain.from_iterable(ahead)
        for size in sizes:
            parts = [next(pieces)]
            while sum(map(len, parts)) < size:
                parts.append(next(pieces))
            yield parts[0] if len(parts) == 1 else torch.cat(parts)

    def _keep(self, index: Tensor, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield batches, and keep their rows once all are read."""
        shape = len(index), self.X.shape[1]
        rows, n_read = torch.empty(shape, dtype=torch.float32, device="cpu"), 0
        for batch in batches:
            rows[n_read : n_read + len(batch)] = batch
            n_read += len(batch)
            # No batch after the last one asks whether more is left.
            if n_read == len(index):
                self._kept = index, rows
            yield batch

    def _announce(self, pieces: Sequence[Tensor]) -> None:
        announce(self.X, torch.cat([*pieces]).numpy())

    def _read(self, pieces: Sequence[Tensor]) -> Iterator[Tensor]:
        """Read rows in one pass through the file; return copies of each piece."""
        index, order = torch.cat([*pieces]).sort()
        shape = len(index), self.X.shape[1]
        rows = torch.empty(shape, dtype=torch.float32, device="cpu")
        for s in scattered_chunks(self.X, index.numpy(), n_at_once(shape[1])):
            rows[s] = standardise(self.X[index[s].numpy()], self.mean, self.scale)
        places = torch.split(order.argsort(), [*map(len, pieces)])
        return (rows.index_select(0, place) for place in places)

    def blocks(self, index: Tensor) -> tuple[Sequence[Tensor], int]:
        """Cut a sorted index into blocks of adjacent rows, of which so many fit.

        Where a chunk of a store is larger than a block, it is a block.
        """
        block_size = max(1, SHUFFLED_ELEMENTS // self.X.shape[1])
        chunk_rows = getattr(self.X, "chunk_rows", 1)
        if chunk_rows <= block_size:
            return torch.split(index, block_size), N_SHUFFLED
        ends = torch.arange(chunk_rows, len(self), chunk_rows, device="cpu")
        blocks = torch.tensor_split(index, torch.searchsorted(index, ends))
        n_blocks = N_SHUFFLED * block_size // chunk_rows
        return [b for b in blocks if len(b)], max(LEAST_SHUFFLED, n_blocks)


def read_rows(X: Any, mean: np.ndarray, scale: float) -> Tensor | RawRows:
    """Return rows that are standardised once, or in each batch if memory is short."""
    if issparse(X) or X.dtype == np.uint8 or X.size > KEPT_ELEMENTS:
        return RawRows(X, mean, scale)
    rows = torch.empty(X.shape, dtype=torch.float32, device="cpu")
    for s in chunks(X):
        rows[s] = standardise(X[s], mean, scale)
    return rows


def _cut_at_ends(
    windows: Sequence[Tensor], sizes: Sequence[int]
) -> list[Sequence[Tensor]]:
    """Cut each window where a batch ends."""
    ends, cut, first = np.cumsum(sizes), list[Sequence[Tensor]](), 0
    for window in windows:
        inside = (first < ends) & (ends < first + len(window))
        cut.append(torch.tensor_split(window, (ends[inside] - first).tolist()))
        first += len(window)
    return cut


def shuffle_blocks(
    blocks: Sequence[Tensor], n_blocks: int, generator: torch.Generator
) -> list[Tensor]:
    """Return blocks of rows in random order, shuffled ``n_blocks`` at a time.

    Files are read a page or a chunk at a time, and each should be read once.
    """
    order = torch.randperm(len(blocks), generator=generator, device="cpu").tolist()
    windows = []
    for together in gen_batches(len(blocks), n_blocks):
        rows = torch.cat([blocks[i] for i in order[together]])
        new = torch.randperm(len(rows), generator=generator, device="cpu")
        windows.append(rows[new])
    return windows


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
        windows = self._windows()
        # A copy of each index would wait for the device.
        indices = own = self._cut(torch.cat(list(windows)).to(home))
        places = None if self.places is None else self.places.to(home)
        if self.part is not None:
            own = [self.part.own(index) for index in indices]
        if self.is_long:
            windows = windows if own is indices else self._split(torch.cat([*own]))
            keep = self.generator is None
            batches = self.rows.read_ahead(windows, [*map(len, own)], self.device, keep)
        else:
            batches = (self.rows.index_select(0, i) for i in own)
        for batch, index in zip(batches, indices, strict=True):
            if self.part is not None:
                index = self.part.begin(index)
            if places is not None:
                batch = torch.cat([batch, places[index]], dim=1)
            yield batch if home == self.device else self._send(batch)

    def _cut(self, index: Tensor) -> Sequence[Tensor]:
        """Return the rows of each batch."""
        size = self.batch_size
        first = torch.split(index, size)
        if self.generator is None or size == 1 or len(index) % size != 1:
            return first
        # A row alone would make as large a step as a batch, and has no variance.
        return [*first[:-2], torch.cat(first[-2:])]

    def _windows(self) -> Sequence[Tensor]:
        """Return the rows in their order, in parts that are read at once."""
        index, generator = self.index, self.generator
        if self.is_long and generator is not None:
            blocks, n_together = self.rows.blocks(index)
            return shuffle_blocks(blocks, n_together, generator)
        if self.is_long:
            return self._split(index)
        if generator is None:
            return [index]
        order = torch.randperm(len(index), generator=generator, device="cpu")
        return [index[order]]

    def _split(self, index: Tensor) -> Sequence[Tensor]:
        """Cut rows into windows that fit in memory."""
        width = self.rows.X.shape[1]
        return torch.split(index, max(1, N_SHUFFLED * SHUFFLED_ELEMENTS // width))

    def _send(self, batch: Tensor) -> Tensor:
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)
