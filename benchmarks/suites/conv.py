"""Codes of 64 numbers for MNIST and Fashion-MNIST, and a quick fit by default.

Test error is the mean squared error of a pixel, in [0, 1]. Published are the
autoencoder of Sainburg, McInnes and Gentner (2021), convolutional too, and their PCA.
Settings were chosen on training images of MNIST, the weight decay on training rows of
digits, ECG5000, faces and patches of photographs too.
"""

import pathlib
import time
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA

from skae import ConvAE

from ..shared.data_sets import labelled
from ..shared.figures import pyplot
from ..shared.image_features import TRAINING
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTH = 64
RECIPE: dict[str, Any] = {
    "init": "random",
    "max_iter": 24,
    "validation_fraction": 0.02,
}
#: What all fits with the recipe share.
ENCODER = TRAINING | {
    "hidden_layer_sizes": (512,),
    "learning_rate": "cosine",
    "transform_max_iter": 0,
}
#: Of ``transform_max_iter``.
N_STEPS = 20
PUBLISHED = {"MNIST": (".0090", ".00162"), "Fashion-MNIST": (".0104", ".0054")}
#: Test errors that were aimed at, of refined codes or not.
AIMS = {"MNIST": 0.0012, "Fashion-MNIST": 0.0048}
#: Of the fits with default settings.
N_ROWS, WIDTHS = 10_000, (8, 16, 32, 64)

Rows = np.ndarray


def error(estimator: Any, X: Rows) -> float:
    """Return the mean squared error of a pixel in [0, 1]."""
    answer = estimator.inverse_transform(estimator.transform(X))
    return float(np.square((answer - X) / 255).mean())


def cases(options: Options) -> list[Case]:
    """Return fits with the recipe, and fits of fewer images by default."""
    if options.quick:
        recipe = RECIPE | {"max_iter": 3}
        few = {"data": "digits", "n_components": 8}
        return [few | {"settings": recipe, "n_steps": 2}, few | {"n_rows": 300}]
    return [
        *(
            {
                "data": data,
                "n_components": WIDTH,
                "settings": RECIPE,
                "n_steps": N_STEPS,
            }
            for data in PUBLISHED
        ),
        *({"data": "MNIST", "n_components": k, "n_rows": N_ROWS} for k in WIDTHS),
    ]


def run(
    data: str,
    n_components: int,
    settings: dict[str, Any] | None = None,
    n_steps: int = 0,
    n_rows: int | None = None,
) -> dict[str, Any]:
    """Return errors of PCA and of ours, seconds, and the curve of the recipe."""
    X, _, X_test, _ = labelled(data)
    train, test = X.astype(np.float32), X_test.astype(np.float32)
    train, side = train[:n_rows], int(test.shape[1] ** 0.5)
    start = time.perf_counter()
    settings = ENCODER | settings if settings else {}
    settings["image_shape"] = side, side
    ae = ConvAE(n_components, random_state=0, **settings).fit(train)
    seconds = time.perf_counter() - start
    pca = PCA(n_components, random_state=0).fit(train)
    figures = {
        "pca": round(error(pca, test), 5),
        "error": round(error(ae, test), 6),
        "fit_seconds": round(seconds, 1),
    }
    if not n_steps:
        return figures
    return figures | {
        "refined": round(error(ae.set_params(transform_max_iter=n_steps), test), 6),
        "explained": [round(score, 5) for score in ae.validation_scores_],
        "best": round(ae.best_score_, 5),
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return data, errors of PCA and of ours beside the published, and seconds."""
    found = []
    for r in rows:
        pca, ours = PUBLISHED.get(r["data"], ("", ""))
        errors = [f"{r['error']:.5f}", f"{r['refined']:.5f}"]
        seconds = f"{r['fit_seconds']:.0f}"
        found.append([r["data"], f"{r['pca']:.4f}", pca, *errors, ours, seconds])
    return found


def default_rows(rows: list[Row]) -> list[list[str]]:
    """Return width, errors, their ratio, and seconds."""
    return [
        [
            str(r["n_components"]),
            f"{r['pca']:.4f}",
            f"{r['error']:.4f}",
            f"{r['error'] / r['pca']:.2f}",
            f"{r['fit_seconds']:.0f}",
        ]
        for r in rows
    ]


def by_recipe(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows of the recipe, and those of default settings."""
    return (
        [r for r in rows if "settings" in r],
        [r for r in rows if "settings" not in r],
    )


def draw(rows: list[Row], path: pathlib.Path) -> None:
    """Draw what is not explained of the held-out images over the epochs."""
    plt = pyplot()

    figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for r in rows:
        epochs = range(1, len(r["explained"]) + 1)
        ax.plot(epochs, 1 - np.array(r["explained"]), label=r["data"])
    ax.set(xlabel="epoch", ylabel="unexplained variance, held-out", yscale="log")
    ax.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the tables and the curve."""
    recipe, default = by_recipe(rows)
    tables = []
    if default:
        title = "Part of the training images, default settings"
        headings = ["components", "PCA", "ConvAE", "ratio", "seconds"]
        path = folder / "conv_defaults.csv"
        tables.append(write_table(path, title, headings, default_rows(default)))
    if recipe:
        title = f"{recipe[0]['n_components']} components, test error"
        headings = ["data", "PCA", "published", "ConvAE"]
        headings += ["refined", "published AE", "seconds"]
        path = folder / "conv.csv"
        tables.append(write_table(path, title, headings, table_rows(recipe)))
        draw(recipe, folder / "conv.png")
    return tables


def alone(case: Case) -> bool:
    """Give each fit all cores: its seconds are shown."""
    return True


SUITE = Suite(
    "convolutions on MNIST and Fashion-MNIST", cases, run, report, alone=alone
)
