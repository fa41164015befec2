"""Signals and volumes: convolutions in one and three dimensions.

Heartbeats (ECG5000): fitted on half of the normal ones, judged on the rest, and on all
others as outliers: area under the ROC curve of the error of each row. Volumes are
balls, boxes and rings made at random places.
"""

import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA

from skae import ConvAE, UndercompleteAE

from ..shared.data_sets import remember
from ..shared.report import write_table
from ..shared.signals import errors, find_outliers, median
from ..shared.suite import Case, Options, Row, Suite

WIDTHS = (4, 16)
N_SEEDS = 3
SIDE, N_VOLUMES = 12, 2000
METHODS = {"PCA": PCA, "UndercompleteAE": UndercompleteAE, "ConvAE": ConvAE}

Rows = np.ndarray


def cases(options: Options) -> list[Case]:
    """Return heartbeats by each method, and volumes."""
    seeds = options.seed_range(N_SEEDS)
    if options.quick:
        signals, widths = {"data": "bumps", "max_iter": 3}, WIDTHS[:1]
        solids = {"data": "volumes", "n_volumes": 200, "max_iter": 3}
    else:
        signals, widths, solids = {"data": "ECG5000"}, WIDTHS, {"data": "volumes"}
    return [
        *(
            {**signals, "method": method, "n_components": width, "seed": seed}
            for width in widths
            for method in METHODS
            for seed in seeds
        ),
        *({**solids, "n_components": w, "seed": s} for w in widths for s in seeds),
    ]


def run(data: str, **case: Any) -> dict[str, Any]:
    """Return the figures of volumes, or of signals."""
    return volumes(**case) if data == "volumes" else signals(data, **case)


def signals(
    data: str, method: str, n_components: int, seed: int, max_iter: Any = "auto"
) -> dict[str, Any]:
    """Return error of normal signals, and how well errors tell the others."""
    length = {} if method == "PCA" else {"max_iter": max_iter}
    estimator = METHODS[method](n_components, random_state=seed, **length)
    return find_outliers(estimator, data, seed)


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


def volumes(
    n_components: int, seed: int, n_volumes: int = N_VOLUMES, max_iter: Any = "auto"
) -> dict[str, Any]:
    """Return test errors of PCA and of convolutions."""
    X = shapes(n_volumes, np.random.default_rng(seed))
    remember("volumes", X)
    train, test = X[: -n_volumes // 4], X[-n_volumes // 4 :]
    ae = ConvAE(n_components, spatial_dims=3, max_iter=max_iter, random_state=seed)
    ae.fit(train)
    flat, rest = (part.reshape(len(part), -1) for part in (train, test))
    pca = PCA(n_components, random_state=seed).fit(flat)
    return {
        "pca": round(float(errors(pca, rest).mean()), 5),
        "error": round(float(errors(ae, test).mean()), 5),
    }


def widths_of(rows: list[Row]) -> list[int]:
    """Return the numbers of components, the smallest first."""
    return sorted({r["n_components"] for r in rows})


def signal_rows(rows: list[Row]) -> list[list[str]]:
    """Return width, and medians of error and area of each method."""
    return [
        [
            str(k),
            *(
                f"{median(rows, 'error', n_components=k, method=m):.4f}"
                for m in METHODS
            ),
            *(f"{median(rows, 'auc', n_components=k, method=m):.3f}" for m in METHODS),
        ]
        for k in widths_of(rows)
    ]


def volume_rows(rows: list[Row]) -> list[list[str]]:
    """Return width, and medians of the errors."""
    return [
        [str(k), *(f"{median(rows, n, n_components=k):.4f}" for n in ("pca", "error"))]
        for k in widths_of(rows)
    ]


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the tables of signals and of volumes."""
    solid = [r for r in rows if r["data"] == "volumes"]
    flat = [r for r in rows if r["data"] != "volumes"]
    tables = []
    if flat:
        path, title = folder / "conv_signals.csv", f"{flat[0]['data']}, error and AUC"
        headings = ["components", *METHODS, *(f"AUC {m}" for m in METHODS)]
        tables.append(write_table(path, title, headings, signal_rows(flat)))
    if solid:
        path, headings = folder / "conv_volumes.csv", ["components", "PCA", "ConvAE"]
        tables.append(write_table(path, "Volumes, error", headings, volume_rows(solid)))
    return tables


SUITE = Suite("convolutions of heartbeats and of volumes", cases, run, report)
