"""Few labels: classes of MNIST and Fashion-MNIST by neighbourhood in the code.

The protocol is that of Calder, Cook, Thorpe and Slepcev, "Poisson learning" (ICML
2020): features learnt from all 70000 images without labels, a graph of 10 nearest
neighbours, and classifiers that know 1 to 160 images of each class. Accuracy is that on
the images whose labels they do not know, over random draws of labels.

Settings were chosen on the first 20000 training images, by label spreading with 100
labels among these. So their labels are neither known nor judged here: accuracy is that
on the 50000 others.
"""

import pathlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.table import Table
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.semi_supervised import LabelSpreading

from skae import ConvAE

from ..shared.data_sets import labelled
from ..shared.figures import pyplot
from ..shared.image_features import MAX_ITER, QUICK_ITER, RECIPE, deformation
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

N_NEIGHBORS = 10
COUNTS = (10, 20, 50, 100, 200, 400, 800, 1600)
QUICK_COUNTS = (50, 100)
#: The count that methods are compared at, and draws of it and of the others.
MAIN_COUNT, N_MAIN_DRAWS, N_DRAWS, N_QUICK_DRAWS = 100, 100, 10, 3
#: Networks that are trained.
N_SEEDS = 3
#: First images, whose labels chose the settings.
N_CHOOSING = 20_000
#: Of the noise without deformations, and of label spreading.
NOISE_LEVEL, ALPHA, N_ITERATIONS = 0.3, 0.99, 30
FEATURES = ("PCA", "PCA, scaled", "ConvAE, noise", "ConvAE")
#: What label spreading should reach with 100 labels.
AIMS = {"MNIST": 97.5, "Fashion-MNIST": 78.0}
#: Calder et al., from the record of trials in their repository: accuracy in per cent.
PUBLISHED = {
    "MNIST": {
        "nearest": (65.4, 74.2, 82.1, 85.4, 88.0, 89.7, 91.2, 92.4),
        "label propagation": (16.1, 28.2, 69.5, 91.3, 95.8, 96.5, 96.8, 97.0),
        "Poisson": (90.2, 93.6, 95.3, 95.9, 96.3, 96.6, 96.8, 96.9),
        "Poisson-MBO": (96.5, 97.2, 97.2, 97.2, 97.2, 97.2, 97.2, 97.2),
    },
    "Fashion-MNIST": {
        "nearest": (46.6, 53.5, 61.1, 65.8, 69.5, 72.4, 74.6, 76.5),
        "label propagation": (18.5, 32.5, 57.9, 70.6, 76.5, 79.2, 80.9, 82.3),
        "Poisson": (60.8, 66.1, 72.4, 75.2, 77.3, 78.8, 79.9, 80.7),
        "Poisson-MBO": (62.0, 67.2, 73.1, 76.1, 78.2, 79.5, 80.7, 81.6),
    },
}

Rows = np.ndarray


def pipeline(features: str, data: str, X: Rows, seed: int, max_iter: int) -> Pipeline:
    """Build what makes features of images; all but PCA alone scale alike."""
    if features == "PCA":
        return make_pipeline(PCA(30, random_state=seed))
    side = round(X.shape[1] ** 0.5)
    roots = FunctionTransformer(np.sqrt)
    noises: dict[str, Any] = {
        "ConvAE, noise": "gaussian",
        "ConvAE": deformation(data, roots.transform(X)),
    }
    code: Any = PCA(RECIPE["n_components"], random_state=seed)
    if features in noises:
        code = ConvAE(
            **RECIPE,
            image_shape=(side, side),
            noise=noises[features],
            noise_level=NOISE_LEVEL,
            max_iter=max_iter,
            random_state=seed,
        )
    return make_pipeline(roots, code, StandardScaler(), Normalizer())


