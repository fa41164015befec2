"""Maps in two dimensions by ours and by others, each with its own settings.

``python -m benchmarks.embedding.methods FOLDER METHOD SEED`` is a fresh process in the
environment of a method. It reads ``train.npy`` and ``test.npy`` of a folder, and writes
``codes.npy``, ``test_codes.npy``, ``answer.npy`` and ``figures.json`` there, as many of
them as the method can make.
"""

import importlib.metadata
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..shared.environments import Failed, NotInstalled, run_alone

Rows = np.ndarray


@dataclass(frozen=True)
class Picture:
    """A fitted map: codes of the training rows, and what it makes of others."""

    codes: Rows
    encode: Callable[[Rows], Rows] | None = None
    decode: Callable[[Rows], Rows] | None = None


def pca(X: Rows, seed: int) -> Picture:
    """Fit PCA."""
    from sklearn.decomposition import PCA

    model = PCA(2, random_state=seed)
    return Picture(model.fit_transform(X), model.transform, model.inverse_transform)


def ours(X: Rows, seed: int) -> Picture:
    """Fit UndercompleteAE, which keeps neighbours together."""
    from skae import UndercompleteAE

    model = UndercompleteAE(2, neighbor_weight=1.0, random_state=seed)
    return Picture(model.fit_transform(X), model.transform, model.inverse_transform)


def umap(X: Rows, seed: int) -> Picture:
    """Fit UMAP. Its inverse is left out: it takes minutes for a thousand codes."""
    from umap import UMAP

    model = UMAP(random_state=seed)
    return Picture(model.fit_transform(X), model.transform)


def parametric_umap(X: Rows, seed: int) -> Picture:
    """Fit the network of parametric-umap, which knows no inverse."""
    import torch
    from parametric_umap import ParametricUMAP

    torch.manual_seed(seed)
    model = ParametricUMAP()
    return Picture(model.fit_transform(X), model.transform)


def tsne(X: Rows, seed: int) -> Picture:
    """Fit t-SNE, which knows the training rows alone."""
    from sklearn.manifold import TSNE

    return Picture(TSNE(random_state=seed).fit_transform(X))


@dataclass(frozen=True)
class Method:
    """What fits, whose version is recorded, and what its environment gets.

    One that takes minutes for a thousand rows is slow: it has one case alone.
    """

    fit: Callable[[Rows, int], Picture]
    package: str
    requirements: tuple[str, ...] = ()
    is_slow: bool = False


OURS = "UndercompleteAE"
METHODS = {
    "PCA": Method(pca, "scikit-learn"),
    OURS: Method(ours, "skae"),
    "UMAP": Method(umap, "umap-learn", ("umap-learn==0.5.12",)),
    "parametric UMAP": Method(
        parametric_umap,
        "parametric-umap",
        ("parametric-umap==0.2.0",),
        is_slow=True,
    ),
    "t-SNE": Method(tsne, "scikit-learn"),
}


def apart(name: str, seed: int, train: Rows, test: Rows) -> dict[str, Any]:
    """Return figures and arrays of a method, from a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home)
        np.save(folder / "train.npy", train)
        np.save(folder / "test.npy", test)
        try:
            run_alone(METHODS[name].requirements, __name__, home, name, str(seed))
        except NotInstalled as reason:
            return {"missing": f"not installed: {reason}"}
        except Failed as reason:
            return {"missing": f"failed: {reason}"}
        arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
        return arrays | json.loads((folder / "figures.json").read_text())


def main(folder: pathlib.Path, name: str, seed: int) -> None:
    """Fit a method to the rows of a folder, and leave what it makes there.

    All is done twice: the first time, libraries are loaded and compiled. What is slow
    is done once.
    """
    train, test = (np.load(folder / f"{part}.npy") for part in ("train", "test"))
    method = METHODS[name]
    figures = {"version": importlib.metadata.version(method.package)}
    for prefix in ("first_",) if method.is_slow else ("first_", ""):
        seconds, arrays = timed(method, train, test, seed)
        figures |= {prefix + part: value for part, value in seconds.items()}
    for part, array in arrays.items():
        np.save(folder / f"{part}.npy", array)
    (folder / "figures.json").write_text(json.dumps(figures))


def timed(
    method: Method, train: Rows, test: Rows, seed: int
) -> tuple[dict[str, float], dict[str, Rows]]:
    """Return processor seconds of fit and transform, and the arrays they make."""
    start = time.process_time()
    picture = method.fit(train, seed)
    seconds = {"fit_seconds": round(time.process_time() - start, 2)}
    arrays = {"codes": picture.codes}
    if picture.encode:
        start = time.process_time()
        codes = picture.encode(test)
        seconds["transform_seconds"] = round(time.process_time() - start, 3)
        arrays["test_codes"] = codes
        if picture.decode:
            arrays["answer"] = picture.decode(codes)
    return seconds, arrays


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
