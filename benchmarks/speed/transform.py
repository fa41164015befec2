"""Rows a second of ``transform`` over those of the bare network.

The bare network gets float32 tensors of standardised rows, made beforehand, and fills
an array with their codes, in chunks of the size that is faster: all rows at once, which
do not fit the cache, take longer.
"""

import statistics
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from skae import UndercompleteAE

from ..shared.suite import Case, Options, Row
from .made_rows import CHUNK, fill
from .timing import (
    N_ROUNDS,
    N_THREADS,
    THREADS,
    by_threads,
    in_turns,
    ratio_of_medians,
    threads,
)

SHAPES = [(1_000_000, 64), (60_000, 784)]
DTYPES = ("float32", "float64", "uint8")
N_COMPONENTS = 16
N_FITTED = 2000
CHUNK_ELEMENTS = (2**17, 2**19)


def cases(options: Options) -> list[Case]:
    """Return shapes, types and numbers of threads."""
    return [
        {
            "shape": (500, shape[1]) if options.quick else shape,
            "dtype": dtype,
            "n_rounds": 3 if options.quick else N_ROUNDS,
            "n_threads": n_threads,
        }
        for shape in SHAPES
        for dtype in DTYPES
        for n_threads in N_THREADS
    ]


def standardised(X: np.ndarray, ae: UndercompleteAE) -> Tensor:
    """Return all rows as the network takes them."""
    rows = np.empty(X.shape, np.float32)
    for chunk in gen_batches(len(X), CHUNK):
        rows[chunk] = (X[chunk] - ae.mean_) / ae.scale_
    return torch.from_numpy(rows)


def encode_in_chunks(network: Any, rows: Tensor, n_elements: int) -> np.ndarray:
    """Encode chunks of rows one after the other."""
    codes = np.empty((len(rows), N_COMPONENTS), np.float32)
    for chunk in gen_batches(len(rows), n_elements // rows.shape[1]):
        codes[chunk] = network.encode(rows[chunk]).numpy()
    return codes


def run(shape: list[int], dtype: str, n_rounds: int, n_threads: int) -> dict[str, Any]:
    """Let transform and the bare network take turns."""
    X = fill(np.empty(shape, dtype))
    # Without early stopping training never goes back to PCA, which computes less.
    options = {"early_stopping": False, "transform_max_iter": 0, "random_state": 0}
    ae = UndercompleteAE(N_COMPONENTS, max_iter=3, **options).fit(X[:N_FITTED])
    rows, network = standardised(X, ae), ae.network_
    calls = {
        "ours": lambda: ae.transform(X),
        **{str(n): partial(encode_in_chunks, network, rows, n) for n in CHUNK_ELEMENTS},
    }
    with threads(n_threads), torch.inference_mode():
        times = in_turns(calls, n_rounds)
    ours = times.pop("ours")
    bare = min(times.values(), key=statistics.median)
    return {"times": {"ours": ours, **times}, "ratio": ratio_of_medians(bare, ours)}


def table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and lines."""
    title = f"Rows a second over the bare network's, median of {rows[0]['n_rounds']}"
    sized = [row | {"size": "{} x {}".format(*row["shape"])} for row in rows]
    lines = by_threads(sized, ["size", "dtype"], lambda row: f"{row['ratio']:.2f}")
    return title, ["rows", "type", *THREADS], lines