def neighbour_graph(codes: Rows) -> sparse.csr_matrix:
    """Return weights of the nearest neighbours, as Calder et al.: of both directions.

    They fall with the distance over that of the last neighbour.
    """
    index = NearestNeighbors(n_neighbors=N_NEIGHBORS, algorithm="brute").fit(codes)
    graph = index.kneighbors_graph(mode="distance")
    distances = graph.data.reshape(-1, N_NEIGHBORS)
    farthest = np.maximum(distances.max(axis=1, keepdims=True), 1e-12)
    graph.data = np.exp(-4 * np.square(distances / farthest)).ravel()
    return (graph + graph.T) / 2


@dataclass
class Problem:
    """Codes of all images and their classes, of which a classifier knows a few."""

    codes: Rows
    y: Rows
    #: The first image that may be known or judged.
    start: int = 0

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """Weights of neighbours."""
        return neighbour_graph(self.codes)

    def draws(self, n_labels: int, n_draws: int) -> Iterator[Rows]:
        """Yield the indices of known images, as many of each class."""
        rng = np.random.default_rng(n_labels)
        others = self.y[self.start :]
        groups = [
            self.start + np.flatnonzero(others == label) for label in np.unique(others)
        ]
        n = n_labels // len(groups)
        for _ in range(n_draws):
            yield np.concatenate([rng.choice(g, n, replace=False) for g in groups])

    def nearest(self, known: Rows) -> Rows:
        """Answer with the class of the nearest image whose class is known."""
        classifier = KNeighborsClassifier(1, algorithm="brute")
        return classifier.fit(self.codes[known], self.y[known]).predict(self.codes)

    def logistic(self, known: Rows) -> Rows:
        """Answer with that of a linear classifier."""
        classifier = LogisticRegression(C=10, max_iter=1000)
        return classifier.fit(self.codes[known], self.y[known]).predict(self.codes)

    def spreading(self, known: Rows) -> Rows:
        """Answer with labels that spread over the graph."""
        classifier = LabelSpreading(self._kernel, alpha=ALPHA, max_iter=N_ITERATIONS)
        labels = np.full(len(self.y), -1)
        labels[known] = self.y[known]
        return classifier.fit(self.codes, labels).transduction_

    def _kernel(self, X: Rows, Y: Rows) -> sparse.csr_matrix:
        return self.graph

    def accuracy(self, classifier: str, known: Rows) -> float:
        """Return per cent of right answers on images whose class is not known."""
        right = CLASSIFIERS[classifier](self, known) == self.y
        left_out = np.concatenate([np.arange(self.start), known])
        return 100 * float(np.delete(right, left_out).mean())


CLASSIFIERS = {
    "nearest": Problem.nearest,
    "LogisticRegression": Problem.logistic,
    "LabelSpreading": Problem.spreading,
}


def cases(options: Options) -> list[Case]:
    """Return features of both data sets; draws of labels are many, fits are not."""
    sets = ("digits",) if options.quick else tuple(PUBLISHED)
    return [
        {
            "data": data,
            "features": features,
            "max_iter": QUICK_ITER if options.quick else MAX_ITER,
            "counts": QUICK_COUNTS if options.quick else COUNTS,
            "seed": seed,
        }
        for data in sets
        for seed in options.seed_range(N_SEEDS)
        for features in FEATURES
        # PCA has no seed to speak of.
        if seed == 0 or not features.startswith("PCA")
    ]


def run(
    data: str, features: str, max_iter: int, counts: list[int], seed: int
) -> dict[str, Any]:
    """Return accuracies of all classifiers and counts, and seconds."""
    X, y, X_test, y_test = labelled(data)
    X = np.concatenate([X, X_test]).astype(np.float32)
    start = time.perf_counter()
    codes = pipeline(features, data, X, seed, max_iter).fit_transform(X)
    y = np.concatenate([y, y_test]).astype(int)
    problem = Problem(
        codes.astype(np.float32), y, 0 if data == "digits" else N_CHOOSING
    )
    learnt = time.perf_counter()
    n_links = problem.graph.nnz
    seconds = {
        "fit_seconds": round(learnt - start, 1),
        "graph_seconds": round(time.perf_counter() - learnt, 1),
    }
    return seconds | {
        "n_links": n_links,
        "accuracy": {
            classifier: {str(n): judge(problem, classifier, n, data) for n in counts}
            for classifier in CLASSIFIERS
        },
    }


