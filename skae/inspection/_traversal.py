"""What components change: decoded steps along each of them."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .._rows.checks import check_reconstructs
from .._rows.layout import Shape
from ._asking import as_rows, codes_of
from ._axes import axes, axes_grid, colormap, merged, pyplot
from ._pictures import (
    cell,
    draw_cell,
    find_layout,
    frame_table,
    grey_limits,
    is_image,
    label_cells,
    plot_curves,
    table_size,
    value_limits,
)
from ._walks import find_origin, walk_component

# Maximum number of components with components=None.
MOST_DRAWN = 8


class TraversalDisplay:
    """Decoded codes that move along one component, for some components.

    ``decode(z + t e_j)``, as in :func:`skae.inspection.traverse_component`. Images are
    drawn in one row for each component; their grey scale leaves out the darkest and the
    lightest 2% of the values. Curves are drawn in separate axes for each component,
    coloured by its value.

    Parameters
    ----------
    components : sequence of int
        Index of each component drawn.
    values : array-like of shape (n_drawn, n_steps)
        Values of the component along each walk.
    reconstructions : array-like of shape (n_drawn, n_steps, ...)
        Decoded codes.
    image_shape : tuple of int, default=None
        Channels and sizes of a row, such as (1, 8, 8) for images, or (1, 64) for
        curves. None draws flat rows as curves.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with all images, or with the curves of the first component.
    axes_ : ndarray of shape (n_drawn, 1)
        Axes of the components. Only for curves.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import TraversalDisplay
    >>> X = load_digits().data
    >>> display = TraversalDisplay.from_estimator(
    ...     PCA(3).fit(X), X, image_shape=(8, 8), n_steps=5
    ... )
    >>> display.reconstructions.shape
    (3, 5, 64)
    """

    def __init__(
        self,
        components: Sequence[int],
        values: Any,
        reconstructions: Any,
        *,
        image_shape: Shape | None = None,
    ) -> None:
        self.components = components
        self.values = values
        self.reconstructions = reconstructions
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        components: Sequence[int] | None = None,
        image_shape: Any = None,
        ax: Any = None,
        origin: Any = None,
        n_steps: int = 9,
        percentiles: Sequence[float] = (0.05, 0.95),
        **kwargs: Any,
    ) -> Self:
        """Walk along components, and draw what is decoded.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform`` and ``inverse_transform``.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in.
        components : sequence of int, default=None
            Components to walk along; None is the first eight, or all if there are
            fewer.
        image_shape : int or tuple of int, default=None
            Shape of a row: (28, 28), or (3, 32, 32) with channels first. None uses
            ``image_shape_`` of the estimator if it has one, else the shape of the
            array's rows; flat rows are drawn as curves over the features.
        ax : matplotlib Axes, default=None
            Axes to draw images into, or to divide for curves; None makes a new figure.
        origin : array-like of shape (1, ...), default=None
            One row to start from; None is the mean of the codes of ``X``.
        n_steps : int, default=9
            Number of codes of each walk.
        percentiles : sequence of two float, default=(0.05, 0.95)
            First and last value of a component, as shares of the rows of ``X``.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : TraversalDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it cannot reconstruct.
        ValueError
            If there is no such component, a number is invalid, or rows do not fit
            ``image_shape``.
        """
        check_reconstructs(estimator)
        codes = codes_of(estimator, X)
        start = find_origin(estimator, codes, origin)
        components = _chosen(components, codes.shape[1])
        steps = start, n_steps, percentiles
        walks = [walk_component(estimator, codes, c, *steps) for c in components]
        rows = np.stack([as_rows(walk.reconstructions) for walk in walks])
        values = [w.codes[:, c] for w, c in zip(walks, components, strict=True)]
        layout = find_layout(image_shape, rows[0], estimator)
        drawn = list(components), np.stack(values), rows
        return cls(*drawn, image_shape=layout).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the walks.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw images into, or to divide for curves; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : TraversalDisplay
            The display itself.
        """
        walks = np.asarray(self.reconstructions)
        layout = self.image_shape or find_layout(None, walks[0])
        draw = self._plot_images if is_image(layout) else self._plot_curves
        draw(ax, walks, layout, kwargs)
        return self

    def _plot_images(
        self, ax: Any, walks: np.ndarray, layout: Shape, kwargs: Any
    ) -> None:
        n_rows, n_columns = walks.shape[:2]
        ax = axes(ax, type(self).__name__, table_size(n_rows, n_columns, layout))
        limits = grey_limits(walks)
        for i, j in np.ndindex(n_rows, n_columns):
            draw_cell(ax, walks[i, j], layout, cell(i, j), limits, **kwargs)
        frame_table(ax, n_rows, n_columns, layout)
        ends = zip(self.components, np.asarray(self.values)[:, [0, -1]], strict=True)
        label_cells(
            ax.yaxis, [f"Component {c}\n{a:.3g} to {b:.3g}" for c, (a, b) in ends]
        )
        ax.set_xlabel("Value of the component, from lowest to highest")
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_curves(
        self, ax: Any, walks: np.ndarray, layout: Shape, kwargs: Any
    ) -> None:
        owner = type(self).__name__
        table, plt = axes_grid(ax, len(walks), 1, (6.4, 2.0), owner), pyplot(owner)
        for part, component, values, rows in zip(
            table[:, 0], self.components, self.values, walks, strict=True
        ):
            norm = plt.Normalize(*value_limits(np.asarray(values)))
            colors = plt.cm.ScalarMappable(norm, colormap())
            for color, row in zip(colors.to_rgba(values), rows, strict=True):
                plot_curves(
                    part, row, layout, **merged("plot", {"color": color}, kwargs)
                )
            part.figure.colorbar(colors, ax=part, label=f"Component {component}")
            part.set(xlabel="Feature", ylabel="Decoded value")
            part.sharex(table[-1, 0])
            part.label_outer()
        self.axes_, self.ax_, self.figure_ = table, table[0, 0], table[0, 0].figure


def _chosen(components: Sequence[int] | None, n_components: int) -> Sequence[int]:
    """Return the components asked for, or the first ones."""
    if components is None:
        return range(min(n_components, MOST_DRAWN))
    if not np.iterable(components) or not len(components):
        raise ValueError(f"components={components!r} must be indices, such as (0, 1).")
    return components
