"""What displays share: axes, colours, and matplotlib, imported late."""

from typing import Any

import numpy as np

from .._machine.extras import imported

#: Ten colours that readers with colour vision deficiency can tell apart, on light and
#: dark backgrounds (Petroff, "Accessible color sequences for data visualization",
#: arXiv:2107.02270, 2021).
COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)


def pyplot(owner: str) -> Any:
    """Return matplotlib's interface, or raise and name the extra that has it."""
    return imported("matplotlib.pyplot", owner)


def colormap() -> Any:
    """Return viridis without its ends, which are hard to see on black and on white."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["viridis"](np.linspace(0.2, 0.95, 256)))


def axes(ax: Any, owner: str, size: tuple[float, float] | None = None) -> Any:
    """Return the axes given, or those of a new figure of a size in inches."""
    plt = pyplot(owner)
    if ax is None:
        return plt.subplots(figsize=size, layout="constrained")[1]
    return ax


def axes_grid(
    ax: Any, n_rows: int, n_columns: int, size: tuple[float, float], owner: str
) -> np.ndarray:
    """Return a table of axes: those of a new figure, or parts of the axes given.

    ``size`` is the width and height of one of them in inches.
    """
    plt = pyplot(owner)
    if ax is None:
        figsize = (size[0] * n_columns, size[1] * n_rows)
        figure = plt.figure(figsize=figsize, layout="constrained")
        return figure.subplots(n_rows, n_columns, squeeze=False)
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"{owner} divides ax into {n_rows} x {n_columns} parts, which works only "
            "for axes of plt.subplots: pass one of those, or ax=None."
        )
    ax.set_axis_off()
    parts = place.subgridspec(n_rows, n_columns).subplots
    return parts(squeeze=False)


def count_in_integers(axis: Any) -> None:
    """Put the ticks of an axis at integers."""
    axis.get_major_locator().set_params(integer=True)
