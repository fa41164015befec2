"""PCA and UndercompleteAE on scikit-learn's digits, both with default settings.

Error: mean squared error of the reconstruction of test images, in squared grey values.
Accuracy: of a logistic regression on the codes of a few labelled training images, all
divided by one number: to scale each code by itself would whiten PCA's, which harms it.
"""

import itertools
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split

from skae import UndercompleteAE
from skae.metrics import neg_mean_squared_error

from ._record import mean_and_deviation, write_record

CODE_SIZES = (2, 4, 8, 16, 32)
N_LABELS = (10, 50, 100)
SEEDS = (0, 1, 2)
N_DRAWS = 10
SHOWN_SIZE = 8
METHODS = {"PCA": PCA, "UndercompleteAE": UndercompleteAE}


def split(seed: int) -> Any:
    """Return training images, test images, and the labels of both."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.25, stratify=y, random_state=seed)


def fit(method: str, n_components: int, seed: int, X: np.ndarray) -> Any:
    """Fit a method with its default settings."""
    return METHODS[method](n_components, random_state=seed).fit(X)


def accuracies(transformer: Any, n_labels: int, seed: int, data: Any) -> list[float]:
    """Test accuracies of a linear classifier, for each draw of labelled images."""
    X, X_test, y, y_test = data
    codes = transformer.transform(X)
    mean, spread = codes.mean(axis=0), codes.std()
    codes = (codes - mean) / spread
    codes_test = (transformer.transform(X_test) - mean) / spread
    draws = StratifiedShuffleSplit(N_DRAWS, train_size=n_labels, random_state=seed)
    classifier = LogisticRegression(max_iter=1000)
    return [
        classifier.fit(codes[labelled], y[labelled]).score(codes_test, y_test)
        for labelled, _ in draws.split(codes, y)
    ]


def run(method: str, n_components: int, seed: int) -> dict[str, Any]:
    """Return the figures of one fit."""
    data = split(seed)
    transformer = fit(method, n_components, seed, data[0])
    return {
        "method": method,
        "n_components": n_components,
        "seed": seed,
        "test_error": -neg_mean_squared_error(transformer, data[1]),
        "accuracy": {
            str(n): float(np.mean(accuracies(transformer, n, seed, data)))
            for n in N_LABELS
        },
    }


def select(runs: list[dict[str, Any]], method: str, n_components: int) -> list[Any]:
    """Return the runs of one method at one code size."""
    return [
        r for r in runs if r["method"] == method and r["n_components"] == n_components
    ]


def table_rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield code size, method, and means and deviations over seeds."""
    for size, method in itertools.product(CODE_SIZES, METHODS):
        chosen = select(runs, method, size)
        error = mean_and_deviation([r["test_error"] for r in chosen], 2)
        accuracies = [
            mean_and_deviation([100 * r["accuracy"][str(n)] for r in chosen], 1)
            for n in N_LABELS
        ]
        yield [str(size), method, error, *accuracies]


def make_table(runs: list[dict[str, Any]]) -> Table:
    """Tabulate the runs for the terminal."""
    table = Table(
        title=f"Digits: error and accuracy on test images, {len(SEEDS)} seeds",
        caption="error: mean squared error of a grey value from 0 to 16; acc.: per "
        "cent, logistic regression on the codes of 10, 50, 100 labelled images",
    )
    for heading in ("code", "method", "error", *(f"acc. {n}" for n in N_LABELS)):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, row in enumerate(table_rows(runs), 1):
        table.add_row(*row, end_section=i % len(METHODS) == 0)
    return table


def reconstructions() -> Iterator[tuple[str, np.ndarray]]:
    """Yield titles and images: ten originals, and each method's reconstructions."""
    X, X_test, _, y_test = split(SEEDS[0])
    chosen = X_test[[np.flatnonzero(y_test == label)[0] for label in range(10)]]
    yield "original", chosen
    for method in METHODS:
        transformer = fit(method, SHOWN_SIZE, SEEDS[0], X)
        yield method, transformer.inverse_transform(transformer.transform(chosen))


def draw(runs: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Draw error over code size, accuracy over labels, and rows of images."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 6.5), layout="constrained")
    curves, images = figure.subfigures(2, 1, height_ratios=(3, 2))
    errors, accuracies = curves.subplots(1, 2)
    for method in METHODS:
        groups = [select(runs, method, size) for size in CODE_SIZES]
        _plot_mean(errors, CODE_SIZES, groups, lambda r: r["test_error"], method)
        shown = [select(runs, method, SHOWN_SIZE)] * len(N_LABELS)
        pairs = [
            [r["accuracy"][str(n)] for r in group]
            for n, group in zip(N_LABELS, shown, strict=True)
        ]
        _plot_mean(accuracies, N_LABELS, pairs, lambda value: value, method)
    errors.set(
        xlabel="code size", ylabel="mean squared error, test images", ylim=(0, None)
    )
    errors.set_xscale("log", base=2)
    errors.set_xticks(CODE_SIZES, labels=CODE_SIZES)
    accuracies.set(xlabel="labels", ylabel=f"accuracy, code size {SHOWN_SIZE}")
    errors.legend()
    rows = list(reconstructions())
    grid = images.subplots(len(rows), 10)
    for axes, (title, pictures) in zip(grid, rows, strict=True):
        axes[0].set_ylabel(title, rotation=0, ha="right", va="center")
        for ax, picture in zip(axes, pictures, strict=True):
            ax.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
            ax.set(xticks=[], yticks=[])
    images.suptitle(f"Test images, code size {SHOWN_SIZE}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot_mean(ax: Any, x: Any, groups: Any, value: Any, label: str) -> None:
    """Plot the mean of each group with its deviation."""
    values = np.array([[value(member) for member in group] for group in groups])
    ax.errorbar(
        x, values.mean(1), values.std(1, ddof=1), marker="o", capsize=3, label=label
    )


def main(output: pathlib.Path) -> None:
    """Run all fits; print the table; write the record and the figure."""
    console = Console()
    cases = [(m, k, s) for k in CODE_SIZES for s in SEEDS for m in METHODS]
    start = time.perf_counter()
    workers = Parallel(n_jobs=2, return_as="generator")
    results = workers(delayed(run)(*case) for case in cases)
    runs = list(track(results, "Fitting", total=len(cases), console=console))
    seconds = round(time.perf_counter() - start, 1)
    console.print(make_table(runs))
    record, figure = output / "digits.json", output / "digits.png"
    write_record(
        record,
        suite="digits",
        command="python -m benchmarks",
        parameters={name: cls().get_params() for name, cls in METHODS.items()},
        seconds=seconds,
        runs=runs,
    )
    draw(runs, figure)
    console.print(f"{seconds} s; record: {record}, figure: {figure}")
