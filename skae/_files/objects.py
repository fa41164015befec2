"""Classes, functions and objects as trees: by name, and with their state."""

import functools
from types import NoneType
from typing import Any

from .names import is_of_torch, known, loaded, name_of
from .packing import opened
from .trees import Reader, Writer, tagged, unfit


def write_name(writer: Writer, value: Any, place: str) -> Any:
    """Store a class or a function by its name."""
    return tagged("name", _name(writer, value, place))


def read_name(reader: Reader, content: str, place: str) -> Any:
    """Return the class or function of a name."""
    return loaded(content, reader.trusted)


def _name(writer: Writer, value: Any, place: str) -> str:
    try:
        name = name_of(value)
    except (TypeError, ImportError) as error:
        raise unfit(place, value, str(error)) from error
    if known(name) is None:
        writer.names.add(name)
    return name


def write_partial(writer: Writer, value: Any, place: str) -> Any:
    """Store a partial application: its parts."""
    parts = [value.func, list(value.args), dict(value.keywords)]
    return tagged("partial", writer.parts(parts, place))


def read_partial(reader: Reader, content: list[Any], place: str) -> Any:
    """Return a partial application."""
    function, args, keywords = reader.parts(content, place)
    return functools.partial(function, *args, **keywords)


def write_object(writer: Writer, value: Any, place: str) -> Any:
    """Store the class and the state of an object that has nothing else."""
    cls, state = type(value), _state(value)
    if state is NotImplemented:
        reason = (
            f"save does not know how to store a {cls.__module__}.{cls.__name__}: use "
            "joblib.dump, if only you load the file"
        )
        raise unfit(place, value, reason)
    name = _name(writer, cls, place)
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
    return opened(state) if is_plain else NotImplemented


def read_object(reader: Reader, content: list[Any], place: str) -> Any:
    """Return an object of a class that is known or trusted."""
    name, tree = content
    cls = loaded(name, reader.trusted)
    if not isinstance(cls, type) or (is_of_torch(name) and name not in reader.trusted):
        raise ValueError(f"the file has an object of {name!r}, which is not trusted")
    made: Any = object.__new__(cls)
    state = reader.value(tree, place)
    if hasattr(made, "__setstate__"):
        made.__setstate__(state or {})
    else:
        vars(made).update(state or {})
    return made
