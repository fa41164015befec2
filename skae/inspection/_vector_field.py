"""Displacement of the points of a plane by reconstruction."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA

from .._rows.checks import POSITIVE_INTEGER, check_index
from .._rows.containers import column_names
from ._asking import check_parameter, flat_rows, in_container, reconstruct
from ._axes import COLORS, axes, merged, plain
from ._pictures import value_limits

# Margin of the grid at each end, as a share of the range of the rows.
MARGIN = 0.1


class VectorFieldDisplay:
    """Displacement of points by reconstruction, as arrows on a grid.

    ``decode(encode(x)) - x`` at points ``x`` of a plane, projected on the plane. For a
    denoising autoencoder with small noise it is proportional to the gradient of the log
    density of the rows [1]_. By default only the relative lengths of arrows are
    meaningful; ``scale=1, scale_units="xy"`` draws their true lengths.

    Parameters
    ----------
    first, second : array-like of shape (n_steps,)
        Coordinates of the grid, from left to right and upwards.
    arrows : array-like of shape (n_steps, n_steps, 2)
        Displacements: at ``[i, j]`` that of the point ``(first[j], second[i])``.
    rows : array-like of shape (n_samples, 2), default=None
        Coordinates of rows, drawn as dots.
    names : sequence of two str, default=None
        Names of the coordinates.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the arrows.
    figure_ : matplotlib Figure
        Figure with the axes.

    References
    ----------
    .. [1] G. Alain and Y. Bengio, "What regularized auto-encoders learn from the
       data-generating distribution", JMLR 15, 2014.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import VectorFieldDisplay
    >>> X, _ = make_moons(100, noise=0.05, random_state=0)
    >>> display = VectorFieldDisplay.from_estimator(PCA(1).fit(X), X, n_steps=5)
    >>> display.arrows.shape
    (5, 5, 2)
    """

    def __init__(
        self,
        first: Any,
        second: Any,
        arrows: Any,
        *,
        rows: Any = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.first = first
        self.second = second
        self.arrows = arrows
        self.rows = rows
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        features: Sequence[int] | None = None,
        n_steps: int = 20,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Reconstruct a grid of points about rows, and draw where they move.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform`` and ``inverse_transform``.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in, without missing values.
        features : sequence of two int, default=None
            Features that span the plane; all others are at their mean. With None it is
            the first two principal axes of ``X`` through its mean, or both features if
            there are two.
        n_steps : int, default=20
            Number of points along each axis.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the arrows, as in ``ax.quiver``.

        Returns
        -------
        display : VectorFieldDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it cannot reconstruct.
        ValueError
            If ``X`` has fewer than two features or rows, or values that are not finite,
            if ``features`` are not two of them, or if ``n_steps`` is not positive.
        """
        check_parameter(cls, "n_steps", n_steps, POSITIVE_INTEGER)
        flat = flat_rows(X, ensure_min_features=2)
        centre, basis, names = _plane(flat, features, column_names(X, flat.shape[1]))
        rows = (flat - centre) @ basis.T
        first, second = (_grid(column, n_steps) for column in rows.T)
        points = centre + np.stack(np.meshgrid(first, second), axis=-1) @ basis
        asked = in_container(points.reshape(-1, *np.shape(X)[1:]), X)
        moved = reconstruct(estimator, asked).reshape(points.shape)
        arrows = (moved - points) @ basis.T
        display = cls(first, second, arrows, rows=rows, names=names)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw arrows and rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the arrows, as in ``ax.quiver``.

        Returns
        -------
        display : VectorFieldDisplay
            The display itself.
        """
        ax = axes(ax, type(self).__name__)
        if self.rows is not None:
            dots = {"s": 8, "linewidths": 0, "alpha": 0.6}
            ax.scatter(*np.transpose(self.rows), color=COLORS[1], label="rows", **dots)
        defaults = {"angles": "xy", "color": COLORS[0], "zorder": 2}
        options = merged("quiver", defaults, kwargs)
        ax.quiver(self.first, self.second, *np.moveaxis(self.arrows, -1, 0), **options)
        names = self.names or ("First coordinate", "Second coordinate")
        ax.set(xlabel=plain(names[0]), ylabel=plain(names[1]))
        self.ax_, self.figure_ = ax, ax.figure
        return self


#: A point, two orthonormal directions, and the names of the coordinates along them.
Plane = tuple[np.ndarray, np.ndarray, list[str]]


def _plane(X: np.ndarray, features: Any, columns: list[Any]) -> Plane:
    """Return the plane of two features, or of the first two principal axes."""
    if features is None and X.shape[1] > 2:
        return _principal_plane(X)
    pair = _check_features((0, 1) if features is None else features, X.shape[1])
    return _feature_plane(X, pair, columns)


def _principal_plane(X: np.ndarray) -> Plane:
    # Rows that are all equal have no variance to divide by.
    with np.errstate(invalid="ignore"):
        pca = PCA(2, svd_solver="full").fit(X)
    return pca.mean_, pca.components_, [f"Principal axis {k}" for k in (0, 1)]


def _feature_plane(X: np.ndarray, features: list[int], columns: list[Any]) -> Plane:
    basis = np.eye(X.shape[1])[features]
    # Coordinates are then the values of the features.
    centre = X.mean(axis=0) * (1 - basis.sum(axis=0))
    names = (columns[k] for k in features)
    return centre, basis, [n if isinstance(n, str) else f"Feature {n}" for n in names]


def _check_features(features: Any, n_features: int) -> list[int]:
    pair = list(features) if np.iterable(features) else []
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(f"features={features!r} must be two indices, such as (0, 1).")
    for feature in pair:
        check_index("features", feature, n_features)
    return pair


def _grid(values: np.ndarray, n_steps: int) -> np.ndarray:
    low, high = value_limits(values)
    margin = MARGIN * (high - low)
    return np.linspace(low - margin, high + margin, n_steps)
