"""Contraction and classification: the protocol of Rifai et al. (2011) on MNIST.

One layer of 1000 sigmoid units with tied weights is learnt without labels, and
measured: the norm of its Jacobian, its saturated and its dead units. It is then the
first layer of a classifier, of which all weights are trained with labels. The last
sixth of the training images chose the settings; the test images judge once.
"""

import pathlib
from typing import Any

import numpy as np
import torch
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor, nn

from skae import ContractiveAE, DenoisingAE

from ..shared.data_sets import labelled
from ..shared.fine_tuning import Recipe, error, fine_tune
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

ALPHAS = (0.0001, 0.0003, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03)
CHOSEN_ALPHA = 0.004
#: Methods, the strength of their regularisation, and the published test error in per
#: cent, squared norm in 1e-4, and saturated units in per cent.
METHODS: dict[str, tuple[float, tuple[str, str, str]]] = {
    "contractive": (CHOSEN_ALPHA, ("1.14", "0.73", "86.36")),
    "denoising, normal noise": (1.0, ("1.18", "0.86", "17.77")),
    "denoising, masks": (0.3, ("1.57", "7.87", "68.19")),
    "weight decay": (1.0, ("1.68", "5.00", "12.97")),
    "plain": (0.0, ("1.78", "17.5", "49.90")),
}
#: Methods whose layers are fine-tuned on moved rows too, which takes longest.
MOVED = ("contractive", "denoising, normal noise", "denoising, masks", "plain")
LAYER: dict[str, Any] = {
    "hidden_layer_sizes": (),
    "code_activation": "logistic",
    "tied_weights": True,
    "init": "random",
    "loss": "bernoulli",
    "learning_rate": "cosine",
    "learning_rate_init": 0.003,
    "batch_size": 250,
    "early_stopping": False,
    "weight_decay": 0.0,
}
#: Units below and above are saturated; units that vary by less are dead.
LOW, HIGH, STILL = 0.05, 0.95, 0.05


#: Figures of a layer without labels, and their digits.
MEASURES = {"norm": 2, "e4": 2, "saturated": 1, "dead": 0}
METHOD_HEADINGS = [
    "method",
    "test error",
    "validation error",
    "moved: test error",
    "moved: validation error",
    "norm",
    "mean square (1e-4)",
    "saturated %",
    "dead",
    "published error",
    "published norm (1e-4)",
    "published saturated %",
]
RECIPES = {
    "plain": Recipe(n_epochs=10, learning_rate=0.001, head_rate=10.0),
    "moved": Recipe(n_epochs=20, learning_rate=0.004, radius=1.5),
}


def make(method: str, level: float, **settings: Any) -> Any:
    """Return an estimator, regularised by the method so much."""
    if method.startswith("denoising"):
        noise = "gaps" if method.endswith("masks") else "gaussian"
        return DenoisingAE(noise=noise, noise_level=level, **settings)
    if method == "weight decay":
        settings["weight_decay"] = level
    alpha = level if method == "contractive" else 0.0
    return ContractiveAE(alpha=alpha, **settings)


def measure(estimator: Any, X: np.ndarray) -> dict[str, float]:
    """Return the norm of the Jacobian to pixels, and shares of units, before labels."""
    codes = torch.from_numpy(estimator.transform(X))
    slopes = codes * (1 - codes) / estimator.scale_
    weights = estimator.network_.encoder[0].weight.detach()
    squares = slopes.square() @ weights.square().sum(1)
    saturated = (codes < LOW) | (codes > HIGH)
    return {
        "norm": squares.sqrt().mean().item(),
        "mean_square": squares.mean().item() / weights.numel(),
        "saturated": 100 * saturated.float().mean().item(),
        "dead": int((codes.amax(0) - codes.amin(0) < STILL).sum()),
    }


def classifier(estimator: Any, n_classes: int) -> nn.Sequential:
    """Return the encoder, copied, and a layer of zeros upon it."""
    source = estimator.network_.encoder[0]
    first = nn.Linear(source.in_features, source.out_features)
    first.load_state_dict(source.state_dict())
    last = nn.Linear(source.out_features, n_classes)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first, nn.Sigmoid(), last)


def cases(options: Options) -> list[Case]:
    """Return methods at their strength, and more weights of the penalty."""
    if options.quick:
        size: Case = {"data": "digits", "n_units": 128, "max_iter": 100, "seed": 0}
        pairs = [("contractive", alpha) for alpha in (0.0, 0.001, 0.01)]
        recipes = {pair: ["plain"] for pair in pairs}
    else:
        size = {"data": "MNIST", "n_units": 1000, "max_iter": 8, "seed": 0}
        recipes = {(name, level): ["plain"] for name, (level, _) in METHODS.items()}
        recipes |= {("contractive", alpha): ["plain"] for alpha in ALPHAS}
        for name in MOVED:
            recipes[name, METHODS[name][0]] = list(RECIPES)
    return [
        {**size, "method": method, "level": level, "recipes": names}
        for (method, level), names in recipes.items()
    ]


