"""Codes of 30 numbers for MNIST: the experiment of Hinton and Salakhutdinov (2006).

Error is the squared error of an image, summed over its pixels in [0, 1], as in their
figure 2: all 60000 training images, networks of 784-1000-500-250-30 units and back.
Nothing is clipped but what a sigmoid bounds; theirs, PCA's and ours alike. Settings
were chosen by training on the first 50000 images and judging by some of the others.
"""

import pathlib
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.table import Table
from sklearn.decomposition import PCA

from skae import ConvAE, UndercompleteAE

from ..shared.data_sets import labelled
from ..shared.image_features import TRAINING
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTH = 30
#: Of ``transform_max_iter``.
N_STEPS = 20
DEEP: dict[str, Any] = {
    "hidden_layer_sizes": (1000, 500, 250),
    "activation": "silu",
    "init": "random",
    "batch_size": 128,
    "learning_rate": "cosine",
    "learning_rate_init": 0.002,
    "validation_fraction": 0.02,
    "max_iter": 60,
    "transform_max_iter": 0,
    "solver": partial(torch.optim.AdamW, betas=(0.9, 0.95), fused=True),
}
LOGISTIC: dict[str, Any] = {
    "hidden_layer_sizes": (),
    "loss": "bernoulli",
    "init": "random",
    "batch_size": 256,
    "max_iter": 20,
}
CONVOLUTIONS: dict[str, Any] = TRAINING | {
    "hidden_layer_sizes": (512,),
    "init": "random",
    "validation_fraction": 0.02,
    "max_iter": 16,
    "transform_max_iter": 0,
}
METHODS: dict[str, Any] = {
    "PCA": (PCA, {}),
    "logistic PCA": (UndercompleteAE, LOGISTIC),
    "UndercompleteAE": (UndercompleteAE, DEEP),
    "ConvAE": (ConvAE, CONVOLUTIONS),
}
PUBLISHED = {
    ("PCA", 30): 13.87,
    ("logistic PCA", 30): 8.01,
    ("UndercompleteAE", 30): 3.00,
}
#: What our codes should reach.
AIMS = {"UndercompleteAE": 2.6, "ConvAE": 2.2}
#: PCA's mean squared error of a pixel by Sainburg, McInnes and Gentner (2021).
PIXEL_ERRORS = {2: 0.0557, 64: 0.0090}


def cases(options: Options) -> list[Case]:
    """Return method, width, data, seed."""
    pairs = [(method, WIDTH) for method in METHODS]
    if not options.quick:
        pairs += [("PCA", width) for width in PIXEL_ERRORS]
    return [
        {
            "data": "digits" if options.quick else "MNIST",
            "method": method,
            "width": width,
            "seed": seed,
            "short": options.quick,
        }
        for method, width in pairs
        for seed in options.seed_range(1)
    ]


def squared_error(transformer: Any, X: np.ndarray) -> float:
    """Mean over images of the sum of squared errors."""
    answer = transformer.inverse_transform(transformer.transform(X))
    return round(float(np.square(answer - X).sum(axis=1).mean()), 4)


def run(data: str, method: str, width: int, seed: int, short: bool) -> dict[str, Any]:
    """Return errors of training and test images, and of refined codes."""
    X, _, X_test, _ = labelled(data)
    X, X_test = (part.astype(np.float32) / 255 for part in (X, X_test))
    make, settings = METHODS[method]
    if short and make is not PCA:
        settings = settings | {"max_iter": 3}
    if make is ConvAE:
        settings = settings | {"image_shape": (round(X.shape[1] ** 0.5),) * 2}
    start = time.perf_counter()
    transformer = make(width, random_state=seed, **settings).fit(X)
    figures = {
        "fit_seconds": round(time.perf_counter() - start),
        "train_error": squared_error(transformer, X[:10_000]),
        "test_error": squared_error(transformer, X_test),
    }
    figures["test_mse"] = round(figures["test_error"] / X.shape[1], 5)
    if make is not PCA:
        transformer.set_params(transform_max_iter=N_STEPS)
        figures["refined_error"] = squared_error(transformer, X_test)
    return figures


def published(row: Row) -> str:
    """Return the published error, if there is one."""
    error = PUBLISHED.get((row["method"], row["width"]))
    return f"{error:.2f}" if error and row["data"] == "MNIST" else ""


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return method and width, errors, what is published, and seconds."""
    return [
        [
            row["method"],
            str(row["width"]),
            f"{row['test_error']:.2f}",
            f"{row['refined_error']:.2f}" if "refined_error" in row else "",
            published(row),
            f"{row['train_error']:.2f}",
            str(row["fit_seconds"]),
        ]
        for row in rows
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    headings = [
        "method",
        "components",
        "test error",
        "refined",
        "published",
        "training error",
        "seconds",
    ]
    title = f"{rows[0]['data']}, squared error of an image"
    return [write_table(folder / "hinton.csv", title, headings, table_rows(rows))]


SUITE = Suite(
    "30 components of MNIST, beside Hinton and Salakhutdinov (2006)",
    cases,
    run,
    report,
)
