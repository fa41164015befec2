"""What displays share: matplotlib, imported late, and pictures of rows."""

from typing import Any

import numpy as np

#: Colours of Okabe and Ito, which the colour-blind can tell apart, on white and black.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")


def pyplot(owner: str) -> Any:
    """Return matplotlib's interface, or raise and name the extra that has it."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner} draws with matplotlib, which is not installed: pip install "
            "'skae[plot]'."
        ) from error
    return plt


def axes(ax: Any, owner: str) -> tuple[Any, Any]:
    """Return a figure and axes: those given, or new ones."""
    plt = pyplot(owner)
    if ax is None:
        return plt.subplots(layout="constrained")
    return ax.figure, ax


def axes_grid(
    ax: Any, n_rows: int, n_columns: int, size: tuple[float, float], owner: str
) -> tuple[Any, np.ndarray]:
    """Return a figure and a table of axes: new ones, or parts of those given."""
    plt = pyplot(owner)
    if ax is None:
        width, height = size
        return plt.subplots(
            n_rows,
            n_columns,
            figsize=(width * n_columns, height * n_rows),
            squeeze=False,
            layout="constrained",
        )
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"{owner} divides ax into {n_rows} x {n_columns} parts, which it can do "
            "with axes of plt.subplots: pass one of those, or ax=None."
        )
    ax.set_axis_off()
    parts = place.subgridspec(n_rows, n_columns)
    table = [
        [ax.figure.add_subplot(parts[i, j]) for j in range(n_columns)]
        for i in range(n_rows)
    ]
    return ax.figure, np.array(table)


def shape_of_rows(image_shape: Any, rows: np.ndarray, estimator: Any) -> Any:
    """Return the shape of what a row shows; None for a curve over its features."""
    if image_shape is None:
        image_shape = getattr(estimator, "image_shape_", rows.shape[1:])
    if np.isscalar(image_shape):
        image_shape = (int(image_shape),)
    n_values = int(np.prod(rows.shape[1:]))
    if int(np.prod(image_shape)) != n_values:
        raise ValueError(
            f"image_shape={image_shape!r} has {int(np.prod(image_shape))} values, but "
            f"a row has {n_values}: the product of its sizes must be that."
        )
    sizes = tuple(size for size in image_shape if size != 1)
    return sizes if len(sizes) > 1 else None
