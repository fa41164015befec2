"""Rows beside their reconstructions."""

from typing import Any, Self

import numpy as np

from .._rows.checks import POSITIVE_INTEGER
from .._rows.layout import Shape
from ._asking import as_rows, check_parameter, first_rows, reconstruct
from ._axes import axes, axes_grid
from ._pictures import (
    cell,
    draw_cell,
    find_layout,
    frame_table,
    is_image,
    label_cells,
    plot_curves,
    signed_limits,
    table_size,
    value_limits,
)


class ReconstructionDisplay:
    """Rows, their corrupted versions if any, their reconstructions and the errors.

    Each row is a column of the picture: input ``x``, corrupted input ``x~`` if there is
    one, reconstruction ``x^ = decode(encode(x~))``, and error ``x^ - x``. Images share
    one grey scale; the colours of errors are centred at zero.

    Parameters
    ----------
    inputs : array-like of shape (n_samples, ...)
        Rows.
    reconstructions : array-like of shape (n_samples, ...)
        Their reconstructions.
    corrupted : array-like of shape (n_samples, ...), default=None
        Rows that were reconstructed in place of ``inputs``.
    image_shape : tuple of int, default=None
        Channels and sizes of a row, such as (1, 8, 8) for images, or (1, 64) for
        curves. None draws flat rows as curves.

    Attributes
    ----------
    errors : ndarray of shape (n_samples, ...)
        ``reconstructions - inputs``.
    ax_ : matplotlib Axes
        Axes with all images, or those of the first curve.
    axes_ : ndarray
        Axes of the curves, a row for each of input, reconstruction and error. Only for
        curves.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import ReconstructionDisplay
    >>> X = load_digits().data
    >>> display = ReconstructionDisplay.from_estimator(
    ...     PCA(8).fit(X), X, n_samples=5, image_shape=(8, 8)
    ... )
    >>> display.errors.shape
    (5, 64)
    """

    def __init__(
        self,
        inputs: Any,
        reconstructions: Any,
        *,
        corrupted: Any = None,
        image_shape: Shape | None = None,
    ) -> None:
        self.inputs = inputs
        self.reconstructions = reconstructions
        self.corrupted = corrupted
        self.image_shape = image_shape

    @property
    def errors(self) -> np.ndarray:
        """``reconstructions - inputs``."""
        return np.asarray(self.reconstructions) - np.asarray(self.inputs)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        corrupted: Any = None,
        n_samples: int = 8,
        image_shape: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the first rows beside their reconstructions.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform`` and ``inverse_transform``.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in.
        corrupted : array-like of the shape of X, default=None
            Rows to reconstruct in place of ``X``, such as noisy ones.
        n_samples : int, default=8
            Maximum number of rows to draw.
        image_shape : int or tuple of int, default=None
            Shape of a row: (28, 28), or (3, 32, 32) with channels first. None uses
            ``image_shape_`` of the estimator if it has one, else the shape of the
            array's rows; flat rows are drawn as curves over the features.
        ax : matplotlib Axes, default=None
            Axes to draw images into, or to divide for curves; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it cannot reconstruct.
        ValueError
            If ``n_samples`` is not positive, ``corrupted`` has another shape than
            ``X``, rows do not fit ``image_shape``, or a reconstruction is not finite.
        """
        check_parameter(cls, "n_samples", n_samples, POSITIVE_INTEGER)
        asked, is_corrupted = first_rows(X, n_samples), corrupted is not None
        inputs = as_rows(asked)
        if is_corrupted:
            asked = first_rows(corrupted, n_samples, "corrupted")
            _check_same_shape(as_rows(asked), inputs)
        display = cls(
            inputs,
            reconstruct(estimator, asked).reshape(inputs.shape),
            corrupted=as_rows(asked) if is_corrupted else None,
            image_shape=find_layout(image_shape, inputs, estimator),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw rows, reconstructions and errors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw images into, or to divide for curves; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.
        """
        layout = self.image_shape or find_layout(None, np.asarray(self.inputs))
        shown = {
            "Input": self.inputs,
            "Corrupted": self.corrupted,
            "Reconstruction": self.reconstructions,
        }
        shown = {k: np.asarray(v) for k, v in shown.items() if v is not None}
        draw = self._plot_images if is_image(layout) else self._plot_curves
        draw(ax, shown, layout, kwargs)
        return self

    def _plot_images(
        self, ax: Any, shown: dict[str, np.ndarray], layout: Shape, kwargs: Any
    ) -> None:
        n_rows, n_columns = len(shown) + 1, len(self.errors)
        ax = axes(ax, type(self).__name__, table_size(n_rows, n_columns, layout))
        limits = value_limits(np.asarray(self.inputs))
        for i, rows in enumerate(shown.values()):
            for j, row in enumerate(rows):
                draw_cell(ax, row, layout, cell(i, j), limits, **kwargs)
        of_errors = signed_limits(self.errors)
        for j, row in enumerate(self.errors):
            box = cell(n_rows - 1, j)
            draw_cell(ax, row, layout, box, of_errors, is_signed=True, **kwargs)
        frame_table(ax, n_rows, n_columns, layout)
        label_cells(ax.yaxis, [*shown, "Error"])
        label_cells(ax.xaxis, [str(j) for j in range(n_columns)])
        ax.set_xlabel("Row")
        ax.figure.colorbar(ax.images[-1], ax=ax, label="Error", shrink=0.8)
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_curves(
        self, ax: Any, shown: dict[str, np.ndarray], layout: Shape, kwargs: Any
    ) -> None:
        n_rows, n_columns = len(shown) + 1, len(self.errors)
        owner = type(self).__name__
        table = axes_grid(ax, n_rows, n_columns, (1.6, 1.4), owner)
        drawn = [*shown.items(), ("Error", self.errors)]
        for of_kind, (label, rows) in zip(table, drawn, strict=True):
            for part, row in zip(of_kind, rows, strict=True):
                part.sharey(table[-1 if label == "Error" else 0, 0])
                plot_curves(part, row, layout, **kwargs)
                part.set(xlabel="Feature", ylabel=label)
        for part in table[-1]:
            part.axhline(0, color="gray", linewidth=0.8, zorder=0)
        for part in table.flat:
            part.label_outer()
        self.axes_, self.ax_, self.figure_ = table, table[0, 0], table[0, 0].figure


def _check_same_shape(corrupted: np.ndarray, inputs: np.ndarray) -> None:
    if corrupted.shape != inputs.shape:
        raise ValueError(
            f"the first rows of corrupted have shape {corrupted.shape}, but those of X "
            f"have {inputs.shape}: pass a corrupted copy of X."
        )
