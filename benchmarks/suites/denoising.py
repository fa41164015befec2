"""Noise taken off, and missing values filled in, on test images.

PSNR in dB over the whole test set: ``10 log10(range^2 / mean squared error)``. Noise is
in units of ``scale_``, masked pixels are zero; all methods see the same noisy images,
are fitted on clean ones, and none is clipped. Kernel PCA has the best ``gamma`` and
``alpha`` of a grid for each noise, chosen on training images.

Codes from twice as wide as the image down to a hundredth of it meet a lot of noise: a
deviation of 2 ``scale_``, the first 10000 images of MNIST, few epochs.
"""

import itertools
import pathlib
import time
from typing import Any

import numpy as np
import torch
from rich.table import Table
from scipy.ndimage import median_filter
from sklearn.decomposition import PCA, KernelPCA
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import train_test_split

from skae import DenoisingAE
from skae._objectives.corruption import make_corruption

from ..shared.data_sets import remember, rows, split_digits
from ..shared.figures import pyplot, show_strip
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

WIDTHS = {"digits": 16, "MNIST": 64}
RANGES = {"digits": 16, "MNIST": 255}
LEVELS = {
    "gaussian": (0.3, 0.6, 1.0),
    "uniform": (0.5, 1.0, 1.5),
    "masking": (0.1, 0.3, 0.5),
}
GAMMAS, RIDGES = (1e-4, 3e-4, 1e-3, 3e-3), (1e-3, 1e-1)
MISSING = 0.2
#: Widths of the code, the noise they meet, images and epochs.
CODES, A_LOT, N_TRAINING, N_EPOCHS = (
    (1568, 784, 392, 196, 98, 64, 32, 16, 8),
    2.0,
    10_000,
    20,
)
METHODS = ("noisy", "median filter", "PCA", "KernelPCA", "DenoisingAE")

Rows = np.ndarray


def cases(options: Options) -> list[Case]:
    """Return noise of each kind and level, methods of imputation, and the spiral."""
    short = {"max_iter": 10} if options.quick else {}
    levels = {"masking": (0.3,)} if options.quick else LEVELS
    imputed = {"task": "imputation", "data": "digits"}
    data, widths = ("digits", (32,)) if options.quick else ("MNIST", CODES)
    return [
        *(
            {"task": "noise", "data": data, "noise": noise, "level": level, **short}
            for data in (["digits"] if options.quick else WIDTHS)
            for noise in levels
            for level in levels[noise]
        ),
        *({**imputed, "method": method, **short} for method in IMPUTERS),
        {"task": "field", "data": "spiral", **short},
        *(
            {"task": "width", "data": data, "width": width, "init": init}
            for init in ("pca", "random")
            for width in widths
        ),
    ]


def run(task: str, **case: Any) -> dict[str, Any]:
    """Return the figures of one task."""
    return TASKS[task](**case)


def images(name: str) -> tuple[Rows, Rows]:
    """Return training and test images."""
    train, test = split_digits(0)[:2] if name == "digits" else rows(name)
    return train.astype(np.float32), test.astype(np.float32)


def corrupted(X: Rows, like: Rows, noise: str, level: float) -> Rows:
    """Return noisy images, in the unit of their data ``like``."""
    mean = like.mean(axis=0)
    scale = (like - mean).std()
    x, zeros = (torch.from_numpy((rows - mean) / scale) for rows in (X, 0 * mean))
    corrupt = make_corruption(noise, level, zeros)
    return corrupt(x, torch.Generator().manual_seed(0)).numpy() * scale + mean


def psnr(answer: Rows, truth: Rows, data: str) -> float:
    """Return the peak signal to noise ratio, in dB."""
    error = np.square(answer - truth, dtype=np.float64).mean()
    return round(float(10 * np.log10(RANGES[data] ** 2 / error)), 2)


def through(transformer: Any, X: Rows) -> Rows:
    """Encode and decode."""
    return transformer.inverse_transform(transformer.transform(X))


