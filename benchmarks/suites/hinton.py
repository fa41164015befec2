"""Codes of 30 numbers for MNIST: the experiment of Hinton and Salakhutdinov (2006).

Error is the squared error of an image, summed over its pixels in [0, 1], as in their
figure 2: all 60000 training images, networks of 784-1000-500-250-30 units and back.
Nothing is clipped but what a sigmoid bounds; theirs, PCA's and ours alike. Settings
were chosen by training on the first 50000 images and judging by some of the others.

The networks learn images by heart. So they are trained on copies of them too, which are
moved a little, and at the end on the images alone, as they really lie.
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
from ..shared.image_features import TRAINING, with_copies
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
    "learning_rate": "cosine",
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
#: Methods that are trained on moved copies of each image: how many, and epochs.
COPIES = {"UndercompleteAE": (19, 16), "ConvAE": (9, 6)}
#: How they are then trained on the images.
TUNING = {"learning_rate_init": 0.001, "max_iter": 4, "warm_start": True}
PUBLISHED = {
    ("PCA", 30): 13.87,
    ("logistic PCA", 30): 8.01,
    ("UndercompleteAE", 30): 3.00,
}
#: What our codes should reach.
AIMS = {"UndercompleteAE": 2.6, "ConvAE": 2.2}
#: What the encoder alone should reach if it was trained on copies.
COPIES_AIMS = {"UndercompleteAE": 2.6, "ConvAE": 2.0}
#: PCA's mean squared error of a pixel by Sainburg, McInnes and Gentner (2021).
PIXEL_ERRORS = {2: 0.0557, 64: 0.0090}


def cases(options: Options) -> list[Case]:
    """Return method, width, copies, data, seed."""
    each: list[Case] = [{"method": method, "width": WIDTH} for method in METHODS]
    if not options.quick:
        each += [{"method": "PCA", "width": width} for width in PIXEL_ERRORS]
    each += [
        {
            "method": method,
            "width": WIDTH,
            "n_copies": 1 if options.quick else n_copies,
            "max_iter": 3 if options.quick else max_iter,
        }
        for method, (n_copies, max_iter) in COPIES.items()
    ]
    data = {"data": "digits" if options.quick else "MNIST", "short": options.quick}
    return [
        case | data | {"seed": seed} for case in each for seed in options.seed_range(1)
    ]


def squared_error(transformer: Any, X: np.ndarray) -> float:
    """Mean over images of the sum of squared errors."""
    answer = transformer.inverse_transform(transformer.transform(X))
    return round(float(np.square(answer - X).sum(axis=1).mean()), 4)


def fit(
    transformer: Any, X: np.ndarray, n_copies: int, max_iter: int, seed: int
) -> None:
    """Fit a transformer to images, if asked with moved copies first."""
    if n_copies:
        transformer.set_params(max_iter=max_iter).fit(with_copies(X, n_copies, seed))
        transformer.set_params(**TUNING)
    transformer.fit(X)


def run(
    data: str,
    method: str,
    width: int,
    seed: int,
    short: bool,
    n_copies: int = 0,
    max_iter: int = 0,
) -> dict[str, Any]:
    """Return errors of training and test images, and of refined codes."""
    X, _, X_test, _ = labelled(data)
    X, X_test = (part.astype(np.float32) / 255 for part in (X, X_test))
    make, settings = METHODS[method]
    if short and make is not PCA:
        settings = settings | {"max_iter": 3}
    if make is ConvAE:
        settings = settings | {"image_shape": (round(X.shape[1] ** 0.5),) * 2}
    transformer = make(width, random_state=seed, **settings)
    start = time.perf_counter()
    fit(transformer, X, n_copies, max_iter, seed)
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
            row["method"] + (", moved copies" if "n_copies" in row else ""),
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
