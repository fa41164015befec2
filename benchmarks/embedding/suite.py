"""Pictures of MNIST and Fashion-MNIST: codes of two numbers.

The protocol of Sainburg, McInnes and Gentner (2021): 50000 training images; the
accuracy of 5 nearest neighbours among the training codes, on the codes of the 10000
test images; trustworthiness of the first 10000 training codes; mean squared error of
test pixels in [0, 1]. Settings of ``UndercompleteAE`` are its own.
"""

import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import ConvAE, UndercompleteAE

from ..shared.data_sets import labelled
from ..shared.figures import pyplot
from ..shared.image_features import MAX_ITER, QUICK_ITER, RECIPE, deformation
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite
from . import maps

N_TRAINING, N_TRUST = 50_000, 10_000
METHODS = ("PCA", "UndercompleteAE", "with neighbours", "ConvAE, with neighbours")
#: The accuracy that our codes should reach, and the error on MNIST.
AIMS, ERROR_AIM = {"MNIST": 0.93, "Fashion-MNIST": 0.76}, 0.037
#: Accuracy, trustworthiness and error by their notebooks; None where there is none.
PUBLISHED = {
    "MNIST": {
        "autoencoder": (0.7926, 0.9663, 0.0369),
        "PCA": (0.4201, 0.7434, 0.0557),
        "t-SNE": (0.9502, 0.9874, None),
        "parametric t-SNE": (0.9378, 0.9655, None),
        "UMAP": (0.9544, 0.9601, 0.0393),
        "parametric UMAP": (0.9614, 0.9573, 0.0374),
        "UMAP and autoencoder": (0.9537, 0.9675, 0.0360),
    },
    "Fashion-MNIST": {
        "autoencoder": (0.7339, 0.9803, 0.0244),
        "PCA": (0.5055, 0.9126, 0.0461),
        "t-SNE": (0.8039, 0.9906, None),
        "parametric t-SNE": (0.7361, 0.9827, None),
        "UMAP": (0.7608, 0.9777, 0.0347),
        "parametric UMAP": (0.7407, 0.9733, 0.0266),
        "UMAP and autoencoder": (0.7561, 0.9842, 0.0240),
    },
}


def cases(options: Options) -> list[Case]:
    """Return data, method and seed: of the protocol, then of smaller maps."""
    data = ("digits",) if options.quick else tuple(PUBLISHED)
    return [
        {"data": name, "method": method, "seed": seed, "short": options.quick}
        for name in data
        for method in METHODS
        for seed in options.seed_range(1)
    ] + maps.cases(options)


def make(method: str, data: str, X: np.ndarray, seed: int, short: bool) -> Any:
    """Return a transformer to fit."""
    if method == "PCA":
        return PCA(2, random_state=seed)
    weight = 1.0 if "neighbours" in method else 0.0
    few = {"max_iter": 8} if short else {}
    picture = UndercompleteAE(2, neighbor_weight=weight, random_state=seed, **few)
    if "ConvAE" not in method:
        return picture
    side = round(X.shape[1] ** 0.5)
    features = ConvAE(
        **RECIPE,
        image_shape=(side, side),
        noise=deformation(data, X),
        max_iter=QUICK_ITER if short else MAX_ITER,
        random_state=seed,
    )
    # Each feature counts the same for which rows are neighbours.
    return make_pipeline(features, StandardScaler(), picture)


def run(
    data: str, method: str, seed: int, short: bool = False, part: str = "protocol"
) -> dict[str, Any]:
    """Return the figures of one picture, and the codes of the test images."""
    if part == "maps":
        return maps.run(data, method, seed)
    X, y, X_test, y_test = labelled(data)
    X, X_test = (part.astype(np.float32) / 255 for part in (X, X_test))
    X, y = X[:N_TRAINING], y[:N_TRAINING]
    transformer = make(method, data, X, seed, short).fit(X)
    codes, codes_test = transformer.transform(X), transformer.transform(X_test)
    answer = transformer.inverse_transform(codes_test)
    judge = KNeighborsClassifier(5).fit(codes, y)
    n_trust = slice(N_TRUST)
    return {
        "accuracy": round(judge.score(codes_test, y_test), 4),
        "trustworthiness": round(float(trustworthiness(X[n_trust], codes[n_trust])), 4),
        "error": round(float(np.square(answer - X_test).mean()), 5),
        "codes": codes_test,
        "labels": y_test,
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return our figures of each data set, then the published ones."""
    found = []
    for data in dict.fromkeys(row["data"] for row in rows):
        ours = [
            (row["method"], "skae" if row["method"] != "PCA" else "here", *figures(row))
            for row in rows
            if row["data"] == data
        ]
        theirs = [
            (name, "published", *values)
            for name, values in PUBLISHED.get(data, {}).items()
        ]
        found += [
            [data, name, source, *map(shown, values)]
            for name, source, *values in ours + theirs
        ]
    return found


def figures(row: Row) -> tuple[float, float, float]:
    """Return accuracy, trustworthiness and error."""
    return row["accuracy"], row["trustworthiness"], row["error"]


def shown(value: float | None) -> str:
    """Format a figure that may not exist."""
    return "" if value is None else f"{value:.4f}"


def draw(rows: list[Row], path: pathlib.Path) -> None:
    """Draw the codes of the test images, in the colours of their classes."""
    plt = pyplot()

    figure, axes = plt.subplots(
        len(rows) // len(METHODS),
        len(METHODS),
        figsize=(11, 3.7 * len(rows) // len(METHODS)),
        layout="constrained",
        squeeze=False,
    )
    for ax, row in zip(axes.flat, rows, strict=True):
        ax.scatter(*row["codes"].T, c=row["labels"], cmap="tab10", s=1, linewidths=0)
        ax.set(title=f"{row['data']}\n{row['method']}", xticks=[], yticks=[])
    figure.savefig(path, dpi=90)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the tables, and the maps where the codes are at hand."""
    smaller = [row for row in rows if row.get("part") == "maps"]
    rows = [row for row in rows if row.get("part") != "maps"]
    tables = maps.report(smaller, folder) if smaller else []
    if not rows:
        return tables
    if all("codes" in row for row in rows):
        draw(rows, folder / "embedding.png")
    headings = ["data", "method", "source", "accuracy", "trustworthiness", "error"]
    title = "Codes of two numbers"
    table = write_table(folder / "embedding.csv", title, headings, table_rows(rows))
    return [table, *tables]


def alone(case: Case) -> bool:
    """Give the cases that measure time the machine."""
    return case.get("part") == "maps"


SUITE = Suite(
    "pictures of MNIST and Fashion-MNIST, and maps beside UMAP's",
    cases,
    run,
    report,
    alone=alone,
)
