"""Results of a comparison: a table, figures, a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from .figures import draw_maps, draw_scores
from .page import html_page, html_table, text_table


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Measures of several transformers, made by :func:`compare`.

    Parameters
    ----------
    scores : pandas.DataFrame
        A row for each estimator and fold: ``estimator``, ``fold``, and the measures.
        NaN if there is none, such as the error of an estimator that cannot reconstruct.
    maps : dict of str to ndarray of shape (n_samples, 2)
        Codes of the held-out rows of the first fold, or their first two principal
        components if they are wider.
    labels : ndarray of shape (n_samples,) or None
        Classes of the rows on the maps.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each estimator; for each measure "mean" and "std", the mean and the
        standard deviation over folds.

    See Also
    --------
    compare : Makes it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae import compare
    >>> comparison = compare({"PCA": PCA(2)}, load_iris().data, cv=3, random_state=0)
    >>> sorted(comparison.scores["explained_variance"].round(2).tolist())
    [0.97, 0.98, 0.98]
    """

    scores: Any
    maps: dict[str, np.ndarray]
    labels: np.ndarray | None = None

    @property
    def table(self) -> Any:
        """Means and standard deviations over folds."""
        groups = self.scores.drop(columns="fold").groupby("estimator", sort=False)
        return groups.agg(["mean", "std"]).rename_axis(None)

    def plot(self) -> Bunch:
        """Draw the measures and the maps.

        Returns
        -------
        figures : Bunch
            ``scores``: a figure with axes for each measure, where a dot is a fold and a
            bar the mean. ``maps``: a figure with axes for each estimator.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        scores = draw_scores(self.scores)
        return Bunch(scores=scores, maps=draw_maps(self.maps, self.labels))

    def to_html(self, path: Any) -> None:
        """Write the table and the figures to one self-contained HTML file.

        Parameters
        ----------
        path : str or path-like
            Where to write; an existing file is replaced.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        page = html_page(self.table, self.plot())
        Path(path).write_text(page, encoding="utf-8")

    def __repr__(self) -> str:
        return text_table(self.table)

    def _repr_html_(self) -> str:
        return html_table(self.table)
