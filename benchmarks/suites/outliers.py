"""Outliers: ``score_samples`` of rows that training has not seen the like of.

Twelve data sets of ADBench by the protocol of Livernoche et al., "On diffusion modeling
for anomaly detection", ICLR 2024: the first half of the normal rows trains, the other
half and all anomalies test, and features are divided by their deviation in training.
Every method sees the same rows, and has one configuration for all sets.

``UndercompleteAE`` has its defaults. The settings of ``DenoisingAE`` are one of
thirteen configurations that were compared without any anomaly of ADBench: by known
classes of digits, breast cancer, wine, ECG5000 and Wafer, some of them as normal; by
clusters of ADBench's training rows that training was not shown; and by training rows
with noise or with values of other rows. None was best by all three: it is a compromise.
"""

import contextlib
import pathlib
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skae import DenoisingAE, UndercompleteAE

from ..shared.anomalies import ADBENCH, SHIPPED, labelled
from ..shared.figures import pyplot
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

Rows = np.ndarray
Scorer = Callable[[Rows, Rows, int], Rows]

N_SEEDS = 5
#: What autorank asks for.
LEAST_DATA_SETS = 5

#: Published mean AUC-ROC in per cent, semi-supervised: table 1 of the README of
#: github.com/vicliv/DTE at 2aef1733, by the authors of the paper.
COLUMNS = ("KNN", "LOF", "OneClassSVM", "IsolationForest", "PCA", "VAE")
PUBLISHED = {
    "annthyroid": (92.81, 88.63, 88.45, 90.28, 85.19, 85.44),
    "cardio": (92.00, 92.21, 95.61, 93.32, 96.54, 96.55),
    "letter": (35.43, 44.83, 32.17, 32.04, 30.30, 30.23),
    "mammography": (87.58, 85.52, 88.63, 88.02, 89.93, 89.58),
    "musk": (100.00, 100.00, 100.00, 90.58, 100.00, 100.00),
    "optdigits": (93.72, 96.65, 63.38, 81.07, 58.17, 58.17),
    "pendigits": (99.87, 99.05, 96.36, 97.22, 94.37, 94.50),
    "satellite": (82.24, 80.30, 73.91, 77.46, 66.63, 74.14),
    "satimage-2": (99.71, 99.38, 99.61, 99.12, 98.17, 98.98),
    "shuttle": (99.91, 99.98, 99.62, 99.65, 99.36, 99.35),
    "thyroid": (98.68, 92.72, 98.56, 98.96, 98.55, 98.55),
    "vowels": (82.21, 86.30, 75.91, 61.83, 52.29, 52.12),
}


def undercomplete(train: Rows, test: Rows, seed: int) -> Rows:
    """Squared error of the reconstruction from two components, with the defaults."""
    return -UndercompleteAE(random_state=seed).fit(train).score_samples(test)


def denoising(train: Rows, test: Rows, seed: int) -> Rows:
    """Squared distance to where a denoiser moves a row, with a code as wide as rows."""
    settings = {"noise_level": 1.0, "init": "random", "random_state": seed}
    return -DenoisingAE(None, **settings).fit(train).score_samples(test)


def pca(train: Rows, test: Rows, seed: int) -> Rows:
    """Distances to all unit axes over the axes' shares of the variance: PyOD's score.

    The score depends on the signs of the axes: they are those of scikit-learn before
    1.5, with which the published figures were found. Axes of no variance, for which
    PyOD divides by zero, count as axes of the least that a float holds beside one.
    """
    fitted = PCA(svd_solver="full").fit(train)
    codes = fitted.transform(train)
    largest = codes[np.abs(codes).argmax(axis=0), np.arange(codes.shape[1])]
    axes = np.where(largest < 0, -1, 1)[:, None] * fitted.components_
    shares = np.maximum(fitted.explained_variance_ratio_, np.finfo(float).eps)
    return (cdist(test, axes) / shares).sum(axis=1)


def pca_error(train: Rows, test: Rows, seed: int) -> Rows:
    """Squared error of PCA's reconstruction from 90 % of the variance."""
    fitted = PCA(0.9, svd_solver="full").fit(train)
    reconstruction = fitted.inverse_transform(fitted.transform(test))
    return np.square(test - reconstruction).sum(axis=1)


def nearest(train: Rows, test: Rows, seed: int) -> Rows:
    """Distance to the fifth neighbour, as in PyOD."""
    return NearestNeighbors(n_neighbors=5).fit(train).kneighbors(test)[0][:, -1]


def forest(train: Rows, test: Rows, seed: int) -> Rows:
    """Return how soon random cuts leave a row alone."""
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def local_factor(train: Rows, test: Rows, seed: int) -> Rows:
    """Density of the neighbours over the row's own."""
    return -LocalOutlierFactor(novelty=True).fit(train).score_samples(test)


def support_vectors(train: Rows, test: Rows, seed: int) -> Rows:
    """Distance from the plane of a support vector machine."""
    return -OneClassSVM().fit(train).score_samples(test)


