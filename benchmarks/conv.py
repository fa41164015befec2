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
from rich.console import Console
from rich.progress import track
from sklearn.decomposition import PCA

from skae import ConvAE

from ._data import stored_rows
from ._record import write_record, write_table

WIDTH = 64
RECIPE: dict[str, Any] = {
    "init": "random",
    "max_iter": 24,
    "validation_fraction": 0.02,
}
#: Of ``transform_max_iter``.
N_STEPS = 20
PUBLISHED = {"MNIST": (".0090", ".00162"), "Fashion-MNIST": (".0104", ".0054")}
QUICK, QUICK_WIDTHS = 10_000, (8, 16, 32, 64)

Rows = np.ndarray


def error(estimator: Any, X: Rows) -> float:
    """Return the mean squared error of a pixel in [0, 1]."""
    answer = estimator.inverse_transform(estimator.transform(X))
    return float(np.square((answer - X) / 255).mean())


def images(data: str) -> tuple[Rows, Rows]:
    """Return training and test images."""
    train, test = stored_rows(data)
    return train.astype(np.float32), test.astype(np.float32)


def fit(data: str) -> dict[str, Any]:
    """Return errors of PCA and of the recipe, seconds and the curve."""
    train, test = images(data)
    start = time.perf_counter()
    ae = ConvAE(WIDTH, image_shape=(28, 28), random_state=0, **RECIPE).fit(train)
    seconds = time.perf_counter() - start
    return {
        "data": data,
        "pca": round(error(PCA(WIDTH, random_state=0).fit(train), test), 5),
        "error": round(error(ae, test), 6),
        "refined": round(error(ae.set_params(transform_max_iter=N_STEPS), test), 6),
        "seconds": round(seconds),
        "explained": [round(score, 5) for score in ae.validation_scores_],
        "best": round(ae.best_score_, 5),
    }


def quick_fit(width: int) -> dict[str, Any]:
    """Return errors of PCA and of the defaults, on a part of MNIST."""
    train, test = images("MNIST")
    train = train[:QUICK]
    start = time.perf_counter()
    ae = ConvAE(width, image_shape=(28, 28), random_state=0).fit(train)
    seconds = time.perf_counter() - start
    pca = error(PCA(width, random_state=0).fit(train), test)
    ours = error(ae, test)
    return {
        "width": width,
        "pca": round(pca, 5),
        "error": round(ours, 5),
        "ratio": round(ours / pca, 3),
        "seconds": round(seconds, 1),
    }


def table_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return data, errors of PCA and of ours beside the published, and seconds."""
    return [
        [
            r["data"],
            f"{r['pca']:.4f}",
            PUBLISHED[r["data"]][0],
            f"{r['error']:.5f}",
            f"{r['refined']:.5f}",
            PUBLISHED[r["data"]][1],
            f"{r['seconds']}",
        ]
        for r in runs
    ]


def quick_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return width, errors, their ratio, and seconds."""
    return [
        [
            str(r["width"]),
            f"{r['pca']:.4f}",
            f"{r['error']:.4f}",
            f"{r['ratio']:.2f}",
            f"{r['seconds']:.0f}",
        ]
        for r in runs
    ]


def draw(runs: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Draw what is not explained of the held-out images over the epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for r in runs:
        epochs = range(1, len(r["explained"]) + 1)
        ax.plot(epochs, 1 - np.array(r["explained"]), label=r["data"])
    ax.set(xlabel="epoch", ylabel="unexplained variance, held-out", yscale="log")
    ax.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(output: pathlib.Path) -> None:
    """Run all; print the tables; write them, the record and the curve."""
    quick = [quick_fit(width) for width in track(QUICK_WIDTHS, "Defaults")]
    runs = [fit(data) for data in track(list(PUBLISHED), "64 components")]
    headings = [
        "data",
        "PCA",
        "published",
        "ConvAE",
        "refined",
        "published AE",
        "seconds",
    ]
    for table in (
        write_table(
            output / "conv_quick.csv",
            f"{QUICK} images of MNIST, default settings",
            ["components", "PCA", "ConvAE", "ratio", "seconds"],
            quick_rows(quick),
        ),
        write_table(
            output / "conv.csv",
            f"{WIDTH} components, test error",
            headings,
            table_rows(runs),
        ),
    ):
        Console().print(table)
    draw(runs, output / "conv.png")
    write_record(
        output / "conv.json",
        suite="conv",
        command="SKAE_DATA=../shared/data python -m benchmarks conv",
        recipe=RECIPE,
        refinement=N_STEPS,
        quick=quick,
        runs=runs,
    )