def judge(
    problem: Problem, classifier: str, n_labels: int, data: str
) -> dict[str, float]:
    """Return mean and deviation of the accuracy over draws of labels."""
    n_draws = N_MAIN_DRAWS if n_labels == MAIN_COUNT else N_DRAWS
    n_draws = N_QUICK_DRAWS if data == "digits" else n_draws
    found = [problem.accuracy(classifier, k) for k in problem.draws(n_labels, n_draws)]
    return {
        "mean": round(float(np.mean(found)), 3),
        "deviation": round(float(np.std(found, ddof=1)), 3),
        "draws": n_draws,
    }


def over_seeds(rows: list[Row]) -> list[Row]:
    """Return means over the networks of each data set and features."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        key = row["data"], row["features"]
        groups.setdefault(key, []).append(row["accuracy"])
    return [
        {"data": data, "features": features, "accuracy": mean_of(found)}
        for (data, features), found in groups.items()
    ]


def mean_of(figures: list[Any]) -> Any:
    """Return the mean of numbers, or of the numbers in dicts of the same keys."""
    if not isinstance(figures[0], dict):
        return float(np.mean(figures))
    return {key: mean_of([each[key] for each in figures]) for key in figures[0]}


def table_rows(rows: list[Row], counts: list[int]) -> list[list[str]]:
    """Return accuracies of each features and classifier, the published last."""
    found = []
    for data in dict.fromkeys(row["data"] for row in rows):
        for row in (row for row in rows if row["data"] == data):
            for classifier, figures in row["accuracy"].items():
                accuracies = [shown(figures[str(n)], n) for n in counts]
                found.append([data, row["features"], classifier, *accuracies])
        for classifier, means in PUBLISHED.get(data, {}).items():
            accuracies = [f"{mean:.1f}" for mean in means]
            found.append([data, "VAE, published", classifier, *accuracies])
    return found


def shown(figures: dict[str, float], n_labels: int) -> str:
    """Format the mean, at the main count with the deviation."""
    mean, deviation = (f"{figures[key]:.1f}" for key in ("mean", "deviation"))
    return f"{mean} ± {deviation}" if n_labels == MAIN_COUNT else mean


def draw(rows: list[Row], counts: list[int], path: pathlib.Path) -> None:
    """Draw accuracy over labels: label spreading, and the best published."""
    plt = pyplot()

    sets = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plt.subplots(
        1, len(sets), figsize=(5 * len(sets), 4), layout="constrained", squeeze=False
    )
    for ax, data in zip(axes[0], sets, strict=True):
        for row in (row for row in rows if row["data"] == data):
            figures = [row["accuracy"]["LabelSpreading"][str(n)] for n in counts]
            means, spreads = ([f[k] for f in figures] for k in ("mean", "deviation"))
            ax.errorbar(counts, means, spreads, marker="o", label=row["features"])
        for name in ("Poisson", "Poisson-MBO"):
            if published := PUBLISHED.get(data, {}).get(name):
                ax.plot(counts, published, linestyle="--", label=f"{name}, published")
        ax.set(xscale="log", xlabel="labels", ylabel="accuracy, %", title=data)
        ax.set_xticks(counts, labels=counts)
        ax.minorticks_off()
        ax.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the table and the figure."""
    counts = rows[0]["counts"]
    rows = over_seeds(rows)
    draw(rows, counts, folder / "few_labels.png")
    title = "Accuracy in per cent on images without labels, over the number of labels"
    headings = ["data", "features", "classifier", *map(str, counts)]
    path = folder / "few_labels.csv"
    return [write_table(path, title, headings, table_rows(rows, counts))]


SUITE = Suite(
    "classes of MNIST and Fashion-MNIST by 10 to 1600 labels", cases, run, report
)