def kernel_pca(train: Rows, noise: str, level: float, width: int) -> KernelPCA:
    """Return the Kernel PCA that denoises a part of the training images best."""
    fitted, judges = train_test_split(train, test_size=0.25, random_state=0)
    noisy = corrupted(judges, train, noise, level)

    def make(gamma: float, alpha: float) -> KernelPCA:
        return KernelPCA(
            width, kernel="rbf", gamma=gamma, alpha=alpha, fit_inverse_transform=True
        )

    def error(case: tuple[float, float]) -> float:
        return float(np.square(through(make(*case).fit(fitted), noisy) - judges).mean())

    return make(*min(itertools.product(GAMMAS, RIDGES), key=error)).fit(train)


def denoiser(width: int, noise: str, level: float, max_iter: Any) -> DenoisingAE:
    """Return an autoencoder with default settings, but for the noise."""
    return DenoisingAE(
        width, noise=noise, noise_level=level, max_iter=max_iter, random_state=0
    )


def denoise(
    data: str, noise: str, level: float, max_iter: Any = "auto"
) -> dict[str, Any]:
    """Return the PSNR of each method."""
    train, test = images(data)
    noisy, width = corrupted(test, train, noise, level), WIDTHS[data]
    side = int(test.shape[1] ** 0.5)
    pictures = noisy.reshape(-1, side, side)
    ae = denoiser(width, noise, level, max_iter).fit(train)
    answers = {
        "noisy": noisy,
        "median filter": median_filter(pictures, (1, 3, 3)).reshape(test.shape),
        "PCA": through(PCA(width, random_state=0).fit(train), noisy),
        "DenoisingAE": ae.reconstruct(noisy),
    }
    if data == "digits":
        answers["KernelPCA"] = through(kernel_pca(train, noise, level, width), noisy)
    return {"psnr": {m: psnr(answer, test, data) for m, answer in answers.items()}}


class Imputer:
    """DenoisingAE as an imputer: what is known stays."""

    def __init__(self, max_iter: Any):
        self.ae = denoiser(16, "gaps", MISSING, max_iter)

    def fit(self, X: Rows) -> Any:
        """Fit on rows with gaps."""
        self.ae.fit(X)
        return self

    def transform(self, X: Rows) -> Rows:
        """Fill the gaps in."""
        return np.where(np.isnan(X), self.ae.reconstruct(X), X)


IMPUTERS = {
    "SimpleImputer": lambda max_iter: SimpleImputer(),
    "KNNImputer": lambda max_iter: KNNImputer(),
    "DenoisingAE": Imputer,
}


def impute(data: str, method: str, max_iter: Any = "auto") -> dict[str, Any]:
    """Return the error of the missing pixels, and seconds."""
    rng = np.random.default_rng(0)
    train, test = images(data)
    train, gappy = (
        np.where(rng.random(X.shape) < MISSING, np.nan, X) for X in (train, test)
    )
    start = time.perf_counter()
    filled = IMPUTERS[method](max_iter).fit(train).transform(gappy)
    seconds = round(time.perf_counter() - start, 2)
    error = float(np.square(filled - test)[np.isnan(gappy)].mean())
    return {"error": round(error, 3), "fill_seconds": seconds}


def field(data: str, max_iter: Any = "auto") -> dict[str, Any]:
    """Return ``reconstruct(x) - x`` about a spiral."""
    t = np.random.default_rng(0).uniform(1, 3, 3000) * np.pi
    X = np.column_stack([t * np.cos(t), t * np.sin(t)]) / (3 * np.pi)
    remember(data, X)
    ae = DenoisingAE(
        2,
        noise_level=0.1,
        hidden_layer_sizes=(128, 128),
        max_iter=max_iter,
        random_state=0,
    ).fit(X)
    grid = np.stack(np.meshgrid(*[np.linspace(-1.1, 1.1, 30)] * 2), -1).reshape(-1, 2)
    arrows = ae.reconstruct(grid) - grid
    return {"points": X[::3], "grid": grid, "arrows": arrows}


