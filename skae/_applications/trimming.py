"""The rows that a detector learns from: all but the rarest."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold

from .rarity import COMBINED, MEASURES, combined, fit_member, measure

#: Share of the variance that PCA keeps, which is fast, in place of an autoencoder.
EXPLAINED = 0.9
#: Parts of the rows that judge each other, and the fewest rows that can be spared.
N_PARTS, FEWEST_ROWS = 3, 20


def usual(X: np.ndarray, share: float, standardize: bool) -> np.ndarray:
    """Return which rows are not among the rarest share.

    Outliers that are near each other have near neighbours, and an autoencoder learns to
    reconstruct them. So they must not train what judges them.
    """
    if len(X) < FEWEST_ROWS:
        return np.ones(len(X), dtype=bool)
    measures = np.empty((len(X), len(MEASURES)))
    # Rows may be in order of their class.
    for train, held in KFold(N_PARTS, shuffle=True, random_state=0).split(X):
        estimator = PCA(EXPLAINED, svd_solver="full")
        # PCA divides by the variance, which is zero if all rows are equal.
        with np.errstate(invalid="ignore"):
            member = fit_member(estimator, X[train], standardize)
        measures[held] = measure(member, X[held])
    rarity = combined(measures, np.sort(measures, axis=0), COMBINED)
    return rarity <= np.quantile(rarity, 1 - share)
