"""Pretraining of deep classifiers with few labels, after Vincent et al. (2010).

Three layers of an encoder are learnt without labels on five sixths of the training
images, in several ways. Of these images 1000 have labels. They train a classifier, the
encoder and a layer upon it, and a linear classifier of the codes. The other sixth
chooses the learning rate of the classifier; the test images judge once.
"""

import copy
import pathlib
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from rich.table import Table
from sklearn.preprocessing import FunctionTransformer
from torch import Tensor, nn

from skae import DenoisingAE, StackedAE, UndercompleteAE

from ..shared.data_sets import labelled
from ..shared.fine_tuning import Recipe, error, fine_tune
from ..shared.linear_probe import accuracies
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

MASKS = {"noise": "masking", "noise_level": 0.25}
#: Those of a stack train layer by layer, and "then together" the whole as well.
METHODS: dict[str, Any] = {
    "none": None,
    "together, plain": UndercompleteAE(transform_max_iter=0),
    "together, denoising": DenoisingAE(**MASKS),
    "by layers, plain": StackedAE(pretraining="plain", max_iter=0),
    "by layers, denoising": StackedAE(max_iter=0, **MASKS),
    "by layers, denoising, then together": StackedAE(**MASKS),
}
ACTIVATIONS = {"logistic": nn.Sigmoid, "gelu": nn.GELU}
TRAINING: dict[str, Any] = {
    "init": "random",
    "learning_rate": "cosine",
    "learning_rate_init": 0.003,
    "batch_size": 250,
    "early_stopping": False,
    "weight_decay": 0.0,
}
#: Of the classifier: the rate is chosen by validation images.
RATES = (0.001, 0.003, 0.01)
RECIPE = Recipe(60, learning_rate=0.0, batch_size=50, averaging=0.99)
MEASURES = {
    "test_error": 2,
    "probe_error": 2,
    "explained_variance": 3,
    "fit_seconds": 0,
}
HEADINGS = [
    "activation",
    "pretraining",
    "test error",
    "linear, test error",
    "explained variance",
    "fit, seconds",
]


def cases(options: Options) -> list[Case]:
    """Return ways to learn the encoder, for each activation."""
    size = {"data": "MNIST", "width": 500, "max_iter": 8, "n_labels": 1000}
    methods, activations = list(METHODS), list(ACTIVATIONS)
    if options.quick:
        size = {"data": "digits", "width": 64, "max_iter": 30, "n_labels": 100}
        methods, activations = ["none", *methods[-2:]], ["logistic"]
    return [
        {**size, "activation": activation, "method": method, "seed": seed}
        for activation in activations
        for method in methods
        for seed in options.seed_range(3)
    ]


def learn(
    method: str, activation: str, width: int, max_iter: int, seed: int, X: np.ndarray
) -> Any:
    """Return an autoencoder fitted to images without labels; None if there is none."""
    if METHODS[method] is None:
        return None
    estimator = copy.deepcopy(METHODS[method]).set_params(
        n_components=width,
        hidden_layer_sizes=(width, width),
        activation=activation,
        code_activation=activation,
        random_state=seed,
        **TRAINING,
    )
    if isinstance(estimator, StackedAE):
        estimator.set_params(pretraining_max_iter=max_iter)
    if estimator.max_iter:
        estimator.set_params(max_iter=max_iter)
    return estimator.fit(X)


def drawn(sizes: list[int], activation: str) -> nn.Sequential:
    """Return an encoder with random weights, drawn as those that are learnt."""
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in pairwise(sizes):
        layer = nn.Linear(n_inputs, n_outputs)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        layers += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def classifier(encoder: nn.Sequential, width: int, n_classes: int) -> nn.Sequential:
    """Return the encoder, copied, and a layer of zeros upon it."""
    last = nn.Linear(width, n_classes)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*copy.deepcopy(encoder), last)


def standardised(X: np.ndarray, X_training: np.ndarray) -> Tensor:
    """Return images as the encoder sees them."""
    mean = X_training.mean(0)
    scale = np.sqrt(np.square(X_training - mean).mean())
    return torch.from_numpy(((X - mean) / scale).astype(np.float32))


def run(
    data: str,
    width: int,
    max_iter: int,
    n_labels: int,
    activation: str,
    method: str,
    seed: int,
) -> dict[str, Any]:
    """Learn an encoder without labels, and train classifiers from it."""
    X, y, X_test, y_test = labelled(data)
    X, X_test = X / np.float32(255), X_test / np.float32(255)
    n_training, start = len(X) * 5 // 6, time.perf_counter()
    training = X[:n_training]
    estimator = learn(method, activation, width, max_iter, seed, training)
    figures = {"fit_seconds": time.perf_counter() - start}
    torch.manual_seed(seed)
    encoder = drawn([X.shape[1], width, width, width], activation)
    transformer: Any = FunctionTransformer()
    if estimator is not None:
        encoder, transformer = estimator.network_.encoder, estimator
        figures["explained_variance"] = estimator.score(X_test)
    parts = training, X_test, y[:n_training], y_test
    accuracy = np.mean(accuracies(transformer, n_labels, seed, parts))
    figures["probe_error"] = 100 * (1 - accuracy)
    known = np.random.default_rng(seed).choice(n_training, n_labels, replace=False)
    x = [standardised(rows, training) for rows in (X[known], X[n_training:], X_test)]
    labels = y[known], y[n_training:], y_test
    figures |= fine_tuned(encoder, width, x, list(map(as_integers, labels)), seed)
    return {name: float(f"{value:.5g}") for name, value in figures.items()}


def as_integers(labels: np.ndarray) -> Tensor:
    """Return labels as torch needs them."""
    return torch.from_numpy(labels.astype(np.int64))


def fine_tuned(
    encoder: nn.Sequential, width: int, x: list[Tensor], y: list[Tensor], seed: int
) -> dict[str, float]:
    """Return errors of the classifier, by the rate with the least on the second rows.

    ``x`` and ``y`` are images and labels that train it, that choose, and that judge.
    """
    found = []
    for rate in RATES:
        network = classifier(encoder, width, int(y[2].max()) + 1)
        recipe = replace(RECIPE, learning_rate=rate)
        torch.manual_seed(seed)
        network = fine_tune(network, x[0], y[0], recipe, 0.0)
        errors = [error(network, *part) for part in zip(x[1:], y[1:], strict=True)]
        found.append((*errors, rate))
    names = "validation_error", "test_error", "rate"
    return dict(zip(names, min(found), strict=True))


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return means and deviations over seeds."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["activation"], row["method"]), []).append(row)
    return [
        [*names, *(measured(group, name, n) for name, n in MEASURES.items())]
        for names, group in groups.items()
    ]


def measured(group: list[Row], name: str, digits: int) -> str:
    """Format a figure of several seeds; empty if they have none."""
    values = [row[name] for row in group if name in row]
    return mean_and_deviation(values, digits) if values else ""


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    title = f"{rows[0]['data']}, {rows[0]['n_labels']} labels, errors in per cent"
    path = folder / "stacked.csv"
    return [write_table(path, title, HEADINGS, table_rows(rows))]


SUITE = Suite(
    "deep classifiers of MNIST with 1000 labels, pretrained by layers",
    cases,
    run,
    report,
)
