"""Layouts: flat rows, and the signals, images or volumes that they hold."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .._machine.callers import warn_caller
from .checks import check_sizes
from .stored import Stored

Shape = tuple[int, ...]
#: Spatial dimensions for each length of a shape with spatial_dims="auto": (length,),
#: (height, width), (channels, height, width), (channels, depth, height, width).
SPATIAL_DIMS = {1: 1, 2: 2, 3: 2, 4: 3}
# An image with one side LONG times the other may be a signal with channels. One with
# MANY channels or more, similar in number to its sides, may be a volume.
LONG, MANY = 8, 8


def flatten(X: Any) -> tuple[Any, Shape]:
    """Return flat rows of an array of images, and the shape of each; () if flat."""
    n_axes = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    if n_axes < 3:
        return X, ()
    if issparse(X):
        raise ValueError(
            f"X is sparse and has shape {X.shape}: sparse images must be flat rows, "
            "X.reshape(n, -1).tocsr(), with image_shape set."
        )
    if isinstance(X, Stored):
        return X.flattened(), X.shape[1:]
    X = np.asarray(X)
    return X.reshape(len(X), math.prod(X.shape[1:])), X.shape[1:]


def find_shape(
    image_shape: Any, spatial_dims: int | str, given: Shape, n_features: int
) -> Shape:
    """Return (channels, ...sizes) of rows, from the parameters and the array."""
    said = said_shape(image_shape)
    shape = said or given or (n_features,)
    if math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={said} has {math.prod(shape)} values, but X has {n_features} "
            f"features: use {_any_of(shapes_of(n_features))}."
        )
    found = _with_channels(shape, spatial_dims)
    check_images(given, found)
    return found


def said_shape(image_shape: Any) -> Shape | None:
    """Return the parameter as a tuple, or None."""
    if image_shape is None:
        return None
    advice = "such as (28, 28), (3, 32, 32) with the channels first, or 140"
    return tuple(check_sizes("image_shape", image_shape, advice))


def check_images(given: Shape, image_shape: Shape) -> None:
    """Raise if an array holds images of another shape; () are flat rows."""
    shapes = [image_shape, image_shape[1:]] if image_shape[0] == 1 else [image_shape]
    if given and given not in shapes:
        raise ValueError(
            f"X has images of shape {given}, but the shape must be {_any_of(shapes)}, "
            f"or flat rows of {math.prod(image_shape)} features."
        )


def check_single(shape: Shape, image_shape: Shape) -> None:
    """Raise if an array is a single image, not rows or images of that layout."""
    is_one = shape in (image_shape, image_shape[1:] if image_shape[0] == 1 else ())
    is_many = len(shape) == 2 and shape[1] == math.prod(image_shape)
    is_many |= shape[1:] == image_shape[1:] and image_shape[0] == 1
    if len(shape) > 1 and is_one and not is_many:
        raise ValueError(
            f"X has the shape {shape} of a single image: pass X[None], which is an "
            "array of one image."
        )


def _with_channels(shape: Shape, spatial_dims: int | str) -> Shape:
    """Put one channel before a shape that has none."""
    if isinstance(spatial_dims, str):
        _check_clear(shape)
        dims = SPATIAL_DIMS.get(len(shape), 3)
    else:
        dims = int(spatial_dims)
    if len(shape) not in (dims, dims + 1):
        raise ValueError(
            f"Images of shape {shape} do not fit spatial_dims={spatial_dims!r}: "
            f"image_shape needs {dims} sizes, or {dims + 1} with the channels first."
        )
    if len(shape) == dims:
        return (1, *shape)
    if shape[-1] in (1, 3, 4) and min(shape[:-1]) > shape[-1]:
        warn_caller(
            f"The shape {shape} is read as {shape[0]} channels of "
            f"{_times(shape[1:])}. If channels come last, move them: "
            "np.moveaxis(X, -1, 1)."
        )
    return shape


def _check_clear(shape: Shape) -> None:
    """Raise if a shape may be an image or something else."""
    what, *sizes = shape
    ends, other = (min(shape), max(shape)), ""
    if len(shape) == 2 and ends[1] >= LONG * ends[0]:
        other = f"spatial_dims=1 for signals of {what} channels and length {sizes[0]}"
    if len(shape) == 3 and what >= MANY and ends[1] <= 2 * ends[0]:
        other = f"spatial_dims=3 for volumes of {_times(shape)}"
    if not other:
        return
    image = f"{what} channels of {_times(sizes)}" if sizes[1:] else _times(shape)
    raise ValueError(
        f"The shape {shape} can be read in two ways: use spatial_dims=2 for images of "
        f"{image}, or {other}. Channels come first: if they are the last axis of X, "
        "move them by np.moveaxis(X, -1, 1)."
    )


def _times(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))


def shapes_of(n_features: int) -> list[Shape]:
    """Return shapes with ``n_features`` values: a signal, and the squarest images."""
    shapes = [(n_features,), _squarest(n_features)]
    if n_features % 3 == 0:
        shapes.append((3, *_squarest(n_features // 3)))
    return shapes


def _squarest(n: int) -> Shape:
    side = next(k for k in range(math.isqrt(n), 0, -1) if n % k == 0)
    return side, n // side


def _any_of(shapes: Iterable[Shape]) -> str:
    return " or ".join(map(str, shapes))
