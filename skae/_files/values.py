"""Which values files hold: plain ones, and objects with a name or a state."""

import functools
from collections.abc import Collection
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from . import arrays, objects, plain
from .trees import Read, Reader, Write, Writer

#: Functions that make trees, by the types of values.
WRITERS: dict[tuple[type, ...], Write] = {
    **plain.WRITERS,
    (np.random.RandomState,): arrays.write_random_state,
    (np.random.Generator,): arrays.write_generator,
    (functools.partial,): objects.write_partial,
    (FunctionType, BuiltinFunctionType): objects.write_name,
}
#: The same by classes that values are instances of.
BASES: dict[type, Write] = {
    **plain.BASES,
    type: objects.write_name,
    object: objects.write_object,
}
READERS: dict[str, Read] = {
    **plain.READERS,
    "RandomState": arrays.read_random_state,
    "Generator": arrays.read_generator,
    "name": objects.read_name,
    "partial": objects.read_partial,
    "object": objects.read_object,
}


def to_tree(value: Any) -> tuple[Any, dict[str, np.ndarray], list[str]]:
    """Return the tree of a value, its arrays, and the names that need trust."""
    writer = Writer(_write)
    return writer.tree(value), writer.arrays, sorted(writer.names)


def _write(writer: Writer, value: Any, place: str) -> Any:
    return plain.writer_of(value, WRITERS, BASES)(writer, value, place)


def from_tree(
    tree: Any, arrays: dict[str, np.ndarray], trusted: Collection[str] = ()
) -> Any:
    """Undo ``to_tree``."""
    return Reader(READERS, arrays, trusted).value(tree)
