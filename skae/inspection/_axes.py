"""What displays share: axes, colours, and matplotlib, imported late."""

from importlib import import_module
from typing import Any

import numpy as np

from .._machine.extras import imported
from .._rows.checks import described

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
#: The artists that methods of axes draw, whose options they take.
ARTISTS = {
    "plot": ("lines", "Line2D"),
    "scatter": ("collections", "Collection"),
    "quiver": ("collections", "Collection"),
    "bar": ("patches", "Patch"),
    "hist": ("patches", "Patch"),
    "stairs": ("patches", "Patch"),
    "imshow": ("image", "AxesImage"),
}
#: Projections of axes that have no straight x and y, or a third axis.
BENT = {"polar", "3d"}
#: Defaults that matplotlib does not take beside an option.
REPLACED = {
    "c": {"color", "cmap"},
    "color": {"c", "cmap"},
    "facecolor": {"c", "cmap"},
    "norm": {"vmin", "vmax"},
}


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
    _check_axes(ax, owner)
    return ax


def _check_axes(ax: Any, owner: str) -> None:
    if not isinstance(ax, pyplot(owner).Axes) or ax.name in BENT:
        raise TypeError(
            f"ax is {described(ax)}, but {owner} draws into one matplotlib Axes with "
            "straight x and y: pass that of figure.add_subplot(), or axs[0] of figure, "
            "axs = plt.subplots(1, 2), or ax=None."
        )


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
    _check_axes(ax, owner)
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
    """Put the ticks of a linear axis at integers."""
    from matplotlib.ticker import MaxNLocator

    if isinstance(locator := axis.get_major_locator(), MaxNLocator):
        locator.set_params(integer=True)


def merged(
    method: str, defaults: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any]:
    """Return the options of a method of axes: those given, else the defaults.

    Short names, such as ``lw``, replace the default of the full name.
    """
    from matplotlib.cbook import normalize_kwargs

    module, name = ARTISTS[method]
    artist = getattr(import_module(f"matplotlib.{module}"), name)
    options = normalize_kwargs(given, artist)
    replaced = set().union(*(REPLACED.get(option, ()) for option in options))
    kept = normalize_kwargs(defaults, artist).items()
    return {name: value for name, value in kept if name not in replaced} | options


def plain(name: Any) -> str:
    """Return a name as matplotlib shows it unchanged.

    Text between $ would be set as a formula, and a label that starts with _ would be
    left out of a legend.
    """
    text = str(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
