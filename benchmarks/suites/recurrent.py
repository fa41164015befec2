"""Recurrent layers: heartbeats, and speakers by sequences of different lengths.

Heartbeats are those of the suite conv_signals, by its protocol. Japanese Vowels has 9
speakers of two vowels: sequences of 7 to 29 steps and 12 channels, of which 270 are to
train on and 370 to test on. Codes are learnt without labels. Then an SVM learns the
speakers from the codes, with settings chosen by cross-validation on the training
sequences. PCA sees them padded with the mean. Test sequences longer than all training
ones lose their last steps.
"""

import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from skae import ConvAE, RecurrentAE

from ..shared.data_sets import labelled_sequences, remember
from ..shared.report import write_table
from ..shared.signals import find_outliers, median
from ..shared.suite import Case, Options, Row, Suite

VOWELS, N_SEEDS = "JapaneseVowels", 3
WIDTHS = {"ECG5000": (4, 16), VOWELS: (8, 16, 32)}
SIGNAL_METHODS = {"PCA": PCA, "ConvAE": ConvAE, "RecurrentAE": RecurrentAE}
SPEAKER_METHODS = ("PCA", "RecurrentAE")
SETTINGS = {"svc__C": [1, 10, 100], "svc__gamma": ["scale", 0.01, 0.003]}
#: Kudo, Toyama and Shimbo, "Multidimensional curve classification using passing-through
#: regions", Pattern Recognition Letters 20, 1999: accuracy in per cent.
PUBLISHED = {"passing-through regions": 94.1, "hidden Markov models": 96.2}

Rows = np.ndarray


def cases(options: Options) -> list[Case]:
    """Return heartbeats, and speakers, by each method."""
    if options.quick:
        quick = {"n_components": 4, "max_iter": 2, "seed": 0}
        return [
            *({"data": "bumps", "method": m} | quick for m in SIGNAL_METHODS),
            *({"data": "waves", "method": m} | quick for m in SPEAKER_METHODS),
        ]
    return [
        {"data": data, "method": method, "n_components": width, "seed": seed}
        for data, widths in WIDTHS.items()
        for width in widths
        for method in (SPEAKER_METHODS if data == VOWELS else SIGNAL_METHODS)
        for seed in options.seed_range(N_SEEDS)
    ]


def run(
    data: str, method: str, n_components: int, seed: int, max_iter: Any = "auto"
) -> dict[str, Any]:
    """Return the figures of speakers, or of heartbeats."""
    length = {} if method == "PCA" else {"max_iter": max_iter}
    code = SIGNAL_METHODS[method](n_components, random_state=seed, **length)
    if data in (VOWELS, "waves"):
        return speakers(code, data, seed)
    return find_outliers(code, data, seed)


def made_speakers() -> tuple[list[Rows], Rows, list[Rows], Rows]:
    """Return waves of different lengths; speakers differ in frequency."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    lengths, phases = rng.integers(8, 17, len(y)), rng.uniform(0, 6, len(y))
    waves = [
        np.sin((0.4 + 0.3 * k) * np.arange(n)[:, np.newaxis] + p + [0, 1])
        for k, n, p in zip(y, lengths, phases, strict=True)
    ]
    remember("waves", *waves)
    return waves[:80], y[:80], waves[80:], y[80:]


def filled(code: Any) -> Any:
    """Return what codes sequences; PCA sees flat rows, padded with the mean."""
    if not isinstance(code, PCA):
        return code
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    return make_pipeline(flat, SimpleImputer(), code)


def padded(sequences: list[Rows], length: int) -> Rows:
    """Return an array with NaN after the end of each sequence."""
    X = np.full((len(sequences), length, sequences[0].shape[1]), np.nan)
    for row, sequence in zip(X, sequences, strict=True):
        row[: len(sequence)] = sequence[:length]
    return X


def speakers(code: Any, data: str, seed: int) -> dict[str, float]:
    """Return the share of right answers in cross-validation and in the test."""
    read = labelled_sequences if data == VOWELS else lambda _: made_speakers()
    train, y, test, y_test = read(data)
    longest = max(map(len, train))
    X, X_test = padded(train, longest), padded(test, longest)
    code = filled(code).fit(X)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    search = GridSearchCV(classifier(), SETTINGS, cv=folds)
    search.fit(code.transform(X), y)
    score = search.score(code.transform(X_test), y_test)
    return {
        "validation_accuracy": round(100 * float(search.best_score_), 2),
        "accuracy": round(100 * float(score), 2),
    }


def classifier() -> Pipeline:
    """Return an SVM of scaled codes."""
    return make_pipeline(StandardScaler(), SVC())


def signal_table(rows: list[Row], folder: pathlib.Path) -> Table:
    """Write medians of errors and areas under the curve, for each width."""
    found = []
    for width in sorted({row["n_components"] for row in rows}):
        of = [{"n_components": width, "method": method} for method in SIGNAL_METHODS]
        errors = [f"{median(rows, 'error', **case):.4f}" for case in of]
        areas = [f"{median(rows, 'auc', **case):.3f}" for case in of]
        found.append([str(width), *errors, *areas])
    headings = ["components", *SIGNAL_METHODS, *(f"AUC {m}" for m in SIGNAL_METHODS)]
    path, title = folder / "recurrent_signals.csv", f"{rows[0]['data']}, error and AUC"
    return write_table(path, title, headings, found)


def speaker_table(rows: list[Row], folder: pathlib.Path) -> Table:
    """Write medians of accuracies, and the published ones."""
    found = [
        [method, str(width), f"{median(rows, 'accuracy', **case):.1f}"]
        for width in sorted({row["n_components"] for row in rows})
        for method in SPEAKER_METHODS
        for case in [{"n_components": width, "method": method}]
    ]
    if rows[0]["data"] == VOWELS:
        found += [[f"{m}, published", "", f"{a:.1f}"] for m, a in PUBLISHED.items()]
    title = f"{rows[0]['data']}, accuracy in per cent"
    headings = ["method", "components", "accuracy"]
    return write_table(folder / "recurrent_speakers.csv", title, headings, found)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the tables of heartbeats and of speakers."""
    signals = [row for row in rows if "auc" in row]
    speaking = [row for row in rows if "accuracy" in row]
    return [signal_table(signals, folder), speaker_table(speaking, folder)]


SUITE = Suite("recurrent layers on heartbeats and on speakers", cases, run, report)
