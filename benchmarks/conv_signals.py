"""Signals and volumes: convolutions in one and three dimensions.

Heartbeats (ECG5000): fitted on half of the normal ones, judged on the rest, and on all
others as outliers: area under the ROC curve of the error of each row. Volumes are
balls, boxes and rings made at random places.
"""

import pathlib
import statistics
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skae import ConvAE, UndercompleteAE

from ._data import labelled_heartbeats
from ._record import write_record, write_table

WIDTHS = (4, 16)
SEEDS = (0, 1, 2)
SIDE, N_VOLUMES = 12, 2000
METHODS = {"PCA": PCA, "UndercompleteAE": UndercompleteAE, "ConvAE": ConvAE}

Rows = np.ndarray


def errors(estimator: Any, X: Rows) -> Rows:
    """Return the mean squared error of each row."""
    answer = estimator.inverse_transform(estimator.transform(X))
    return np.square(answer - X).reshape(len(X), -1).mean(axis=1)


def heartbeats(method: str, width: int, seed: int) -> dict[str, Any]:
    """Return error of normal heartbeats, and how well errors tell the others."""
    X, y = labelled_heartbeats()
    train, normal = train_test_split(X[y == 1], test_size=0.5, random_state=seed)
    estimator = METHODS[method](width, random_state=seed).fit(train)
    usual, others = errors(estimator, normal), errors(estimator, X[y != 1])
    is_other = np.repeat([0, 1], [len(usual), len(others)])
    auc = roc_auc_score(is_other, np.concatenate([usual, others]))
    return {
        "method": method,
        "width": width,
        "seed": seed,
        "error": round(float(usual.mean()), 5),
        "auc": round(float(auc), 4),
    }


def shapes(n: int, rng: np.random.Generator) -> Rows:
    """Return volumes (n, depth, height, width) of one ball, box or ring each."""
    grid = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1)
    centre, size = rng.uniform(4, SIDE - 4, (n, 3)), rng.uniform(1.5, 3.5, n)
    offset = grid[None] - centre[:, None, None, None]
    radius = size[:, None, None, None]
    round_ = np.linalg.norm(offset[..., 1:], axis=-1)
    kinds = np.stack(
        [
            radius - np.linalg.norm(offset, axis=-1),
            radius - abs(offset).max(axis=-1),
            1.0 - np.hypot(round_ - radius, offset[..., 0]),
        ]
    )
    kind = rng.integers(3, size=n)
    # Smooth at the surface, as a scanner sees it.
    return (1 / (1 + np.exp(-3 * kinds[kind, np.arange(n)]))).astype(np.float32)


def volumes(width: int, seed: int) -> dict[str, Any]:
    """Return test errors of PCA and of convolutions."""
    X = shapes(N_VOLUMES, np.random.default_rng(seed))
    train, test = X[: -N_VOLUMES // 4], X[-N_VOLUMES // 4 :]
    ae = ConvAE(width, spatial_dims=3, random_state=seed).fit(train)
    flat, rest = (part.reshape(len(part), -1) for part in (train, test))
    pca = PCA(width, random_state=seed).fit(flat)
    return {
        "width": width,
        "seed": seed,
        "pca": round(float(errors(pca, rest).mean()), 5),
        "error": round(float(errors(ae, test).mean()), 5),
    }


def signal_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return width, and medians of error and area of each method."""

    def median(method: str, width: int, name: str) -> float:
        wanted = method, width
        return statistics.median(
            r[name] for r in runs if (r["method"], r["width"]) == wanted
        )

    widths = sorted({r["width"] for r in runs})
    return [
        [
            str(width),
            *(f"{median(m, width, 'error'):.4f}" for m in METHODS),
            *(f"{median(m, width, 'auc'):.3f}" for m in METHODS),
        ]
        for width in widths
    ]


def volume_rows(runs: list[dict[str, Any]]) -> list[list[str]]:
    """Return width, and medians of the errors."""
    widths = sorted({r["width"] for r in runs})
    of = {
        (width, name): statistics.median(r[name] for r in runs if r["width"] == width)
        for width in widths
        for name in ("pca", "error")
    }
    return [[str(w), f"{of[w, 'pca']:.4f}", f"{of[w, 'error']:.4f}"] for w in widths]


def main(output: pathlib.Path) -> None:
    """Run all; print the tables; write them and the record."""
    cases = [(m, w, s) for w in WIDTHS for m in METHODS for s in SEEDS]
    signals = [heartbeats(*case) for case in track(cases, "Heartbeats")]
    solids = [volumes(w, s) for w in track(WIDTHS, "Volumes") for s in SEEDS]
    for table in (
        write_table(
            output / "conv_signals.csv",
            "ECG5000, error and AUC",
            ["components", *METHODS, *(f"AUC {m}" for m in METHODS)],
            signal_rows(signals),
        ),
        write_table(
            output / "conv_volumes.csv",
            "Volumes, error",
            ["components", "PCA", "ConvAE"],
            volume_rows(solids),
        ),
    ):
        Console().print(table)
    write_record(
        output / "conv_signals.json",
        suite="conv_signals",
        command="SKAE_DATA=../shared/data python -m benchmarks conv_signals",
        heartbeats=signals,
        volumes=solids,
    )
