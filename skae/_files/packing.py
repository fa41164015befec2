"""Plain values of a state as one array of compressed bytes.

Names, records and parameters outweigh a small model in every format of files.
"""

import json
import zlib
from typing import Any

import numpy as np

from .plain import READERS, write_plain
from .trees import Reader, Writer, quoted

#: Name of the packed part of a state.
PACKED = "_packed"
#: Larger states stay as they are: packing would cost time and gain little.
MOST_BYTES = 2**18
#: Larger ones are unpacked in files of ``save``, where safetensors can read the arrays.
MOST_SEALED = 2**15


def pack(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with its plain values packed, unless they are large."""
    arrays: dict[str, np.ndarray] = {}
    trees, others = {}, {}
    for key, value in state.items():
        writer = Writer(write_plain)
        try:
            trees[key] = writer.tree(value, f"/{quoted(key)}")
            arrays |= writer.arrays
        except TypeError:
            others[key] = value
    if sum(array.nbytes for array in arrays.values()) > MOST_BYTES:
        return state
    kinds = [[place, a.dtype.str, list(a.shape)] for place, a in arrays.items()]
    text = json.dumps([trees, kinds], separators=(",", ":")).encode()
    parts = [len(text).to_bytes(4, "little"), text, *map(_sorted, arrays.values())]
    raw = zlib.compress(b"".join(parts), 9)
    return {PACKED: np.frombuffer(raw, np.uint8), **others}


def unpack(state: dict[str, Any]) -> dict[str, Any]:
    """Undo ``pack``."""
    others = dict(state)
    if (packed := others.pop(PACKED, None)) is None:
        return others
    try:
        raw = zlib.decompress(packed.tobytes())
    except zlib.error as error:
        raise ValueError(
            "The state of an estimator was changed or cut off after it was written: "
            f"{error}. Copy the file again, or save the estimator again."
        ) from error
    start = 4 + int.from_bytes(raw[:4], "little")
    trees, kinds = json.loads(raw[4:start])
    arrays = {}
    for place, dtype, shape in kinds:
        made = np.empty(shape, dtype)
        arrays[place] = _unsorted(raw[start : start + made.nbytes], made)
        start += made.nbytes
    return Reader(READERS, arrays, ()).value(trees) | others


def opened(state: Any) -> Any:
    """Return a state for ``save``: not packed unless it is small."""
    is_large = isinstance(state, dict) and PACKED in state
    return unpack(state) if is_large and state[PACKED].size > MOST_SEALED else state


def _sorted(array: np.ndarray) -> bytes:
    """Return the first bytes of all numbers, then their second: they compress well."""
    raw = np.frombuffer(array.tobytes(), np.uint8)
    return raw.reshape(-1, array.dtype.itemsize).T.tobytes()


def _unsorted(raw: bytes, made: np.ndarray) -> np.ndarray:
    """Fill an array with bytes that ``_sorted`` made."""
    columns = np.frombuffer(raw, np.uint8).reshape(made.dtype.itemsize, -1)
    made.reshape(-1)[...] = np.frombuffer(columns.T.tobytes(), made.dtype)
    return made
