"""A fresh process, in the rival's environment, that fits and answers.

``python -m benchmarks.rivals.worker FOLDER METHOD JSON`` reads ``train.npy`` and
``test.npy`` of a folder, and writes ``answer.npy``, the reconstruction of the test
rows, and ``figures.json`` there: rivals print what they like.
"""

import importlib.metadata
import json
import pathlib
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from .methods import METHODS, Rows, Settings

#: More than the largest batch, for some rivals drop a batch that is not full.
N_WARM_UP = 1000


def fit(
    name: str, settings: Settings, train: Rows, test: Rows
) -> tuple[Rows, dict[str, Any]]:
    """Return the reconstruction of the test rows, and processor seconds."""
    method = METHODS[name]
    # The first fit of a process loads much of torch, which is no work of the method.
    method.fit(train[:N_WARM_UP], replace(settings, n_epochs=1))
    start = time.process_time()
    coder = method.fit(train, settings)
    fitted = time.process_time()
    codes = coder.encode(test)
    encoded = time.process_time()
    if codes.shape != (len(test), settings.n_components):
        raise ValueError(f"Codes have the shape {codes.shape}.")
    return coder.decode(codes), {
        "fit_seconds": round(fitted - start, 3),
        "transform_seconds": round(encoded - fitted, 4),
        "version": importlib.metadata.version(method.package),
    }


def main(folder: pathlib.Path, name: str, settings: Settings) -> None:
    """Fit a method to the rows of a folder, and leave answer and figures there."""
    train, test = (np.load(folder / f"{part}.npy") for part in ("train", "test"))
    answer, figures = fit(name, settings, train, test)
    np.save(folder / "answer.npy", answer)
    (folder / "figures.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], Settings(**json.loads(sys.argv[3])))
