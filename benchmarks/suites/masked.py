"""Masked autoencoders: features for classifiers with few labels, and missing values.

Labels: all methods see the same training images without labels, and have codes of the
same width and about as many weights. A logistic regression of the codes knows the
labels of some of these images, and is judged on all test images.

Gaps: a fifth of the entries of tables is missing, of training rows and of test rows.
The error is that of the missing entries of test rows, divided by the standard deviation
of the feature, root mean squared.

Settings were chosen on training images and training rows.
"""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skae import ConvAE, DenoisingAE, MaskedAE

from ..shared.data_sets import TEST_SHARE, labelled
from ..shared.linear_probe import accuracies
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite
from ..shared.tables import TABLES, table

N_SEEDS, N_IMAGES, QUICK_IMAGES = 3, 10_000, 1000
COUNTS, QUICK_COUNTS = (100, 1000), (100, 500)
WIDTH, QUICK_WIDTH = 128, 32
#: Of a dense layer, so that a network has about as many weights as MaskedAE.
DENSE, CONVOLUTIONAL = 160, 32
MISSING = 0.2
#: Nearer to what is missing than the default.
MASK_RATIO = 0.4

Rows = np.ndarray

LEARNERS: dict[str, Callable[..., Any]] = {
    "DenoisingAE": lambda width, shape, **options: DenoisingAE(
        width,
        noise="masking",
        noise_level=0.3,
        hidden_layer_sizes=DENSE,
        **options,
    ),
    "ConvAE": lambda width, shape, **options: ConvAE(
        width, image_shape=shape, hidden_layer_sizes=CONVOLUTIONAL, **options
    ),
    "MaskedAE": lambda width, shape, **options: MaskedAE(
        width, image_shape=shape, **options
    ),
}
FILLERS: dict[str, Callable[..., Any]] = {
    "KNNImputer": lambda **options: KNNImputer(),
    "IterativeImputer": lambda random_state, **options: IterativeImputer(
        random_state=random_state
    ),
    "DenoisingAE": lambda **options: DenoisingAE(
        16, noise="gaps", noise_level=MISSING, **options
    ),
    "MaskedAE": lambda **options: MaskedAE(mask_ratio=MASK_RATIO, **options),
}


def cases(options: Options) -> list[Case]:
    """Return each method on images and on tables."""
    seeds = options.seed_range(N_SEEDS)
    short = {"max_iter": 3} if options.quick else {}
    images = {"n_images": N_IMAGES, "width": WIDTH, "counts": COUNTS}
    if options.quick:
        images = {
            "n_images": QUICK_IMAGES,
            "width": QUICK_WIDTH,
            "counts": QUICK_COUNTS,
        }
    sets = ("digits",) if options.quick else ("MNIST", "Fashion-MNIST")
    tables = TABLES[:2] if options.quick else TABLES
    return [
        *(
            {"task": "labels", "data": d, "method": m, "seed": s, **images, **short}
            for d in sets
            for m in LEARNERS
            for s in seeds
        ),
        *(
            {"task": "gaps", "data": d, "method": m, "seed": s, **short}
            for d in tables
            for m in FILLERS
            for s in seeds
        ),
    ]


def run(task: str, **case: Any) -> dict[str, Any]:
    """Return the figures of one task."""
    return labels(**case) if task == "labels" else gaps(**case)


def labels(
    data: str,
    method: str,
    seed: int,
    n_images: int,
    width: int,
    counts: list[int],
    max_iter: Any = "auto",
) -> dict[str, Any]:
    """Return the accuracies of classifiers of the codes, in per cent."""
    X, y, X_test, y_test = labelled(data)
    X, y = X[:n_images].astype(np.float32), y[:n_images]
    side = round(X.shape[1] ** 0.5)
    options = {"max_iter": max_iter, "random_state": seed}
    estimator, start = LEARNERS[method](width, (side, side), **options), time.time()
    estimator.fit(X)
    seconds = time.time() - start
    found = X, X_test.astype(np.float32), y, y_test
    return {
        "n_weights": sum(w.numel() for w in estimator.network_.parameters()),
        "fit_seconds": round(seconds, 1),
        "accuracy": {
            str(n): round(
                100 * float(np.mean(accuracies(estimator, n, seed, found))), 2
            )
            for n in counts
        },
    }


def gaps(data: str, method: str, seed: int, max_iter: Any = "auto") -> dict[str, Any]:
    """Return the error of missing values of test rows."""
    train, test = train_test_split(table(data), test_size=TEST_SHARE, random_state=seed)
    rng = np.random.default_rng(seed)
    is_lost = rng.random(test.shape) < MISSING
    train = np.where(rng.random(train.shape) < MISSING, np.nan, train)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    seen, start = np.where(is_lost, np.nan, test), time.time()
    estimator = FILLERS[method](max_iter=max_iter, random_state=seed).fit(train)
    fills = getattr(estimator, "reconstruct", estimator.transform)
    errors = (fills(seen) - test)[is_lost]
    return {
        "error": round(float(np.sqrt(np.square(errors).mean())), 4),
        "fill_seconds": round(time.time() - start, 1),
    }


def label_rows(rows: list[Row], counts: list[int]) -> list[list[str]]:
    """Return data, method, weights, and accuracies with the deviation over seeds."""
    found = []
    for data, method in dict.fromkeys((r["data"], r["method"]) for r in rows):
        runs = [r for r in rows if (r["data"], r["method"]) == (data, method)]
        accuracy = [
            mean_and_deviation([r["accuracy"][str(n)] for r in runs], 1) for n in counts
        ]
        seconds = f"{np.mean([r['fit_seconds'] for r in runs]):.0f}"
        found.append([data, method, f"{runs[0]['n_weights']}", *accuracy, seconds])
    return found


def gap_rows(rows: list[Row]) -> list[list[str]]:
    """Return the mean error of each method, and last the mean over tables."""
    sets = list(dict.fromkeys(r["data"] for r in rows))
    errors = [
        [
            np.mean([r["error"] for r in rows if (r["data"], r["method"]) == (d, m)])
            for m in FILLERS
        ]
        for d in sets
    ]
    named = [*zip(sets, errors, strict=True), ("mean", np.mean(errors, axis=0))]
    return [[name, *(f"{e:.3f}" for e in means)] for name, means in named]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write both tables."""
    tables = []
    if found := [r for r in rows if r["task"] == "labels"]:
        counts = found[0]["counts"]
        by_count = [f"{n} labels" for n in counts]
        headings = ["data", "method", "weights", *by_count, "seconds"]
        title = "Accuracy of a linear classifier of the codes, %"
        path = folder / "masked_labels.csv"
        tables.append(write_table(path, title, headings, label_rows(found, counts)))
    if found := [r for r in rows if r["task"] == "gaps"]:
        path, title = folder / "masked_gaps.csv", f"{MISSING:.0%} missing, error"
        tables.append(write_table(path, title, ["data", *FILLERS], gap_rows(found)))
    return tables


SUITE = Suite(
    "features of a masked transformer by few labels, and missing values",
    cases,
    run,
    report,
)
