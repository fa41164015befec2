"""How much of the variance each component explains."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ._asking import owner_of
from ._axes import COLORS, axes, count_in_integers, merged, plain

# Width of all bars of a component, as a share of the distance of two components.
FILLED = 0.8


class ExplainedVarianceDisplay:
    """Explained variance of each component, and of the first 1, 2, ... together.

    Bars show ``explained_variance_ratio_`` (a scree plot), lines its cumulative sum.
    Several estimators are drawn side by side. PCA reports the variance of its training
    rows, autoencoders that of held-out rows if there are any.

    Parameters
    ----------
    ratios : dict of str to array-like of shape (n_components,)
        Share of the variance that each component explains, by name of the estimator.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the bars and lines.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import UndercompleteAE
    >>> from skae.inspection import ExplainedVarianceDisplay
    >>> X = load_digits().data
    >>> ae = UndercompleteAE(4, ordered=True, max_iter=5, random_state=0).fit(X)
    >>> display = ExplainedVarianceDisplay.from_estimator(
    ...     {"PCA": PCA(4).fit(X), "autoencoder": ae}
    ... )
    >>> display.ratios["PCA"].round(2)
    array([0.15, 0.14, 0.12, 0.08])
    """

    def __init__(self, ratios: Mapping[str, Any]) -> None:
        self.ratios = ratios

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the explained variance of one or several estimators.

        Parameters
        ----------
        estimator : object or dict of str to object
            Fitted estimator, or several by name. For a pipeline it is the last step
            with ``explained_variance_ratio_``, for a search the best estimator.
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the bars, as in ``ax.bar``.

        Returns
        -------
        display : ExplainedVarianceDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        TypeError
            If it has no ``explained_variance_ratio_``.
        """
        is_one = not isinstance(estimator, Mapping)
        named = {type(estimator).__name__: estimator} if is_one else estimator
        ratios = {name: _ratio(one) for name, one in named.items()}
        return cls(ratios).plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw bars and lines.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into; None makes a new figure.
        **kwargs : dict
            Options of the bars, as in ``ax.bar``.

        Returns
        -------
        display : ExplainedVarianceDisplay
            The display itself.
        """
        ax = axes(ax, type(self).__name__)
        n_bars = len(self.ratios)
        width = kwargs.get("width", FILLED / n_bars)
        for i, (name, ratio) in enumerate(self.ratios.items()):
            components = np.arange(1, 1 + len(ratio))
            color, shift = COLORS[i % len(COLORS)], (i + 0.5 - n_bars / 2) * width
            label, defaults = f"{plain(name)}, each", {"width": width, "alpha": 0.6}
            options = merged("bar", defaults | {"color": color, "label": label}, kwargs)
            ax.bar(components + shift, ratio, **options)
            total, label = np.cumsum(ratio), f"{plain(name)}, cumulative"
            ax.plot(components, total, ".-", color=color, label=label)
        most = max(map(len, self.ratios.values()))
        ax.set(xlim=(0.4, most + 0.6), xlabel="Components")
        ax.set_ylabel("Share of variance explained")
        count_in_integers(ax.xaxis)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _ratio(estimator: Any) -> np.ndarray:
    cure = (
        "PCA has it, and UndercompleteAE if it is fitted with ordered=True, which "
        "orders its components"
    )
    owner = owner_of(estimator, "explained_variance_ratio_", cure)
    return np.asarray(owner.explained_variance_ratio_)
