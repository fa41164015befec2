"""Reconstruction over the width of the code: the autoencoders, and others.

Mean squared error of a test value, over that of the mean of the training rows. Of MNIST
and Fashion-MNIST the first 3000 images train and the first 2000 test. All methods see
the same rows, divided by their largest value. Autoencoders have default settings but
for the number of epochs, and so has ``MLPRegressor`` but for its layers: those of
``UndercompleteAE``.
"""

import itertools
import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import NMF, PCA, KernelPCA
from sklearn.neural_network import MLPRegressor

from skae import ContractiveAE, ConvAE, DenoisingAE, SparseAE, UndercompleteAE

from ..shared.data_sets import rows as read_rows
from ..shared.figures import pyplot, show_strip
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 256)
N_TRAINING, N_TEST = 3000, 2000
#: Epochs of each data set, fewer of convolutions, whose batches are smaller.
EPOCHS = {
    "digits": (300, 100),
    "MNIST": (40, 8),
    "Fashion-MNIST": (40, 8),
    "faces 32x32": (50, 20),
}
AUTOENCODERS = {
    make.__name__: make
    for make in (UndercompleteAE, SparseAE, DenoisingAE, ContractiveAE, ConvAE)
}
METHODS = ("PCA", "KernelPCA", "NMF", "MLPRegressor", *AUTOENCODERS)
DRAWN, PICTURED, N_PICTURES = "MNIST", ("PCA", "UndercompleteAE", "ConvAE"), 8


def cases(options: Options) -> list[Case]:
    """Return data, method and width, narrower than the rows, with seed and epochs."""
    if options.quick:
        chosen = [("digits", method, 4, (5, 2)) for method in METHODS]
    else:
        sizes = {"digits": 64}
        chosen = [
            (data, method, width, epochs)
            for data, epochs in EPOCHS.items()
            for method, width in itertools.product(METHODS, WIDTHS)
            if width < sizes.get(data, 300)
        ]
    return [
        {
            "data": data,
            "method": method,
            "width": width,
            "max_iter": epochs[method == "ConvAE"],
            "seed": seed,
        }
        for data, method, width, epochs in chosen
        for seed in options.seed_range(1)
    ]


def read(data: str) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test rows, divided by the largest value."""
    train, test = read_rows(data)
    largest = np.float32(train.max())
    return train[:N_TRAINING] / largest, test[:N_TEST] / largest


def fit(method: str, width: int, max_iter: int, seed: int, X: np.ndarray) -> Any:
    """Fit a method."""
    if method in AUTOENCODERS:
        shape = (round(X.shape[1] ** 0.5),) * 2
        images = {"image_shape": shape} if method == "ConvAE" else {}
        make = AUTOENCODERS[method]
        return make(width, max_iter=max_iter, random_state=seed, **images).fit(X)
    if method == "PCA":
        return PCA(width, random_state=seed).fit(X)
    if method == "NMF":
        return NMF(width, max_iter=200, random_state=seed).fit(X)
    if method == "KernelPCA":
        # The width that support vector machines have by default.
        gamma = 1 / (X.shape[1] * X.var())
        kernel = {"kernel": "rbf", "gamma": gamma, "alpha": 0.01}
        return KernelPCA(
            width, **kernel, fit_inverse_transform=True, random_state=seed
        ).fit(X)
    hidden = int(np.clip(4 * X.shape[1], 128, 512))
    layers = hidden, width, hidden
    return MLPRegressor(
        hidden_layer_sizes=layers, max_iter=max_iter, random_state=seed
    ).fit(X, X)


def reconstruct(model: Any, X: np.ndarray) -> np.ndarray:
    """Return what a method makes of rows."""
    if isinstance(model, MLPRegressor):
        return model.predict(X).reshape(X.shape)
    return model.inverse_transform(model.transform(X))


def run(data: str, method: str, width: int, max_iter: int, seed: int) -> dict[str, Any]:
    """Return the unexplained share of the test rows, and pictures of some."""
    train, test = read(data)
    answer = reconstruct(fit(method, width, max_iter, seed, train), test)
    error = np.square(answer - test).mean()
    figures = {
        "mse": round(float(error), 6),
        "unexplained": round(
            float(error / np.square(test - train.mean(axis=0)).mean()), 5
        ),
    }
    if data == DRAWN and method in PICTURED:
        both = np.stack([test[:N_PICTURES], answer[:N_PICTURES]])
        figures["pictures"] = (255 * both.clip(0, 1)).astype(np.uint8)
    return figures


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return, of each data set and method, the share left unexplained by each width."""
    found = {
        (row["data"], row["method"], row["width"]): f"{row['unexplained']:.3f}"
        for row in rows
    }
    pairs = dict.fromkeys((row["data"], row["method"]) for row in rows)
    return [[*pair, *(found.get((*pair, w), "") for w in WIDTHS)] for pair in pairs]


def draw_curves(rows: list[Row], path: pathlib.Path) -> None:
    """Draw the error over the width, of each data set."""
    plt = pyplot()
    data = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plt.subplots(
        1, len(data), figsize=(4 * len(data), 4), layout="constrained", squeeze=False
    )
    for ax, name in zip(axes.flat, data, strict=True):
        for method in METHODS:
            chosen = [r for r in rows if (r["data"], r["method"]) == (name, method)]
            widths, errors = zip(
                *((r["width"], r["unexplained"]) for r in chosen), strict=True
            )
            ax.plot(widths, errors, marker="." if method in AUTOENCODERS else "x")
        ax.set(title=name, xlabel="components", xscale="log", yscale="log")
    axes[0, 0].set_ylabel("unexplained variance, test")
    figure.legend(METHODS, loc="outside right center")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_pictures(rows: list[Row], path: pathlib.Path) -> None:
    """Draw test images, and below them their reconstructions by each width."""
    plt = pyplot()
    figure, axes = plt.subplots(
        1 + len(WIDTHS), len(PICTURED), figsize=(11, 5.5), layout="constrained"
    )
    for column, method in zip(axes.T, PICTURED, strict=True):
        chosen = [r for r in rows if r["method"] == method and "pictures" in r]
        strips = [("images", chosen[0]["pictures"][0])]
        strips += [(str(row["width"]), row["pictures"][1]) for row in chosen]
        column[0].set_title(method)
        for ax, (label, pictures) in zip(column, strips, strict=True):
            show_strip(ax, label, pictures)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table, the curves, and pictures where they are at hand."""
    table = write_table(
        folder / "reconstruction.csv",
        "Unexplained share of the test rows",
        ["data", "method", *map(str, WIDTHS)],
        table_rows(rows),
    )
    draw_curves(rows, folder / "reconstruction.png")
    if {row["method"] for row in rows if "pictures" in row} >= set(PICTURED):
        draw_pictures(rows, folder / "widths.png")
    return [table]


SUITE = Suite(
    "the autoencoders, PCA, KernelPCA, NMF and MLPRegressor, by width",
    cases,
    run,
    report,
)
