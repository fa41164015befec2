"""Figures of a comparison: measures and maps."""

from typing import Any

import numpy as np

from ..inspection._axes import COLORS, axes_grid, colormap, plain
from .measures import LABELS

OWNER = "Comparison"
# Panels beside each other.
N_COLUMNS = 3


def _panels(n_panels: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """Return a figure with ``n_panels`` axes, three in a row."""
    n_columns = min(n_panels, N_COLUMNS)
    n_rows = -(-n_panels // n_columns)
    table = axes_grid(None, n_rows, n_columns, size, OWNER)
    for ax in table.flat[n_panels:]:
        ax.set_axis_off()
    return table[0, 0].figure, list(table.flat[:n_panels])


def draw_scores(scores: Any) -> Any:
    """Draw a panel for each measure: a bar at the mean, a dot for each fold."""
    names = list(scores["estimator"].unique())
    measures = [m for m in LABELS if m in scores and scores[m].notna().any()]
    height = max(2.0, 0.7 + 0.35 * len(names))
    figure, panels = _panels(len(measures), (4.0, height))
    for ax, measure in zip(panels, measures, strict=True):
        for place, name in enumerate(names):
            values = scores.loc[scores["estimator"] == name, measure]
            color = COLORS[place % len(COLORS)]
            ax.plot(values, np.full(len(values), place), "o", color=color, alpha=0.6)
            ax.plot(values.mean(), place, "|", color=color, markersize=18, mew=3)
        ax.set(xlabel=LABELS[measure], ylim=(len(names) - 0.5, -0.5))
        ax.set_yticks(range(len(names)), map(plain, names))
        # Seconds of different methods differ in size.
        ax.set_xscale("log" if measure.endswith("seconds") else "linear")
    return figure


def draw_maps(maps: dict[str, np.ndarray], labels: np.ndarray | None) -> Any:
    """Draw a panel for each estimator, its rows coloured by class."""
    figure, panels = _panels(len(maps), (4.0, 3.6))
    classes = [None] if labels is None else list(np.unique(labels))
    colors = _colors(len(classes))
    for ax, (name, rows) in zip(panels, maps.items(), strict=True):
        for label, color in zip(classes, colors, strict=True):
            some = rows if labels is None else rows[labels == label]
            ax.plot(*some.T, ".", color=color, label=plain(label), alpha=0.7)
        ax.set(title=plain(name), xticks=[], yticks=[])
    if labels is not None:
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside right upper", title="class")
    return figure


def _colors(n_classes: int) -> list[Any]:
    """Return a colour for each class; many are steps of one scale."""
    if n_classes <= len(COLORS):
        return list(COLORS[:n_classes])
    return list(colormap()(np.linspace(0, 1, n_classes)))
