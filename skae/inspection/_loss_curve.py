"""Losses and held-out scores of the epochs of training."""

from typing import Any, Self

import numpy as np

from .._rows.checks import check_reconstructs
from ._asking import owner_of
from ._axes import COLORS, axes_grid, count_in_integers, merged


class LossCurveDisplay:
    """Training loss and held-out score of each epoch.

    The upper panel is the training loss. The lower panel is the explained variance of
    the held-out rows, ``1 - sum ||x - x^||^2 / sum ||x - mean||^2``, with a line at the
    score of PCA and a dot at the highest score. Without held-out rows there is one
    panel.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        Training loss of each epoch.
    validation_scores : array-like of shape (n_last_epochs,), default=None
        Explained variance of the held-out rows after each of the last epochs. None if
        no rows were held out.
    pca_score : float, default=None
        Explained variance of the held-out rows by PCA. None if it is not known.

    Attributes
    ----------
    axes_ : ndarray of shape (n_panels, 1)
        Axes of the panels.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import UndercompleteAE
    >>> from skae.inspection import LossCurveDisplay
    >>> ae = UndercompleteAE(8, max_iter=5, random_state=0).fit(load_digits().data)
    >>> display = LossCurveDisplay.from_estimator(ae)
    >>> display.loss_curve.shape
    (5,)
    """

    def __init__(
        self, loss_curve: Any, *, validation_scores: Any = None, pca_score: Any = None
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_scores = validation_scores
        self.pca_score = pca_score

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the training curves of an estimator.

        Parameters
        ----------
        estimator : object
            Fitted autoencoder. For a pipeline it is the last step with ``loss_curve_``,
            for a search the best estimator.
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; None makes a new figure.
        **kwargs : dict
            Options of the lines, as in ``ax.plot``.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``loss_curve_``, or cannot reconstruct.
        ValueError
            If no epoch ended.
        """
        cure = "only estimators trained in epochs have it, such as UndercompleteAE"
        owner = owner_of(estimator, "loss_curve_", cure)
        # A classifier's scores are not explained variances.
        if not hasattr(owner, "reconstruct"):
            check_reconstructs(owner)
        _check_epochs(owner)
        scores = getattr(owner, "validation_scores_", None)
        display = cls(
            np.asarray(owner.loss_curve_),
            validation_scores=None if scores is None else np.asarray(scores),
            pca_score=getattr(owner, "pca_score_", None),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; None makes a new figure.
        **kwargs : dict
            Options of the lines, as in ``ax.plot``.

        Returns
        -------
        display : LossCurveDisplay
            The display itself.
        """
        # A later fit may end before its first epoch: then losses are all there is.
        has_scores = self.validation_scores is not None and len(self.validation_scores)
        n_panels = 2 if has_scores else 1
        height = 5.2 / (1 + n_panels)
        table = axes_grid(ax, n_panels, 1, (6.4, 1.5 * height), type(self).__name__)
        self._plot_losses(table[0, 0], kwargs)
        if n_panels > 1:
            table[0, 0].sharex(table[1, 0])
            self._plot_scores(table[1, 0], kwargs)
            table[0, 0].label_outer()
        self.axes_, self.ax_, self.figure_ = table, table[0, 0], table[0, 0].figure
        return self

    def _plot_losses(self, ax: Any, kwargs: Any) -> None:
        epochs = np.arange(1, 1 + len(self.loss_curve))
        # A line with one point is invisible.
        marker = "o" if len(epochs) == 1 else None
        defaults = {"color": COLORS[0], "marker": marker}
        ax.plot(epochs, self.loss_curve, **merged("plot", defaults, kwargs))
        ax.set(xlabel="Epoch", ylabel="Training loss")
        count_in_integers(ax.xaxis)

    def _plot_scores(self, ax: Any, kwargs: Any) -> None:
        n_epochs, scores = len(self.loss_curve), np.asarray(self.validation_scores)
        # Scores are of the last fit only; losses include warm starts.
        epochs = np.arange(1 + n_epochs - len(scores), 1 + n_epochs)
        defaults = {"color": COLORS[0], "label": "epochs"}
        ax.plot(epochs, scores, **merged("plot", defaults, kwargs))
        best = int(np.argmax(scores))
        label = f"highest, epoch {epochs[best]}"
        ax.plot(epochs[best], scores[best], "o", color=COLORS[2], label=label)
        if self.pca_score is not None:
            line = {"color": COLORS[1], "linestyle": "--"}
            ax.axhline(self.pca_score, label="PCA", **line)
        ax.set(xlabel="Epoch", ylabel="Held-out\nexplained variance")
        count_in_integers(ax.xaxis)
        ax.legend()


def _check_epochs(owner: Any) -> None:
    if not len(owner.loss_curve_):
        raise ValueError(
            f"{type(owner).__name__} has no loss to draw, because no epoch of its "
            f"training ended: stop_reason_={getattr(owner, 'stop_reason_', None)!r}. "
            "After a divergence, fit it again with a lower learning_rate_init."
        )
