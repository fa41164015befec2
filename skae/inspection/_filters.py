"""Weights of the first layer of an encoder."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._rows.checks import POSITIVE_INTEGER
from .._rows.layout import Shape
from ._asking import check_parameter, find_owner, flat_rows, owner_of, rows_before
from ._axes import axes
from ._pictures import (
    FILLED,
    cell,
    draw_cell,
    find_layout,
    frame_table,
    is_image,
    signed_limits,
    table_size,
)


class FilterDisplay:
    """Weights of the first layer of an encoder, a picture for each unit.

    For a dense encoder these are the weights of all features, for a convolutional one
    its kernels, and for PCA its ``components_``. All pictures share one scale, centred
    at zero, that covers 98% of the weights.

    An encoder that started from PCA is a linear map plus a network: then the first
    layer of the network is drawn. If PCA was kept, ``is_pca_``, the linear map is
    drawn.

    Parameters
    ----------
    filters : array-like of shape (n_units, ...)
        Weights of each unit.
    image_shape : tuple of int, default=None
        Channels and sizes of a filter, such as (1, 8, 8) for images, or (1, 64) for
        curves. None draws flat filters as curves.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with all filters.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import FilterDisplay
    >>> pca = PCA(16).fit(load_digits().data)
    >>> display = FilterDisplay.from_estimator(pca, image_shape=(8, 8))
    >>> display.filters.shape
    (16, 64)
    """

    def __init__(self, filters: Any, *, image_shape: Shape | None = None) -> None:
        self.filters = filters
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n_filters: int = 64,
        image_shape: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the filters with the largest norms.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``network_``, such as an autoencoder, or
            ``components_``, such as PCA. For a pipeline it is the last such step, for a
            search the best estimator.
        X : {array-like, sparse matrix} of shape (n_samples, ...), default=None
            Rows in the unit that the estimator was fitted in. If given, the weights are
            multiplied by the standard deviation of each feature, because weights of
            features that hardly vary have no effect, and training does not change them.
            Not used for kernels.
        n_filters : int, default=64
            Number of filters, at most.
        image_shape : int or tuple of int, default=None
            Shape of a filter over all features: (28, 28), or (3, 32, 32) with channels
            first. None uses ``image_shape_`` of the estimator if it has one, else draws
            flat filters as curves over the features. Not used for kernels.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : FilterDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has neither ``network_`` nor ``components_``.
        ValueError
            If ``n_filters`` is not positive, filters do not fit ``image_shape``, or
            ``X`` has fewer than two rows, infinite values, or other features.
        """
        check_parameter(cls, "n_filters", n_filters, POSITIVE_INTEGER)
        owner = _owner(estimator)
        filters = _filters(owner)
        layout: Shape = filters.shape[1:]
        if filters.ndim == 2:
            layout = find_layout(image_shape, filters, estimator)
            if X is not None:
                filters = filters * _spread(
                    rows_before(estimator, owner, X), owner, filters.shape[1]
                )
        chosen = filters[_largest(filters, n_filters)]
        return cls(chosen, image_shape=layout).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the filters, line by line.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the images, as in ``ax.imshow``, or curves, as in ``ax.plot``.

        Returns
        -------
        display : FilterDisplay
            The display itself.
        """
        filters = np.asarray(self.filters)
        layout = self.image_shape or find_layout(None, filters)
        n_columns = int(np.ceil(np.sqrt(len(filters))))
        n_rows = -(-len(filters) // n_columns)
        size = table_size(n_rows, n_columns, layout, width=5.0 / n_columns)
        ax = axes(ax, type(self).__name__, size)
        low, high = limits = signed_limits(filters, 0.98 if is_image(layout) else 1.0)
        for k, row in enumerate(filters):
            box = cell(*divmod(k, n_columns))
            draw_cell(ax, row, layout, box, limits, is_signed=True, **kwargs)
        frame_table(ax, n_rows, n_columns, layout)
        if is_image(layout):
            ax.set_xlabel(f"{len(filters)} filters")
            options = {"label": "Weight", "shrink": 0.8, "extend": "both"}
            ax.figure.colorbar(ax.images[-1], ax=ax, **options)
        else:
            ax.set_xlabel(f"{len(filters)} filters, drawn from {low:.2g} to {high:.2g}")
            for i in range(n_rows):
                ax.axhline(i + FILLED / 2, color="gray", linewidth=0.5, zorder=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _spread(X: Any, owner: Any, n_features: int) -> np.ndarray:
    """Return the standard deviation of each feature that enters an estimator."""
    rows = flat_rows(X, ensure_all_finite="allow-nan")
    if rows.shape[1] != n_features:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {type(owner).__name__} is expecting "
            f"{n_features} features as input."
        )
    if len(missing := np.flatnonzero(np.isnan(rows).all(axis=0))):
        raise ValueError(
            f"Feature {missing[0]} is missing in all {len(rows)} rows of X, so it has "
            "no standard deviation: pass rows that have it, or X=None."
        )
    return np.nanstd(rows, axis=0)


def _largest(filters: np.ndarray, n_filters: int) -> np.ndarray:
    """Return the indices of the filters with the largest norms, in their order."""
    norms = np.linalg.norm(filters.reshape(len(filters), -1), axis=1)
    # PCA's components have norm 1 up to rounding: then the first ones are chosen.
    shares = np.round(norms / (norms.max() or 1.0), 6)
    return np.sort(np.argsort(-shares, kind="stable")[:n_filters])


def _owner(estimator: Any) -> Any:
    """Return the step that has a network, or else components."""
    check_is_fitted(estimator)
    owner = find_owner(estimator, "network_")
    cure = "filters are those of an autoencoder, or of PCA"
    return owner_of(estimator, "components_", cure) if owner is None else owner


def _filters(owner: Any) -> np.ndarray:
    """Return the weights of each unit, shape (n_units, ...)."""
    if not hasattr(owner, "network_"):
        return np.asarray(owner.components_)
    if getattr(owner, "is_pca_", False):
        # The encoder is linear: its Jacobian is the same everywhere. The mean has the
        # network's inputs, which the estimator may have coded and would not accept.
        return owner._here().jacobian(owner.mean_[None])[0]
    return _first_weights(owner.network_, len(owner.mean_))


def _first_weights(network: Any, n_features: int) -> np.ndarray:
    """Return the weights of the first layer of the encoder."""
    met: list[torch.Tensor] = []
    layers = [m for m in network.modules() if getattr(m, "weight", None) is not None]
    hooks = [
        layer.register_forward_hook(lambda m, *_: met.append(m.weight))
        for layer in layers
        if layer.weight.ndim > 1
    ]
    try:
        with torch.no_grad():
            network.encode(
                torch.zeros(1, n_features, dtype=torch.float32, device="cpu")
            )
    finally:
        for hook in hooks:
            hook.remove()
    return met[0].detach().numpy().copy()
