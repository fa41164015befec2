"""PCA as baseline: test errors of ``UndercompleteAE`` over PCA's, and their summary.

Where PCA is exact there is nothing to compare.
"""

import time
from typing import Any

import numpy as np
from scipy.stats import wilcoxon
from sklearn.decomposition import PCA

from skae import UndercompleteAE

from .data_sets import Rows
from .suite import Row

EXACT = 1e-9


def squared_error(transformer: Any, X: Rows) -> float:
    """Mean over rows of the squared error of the reconstruction."""
    reconstruction = transformer.inverse_transform(transformer.transform(X))
    return float(np.square(X - reconstruction).sum(axis=1).mean())


def fit_both(
    train: Rows, test: Rows, n_components: int, seed: int, **parameters: Any
) -> dict[str, Any]:
    """Fit PCA and UndercompleteAE; return test errors as shares of the variance."""
    variance = np.square(test - train.mean(axis=0)).sum(axis=1).mean()
    pca = PCA(n_components, random_state=seed).fit(train)
    autoencoder = UndercompleteAE(n_components, random_state=seed, **parameters)
    start = time.perf_counter()
    autoencoder.fit(train)
    return {
        "fit_seconds": round(time.perf_counter() - start, 2),
        "pca_error": float(squared_error(pca, test) / variance),
        "error": float(squared_error(autoencoder, test) / variance),
        "pca_score": autoencoder.pca_score_,
        "best_score": autoencoder.best_score_,
    }


def ratios(rows: list[Row]) -> dict[tuple[str, int], float | None]:
    """Median over seeds of the ratio of errors; None where PCA is exact."""
    medians: dict[tuple[str, int], float | None] = {}
    for key in dict.fromkeys((r["data"], r["n_components"]) for r in rows):
        chosen = [r for r in rows if (r["data"], r["n_components"]) == key]
        exact = chosen[0]["pca_error"] < EXACT
        pairs = [r["error"] / max(r["pca_error"], EXACT) for r in chosen]
        medians[key] = None if exact else float(np.median(pairs))
    return medians


def summary(rows: list[Row]) -> dict[str, float]:
    """Geometric mean and maximum of the ratios, and how they are not by chance.

    That is Wilcoxon's signed-rank test of the mean logarithms of the data sets.
    """
    found = {key: value for key, value in ratios(rows).items() if value is not None}
    values = list(found.values())
    names = dict.fromkeys(name for name, _ in found)
    logs = [
        np.mean([np.log(v) for (n, _), v in found.items() if n == m]) for m in names
    ]
    return {
        "data sets": len({r["data"] for r in rows}),
        "cases": len(values),
        "geometric mean": float(np.exp(np.mean(np.log(values)))),
        "worst": max(values),
        "Wilcoxon's p": float(wilcoxon(logs, zero_method="zsplit").pvalue),
    }
