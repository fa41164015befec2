"""Values as a tree of JSON, and arrays that are named by their place in the tree.

Values that JSON has are themselves. Others are ``{"~": kind, "of": content}``. The place
is a JSON pointer (RFC 6901), such as "/_model/weights/axes".
"""

import base64
import functools
import math
from collections.abc import Callable, Collection
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from .names import is_of_torch, known, loaded, name_of

KIND, CONTENT = "~", "of"
#: Dtypes of arrays that are stored as such; bytes of others.
STORED = frozenset("?bBhHiIlLqQefd")
#: Longer lists of floats are arrays.
MOST_FLOATS = 8
#: Deeper values contain themselves, most likely.
DEEPEST = 100
BIT_GENERATORS = {"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"}


def tagged(kind: str, content: Any) -> dict[str, Any]:
    """Return what stands for a value that JSON does not have."""
    return {KIND: kind, CONTENT: content}


class Writer:
    """Makes trees of values; keeps their arrays, and the names that need trust."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.names: set[str] = set()

    def tree(self, value: Any, place: str = "") -> Any:
        """Return a value as a tree, or raise and name its place."""
        kind = type(value)
        if place.count("/") > DEEPEST:
            raise _unfit(place, value, "it is nested too deeply")
        if kind in (NoneType, bool, int, str):
            return value
        for kinds, write in WRITERS.items():
            if kind in kinds:
                return write(self, value, place)
        if isinstance(value, np.generic):
            return _write_scalar(self, value, place)
        if isinstance(value, np.dtype):
            return _write_dtype(self, value, place)
        if isinstance(value, type):
            return _write_name(self, value, place)
        return _write_object(self, value, place)

    def parts(self, values: Any, place: str) -> list[Any]:
        """Return several values as trees."""
        return [self.tree(v, f"{place}/{i}") for i, v in enumerate(values)]

    def keep(self, array: np.ndarray, place: str) -> None:
        """Keep an array at its place."""
        self.arrays[place] = array

    def name(self, value: Any, place: str) -> str:
        """Return the name of a class or function, or raise."""
        try:
            name = name_of(value)
        except (TypeError, ImportError) as error:
            raise _unfit(place, value, str(error)) from error
        if known(name) is None:
            self.names.add(name)
        return name


class Reader:
    """Makes values of trees again."""

    def __init__(self, arrays: dict[str, np.ndarray], trusted: Collection[str]) -> None:
        self.arrays, self.trusted = arrays, trusted

    def value(self, tree: Any, place: str = "") -> Any:
        """Return the value of a tree."""
        if isinstance(tree, list):
            return self.parts(tree, place)
        if not isinstance(tree, dict):
            return tree
        if KIND in tree:
            return READERS[tree[KIND]](self, tree[CONTENT], place)
        return {key: self.value(t, f"{place}/{_quoted(key)}") for key, t in tree.items()}

    def parts(self, trees: list[Any], place: str) -> list[Any]:
        """Return the values of several trees."""
        return [self.value(tree, f"{place}/{i}") for i, tree in enumerate(trees)]

    def array(self, place: str) -> np.ndarray:
        """Return the array at a place; nothing else uses its memory."""
        return self.arrays.pop(place)


def _quoted(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unfit(place: str, value: Any, reason: str) -> TypeError:
    parameter = place.removeprefix("/").replace("/", ".") or "the estimator"
    shown = repr(value)
    shown = shown if len(shown) < 200 else f"{shown[:200]}..."
    return TypeError(f"{parameter}={shown} cannot be saved: {reason}.")


# Plain values --------------------------------------------------------------------------


def _write_float(writer: Writer, value: float, place: str) -> Any:
    return value if math.isfinite(value) else tagged("float", repr(value))


def _write_list(writer: Writer, values: list[Any], place: str) -> Any:
    if len(values) > MOST_FLOATS and all(type(value) is float for value in values):
        writer.keep(np.array(values), place)
        return tagged("floats", None)
    return writer.parts(values, place)


def _write_dict(writer: Writer, values: dict[Any, Any], place: str) -> Any:
    if all(type(key) is str for key in values) and KIND not in values:
        return {k: writer.tree(v, f"{place}/{_quoted(k)}") for k, v in values.items()}
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


# Arrays --------------------------------------------------------------------------------


def _write_array(writer: Writer, value: np.ndarray, place: str) -> Any:
    value, dtype = np.asarray(value), value.dtype
    if dtype == object:
        parts = writer.parts(value.ravel().tolist(), place)
        return tagged("objects", [list(value.shape), parts])
    if dtype.hasobject:
        raise _unfit(place, value, "fields of an array hold objects")
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    rows = np.asarray(value.T if order == "F" else value, order="C")
    if dtype.char in STORED and dtype.isnative:
        writer.keep(rows, place)
        return tagged("array", order)
    writer.keep(np.frombuffer(rows.tobytes(), np.uint8), place)
    return tagged("bytes of", [_described(dtype), list(rows.shape), order])


def _read_array(reader: Reader, order: str, place: str) -> np.ndarray:
    return _in_order(reader.array(place), order)


def _read_bytes_of(reader: Reader, content: list[Any], place: str) -> np.ndarray:
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


def _read_objects(reader: Reader, content: list[Any], place: str) -> np.ndarray:
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


def _write_dtype(writer: Writer, value: np.dtype[Any], place: str) -> Any:
    return tagged("dtype", _described(value))


def _write_scalar(writer: Writer, value: np.generic, place: str) -> Any:
    if value.dtype.hasobject:
        raise _unfit(place, value, "its fields hold objects")
    return tagged("scalar", [_described(value.dtype), value.tobytes().hex()])


def _read_scalar(reader: Reader, content: list[Any], place: str) -> Any:
    return _of_bytes(content[0], [], bytes.fromhex(content[1]))[()]


# Random numbers ------------------------------------------------------------------------


def _write_random_state(writer: Writer, value: Any, place: str) -> Any:
    state = value.get_state(legacy=False)
    return tagged("RandomState", writer.tree(state, place))


def _read_random_state(reader: Reader, content: Any, place: str) -> Any:
    state = reader.value(content, place)
    made = np.random.RandomState(_bit_generator(state))
    made.set_state(state)
    return made


def _write_generator(writer: Writer, value: Any, place: str) -> Any:
    return tagged("Generator", writer.tree(value.bit_generator.state, place))


def _read_generator(reader: Reader, content: Any, place: str) -> Any:
    state = reader.value(content, place)
    bits = _bit_generator(state)
    bits.state = state
    return np.random.Generator(bits)


def _bit_generator(state: dict[str, Any]) -> Any:
    if (name := state["bit_generator"]) not in BIT_GENERATORS:
        raise ValueError(f"the file names {name!r}, which numpy does not have")
    return getattr(np.random, name)(0)


# Classes, functions, objects -----------------------------------------------------------


def _write_name(writer: Writer, value: Any, place: str) -> Any:
    return tagged("name", writer.name(value, place))


def _write_partial(writer: Writer, value: Any, place: str) -> Any:
    parts = [value.func, list(value.args), dict(value.keywords)]
    return tagged("partial", writer.parts(parts, place))


def _read_partial(reader: Reader, content: list[Any], place: str) -> Any:
    function, args, keywords = reader.parts(content, place)
    return functools.partial(function, *args, **keywords)


def _write_object(writer: Writer, value: Any, place: str) -> Any:
    """Store the class and the state of an object that has nothing else."""
    cls, state = type(value), _state(value)
    if state is NotImplemented:
        reason = f"save does not know how to store a {cls.__module__}.{cls.__name__}"
        raise _unfit(place, value, reason)
    name = writer.name(cls, place)
    return tagged("object", [name, writer.tree(state, place)])


def _state(value: Any) -> Any:
    """Return the state that pickle would give to a new object; else NotImplemented."""
    try:
        make, given, *rest = value.__reduce_ex__(2)
    except (TypeError, ValueError):
        return NotImplemented
    is_new = getattr(make, "__name__", "") == "__newobj__" and given == (type(value),)
    state, *items = [*rest, None, None, None][:3]
    is_plain = is_new and items == [None, None] and isinstance(state, dict | NoneType)
    return state if is_plain else NotImplemented


def _read_object(reader: Reader, content: list[Any], place: str) -> Any:
    name, tree = content
    cls = loaded(name, reader.trusted)
    if not isinstance(cls, type) or (is_of_torch(name) and name not in reader.trusted):
        raise ValueError(f"the file has an object of {name!r}, which is not trusted")
    made, state = cls.__new__(cls), reader.value(tree, place)
    if hasattr(made, "__setstate__"):
        made.__setstate__(state or {})
    else:
        vars(made).update(state or {})
    return made


WRITERS: dict[tuple[type, ...], Callable[[Writer, Any, str], Any]] = {
    (float,): _write_float,
    (list,): _write_list,
    (tuple,): _write_sequence,
    (dict,): _write_dict,
    (set, frozenset): _write_set,
    (bytes,): _write_bytes,
    (complex,): _write_complex,
    (range, slice): _write_range,
    (Bunch,): _write_bunch,
    (np.ndarray, np.memmap): _write_array,
    (np.random.RandomState,): _write_random_state,
    (np.random.Generator,): _write_generator,
    (functools.partial,): _write_partial,
    (FunctionType, BuiltinFunctionType): _write_name,
}
READERS: dict[str, Callable[[Reader, Any, str], Any]] = {
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
    "array": _read_array,
    "bytes of": _read_bytes_of,
    "objects": _read_objects,
    "dtype": lambda reader, content, place: _dtype(content),
    "scalar": _read_scalar,
    "RandomState": _read_random_state,
    "Generator": _read_generator,
    "name": lambda reader, content, place: loaded(content, reader.trusted),
    "partial": _read_partial,
    "object": _read_object,
}
