"""Rows as pictures: images, or curves over the features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._rows.layout import SPATIAL_DIMS, Shape, find_shape, said_shape
from .._rows.statistics import extremes
from ._asking import find_owner
from ._axes import COLORS, merged

#: Left, right, bottom and top of a cell, in the units of the axes.
Box = tuple[float, float, float, float]
#: Share of a cell that a picture fills; the rest is a gap.
FILLED = 0.92
DIVERGING = "RdBu_r"


def find_layout(image_shape: Any, rows: np.ndarray, estimator: Any = None) -> Shape:
    """Return (channels, ...sizes) of a row; with one size it is a curve.

    It is ``image_shape``, else ``image_shape_``, else the shape of the rows.
    """
    n_values = int(np.prod(rows.shape[1:]))
    said, given = said_shape(image_shape), rows.shape[1:]
    fitted = getattr(find_owner(estimator, "image_shape_"), "image_shape_", None)
    # A step before it may have changed the number of features.
    if said is None and fitted is not None and int(np.prod(fitted)) == n_values:
        return fitted
    spatial_dims = SPATIAL_DIMS.get(len(said or given), 3)
    return find_shape(said, spatial_dims, given if len(given) > 1 else (), n_values)


def is_image(layout: Shape) -> bool:
    """Whether rows of a layout are images, and not curves."""
    return len(layout) > 2


def value_limits(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest value; they differ."""
    low, high = map(float, extremes(values))
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def grey_limits(values: np.ndarray) -> tuple[float, float]:
    """Return the 2nd and 98th percentile: extreme values would reduce contrast."""
    low, high = map(float, np.nanquantile(values, (0.02, 0.98)))
    return (low, high) if low < high else value_limits(values)


def signed_limits(values: np.ndarray, share: float = 1.0) -> tuple[float, float]:
    """Return limits, symmetric about zero, that cover a share of the values."""
    largest, most = map(float, np.nanquantile(abs(values), (share, 1.0)))
    limit = largest or most or 1.0
    return -limit, limit


def to_image(row: np.ndarray, layout: Shape, is_signed: bool) -> np.ndarray:
    """Return a row as an image.

    Three channels are colours, or averaged if values have a sign. Other channels are
    stacked vertically. A volume is shown by its middle slice.
    """
    channels = np.reshape(row, layout)
    if len(layout) > 3:
        channels = channels[:, layout[1] // 2]
    if len(channels) == 3:
        return channels.mean(0) if is_signed else np.moveaxis(channels, 0, -1)
    return np.concatenate(channels)


def cell(row: int, column: int) -> Box:
    """Return the box of a table's cell; rows are counted from the top."""
    return column, column + FILLED, row + FILLED, row


def cell_aspect(layout: Shape) -> float:
    """Return the height of a picture, divided by its width."""
    if not is_image(layout):
        return 1.0
    n_stacked = 1 if layout[0] == 3 else layout[0]
    return n_stacked * layout[-2] / layout[-1]


def table_size(
    n_rows: int, n_columns: int, layout: Shape, width: float = 0.8
) -> tuple[float, float]:
    """Return the size of a figure whose cells have this width, in inches."""
    return 1.6 + width * n_columns, 0.6 + width * n_rows * cell_aspect(layout)


def draw_cell(
    ax: Any,
    row: np.ndarray,
    layout: Shape,
    box: Box,
    limits: tuple[float, float],
    is_signed: bool = False,
    **kwargs: Any,
) -> None:
    """Draw a row into a box of the axes, as an image or as curves."""
    low, high = limits
    if not is_image(layout):
        _draw_curves(ax, (np.reshape(row, layout) - low) / (high - low), box, kwargs)
        return
    image = to_image(row, layout, is_signed)
    if image.ndim > 2:
        image = np.clip((image - low) / (high - low), 0, 1)
    colors = {"cmap": DIVERGING if is_signed else "gray", "vmin": low, "vmax": high}
    place = {"extent": box, "aspect": "auto", "origin": "upper"}
    options = {"interpolation": "nearest"} | colors | place
    ax.imshow(image, **merged("imshow", options, kwargs))


def _draw_curves(ax: Any, shares: np.ndarray, box: Box, kwargs: Any) -> None:
    """Draw a curve for each channel, given in shares of the height."""
    left, right, bottom, top = box
    x = np.linspace(left, right, shares.shape[1])
    for channel, color in zip(shares, _cycled(len(shares)), strict=True):
        options = merged("plot", {"color": color, "linewidth": 1.0}, kwargs)
        ax.plot(x, bottom + channel * (top - bottom), **options)


def plot_curves(ax: Any, row: np.ndarray, layout: Shape, **kwargs: Any) -> None:
    """Draw a row into axes of its own, a curve for each channel over the features."""
    for channel, color in zip(np.reshape(row, layout), _cycled(layout[0]), strict=True):
        options = merged("plot", {"color": color, "linewidth": 1.0}, kwargs)
        ax.plot(channel, **options)


def _cycled(n: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(n)]


def frame_table(ax: Any, n_rows: int, n_columns: int, layout: Shape) -> None:
    """Give axes the limits and the aspect of a table of cells, and no ticks."""
    ax.set(
        xlim=(FILLED - 1, n_columns),
        ylim=(n_rows, FILLED - 1),
        aspect=cell_aspect(layout) if is_image(layout) else "auto",
        # With other anchors, constrained layout leaves too little room for labels.
        anchor="SW",
        xticks=[],
        yticks=[],
    )
    ax.spines[:].set_visible(False)


def label_cells(axis: Any, labels: Sequence[str]) -> None:
    """Write labels at the middle of a table's rows or columns."""
    axis.set_ticks([place + FILLED / 2 for place in range(len(labels))], labels)
    axis.set_tick_params(length=0)
