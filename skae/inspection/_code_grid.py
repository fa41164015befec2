"""Decoded grid over a code of two components."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .._rows.checks import check_reconstructs
from .._rows.layout import Shape
from ._asking import as_rows, codes_of
from ._axes import COLORS, axes
from ._pictures import (
    FILLED,
    draw_cell,
    find_layout,
    grey_limits,
    is_image,
    value_limits,
)
from ._walks import decode, places


class CodeGridDisplay:
    """Decoded grid of a code of two components.

    ``decode((a_i, b_j))`` is drawn at the place of the code ``(a_i, b_j)``, where ``a``
    and ``b`` are evenly spaced between two percentiles of the codes. The grey scale of
    images leaves out the darkest and the lightest 2% of the values.

    Parameters
    ----------
    first, second : array-like of shape (n_steps,)
        Values of the first component, from left to right, and of the second, upwards.
    reconstructions : array-like of shape (n_steps, n_steps, ...)
        Decoded codes: at ``[i, j]`` that of ``(first[j], second[i])``.
    codes : array-like of shape (n_samples, 2), default=None
        Codes of rows, drawn as dots over the grid.
    image_shape : tuple of int, default=None
        Channels and sizes of a row, such as (1, 8, 8) for images, or (1, 64) for
        curves. None draws flat rows as curves.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the grid, whose coordinates are the code.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import CodeGridDisplay
    >>> X = load_digits().data
    >>> display = CodeGridDisplay.from_estimator(
    ...     PCA(2).fit(X), X, n_steps=5, image_shape=(8, 8)
    ... )
    >>> display.reconstructions.shape
    (5, 5, 64)
    """

    def __init__(
        self,
        first: Any,
        second: Any,
        reconstructions: Any,
        *,
        codes: Any = None,
        image_shape: Shape | None = None,
    ) -> None:
        self.first = first
        self.second = second
        self.reconstructions = reconstructions
        self.codes = codes
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_steps: int = 12,
        percentiles: Sequence[float] = (0.02, 0.98),
        show_codes: bool = False,
        image_shape: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Decode a grid over the codes of rows, and draw it.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform`` and ``inverse_transform``, and two
            components.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in.
        n_steps : int, default=12
            Number of values of each component.
        percentiles : sequence of two float, default=(0.02, 0.98)
            First and last value of each component, as shares of the rows of ``X``.
        show_codes : bool, default=False
            Whether to draw the codes of ``X`` as dots.
        image_shape : int or tuple of int, default=None
            Shape of a row: (28, 28), or (3, 32, 32) with channels first. None uses
            ``image_shape_`` of the estimator if it has one, else the shape of the
            array's rows; flat rows are drawn as curves over the features.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : CodeGridDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it cannot reconstruct.
        ValueError
            If codes do not have two components, a number is invalid, or rows do not fit
            ``image_shape``.
        """
        check_reconstructs(estimator)
        codes = codes_of(estimator, X)
        _check_plane(codes, type(estimator).__name__)
        first, second = (places(column, n_steps, percentiles) for column in codes.T)
        grid = np.stack(np.meshgrid(first, second), axis=-1)
        rows = as_rows(decode(estimator, grid.reshape(-1, 2)).reconstructions)
        drawn = first, second, rows.reshape(*grid.shape[:2], *rows.shape[1:])
        layout = find_layout(image_shape, rows, estimator)
        display = cls(*drawn, codes=codes if show_codes else None, image_shape=layout)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : CodeGridDisplay
            The display itself.
        """
        rows = np.asarray(self.reconstructions)
        layout = self.image_shape or find_layout(None, rows[0])
        ax = axes(ax, type(self).__name__, (6.4, 6.4))
        limits = grey_limits(rows) if is_image(layout) else value_limits(rows)
        x, y = _edges(self.first), _edges(self.second)
        for i, j in np.ndindex(rows.shape[:2]):
            box = (*_shrunk(x[j : j + 2]), *_shrunk(y[i : i + 2]))
            draw_cell(ax, rows[i, j], layout, box, limits, **kwargs)
        if self.codes is not None:
            dots = {"s": 6, "alpha": 0.6, "linewidths": 0, "zorder": 3}
            ax.scatter(*np.transpose(self.codes), color=COLORS[1], **dots)
        ax.set(xlabel="Component 0", ylabel="Component 1")
        ax.set(xlim=x[[0, -1]], ylim=y[[0, -1]])
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _edges(values: Any) -> np.ndarray:
    """Return the edges of cells about even values."""
    width = (values[-1] - values[0]) / (len(values) - 1)
    return values[0] + width * (np.arange(len(values) + 1) - 0.5)


def _shrunk(ends: np.ndarray) -> np.ndarray:
    """Return the ends of what fills a cell."""
    return ends.mean() + FILLED * (ends - ends.mean())


def _check_plane(codes: np.ndarray, owner: str) -> None:
    """Raise unless codes have two components, and each of them varies."""
    if codes.shape[1] != 2:
        raise ValueError(
            "CodeGridDisplay draws codes of 2 components, but those of "
            f"{owner} have {codes.shape[1]}: fit it with n_components=2, or use "
            "TraversalDisplay."
        )
    # Codes of equal rows may differ by rounding.
    is_constant = np.ptp(codes, axis=0) <= 1e-6 * abs(codes).max(axis=0)
    for component in np.flatnonzero(is_constant):
        raise ValueError(
            f"Component {component} is {codes[0, component]:.3g} in all {len(codes)} "
            "rows of X, so there is no grid: pass rows whose codes differ."
        )