METHODS: dict[str, Scorer] = {
    "UndercompleteAE": undercomplete,
    "DenoisingAE": denoising,
    "KNN": nearest,
    "LOF": local_factor,
    "OneClassSVM": support_vectors,
    "IsolationForest": forest,
    "PCA": pca,
    "PCA, error": pca_error,
}
RANDOM = ("UndercompleteAE", "DenoisingAE", "IsolationForest")


def split(name: str) -> tuple[Rows, Rows, Rows]:
    """Return training and test rows, and which of these are anomalies."""
    X, is_anomaly = labelled(name)
    normal, anomalies = X[~is_anomaly], X[is_anomaly]
    n_training = round(len(normal) / 2)
    train, others = normal[:n_training], normal[n_training:]
    scaler = StandardScaler().fit(train)
    test = scaler.transform(np.concatenate([others, anomalies]))
    return scaler.transform(train), test, np.arange(len(test)) >= len(others)


def cases(options: Options) -> list[Case]:
    """Return a case for each data set, method and, where chance matters, seed."""
    return [
        {"data": name, "method": method, "seed": seed}
        for seed in options.seed_range(N_SEEDS)
        for name in (SHIPPED if options.quick else ADBENCH)
        for method in (RANDOM if seed else METHODS)
    ]


def run(data: str, method: str, seed: int) -> dict[str, Any]:
    """Return how well a method tells anomalies, in per cent, and of how many rows."""
    train, test, is_anomaly = split(data)
    scores = METHODS[method](train, test, seed)
    return {
        "auc": round(100 * roc_auc_score(is_anomaly, scores), 2),
        "training_rows": len(train),
        "test_rows": len(test),
        "anomalies": int(is_anomaly.sum()),
        "features": train.shape[1],
    }


def collect(rows: list[Row]) -> dict[str, dict[str, list[float]]]:
    """Return figures of all seeds by data set and method, of sets that are complete."""
    found: dict[str, dict[str, list[float]]] = {}
    for r in rows:
        found.setdefault(r["data"], {}).setdefault(r["method"], []).append(r["auc"])
    return {name: by for name, by in found.items() if by.keys() == METHODS.keys()}


def table_rows(found: dict[str, dict[str, list[float]]]) -> list[list[str]]:
    """Return a row for each data set: all methods, and what is published."""
    return [
        [
            name,
            *(mean_and_deviation(by[method], 2) for method in METHODS),
            *(f"{value:.2f}" for value in PUBLISHED.get(name, ())),
        ]
        for name, by in found.items()
    ]


def rank_rows(means: np.ndarray, published: dict[str, Rows]) -> list[list[str]]:
    """Return a row for each method: its mean rank and AUC, and the published AUC."""
    # Figures that look alike share a rank.
    ranks = rankdata(-means.round(2), axis=1).mean(axis=0)
    others = [
        [f"{method}, published", "", "", f"{values.mean():.2f}"]
        for method, values in published.items()
        if method not in METHODS
    ]
    return [
        [
            method,
            f"{ranks[i]:.2f}",
            f"{means[:, i].mean():.2f}",
            f"{published[method].mean():.2f}" if method in published else "",
        ]
        for i, method in enumerate(METHODS)
    ] + others


def plot_ranks(means: np.ndarray, path: pathlib.Path) -> None:
    """Draw which mean ranks differ: the critical-difference diagram."""
    try:
        import autorank
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "The comparison over data sets needs autorank: pip install 'skae[bench]'."
        ) from error
    plt = pyplot()

    frame = pd.DataFrame(means, columns=list(METHODS))
    # Few data sets and skew figures: ranks, whatever a test of normality says.
    with contextlib.redirect_stdout(None):
        result = autorank.autorank(frame, force_mode="nonparametric")
    axes = autorank.plot_stats(result, allow_insignificant=True)
    axes.figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(axes.figure)


def report(rows: list[Row], output: pathlib.Path) -> list[Table]:
    """Write figures by data set and ranks; draw the latter."""
    found = collect(rows)
    if not found:
        return []
    means = np.array(
        [[statistics.mean(by[method]) for method in METHODS] for by in found.values()]
    )
    known = [PUBLISHED[name] for name in found if name in PUBLISHED]
    columns = COLUMNS if known else ()
    if len(found) >= LEAST_DATA_SETS:
        plot_ranks(means, output / "outliers.png")
    return [
        write_table(
            output / "outliers.csv",
            "AUC-ROC in per cent, mean and deviation over seeds",
            ["data", *METHODS, *(f"published {method}" for method in columns)],
            table_rows(found),
        ),
        write_table(
            output / "outliers_ranks.csv",
            "Mean rank, and mean AUC-ROC over data sets",
            ["method", "rank", "AUC", "published AUC"],
            rank_rows(means, dict(zip(columns, np.transpose(known), strict=True))),
        ),
    ]


SUITE = Suite(
    "score_samples as a detector of outliers, beside the usual ones",
    cases,
    run,
    report,
)