def run(
    data: str,
    n_units: int,
    max_iter: int,
    seed: int,
    method: str,
    level: float,
    recipes: list[str],
) -> dict[str, Any]:
    """Learn a layer without labels, measure it, and train classifiers from it."""
    X, y, X_test, y_test = labelled(data)
    n_training = len(X) * 5 // 6
    settings = LAYER | {"n_components": n_units, "max_iter": max_iter}
    estimator = make(method, level, random_state=seed, **settings)
    estimator.fit(X[:n_training] / np.float32(255))
    figures: dict[str, Any] = measure(estimator, X_test / np.float32(255))
    x, x_test = (standardised(estimator, rows) for rows in (X, X_test))
    labels, labels_test = (torch.from_numpy(v.astype(np.int64)) for v in (y, y_test))
    for name in recipes:
        network = classifier(estimator, int(y.max()) + 1)
        distance = RECIPES[name].radius / estimator.scale_
        torch.manual_seed(seed)
        known = x[:n_training], labels[:n_training]
        network = fine_tune(network, *known, RECIPES[name], distance)
        judged = error(network, x[n_training:], labels[n_training:])
        figures[f"{name}_validation_error"] = judged
        figures[f"{name}_test_error"] = error(network, x_test, labels_test)
    return {name: float(f"{value:.5g}") for name, value in figures.items()}


def standardised(estimator: Any, X: np.ndarray) -> Tensor:
    """Return images as the encoder sees them."""
    x = (X / 255 - estimator.mean_) / estimator.scale_
    return torch.from_numpy(x.astype(np.float32))


def by_alpha(rows: list[Row]) -> list[Row]:
    """Return the contractive autoencoders, the least penalty first."""
    swept = [row for row in rows if row["method"] == "contractive"]
    return sorted(swept, key=lambda row: row["level"])


def correlation(rows: list[Row]) -> float:
    """Return Spearman's rank correlation of the norm with the plain test error."""
    errors = [row["plain_test_error"] for row in rows]
    return float(spearmanr([row["norm"] for row in rows], errors).statistic)


def formatted(row: Row, digits: dict[str, int]) -> list[str]:
    """Return figures, each with so many digits."""
    return [f"{row[name]:.{n}f}" if name in row else "" for name, n in digits.items()]


def method_rows(rows: list[Row]) -> list[list[str]]:
    """Return method, errors, and measures beside what is published."""
    errors = {
        f"{name}_{kind}_error": 2 for name in RECIPES for kind in ("test", "validation")
    }
    found = []
    for row in rows:
        level, published = METHODS[row["method"]]
        if row["level"] == level:
            measures = formatted(row | {"e4": 1e4 * row["mean_square"]}, MEASURES)
            shown = [row["method"], *formatted(row, errors), *measures, *published]
            found.append(shown)
    return found


def alpha_rows(rows: list[Row]) -> list[list[str]]:
    """Return the penalty's weight, its measures, and errors."""
    digits = {
        "norm": 2,
        "saturated": 1,
        "dead": 0,
        "plain_test_error": 2,
        "plain_validation_error": 2,
    }
    return [[f"{row['level']:g}", *formatted(row, digits)] for row in by_alpha(rows)]


def draw(rows: list[Row], path: pathlib.Path) -> None:
    """Draw the error over the norm: a line over the alphas, and the other methods."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    swept = by_alpha(rows)
    points = [(row["norm"], row["plain_test_error"]) for row in swept]
    ax.plot(*zip(*points, strict=True), "k.-", label="contractive, by alpha")
    for row, point in zip(swept, points, strict=True):
        ax.annotate(f"{row['level']:g}", point, (3, 4), textcoords="offset points")
    for row in rows:
        if row["method"] != "contractive":
            ax.plot(row["norm"], row["plain_test_error"], "o", label=row["method"])
    ax.set(xscale="log", xlabel="mean norm of the Jacobian", ylabel="test error (%)")
    ax.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table of methods, that of alphas, and error over norm."""
    draw(rows, folder / "contractive.png")
    swept, data = by_alpha(rows), rows[0]["data"]
    groups = {"alphas": swept, "alphas and methods": rows}
    measured = [
        [name, str(len(group)), f"{correlation(group):.2f}"]
        for name, group in groups.items()
        if name == "alphas" or len(rows) > len(swept)
    ]
    tables = [
        write_table(
            folder / "contractive_alpha.csv",
            f"{data}, over the weight of the penalty",
            ["alpha", "norm", "saturated %", "dead", "test error", "validation error"],
            alpha_rows(rows),
        ),
        write_table(
            folder / "contractive_correlation.csv",
            f"{data}, norm and test error",
            ["over", "cases", "Spearman's correlation"],
            measured,
        ),
    ]
    if methods := method_rows(rows):
        table = write_table(
            folder / "contractive.csv",
            f"{data}, errors in per cent",
            METHOD_HEADINGS,
            methods,
        )
        tables.insert(0, table)
    return tables


SUITE = Suite(
    summary="norms of Jacobians, and classifiers trained from each autoencoder",
    cases=cases,
    run=run,
    report=report,
)
