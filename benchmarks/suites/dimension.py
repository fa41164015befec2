"""Classes by nearest neighbours in codes of PCA, Isomap and autoencoders, with seconds.

The protocol is that of Fournier and Aloise, "Empirical comparison between autoencoders
and traditional dimensionality reduction methods" (AIKE 2019): a classifier by nearest
neighbours, whose number is chosen by a random search with cross-validation, learns from
codes of images. They found PCA as accurate as autoencoders, and much faster. Ours have
default settings.
"""

import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import ConvAE, UndercompleteAE, VariationalAE

from ..shared.data_sets import TEST_SHARE, labelled, labelled_rows, split_digits
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

Rows = np.ndarray
WIDTHS = (2, 8, 32)
N_SEEDS = 3
#: Isomap needs the distances between all training rows.
N_TRAINING, N_TEST = 5000, 5000
DATA = ("digits", "COIL-20", "MNIST", "Fashion-MNIST")
RAW = "all features"
METHODS: dict[str, Callable[[int, int, int], Any]] = {
    "PCA": lambda width, side, seed: PCA(width, random_state=seed),
    "Isomap": lambda width, side, seed: Isomap(n_components=width),
    "UndercompleteAE": lambda width, side, seed: UndercompleteAE(
        width, random_state=seed
    ),
    "ConvAE": lambda width, side, seed: ConvAE(
        width, image_shape=(side, side), random_state=seed
    ),
    "VariationalAE": lambda width, side, seed: VariationalAE(width, random_state=seed),
}


def cases(options: Options) -> list[Case]:
    """Return data, method, width and seed; all features have neither of the last."""
    data = DATA[:1] if options.quick else DATA
    widths = WIDTHS[:1] if options.quick else WIDTHS
    return [
        {"data": name, "method": method, "n_components": width, "seed": seed}
        for name in data
        for seed in options.seed_range(N_SEEDS)
        for method in (RAW, *METHODS)
        for width in ((0,) if method == RAW else widths)
    ]


def read(data: str, seed: int) -> list[Rows]:
    """Return training and test images, in [0, 1], and their labels."""
    if data == "digits":
        train, test, y_train, y_test = split_digits(seed)
    elif data == "COIL-20":
        X, y = labelled_rows(data)
        train, test, y_train, y_test = train_test_split(
            X, y, test_size=TEST_SHARE, stratify=y, random_state=seed
        )
    else:
        train, y_train, test, y_test = labelled(data)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(train))[:N_TRAINING]
    tested = rng.permutation(len(test))[:N_TEST]
    largest = train.max()
    images = [
        rows.astype(np.float32) / largest for rows in (train[chosen], test[tested])
    ]
    return [*images, y_train[chosen], y_test[tested]]


def run(data: str, method: str, n_components: int, seed: int) -> dict[str, Any]:
    """Return the accuracy in codes of a method, and its processor seconds."""
    X, X_test, y, y_test = read(data, seed)
    figures = {}
    if method != RAW:
        side = round(X.shape[1] ** 0.5)
        model = METHODS[method](n_components, side, seed)
        start = time.process_time()
        model.fit(X)
        fitted = time.process_time()
        X, X_test = model.transform(X), model.transform(X_test)
        figures = {
            "fit_seconds": round(fitted - start, 2),
            "transform_seconds": round(time.process_time() - fitted, 2),
        }
    numbers = {"n_neighbors": range(1, 31)}
    search = RandomizedSearchCV(
        KNeighborsClassifier(), numbers, n_iter=8, cv=3, random_state=seed
    ).fit(X, y)
    return {
        "accuracy": round(search.score(X_test, y_test), 4),
        "n_neighbors": search.best_params_["n_neighbors"],
        **figures,
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return a line for each data set and method: accuracies, and seconds of a fit."""
    found: dict[tuple[str, str], dict[int, list[Row]]] = {}
    for row in rows:
        place = found.setdefault((row["data"], row["method"]), {})
        place.setdefault(row["n_components"], []).append(row)
    return [
        [*names, *_accuracies(names[1], widths), _seconds(widths)]
        for names, widths in found.items()
    ]


def _accuracies(method: str, widths: dict[int, list[Row]]) -> list[str]:
    """Return the accuracy at each width; all features have one."""
    shown = [0] * len(WIDTHS) if method == RAW else WIDTHS
    return [
        mean_and_deviation([100 * row["accuracy"] for row in widths[width]], 1)
        if width in widths
        else ""
        for width in shown
    ]


def _seconds(widths: dict[int, list[Row]]) -> str:
    """Return the median over all fits."""
    seconds = [
        r["fit_seconds"]
        for found in widths.values()
        for r in found
        if "fit_seconds" in r
    ]
    return f"{statistics.median(seconds):.1f}" if seconds else ""


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = "Accuracy of nearest neighbours in per cent, and processor seconds of a fit"
    headings = ["data", "method", *map(str, WIDTHS), "fit, s"]
    return [write_table(folder / "dimension.csv", title, headings, table_rows(rows))]


SUITE = Suite("classes by neighbours in codes, and seconds", cases, run, report)
