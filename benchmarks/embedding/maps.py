"""Maps of a few thousand rows by ours, UMAP, parametric UMAP, t-SNE and PCA.

All have their own settings, and one thread. Accuracy is that of the 5 nearest training
codes, trustworthiness that of the test codes with 15 neighbours. t-SNE places no new
rows: its accuracy leaves one out, and its trustworthiness is of training rows. Seconds
of fit and of placing the test rows are those of the first time in a process, in which
libraries are loaded and compiled, and of the second time.
"""

import pathlib
import statistics
from typing import Any

import numpy as np
from rich.table import Table
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from ..shared.data_sets import labelled, labelled_rows, remember
from ..shared.figures import pyplot
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row
from .methods import METHODS, OURS, apart

N_TRAINING, N_TEST = 7000, 3000
#: Images have values in [0, 1]; the rest its own unit, or deviations if it is scaled.
IMAGES = ("MNIST", "Fashion-MNIST")
DATA = (
    *IMAGES,
    "digits",
    "COIL-20",
    "letter",
    "pendigits",
    "satellite",
    "ECG5000",
    "breast cancer",
)
N_SEEDS = 3
#: Figures of the table, and their digits.
FIGURES = {
    "accuracy": 3,
    "trustworthiness": 3,
    "error": 3,
    "first_fit_seconds": 1,
    "fit_seconds": 1,
    "first_transform_seconds": 2,
    "transform_seconds": 2,
}
PICTURED = ("MNIST", "Fashion-MNIST", "digits")


def cases(options: Options) -> list[Case]:
    """Return data, method and seed; quick ones need neither others nor long."""
    return [
        {"part": "maps", "data": data, "method": name, "seed": seed}
        for data in (("digits",) if options.quick else DATA)
        for name, method in METHODS.items()
        for seed in options.seed_range(N_SEEDS)
        if not options.quick or name in (OURS, "PCA")
        if not method.is_slow or (data, seed) == ("digits", 0)
    ]


def read(data: str, seed: int) -> tuple[np.ndarray, ...]:
    """Return training rows and their labels, and those to test on."""
    if data in IMAGES:
        X, y, X_test, y_test = labelled(data)
        rng = np.random.default_rng(seed)
        index, test = rng.permutation(len(X)), rng.permutation(len(X_test))
        index, test = index[:N_TRAINING], test[:N_TEST]
        X, X_test = (rows.astype(np.float32) / 255 for rows in (X[index], X_test[test]))
        return X, y[index], X_test, y_test[test]
    if data in ("digits", "breast cancer"):
        load = datasets.load_digits if data == "digits" else datasets.load_breast_cancer
        X, y = load(return_X_y=True)
        remember(data, X)
    else:
        X, y = labelled_rows(data)
    X, X_test, y, y_test = train_test_split(
        X.astype(np.float32), y, test_size=0.3, stratify=y, random_state=seed
    )
    if data == "breast cancer":
        scaler = StandardScaler().fit(X)
        X, X_test = scaler.transform(X), scaler.transform(X_test)
    return X, y, X_test, y_test


def run(data: str, method: str, seed: int) -> dict[str, Any]:
    """Return the figures of one map, and of the first its codes."""
    rows = read(data, seed)
    found = apart(method, seed, rows[0], rows[2])
    if "missing" in found:
        return found
    figures, shown, labels = judged(found, rows)
    if "answer" in found:
        figures["error"] = error_over_pca(found["answer"], rows[0], rows[2], seed)
    kept = {name: round(float(value), 4) for name, value in figures.items()}
    kept |= {name: found[name] for name in (*FIGURES, "version") if name in found}
    if seed == 0 and data in PICTURED:
        return kept | {"codes": shown, "labels": labels}
    return kept


