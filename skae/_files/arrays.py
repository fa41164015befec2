"""Arrays, scalars, dtypes and generators of numpy as trees."""

from typing import Any

import numpy as np

from .trees import Reader, Writer, tagged, unfit

#: Dtypes of arrays that are stored as such; bytes of others.
STORED = frozenset("?bBhHiIlLqQefd")
BIT_GENERATORS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}


def write_array(writer: Writer, value: np.ndarray, place: str) -> Any:
    """Store an array in its dtype and order; unusual dtypes as bytes."""
    value, dtype = np.asarray(value), value.dtype
    if dtype.kind == "O":
        parts = writer.parts(value.ravel().tolist(), place)
        return tagged("objects", [list(value.shape), parts])
    if dtype.hasobject:
        raise unfit(place, value, "fields of an array hold objects")
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    rows = np.asarray(value.T if order == "F" else value, order="C")
    if dtype.char in STORED and dtype.isnative:
        writer.keep(rows, place)
        return tagged("array", order)
    writer.keep(np.frombuffer(rows.tobytes(), np.uint8), place)
    return tagged("bytes of", [_described(dtype), list(rows.shape), order])


def read_array(reader: Reader, order: str, place: str) -> np.ndarray:
    """Return an array of a common dtype."""
    return _in_order(reader.array(place), order)


def read_bytes_of(reader: Reader, content: list[Any], place: str) -> np.ndarray:
    """Return an array whose bytes are stored."""
    described, shape, order = content
    rows = _of_bytes(described, shape, reader.array(place).tobytes())
    return _in_order(rows, order)


def _of_bytes(described: Any, shape: list[int], raw: bytes) -> np.ndarray:
    dtype = _dtype(described)
    if dtype.hasobject:
        # numpy would take them for addresses of objects.
        raise ValueError(f"the file has bytes of dtype {dtype}, which has objects")
    return np.ndarray(tuple(shape), dtype, raw).copy()


def _in_order(rows: np.ndarray, order: str) -> np.ndarray:
    return rows.T if order == "F" else rows


def read_objects(reader: Reader, content: list[Any], place: str) -> np.ndarray:
    """Return an array of objects."""
    parts = reader.parts(content[1], place)
    made = np.empty(len(parts), dtype=object)
    for i, part in enumerate(parts):
        made[i] = part
    return made.reshape(content[0])


def _described(dtype: np.dtype[Any]) -> Any:
    """Return what ``_dtype`` makes a dtype of."""
    return dtype.str if dtype.names is None else dtype.descr


def _dtype(described: Any) -> np.dtype[Any]:
    """Return a dtype; JSON has lists in place of tuples."""
    if isinstance(described, str):
        return np.dtype(described)
    fields = [(name, _dtype(of), *map(tuple, shape)) for name, of, *shape in described]
    return np.dtype(fields)


def write_dtype(writer: Writer, value: np.dtype[Any], place: str) -> Any:
    """Store a dtype."""
    return tagged("dtype", _described(value))


def read_dtype(reader: Reader, content: Any, place: str) -> np.dtype[Any]:
    """Return a dtype."""
    return _dtype(content)


def write_scalar(writer: Writer, value: np.generic, place: str) -> Any:
    """Store the bytes of a number, text or date of numpy."""
    if value.dtype.hasobject:
        raise unfit(place, value, "its fields hold objects")
    return tagged("scalar", [_described(value.dtype), value.tobytes().hex()])


def read_scalar(reader: Reader, content: list[Any], place: str) -> Any:
    """Return a scalar of numpy."""
    return _of_bytes(content[0], [], bytes.fromhex(content[1]))[()]


def write_random_state(writer: Writer, value: Any, place: str) -> Any:
    """Store the state of a ``RandomState``."""
    state = value.get_state(legacy=False)
    return tagged("RandomState", writer.tree(state, place))


def read_random_state(reader: Reader, content: Any, place: str) -> Any:
    """Return a ``RandomState`` that goes on."""
    state = reader.value(content, place)
    made = np.random.RandomState(_bit_generator(state))
    made.set_state(state)
    return made


def write_generator(writer: Writer, value: Any, place: str) -> Any:
    """Store the state of a ``Generator``."""
    return tagged("Generator", writer.tree(value.bit_generator.state, place))


def read_generator(reader: Reader, content: Any, place: str) -> Any:
    """Return a ``Generator`` that goes on."""
    state = reader.value(content, place)
    bits = _bit_generator(state)
    bits.state = state
    return np.random.Generator(bits)


def _bit_generator(state: dict[str, Any]) -> Any:
    if (name := state["bit_generator"]) not in BIT_GENERATORS:
        raise ValueError(f"the file names {name!r}, which numpy does not have")
    return getattr(np.random, name)(0)
