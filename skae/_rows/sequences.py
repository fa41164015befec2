"""Sequences: arrays and lists of them, as flat rows that end with NaN as padding."""

import math
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .checks import as_numbers, check_sizes, described
from .chunks import chunks, dense
from .containers import as_array
from .layout import Shape
from .statistics import has_gaps

#: Length and channels of a sequence.
Steps = tuple[int, int]


def is_list(X: Any) -> bool:
    """Whether X is a list or another container of separate objects."""
    is_objects = isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    return isinstance(X, list | tuple) or is_objects


def padded_list(X: Any, owner: str) -> Any:
    """Return sequences in a list as one array, padded with NaN to the longest.

    Other containers, and lists of numbers or of flat rows, are returned unchanged.
    """
    if not is_list(X):
        return X
    given = [_item(item, i, owner) for i, item in enumerate(X)]
    items = list(map(np.asarray, given))
    axes = {item.ndim for item in items}
    is_flat = axes == {1} and len({len(i) for i in items}) == 1
    if is_flat or not axes or axes == {0}:
        return X
    _check_frames(items)
    items = list(map(as_numbers, given))
    dtype = np.result_type(np.float32, *items)
    shape = len(items), max(map(len, items)), *items[0].shape[1:]
    rows = np.full(shape, np.nan, dtype)
    for row, item in zip(rows, items, strict=True):
        row[: len(item)] = item
    return rows


def _item(item: Any, i: int, owner: str) -> Any:
    """Return sequence ``i`` of a list as an array, or as the frame that it is."""
    if issparse(item):
        raise ValueError(f"Sequence {i} of X is sparse: pass its toarray().")
    try:
        return as_array(item, True, owner)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"Sequence {i} of X has steps that differ in their number of channels: "
            "give each step the same channels, with NaN where a value is missing."
        ) from error


def _check_frames(items: list[np.ndarray]) -> None:
    """Raise if sequences are empty, or have other channels than the first."""
    for i, item in enumerate(items):
        if not item.ndim:
            raise ValueError(
                f"Sequence {i} of X is {described(item.item())}, but others are arrays "
                "(steps, channels): leave it out, or pass an array."
            )
        if not len(item):
            raise ValueError(f"Sequence {i} of X has no steps: leave it out.")
        if item.shape[1:] != items[0].shape[1:]:
            raise ValueError(
                f"Sequence {i} of X has the shape {item.shape}, but sequence 0 has "
                f"{items[0].shape}: they may differ in length only, the first size."
            )


def to_length(X: np.ndarray, length: int) -> np.ndarray:
    """Pad arrays (n, steps, ...) to a length with NaN, or cut off such padding."""
    X = as_numbers(X)
    if (missing := length - X.shape[1]) > 0:
        padding = np.full((len(X), missing, *X.shape[2:]), np.nan, np.float32)
        return np.concatenate([X, padding], axis=1)
    beyond = ~np.isnan(X[:, length:])
    if beyond.any():
        row, step, *_ = np.argwhere(beyond)[-1]
        raise ValueError(
            f"Sequence {row} of X has {length + step + 1} steps, but those in fit had "
            f"{length} at most: cut it, or fit again with sequences of this length."
        )
    return X[:, :length]


def find_sequence_shape(sequence_shape: Any, given: Shape, n_features: int) -> Steps:
    """Return (length, channels) of rows, from the parameter and the array."""
    said = said_sequence_shape(sequence_shape)
    shape = said or given or (n_features,)
    if math.prod(shape) != n_features or (given and given[0] != shape[0]):
        found = f"sequences of shape {given}" if given else f"{n_features} features"
        raise ValueError(
            f"sequence_shape={said} has {math.prod(shape)} values, but X has {found}: "
            "it must be (length, channels) of the longest sequence."
        )
    return shape[0], math.prod(shape[1:])


def said_sequence_shape(sequence_shape: Any) -> Shape | None:
    """Return the parameter as a tuple, or None."""
    if sequence_shape is None:
        return None
    advice = "such as (140, 3), the length and the channels, or 140 for one channel"
    return tuple(check_sizes("sequence_shape", sequence_shape, advice))


def count_steps(X: Any, shape: Steps) -> np.ndarray:
    """Return the number of steps of each flat row, up to the last one with a value."""
    length, n_channels = shape
    if not has_gaps(X):
        return np.full(X.shape[0], length)
    counts = []
    for s in chunks(X):
        known = ~np.isnan(dense(X[s])).reshape(-1, length, n_channels).all(axis=2)
        after_last = length - known[:, ::-1].argmax(axis=1)
        counts.append(np.where(known.any(axis=1), after_last, 0))
    return np.concatenate(counts)


def check_reached(X: Any, shape: Steps) -> None:
    """Raise if no sequence reaches the last step."""
    longest = count_steps(X, shape).max(initial=0)
    if 0 < longest < shape[0]:
        raise ValueError(
            f"Sequences have {shape[0]} steps, but none of X has a value after the "
            f"first {longest}: leave the others out, as in X[:, :{longest}]."
        )


def without_padding(answers: np.ndarray, X: Any, shape: Steps) -> np.ndarray:
    """Return flat rows with NaN after the last step of each row of ``X``."""
    if not has_gaps(X):
        return answers
    n_steps = count_steps(X, shape)[:, np.newaxis]
    step = np.repeat(np.arange(shape[0]), shape[1])
    return np.where(step < n_steps, answers, np.nan).astype(answers.dtype)


def future_last(X: Any, shape: Steps, n_ahead: int) -> Any:
    """Move the last ``n_ahead`` steps of short sequences to the end of their rows.

    Sequences of ``n_ahead`` steps or fewer have nothing to read before these, and are
    returned unchanged.
    """
    n_steps = count_steps(X, shape)
    is_short = (n_steps > n_ahead) & (n_steps < shape[0])
    if not is_short.any():
        return X
    X = X.copy()
    rows = X.reshape(-1, *shape)
    for n in np.unique(n_steps[is_short]):
        chosen = is_short & (n_steps == n)
        moved = rows[chosen, n - n_ahead : n]
        rows[chosen, n - n_ahead :] = np.nan
        rows[chosen, -n_ahead:] = moved
    return X
