"""Memory that a memory-mapped file of rows takes, to encode it and to fit it once."""

import pathlib
import tempfile
from typing import Any

import numpy as np

from ..shared.suite import Case, Options, Row
from .made_rows import fill
from .process import measured

SHAPE, QUICK_SHAPE = (2_000_000, 784), (20_000, 64)
DTYPES = ("float32", "uint8")
CALLS = ("transform", "fit")
N_FITTED = 2000


def cases(options: Options) -> list[Case]:
    """Return the types of the file."""
    if options.quick:
        return [{"shape": QUICK_SHAPE, "dtype": "uint8"}]
    return [{"shape": SHAPE, "dtype": dtype} for dtype in DTYPES]


def run(shape: list[int], dtype: str) -> dict[str, Any]:
    """Write a file, and call both in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.npy"
        rows = np.lib.format.open_memmap(path, "w+", dtype, tuple(shape))
        fill(rows).flush()
        size = rows.nbytes / 1e9
        del rows
        settings = {"path": str(path), "n_fitted": N_FITTED}
        calls = {call: measured("mapped", call=call, **settings) for call in CALLS}
    return {"file_gb": round(size, 3), "calls": calls}


def shown(found: dict[str, float] | None) -> list[str]:
    """Return the peaks of resident and of anonymous memory."""
    if found is None:
        return ["does not fit"] * 2
    return [f"{found[f'peak_{kind}_gb']:.2f}" for kind in ("resident", "anonymous")]


def table(rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, headings and lines."""
    title = "Peaks of memory, {} x {} in a mapped file, GB".format(*rows[0]["shape"])
    lines = [
        [row["dtype"], f"{row['file_gb']:.2f}", call, *shown(found)]
        for row in rows
        for call, found in row["calls"].items()
    ]
    return title, ["type", "file", "call", "resident", "anonymous"], lines
