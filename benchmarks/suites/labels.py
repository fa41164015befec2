"""Few labels: how many images a classifier tells wrongly, after tuning with them.

A ``ConvAE`` learns from all training images without labels. An
``AutoencoderClassifier`` then tunes its encoder with as many labels of each class, and
with all images. Beside it are the head alone, and the same network with random weights,
tuned in the same way or with labels only. The same images without labels, and their
deformations, are the noise of both: which deformations leave a class as it is, is told.

Settings were chosen by the first 20000 training images of MNIST. Test images judge.
"""

import copy
import functools
import pathlib
import time
import warnings
from typing import Any

import numpy as np
import torch
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from skae import AutoencoderClassifier, ConvAE

from ..shared.data_sets import labelled
from ..shared.image_features import RECIPE, deformation
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

#: Of the noise without deformations; as in ``few_labels``.
NOISE_LEVEL = 0.3
#: Epochs of the autoencoder, and steps of tuning.
EPOCHS = {"MNIST": 5, "digits": 100, "Fashion-MNIST": 5}
N_STEPS = 1000
#: Numbers of labels, and of their draws for the tuned network.
DRAWS: dict[str, dict[int, int]] = {
    "MNIST": {100: 10, 1000: 5},
    "digits": {50: 10, 200: 10},
    "Fashion-MNIST": {100: 3, 1000: 3},
}
#: Errors that tuning should reach on MNIST.
AIMS = {100: 1.2, 1000: 0.9}
#: Draws of what it is compared with, where it takes long.
FEW_DRAWS = 3
TUNED, HEAD = "tuned", "head alone"
METHODS: dict[str, dict[str, Any]] = {
    TUNED: {},
    HEAD: {"fine_tune": False},
    "not pretrained, tuned": {},
    "not pretrained, labels only": {"consistency": None},
}

Rows = np.ndarray


def cases(options: Options) -> list[Case]:
    """Return the methods for each number of labels, and each draw of these."""
    sets = {"digits": {50: 1}} if options.quick else DRAWS
    steps = 50 if options.quick else N_STEPS
    return [
        {
            "data": data,
            "n_labels": n_labels,
            "method": method,
            "max_iter": 1 if options.quick else EPOCHS[data],
            "n_steps": steps,
            "seed": seed,
        }
        for data, counts in sets.items()
        for n_labels, n_draws in counts.items()
        for method in METHODS
        for seed in options.seed_range(
            min(n_draws, FEW_DRAWS) if is_slow(data, method) else n_draws
        )
    ]


def is_slow(data: str, method: str) -> bool:
    """Whether a comparison takes as long as what is compared."""
    return data != "digits" and method not in (TUNED, HEAD)


def run(
    data: str, n_labels: int, method: str, max_iter: int, n_steps: int, seed: int
) -> dict[str, Any]:
    """Return the share of test images told wrongly, in per cent."""
    X, y, X_test, y_test = images(data)
    autoencoder, seconds = pretrained(data, max_iter)
    if method.startswith("not pretrained"):
        autoencoder = with_random_weights(autoencoder, seed)
    n_classes, start = len(np.unique(y)), time.process_time()
    classifier = AutoencoderClassifier(
        FrozenEstimator(autoencoder),
        max_iter=n_steps,
        # As many labels of each class are drawn.
        priors=np.full(n_classes, 1 / n_classes),
        random_state=seed,
        **METHODS[method],
    )
    classifier.fit(X, some_labels(y, n_labels, seed))
    return {
        "pretraining_seconds": seconds,
        "tuning_seconds": round(time.process_time() - start, 1),
        "n_iter": classifier.n_iter_,
        "error": round(100 * (1 - classifier.score(X_test, y_test)), 2),
    }


@functools.cache
def images(data: str) -> tuple[Rows, Rows, Rows, Rows]:
    """Return square roots of grey values, and classes, to train on and to test."""
    X, y, X_test, y_test = labelled(data)
    X, X_test = (np.sqrt(part.astype(np.float32)) for part in (X, X_test))
    return X, y.astype(int), X_test, y_test.astype(int)


@functools.cache
def pretrained(data: str, max_iter: int) -> tuple[ConvAE, float]:
    """Return an autoencoder of all training images, and processor seconds."""
    X, start = images(data)[0], time.process_time()
    side = round(X.shape[1] ** 0.5)
    autoencoder = ConvAE(
        **RECIPE,
        image_shape=(side, side),
        noise=deformation(data, X),
        noise_level=NOISE_LEVEL,
        max_iter=max_iter,
        random_state=0,
    )
    with warnings.catch_warnings():
        # Few epochs are enough for what follows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        autoencoder.fit(X)
    return autoencoder, round(time.process_time() - start, 1)


def with_random_weights(autoencoder: ConvAE, seed: int) -> ConvAE:
    """Return the same with a network that has learnt nothing."""
    fresh = copy.deepcopy(autoencoder)
    generator = torch.Generator().manual_seed(seed)
    fresh.network_.reset_parameters(generator, torch.zeros(fresh.n_features_in_))
    for module in fresh.network_.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    return fresh


def some_labels(y: Rows, n_labels: int, seed: int) -> Rows:
    """Return as many labels of each class, and -1 for the other rows."""
    rng, classes = np.random.default_rng(seed), np.unique(y)
    labels = np.full(len(y), -1)
    for label in classes:
        rows = np.flatnonzero(y == label)
        labels[rng.choice(rows, n_labels // len(classes), replace=False)] = label
    return labels


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table."""
    groups: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in rows:
        group = groups.setdefault((row["data"], row["n_labels"]), {})
        group.setdefault(row["method"], []).append(row["error"])
    found = [
        [data, str(n), str(len(errors[TUNED])), *shown(errors), aim(data, n)]
        for (data, n), errors in groups.items()
    ]
    title = "Test images told wrongly, %: mean and deviation over draws of labels"
    headings = ["data", "labels", "draws", *METHODS, "aim"]
    return [write_table(folder / "labels.csv", title, headings, found)]


def aim(data: str, n_labels: int) -> str:
    """Return what the tuned network should reach."""
    return str(AIMS[n_labels]) if data == "MNIST" else ""


def shown(errors: dict[str, list[float]]) -> list[str]:
    """Format the errors of all methods."""
    found = (errors.get(method, []) for method in METHODS)
    return [mean_and_deviation(each, 2) if each else "" for each in found]


SUITE = Suite("classifiers of images with few labels", cases, run, report)
