"""Plain values as trees: those of Python and numpy that have no state of their own."""

import base64
import math
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from . import arrays
from .trees import KIND, Read, Write, Writer, quoted, tagged, unfit

#: Longer lists of floats are arrays.
MOST_FLOATS = 8


def _write_float(writer: Writer, value: float, place: str) -> Any:
    return value if math.isfinite(value) else tagged("float", repr(value))


def _write_list(writer: Writer, values: list[Any], place: str) -> Any:
    if len(values) > MOST_FLOATS and all(type(value) is float for value in values):
        writer.keep(np.array(values), place)
        return tagged("floats", None)
    return writer.parts(values, place)


def _write_dict(writer: Writer, values: dict[Any, Any], place: str) -> Any:
    if all(type(key) is str for key in values) and KIND not in values:
        return {k: writer.tree(v, f"{place}/{quoted(k)}") for k, v in values.items()}
    return tagged("dict", writer.parts([list(item) for item in values.items()], place))


def _write_set(writer: Writer, values: Any, place: str) -> Any:
    # The order of a set changes from process to process.
    parts = sorted(writer.parts(values, place), key=repr)
    return tagged(type(values).__name__, parts)


def _write_bytes(writer: Writer, value: bytes, place: str) -> Any:
    return tagged("bytes", base64.b64encode(value).decode())


def _write_bunch(writer: Writer, value: Bunch, place: str) -> Any:
    return tagged("bunch", _write_dict(writer, dict(value), place))


def _write_sequence(writer: Writer, values: Any, place: str) -> Any:
    return tagged(type(values).__name__, writer.parts(values, place))


def _write_range(writer: Writer, value: Any, place: str) -> Any:
    parts = [value.start, value.stop, value.step]
    return tagged(type(value).__name__, writer.parts(parts, place))


def _write_complex(writer: Writer, value: complex, place: str) -> Any:
    return tagged("complex", writer.parts([value.real, value.imag], place))


#: Functions that make trees, by the types of values.
WRITERS: dict[tuple[type, ...], Write] = {
    (float,): _write_float,
    (list,): _write_list,
    (tuple,): _write_sequence,
    (dict,): _write_dict,
    (set, frozenset): _write_set,
    (bytes,): _write_bytes,
    (complex,): _write_complex,
    (range, slice): _write_range,
    (Bunch,): _write_bunch,
    (np.ndarray, np.memmap): arrays.write_array,
}
#: The same by classes that values are instances of.
BASES: dict[type, Write] = {
    np.generic: arrays.write_scalar,
    np.dtype: arrays.write_dtype,
}
#: Functions that make values of trees again, by their kinds.
READERS: dict[str, Read] = {
    "float": lambda reader, content, place: float(content),
    "floats": lambda reader, content, place: reader.array(place).tolist(),
    "tuple": lambda reader, content, place: tuple(reader.parts(content, place)),
    "dict": lambda reader, content, place: dict(reader.parts(content, place)),
    "set": lambda reader, content, place: set(reader.parts(content, place)),
    "frozenset": lambda reader, content, place: frozenset(reader.parts(content, place)),
    "bytes": lambda reader, content, place: base64.b64decode(content),
    "complex": lambda reader, content, place: complex(*reader.parts(content, place)),
    "range": lambda reader, content, place: range(*reader.parts(content, place)),
    "slice": lambda reader, content, place: slice(*reader.parts(content, place)),
    "bunch": lambda reader, content, place: Bunch(**reader.value(content, place)),
    "array": arrays.read_array,
    "bytes of": arrays.read_bytes_of,
    "objects": arrays.read_objects,
    "dtype": arrays.read_dtype,
    "scalar": arrays.read_scalar,
}


def write_plain(writer: Writer, value: Any, place: str) -> Any:
    """Make a tree of a value, or raise if it is not plain."""
    if (write := writer_of(value, WRITERS, BASES)) is None:
        raise unfit(place, value, "it is no plain value")
    return write(writer, value, place)


def writer_of(value: Any, by_type: dict[Any, Write], by_base: dict[Any, Write]) -> Any:
    """Return the function that makes a tree of such values, or None."""
    exact = [write for kinds, write in by_type.items() if type(value) in kinds]
    bases = [write for base, write in by_base.items() if isinstance(value, base)]
    return next(iter([*exact, *bases]), None)
