"""PCA and UndercompleteAE on scikit-learn's digits, both with default settings.

Error: mean squared error of the reconstruction of test images, in squared grey values.
Accuracy: of a logistic regression on the codes of a few labelled training images, all
divided by one number: to scale each code by itself would whiten PCA's, which harms it.
"""

import itertools
import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA

from skae import UndercompleteAE
from skae.metrics import neg_mean_squared_error

from ..shared.data_sets import split_digits
from ..shared.figures import pyplot
from ..shared.linear_probe import accuracies
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

CODE_SIZES = (2, 4, 8, 16, 32)
N_LABELS = (10, 50, 100)
N_SEEDS = 3
SHOWN_SIZE = 8
METHODS = {"PCA": PCA, "UndercompleteAE": UndercompleteAE}
HEADINGS = ("code", "method", "error", *(f"acc. {n}" for n in N_LABELS))


def fit(method: str, n_components: int, seed: int, X: np.ndarray) -> Any:
    """Fit a method with its default settings."""
    return METHODS[method](n_components, random_state=seed).fit(X)


def cases(options: Options) -> list[Case]:
    """Return methods of each code size, with seeds."""
    sizes = (2, SHOWN_SIZE) if options.quick else CODE_SIZES
    return [
        {"data": "digits", "method": method, "n_components": size, "seed": seed}
        for size in sizes
        for seed in options.seed_range(N_SEEDS)
        for method in METHODS
    ]


def run(data: str, method: str, n_components: int, seed: int) -> dict[str, Any]:
    """Return the figures of one fit, and of one fit the reconstructions to show."""
    parts = split_digits(seed)
    transformer = fit(method, n_components, seed, parts[0])
    figures = {
        "test_error": -neg_mean_squared_error(transformer, parts[1]),
        "accuracy": {
            str(n): float(np.mean(accuracies(transformer, n, seed, parts)))
            for n in N_LABELS
        },
        "parameters": METHODS[method]().get_params(),
    }
    if (n_components, seed) != (SHOWN_SIZE, 0):
        return figures
    shown = one_of_each(parts)
    codes = transformer.transform(shown)
    return figures | {"pictures": transformer.inverse_transform(codes)}


def one_of_each(parts: Any) -> np.ndarray:
    """Return the first test image of each digit."""
    _, X_test, _, y_test = parts
    return X_test[[np.flatnonzero(y_test == label)[0] for label in range(10)]]


def select(rows: list[Row], method: str, n_components: int) -> list[Row]:
    """Return the rows of one method at one code size."""
    return [
        r for r in rows if r["method"] == method and r["n_components"] == n_components
    ]


def sizes_of(rows: list[Row]) -> list[int]:
    """Return the code sizes, the smallest first."""
    return sorted({r["n_components"] for r in rows})


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return code size, method, and means and deviations over seeds."""
    found = []
    for size, method in itertools.product(sizes_of(rows), METHODS):
        chosen = select(rows, method, size)
        error = mean_and_deviation([r["test_error"] for r in chosen], 2)
        accuracies = [
            mean_and_deviation([100 * r["accuracy"][str(n)] for r in chosen], 1)
            for n in N_LABELS
        ]
        found.append([str(size), method, error, *accuracies])
    return found


def draw(rows: list[Row], path: pathlib.Path) -> None:
    """Draw error over code size, accuracy over labels, and rows of images."""
    plt = pyplot()

    figure = plt.figure(figsize=(11, 6.5), layout="constrained")
    curves, images = figure.subfigures(2, 1, height_ratios=(3, 2))
    errors, accuracies = curves.subplots(1, 2)
    sizes = sizes_of(rows)
    for method in METHODS:
        groups = [select(rows, method, size) for size in sizes]
        errors_of = [[r["test_error"] for r in group] for group in groups]
        _plot_mean(errors, sizes, errors_of, method)
        shown = select(rows, method, SHOWN_SIZE)
        shares = [[r["accuracy"][str(n)] for r in shown] for n in N_LABELS]
        _plot_mean(accuracies, N_LABELS, shares, method)
    errors.set(
        xlabel="code size", ylabel="mean squared error, test images", ylim=(0, None)
    )
    errors.set_xscale("log", base=2)
    errors.set_xticks(sizes, labels=sizes)
    accuracies.set(xlabel="labels", ylabel=f"accuracy, code size {SHOWN_SIZE}")
    errors.legend()
    pictures = {"original": one_of_each(split_digits(0))} | {
        r["method"]: r["pictures"] for r in rows if "pictures" in r
    }
    grid = images.subplots(len(pictures), 10)
    for axes, (title, line) in zip(grid, pictures.items(), strict=True):
        axes[0].set_ylabel(title, rotation=0, ha="right", va="center")
        for ax, picture in zip(axes, line, strict=True):
            ax.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
            ax.set(xticks=[], yticks=[])
    images.suptitle(f"Test images, code size {SHOWN_SIZE}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot_mean(ax: Any, x: Any, groups: list[list[float]], label: str) -> None:
    """Plot the mean of each group with its deviation."""
    means = [np.mean(group) for group in groups]
    spreads = [np.std(group, ddof=1) if len(group) > 1 else 0 for group in groups]
    ax.errorbar(x, means, spreads, marker="o", capsize=3, label=label)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table, and the figure where the reconstructions are there."""
    if any("pictures" in r for r in rows):
        draw(rows, folder / "digits.png")
    title = "Digits: error and accuracy on test images"
    table = write_table(folder / "digits.csv", title, HEADINGS, table_rows(rows))
    table.caption = (
        "error: mean squared error of a grey value from 0 to 16; acc.: per cent, "
        "logistic regression on the codes of 10, 50, 100 labelled images"
    )
    return [table]


SUITE = Suite(
    "PCA and UndercompleteAE on scikit-learn's digits, as in the README",
    cases,
    run,
    report,
)
