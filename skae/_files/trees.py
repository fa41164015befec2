"""Trees of JSON for values, and arrays that are named by their place in the tree.

Values that JSON has are themselves. Others are ``{"~": kind, "of": content}``. The
place is a JSON pointer (RFC 6901), such as "/_model/weights/axes".
"""

from collections.abc import Callable, Collection
from types import NoneType
from typing import Any

import numpy as np

KIND, CONTENT = "~", "of"
#: Deeper values contain themselves, most likely.
DEEPEST = 100


def tagged(kind: str, content: Any) -> dict[str, Any]:
    """Return what stands for a value that JSON does not have."""
    return {KIND: kind, CONTENT: content}


class Writer:
    """Makes trees of values; keeps their arrays, and the names that need trust.

    ``write`` makes trees of what JSON does not have.
    """

    def __init__(self, write: "Write") -> None:
        self._write = write
        self.arrays: dict[str, np.ndarray] = {}
        self.names: set[str] = set()

    def tree(self, value: Any, place: str = "") -> Any:
        """Return a value as a tree, or raise and name its place."""
        kind = type(value)
        if place.count("/") > DEEPEST:
            raise unfit(place, value, "it is nested too deeply")
        if kind in (NoneType, bool, int, str):
            return value
        return self._write(self, value, place)

    def parts(self, values: Any, place: str) -> list[Any]:
        """Return several values as trees."""
        return [self.tree(v, f"{place}/{i}") for i, v in enumerate(values)]

    def keep(self, array: np.ndarray, place: str) -> None:
        """Keep an array at its place."""
        self.arrays[place] = array


class Reader:
    """Makes values of trees again; ``kinds`` has a function for each kind."""

    def __init__(
        self,
        kinds: dict[str, "Read"],
        arrays: dict[str, np.ndarray],
        trusted: Collection[str],
    ) -> None:
        self.kinds, self.arrays, self.trusted = kinds, arrays, trusted

    def value(self, tree: Any, place: str = "") -> Any:
        """Return the value of a tree."""
        if isinstance(tree, list):
            return self.parts(tree, place)
        if not isinstance(tree, dict):
            return tree
        if KIND in tree:
            return self.kinds[tree[KIND]](self, tree[CONTENT], place)
        return {key: self.value(t, f"{place}/{quoted(key)}") for key, t in tree.items()}

    def parts(self, trees: list[Any], place: str) -> list[Any]:
        """Return the values of several trees."""
        return [self.value(tree, f"{place}/{i}") for i, tree in enumerate(trees)]

    def array(self, place: str) -> np.ndarray:
        """Return the array at a place; nothing else uses its memory."""
        return self.arrays.pop(place)


#: What makes a tree of a value at a place, and what makes the value again.
Write = Callable[[Writer, Any, str], Any]
Read = Callable[[Reader, Any, str], Any]


def quoted(key: str) -> str:
    """Return a key as a part of a place."""
    return key.replace("~", "~0").replace("/", "~1")


def unfit(place: str, value: Any, reason: str) -> TypeError:
    """Return the error for a value that cannot be saved."""
    parameter = place.removeprefix("/").replace("/", ".") or "the estimator"
    shown = repr(value)
    shown = shown if len(shown) < 200 else f"{shown[:200]}..."
    return TypeError(f"{parameter}={shown} cannot be saved: {reason}.")
