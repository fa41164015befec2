"""Codes as a map: by class, by value, in pairs of components."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA

from .._machine.extras import imported
from ._asking import codes_of
from ._axes import COLORS, axes, axes_grid, merged
from ._labels import Labels, read_labels

# Maximum number of components for all pairs.
MOST_PAIRED = 8
DOTS = {"s": 12, "linewidths": 0, "alpha": 0.8}


class CodeDisplay:
    """Codes of rows in two dimensions, coloured by class or by value.

    Two components are drawn as they are. With more, either all pairs are drawn, or the
    first two principal axes of the codes. A single component is drawn as a histogram,
    or against the values of ``y``.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_components)
        Codes. With more than two columns all pairs are drawn.
    y : array-like of shape (n_samples,), default=None
        Class or value of each row. Strings, booleans, and up to 20 distinct integers
        are classes, with a legend. Other numbers and dates are values, with a colour
        bar. Rows whose entry is None, NaN or masked are grey, "unlabelled".
    names : sequence of str, default=None
        Name of each column of ``codes``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the codes, or of the first pair.
    axes_ : ndarray of shape (n_components - 1, n_components - 1)
        Axes of the pairs, those above the diagonal switched off. Only for pairs.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import CodeDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = CodeDisplay.from_estimator(PCA(2).fit(X), X, y)
    >>> display.ax_.get_xlabel()
    'Component 0'
    """

    def __init__(
        self, codes: Any, *, y: Any = None, names: Sequence[str] | None = None
    ) -> None:
        self.codes = codes
        self.y = y
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        pairs: bool = False,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the codes of rows.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform``.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in.
        y : array-like of shape (n_samples,), default=None
            Class or value of each row.
        pairs : bool, default=False
            Whether to draw all pairs of three to eight components. If not, their first
            two principal axes are drawn, ``(z - mean(z)) u_k``.
        ax : matplotlib Axes, default=None
            Axes to draw into, or to divide for pairs; None makes a new figure.
        **kwargs : dict
            Options of the dots, as in ``ax.scatter``, or of a histogram, as in
            ``ax.hist``.

        Returns
        -------
        display : CodeDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``transform``, or if ``y`` holds durations.
        ValueError
            If codes are not finite, if ``y`` is not one class or value for each row, if
            it has more than 20 classes of text, or infinite values, or if there are
            more than eight components with ``pairs=True``.
        """
        codes = codes_of(estimator, X)
        names = None
        if codes.shape[1] > 2 and pairs:
            _check_paired(codes.shape[1])
        elif codes.shape[1] > 2:
            codes, names = _along_principal_axes(codes)
        return cls(codes, y=y, names=names).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the codes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into, or to divide for pairs; None makes a new figure.
        **kwargs : dict
            Options of the dots, as in ``ax.scatter``, or of a histogram, as in
            ``ax.hist``.

        Returns
        -------
        display : CodeDisplay
            The display itself.
        """
        codes, owner = np.asarray(self.codes), type(self).__name__
        _check_colours(self.y, kwargs, owner)
        labels = None if self.y is None else read_labels(self.y, codes)
        names = self.names or [f"Component {j}" for j in range(codes.shape[1])]
        if codes.shape[1] > 2:
            self.axes_ = _draw_pairs(ax, codes, labels, names, owner, kwargs)
            self.ax_ = self.axes_[0, 0]
        else:
            self.ax_ = axes(ax, owner)
            draw = _draw_one if codes.shape[1] == 1 else _draw_two
            dots = draw(self.ax_, codes.T, labels, kwargs)
            self.ax_.set(**dict(zip(("xlabel", "ylabel"), names, strict=False)))
            place = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
            _explain(self.ax_, labels, dots, self.ax_, **place)
        self.figure_ = self.ax_.figure
        return self


def _draw_two(
    ax: Any, codes: np.ndarray, labels: Labels | None, kwargs: dict[str, Any]
) -> Any:
    """Draw two components against each other, and return the first dots."""
    everywhere = np.full(codes.shape[1], True), {"color": COLORS[0]}
    drawn = [
        ax.scatter(*codes[:, rows], **merged("scatter", DOTS | style, kwargs))
        for rows, style in (labels.parts() if labels else [everywhere])
    ]
    return drawn[0]


def _draw_one(
    ax: Any, codes: np.ndarray, labels: Labels | None, kwargs: dict[str, Any]
) -> None:
    """Draw one component as a histogram, or against the values."""
    if labels and not labels.are_classes:
        # Colours would repeat the vertical axis.
        _draw_two(ax, np.stack([codes[0], labels.values]), None, kwargs)
        ax.set_ylabel(labels.axis_label)
        if labels.are_dates:
            ax.yaxis_date()
        return
    parts = list(labels.parts()) if labels else [(slice(None), {"color": COLORS[0]})]
    options = {
        "bins": 30,
        "stacked": True,
        "color": [style["color"] for _, style in parts],
        "label": [style.get("label") for _, style in parts],
    }
    heights = [codes[0, rows] for rows, _ in parts]
    ax.hist(heights, **merged("hist", options, kwargs))
    ax.set_ylabel("Rows")


def _draw_pairs(
    ax: Any,
    codes: np.ndarray,
    labels: Labels | None,
    names: Sequence[str],
    owner: str,
    kwargs: dict[str, Any],
) -> np.ndarray:
    """Draw every pair of components in the lower triangle of a table of axes."""
    n_parts = codes.shape[1] - 1
    table = axes_grid(ax, n_parts, n_parts, (2.4, 2.4), owner)
    for (i, j), part in np.ndenumerate(table):
        if j > i:
            part.set_axis_off()
            continue
        dots = _draw_two(part, codes[:, [j, i + 1]].T, labels, kwargs)
        part.set(xlabel=names[j], ylabel=names[i + 1])
        part.sharex(table[-1, j])
        part.sharey(table[i, 0])
        part.label_outer()
    _explain(table[0, 0], labels, dots, table[0, -1], loc="center")
    return table


def _explain(
    drawn: Any, labels: Labels | None, dots: Any, ax: Any, **place: Any
) -> None:
    """Add a legend of the classes drawn, or a bar of the values, at other axes."""
    if labels and labels.are_classes:
        ax.legend(*drawn.get_legend_handles_labels(), markerscale=2, **place)
    elif labels and dots and dots.get_array() is not None:
        _add_bar(dots, labels, ax)


def _add_bar(dots: Any, labels: Labels, ax: Any) -> None:
    """Add a bar of the colours of values."""
    dates = import_module("matplotlib.dates")
    ticks: dict[str, Any] = {}
    if labels.are_dates:
        locator = dates.AutoDateLocator()
        ticks = {"ticks": locator, "format": dates.ConciseDateFormatter(locator)}
    dots.figure.colorbar(dots, ax=ax, label=labels.axis_label, **ticks)


def _check_colours(y: Any, kwargs: dict[str, Any], owner: str) -> None:
    is_colour = imported("matplotlib.colors", owner).is_color_like
    if y is not None and "c" in kwargs and not is_colour(kwargs["c"]):
        raise ValueError(
            "y and c both give a colour for each row: pass one of them, y for classes "
            "or values with a legend, or c as in ax.scatter."
        )


def _check_paired(n_components: int) -> None:
    if n_components > MOST_PAIRED:
        raise ValueError(
            f"pairs=True draws {MOST_PAIRED} components at most, but codes have "
            f"{n_components}: use pairs=False, which draws their principal axes."
        )


def _along_principal_axes(codes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the first two principal components of codes, and their names."""
    if len(codes) < 2:
        raise ValueError(
            f"X has {len(codes)} row, but the principal axes of its codes need at "
            "least two: pass more rows, or use pairs=True."
        )
    # Codes that are all equal have no variance to divide by.
    with np.errstate(invalid="ignore"):
        pca = PCA(2, svd_solver="full").fit(codes)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    names = [f"Principal axis {k} of codes ({s:.0%})" for k, s in enumerate(shares)]
    return pca.transform(codes), names