def against_a_lot(data: str, width: int, init: str) -> dict[str, Any]:
    """Return the PSNR of a code of a width, and some of its answers."""
    train, test = images(data)
    train = train[:N_TRAINING]
    noisy = corrupted(test, train, "gaussian", A_LOT)
    ae = denoiser(width, "gaussian", A_LOT, N_EPOCHS).set_params(init=init)
    answer = ae.fit(train).reconstruct(noisy)
    strips = np.stack([test[:10], noisy[:10], answer[:10]]) / RANGES[data]
    return {
        "psnr": psnr(answer, test, data),
        "noisy": psnr(noisy, test, data),
        "pictures": (255 * strips.clip(0, 1)).astype(np.uint8),
    }


TASKS = {
    "noise": denoise,
    "imputation": impute,
    "field": field,
    "width": against_a_lot,
}


def draw_widths(rows: list[Row], path: pathlib.Path) -> None:
    """Draw images, noisy ones, and what codes of each width make of them."""
    plt = pyplot()

    truth, noisy, _ = rows[0]["pictures"]
    strips = [("images", truth), ("noisy", noisy)]
    strips += [(str(row["width"]), row["pictures"][2]) for row in rows]
    figure, axes = plt.subplots(len(strips), 1, figsize=(5, 5.5), layout="constrained")
    for ax, (label, pictures) in zip(axes, strips, strict=True):
        show_strip(ax, label, pictures)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw(row: Row, path: pathlib.Path) -> None:
    """Draw the field about the spiral."""
    plt = pyplot()

    figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
    ax.scatter(*row["points"].T, s=2, color="tab:orange")
    arrows = *row["grid"].T, *row["arrows"].T
    ax.quiver(*arrows, angles="xy", scale_units="xy", scale=2, width=0.003)
    ax.set(title="reconstruct(X) - X, arrows half as long", aspect="equal")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return data, noise, level, and the PSNR of each method."""
    return [
        [
            r["data"],
            r["noise"],
            f"{r['level']:g}",
            *(f"{r['psnr'][m]:.2f}" if m in r["psnr"] else "" for m in METHODS),
        ]
        for r in rows
    ]


def imputation_rows(rows: list[Row]) -> list[list[str]]:
    """Return method, mean squared error, and seconds."""
    return [
        [r["method"], f"{r['error']:.2f}", f"{r['fill_seconds']:.2f}"] for r in rows
    ]


def width_rows(rows: list[Row]) -> list[list[str]]:
    """Return width, and PSNR by either start, and of the noisy images."""
    psnrs = {(r["width"], r["init"]): f"{r['psnr']:.2f}" for r in rows}
    noisy = {r["width"]: f"{r['noisy']:.2f}" for r in rows}
    return [
        [str(width), psnrs[width, "pca"], psnrs[width, "random"], text]
        for width, text in noisy.items()
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the tables, and the figure where its arrays are there."""
    of = {task: [r for r in rows if r["task"] == task] for task in TASKS}
    for row in of["field"]:
        if "arrows" in row:
            draw(row, folder / "spiral.png")
    if (found := of["width"]) and all("pictures" in row for row in found):
        drawn = [row for row in found if row["init"] == "pca"]
        draw_widths(drawn, folder / "noise_widths.png")
    tables = []
    if found:
        path, title = folder / "noise_widths.csv", "A lot of noise, PSNR, dB"
        headings = ["components", "from PCA", "from random weights", "noisy"]
        tables.append(write_table(path, title, headings, width_rows(found)))
    if found := of["noise"]:
        path, headings = folder / "denoising.csv", ["data", "noise", "level", *METHODS]
        tables.append(write_table(path, "PSNR, dB", headings, table_rows(found)))
    if found := of["imputation"]:
        path, title = folder / "imputation.csv", f"Digits, {MISSING:.0%} missing"
        headings = ["method", "mean squared error", "seconds"]
        tables.append(write_table(path, title, headings, imputation_rows(found)))
    return tables


def alone(case: Case) -> bool:
    """Tell whether seconds are shown."""
    return case["task"] == "imputation"


SUITE = Suite(
    "noise and missing values, beside PCA, filters and imputers",
    cases,
    run,
    report,
    alone=alone,
)
