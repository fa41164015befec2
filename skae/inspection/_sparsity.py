"""Which components of a code are active, and how many at once."""

from typing import Any, Self

import numpy as np

from .._rows.checks import NONNEGATIVE
from ._asking import check_parameter, codes_of
from ._axes import COLORS, axes_grid, count_in_integers, merged

# Bars of the histogram, at most.
MOST_BARS = 40


class SparsityDisplay:
    """How often each component is active, and how many components a row activates.

    A component is active in a row where ``|z_j| > threshold``. The left panel is the
    share of rows in which each component is active, from the largest to the smallest.
    The right panel is the histogram of the number of active components. The title
    counts dead units, which are active in no row.

    Parameters
    ----------
    active_share : array-like of shape (n_components,)
        Share of the rows in which each component is active.
    n_active : array-like of shape (n_samples,)
        Number of active components of each row.

    Attributes
    ----------
    dead_units : ndarray of int
        Components that are active in no row.
    axes_ : ndarray of shape (1, 2)
        Axes of the panels.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import SparseAE
    >>> from skae.inspection import SparsityDisplay
    >>> X = load_digits().data
    >>> ae = SparseAE(64, sparsity="top_k", k=5, max_iter=5, random_state=0).fit(X)
    >>> display = SparsityDisplay.from_estimator(ae, X)
    >>> display.n_active[:3]
    array([5, 5, 5])
    """

    def __init__(self, active_share: Any, n_active: Any) -> None:
        self.active_share = active_share
        self.n_active = n_active

    @property
    def dead_units(self) -> np.ndarray:
        """Components that are active in no row."""
        return np.flatnonzero(np.asarray(self.active_share) == 0)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        threshold: float = 0.0,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Count active components.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform``.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in.
        threshold : float, default=0.0
            Absolute value above which an entry of the code is active. Entries of
            ``SparseAE(sparsity="kl")`` are never zero: use its target, such as 0.05.
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; None makes a new figure.
        **kwargs : dict
            Options of both panels, as in ``ax.stairs``.

        Returns
        -------
        display : SparsityDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``transform``.
        ValueError
            If codes are not finite, or ``threshold`` is negative.
        """
        check_parameter(cls, "threshold", threshold, NONNEGATIVE)
        is_active = abs(codes_of(estimator, X)) > threshold
        display = cls(is_active.mean(axis=0), is_active.sum(axis=1))
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw shares and histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; None makes a new figure.
        **kwargs : dict
            Options of both panels, as in ``ax.stairs``.

        Returns
        -------
        display : SparsityDisplay
            The display itself.
        """
        options = merged("stairs", {"fill": True, "color": COLORS[0]}, kwargs)
        table = axes_grid(ax, 1, 2, (4.0, 3.4), type(self).__name__)
        self.axes_, (left, right) = table, table[0]
        self._plot_shares(left, options)
        self._plot_counts(right, options)
        self.ax_, self.figure_ = left, left.figure
        return self

    def _plot_shares(self, ax: Any, options: dict[str, Any]) -> None:
        shares = np.sort(self.active_share)[::-1]
        ax.stairs(shares, **options)
        n_dead = len(self.dead_units)
        ax.set_title(f"{n_dead} of {len(shares)} units are dead")
        ax.set(xlabel="Components, most active first", ylabel="Share of rows")
        ax.set_ylim(0, 1.02 * max(shares[0], 0.01))
        count_in_integers(ax.xaxis)

    def _plot_counts(self, ax: Any, options: dict[str, Any]) -> None:
        counts = np.asarray(self.n_active)
        low, high = int(counts.min()), int(counts.max())
        width = -(-(high - low + 1) // MOST_BARS)
        edges = np.arange(low, high + width + 1, width) - 0.5
        ax.stairs(np.histogram(counts, edges)[0], edges, **options)
        ax.set_title(f"{counts.mean():.3g} components active on average")
        ax.set(xlabel="Active components in a row", ylabel="Number of rows")
        count_in_integers(ax.xaxis)
