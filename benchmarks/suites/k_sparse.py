"""Frozen features of MNIST and a logistic regression: Makhzani and Frey's protocol.

50000 training images and 10000 to validate: the regression's C is chosen there, then
judged once on the 10000 test images. 1000 units in one layer.
"""

import pathlib
import time
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from skae import DenoisingAE, SparseAE

from ..shared.data_sets import labelled
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

UNITS = 1000
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)
PUBLISHED = {"raw pixels": "7.20", "denoising": "1.95", "top k": "1.35"}
#: Errors that were aimed at, of sparse features and of denoising ones.
AIMS = (1.20, 1.60)
LAYER = {
    "hidden_layer_sizes": (),
    "tied_weights": True,
    "batch_size": 100,
    "early_stopping": False,
    "learning_rate": "cosine",
    "weight_decay": 0.0,
    "random_state": 0,
}
SPARSE = LAYER | {"max_iter": 15, "learning_rate_init": 0.002}
NOISY = LAYER | {
    "max_iter": 20,
    "learning_rate_init": 0.0005,
    "code_activation": "relu",
    "init": "random",
}
METHODS: dict[str, Any] = {
    "raw pixels": None,
    "denoising": DenoisingAE(UNITS, noise_level=2.0, **NOISY),
    "top k": SparseAE(UNITS, sparsity="top_k", k=25, support=3.0, **SPARSE),
    "batch top k": SparseAE(UNITS, sparsity="batch_top_k", k=25, **SPARSE),
    "jump ReLU": SparseAE(UNITS, sparsity="jump_relu", target_sparsity=0.05, **SPARSE),
    "L1": SparseAE(UNITS, alpha=0.05, **SPARSE),
}


def error(classifier: Any, codes: np.ndarray, labels: np.ndarray) -> float:
    """Share of images that are told wrongly, in per cent."""
    return round(100 * (1 - classifier.score(codes, labels)), 2)


def cases(options: Options) -> list[Case]:
    """Return the methods."""
    if options.quick:
        small = {"data": "digits", "n_units": 128, "max_iter": 3}
        return [{**small, "method": m} for m in ("raw pixels", "top k", "L1")]
    return [{"data": "MNIST", "n_units": UNITS, "method": m} for m in METHODS]


def run(
    data: str, n_units: int, method: str, max_iter: int | None = None
) -> dict[str, Any]:
    """Train features on images without labels, and a classifier on the features."""
    X, y, X_test, y_test = labelled(data)
    n_training = len(X) * 5 // 6
    training, judges = slice(n_training), slice(n_training, None)
    estimator, start = METHODS[method], time.perf_counter()
    codes, codes_test = X, X_test
    if estimator is not None:
        estimator.set_params(n_components=n_units)
        if max_iter:
            estimator.set_params(max_iter=max_iter)
        estimator.fit(X[training])
        codes, codes_test = estimator.transform(X), estimator.transform(X_test)
    seconds = round(time.perf_counter() - start)
    scale = codes[training].std()
    codes, codes_test = codes / scale, codes_test / scale
    classifiers = {
        C: LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(
            codes[training], y[training]
        )
        for C in PENALTIES
    }
    judged = {C: error(c, codes[judges], y[judges]) for C, c in classifiers.items()}
    best = min(judged, key=lambda C: judged[C])
    return {
        "C": best,
        "validation_error": judged[best],
        "test_error": error(classifiers[best], codes_test, y_test),
        "dead": len(getattr(estimator, "dead_units_", [])),
        "fit_seconds": seconds,
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return method, errors, what is published, and dead units."""
    return [
        [
            r["method"],
            f"{r['test_error']:.2f}",
            f"{r['validation_error']:.2f}",
            PUBLISHED.get(r["method"], "") if r["data"] == "MNIST" else "",
            str(r["dead"]),
        ]
        for r in rows
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    headings = ["method", "test error", "validation error", "published", "dead units"]
    title = f"{rows[0]['data']}, errors in per cent"
    return [write_table(folder / "k_sparse.csv", title, headings, table_rows(rows))]


SUITE = Suite("frozen features of MNIST and a linear classifier", cases, run, report)