def judged(
    found: dict[str, Any], rows: tuple[np.ndarray, ...]
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Return accuracy and trustworthiness, and codes and labels to show.

    They are of test rows, or where those have no codes of training rows.
    """
    X, y, X_test, y_test = rows
    judge = KNeighborsClassifier(5).fit(found["codes"], y)
    if "test_codes" in found:
        shown, labels, seen = found["test_codes"], y_test, X_test
        accuracy = judge.score(shown, labels)
    else:
        shown, labels, seen = found["codes"][:N_TEST], y[:N_TEST], X[:N_TEST]
        # No row is its own neighbour here.
        around = y.astype(int)[judge.kneighbors(None)[1]]
        accuracy = np.mean([np.bincount(a).argmax() for a in around] == y)
    trust = trustworthiness(seen, shown, n_neighbors=15)
    return {"accuracy": accuracy, "trustworthiness": trust}, shown, labels


def error_over_pca(
    answer: np.ndarray, X: np.ndarray, X_test: np.ndarray, seed: int
) -> float:
    """Return the squared error of test rows over that of PCA with two components."""
    pca = PCA(2, random_state=seed).fit(X)
    of_pca = np.square(X_test - pca.inverse_transform(pca.transform(X_test)))
    error = np.square(X_test - answer, dtype=float).sum()
    return float(error / of_pca.sum(dtype=float))


def medians(rows: list[Row]) -> dict[tuple[str, str], dict[str, float]]:
    """Return medians over seeds of each figure, by data and method."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if "missing" not in row:
            groups.setdefault((row["data"], row["method"]), []).append(row)
    return {
        place: {
            name: statistics.median(row[name] for row in found)
            for name in FIGURES
            if name in found[0]
        }
        for place, found in groups.items()
    }


def table_rows(rows: list[Row]) -> list[list[str]]:
    """Return a line for each data set and method."""
    return [
        [
            *place,
            *(
                f"{figures[name]:.{n}f}" if name in figures else ""
                for name, n in FIGURES.items()
            ),
        ]
        for place, figures in medians(rows).items()
    ]


def differences(rows: list[Row]) -> list[list[str]]:
    """Return mean and least of ours less UMAP's, over the data sets that both have."""
    found = medians(rows)
    both = [data for data in DATA if {(data, OURS), (data, "UMAP")} <= found.keys()]
    result = []
    for name in ("accuracy", "trustworthiness") if both else ():
        each = [found[data, OURS][name] - found[data, "UMAP"][name] for data in both]
        result.append([name, f"{statistics.mean(each):+.4f}", f"{min(each):+.4f}"])
    return result


def draw(rows: list[Row], path: pathlib.Path) -> None:
    """Draw the maps of all methods side by side, in the colours of the classes."""
    plt = pyplot()
    drawn = [row for row in rows if "codes" in row]
    names = list(dict.fromkeys(row["data"] for row in drawn))
    methods = [m for m in METHODS if any(row["method"] == m for row in drawn)]
    figure, axes = plt.subplots(
        len(names),
        len(methods),
        figsize=(2.6 * len(methods), 2.8 * len(names)),
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for row in drawn:
        ax = axes[names.index(row["data"]), methods.index(row["method"])]
        ax.set_axis_on()
        ax.scatter(*row["codes"].T, c=row["labels"], cmap="tab10", s=1, linewidths=0)
        ax.set(title=f"{row['data']}\n{row['method']}", xticks=[], yticks=[])
    figure.savefig(path, dpi=90)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table, and the maps where the codes are at hand."""
    if any("codes" in row for row in rows):
        draw(rows, folder / "maps.png")
    title = "Maps in two dimensions"
    headings = ["data", "method", "accuracy", "trustworthiness", "error / PCA's"]
    headings += ["first fit, s", "fit, s", "first transform, s", "transform, s"]
    tables = [write_table(folder / "maps.csv", title, headings, table_rows(rows))]
    if compared := differences(rows):
        path, headings = folder / "maps_summary.csv", ["figure", "mean", "least"]
        title = "UndercompleteAE less UMAP"
        tables.append(write_table(path, title, headings, compared))
    return tables
