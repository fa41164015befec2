"""``AutoencoderOutlier`` beside other detectors: clean and contaminated training rows.

- "clean": the protocol of ``outliers``: the first half of the normal rows trains, and
  the other half and all anomalies test;
- "shuffled": the same with a random half, for the share of false alarms, which is only
  promised if test rows come from the distribution of the training rows;
- "contaminated": all rows train, anomalies too, and the same rows are judged.

The default was chosen without anomalies of ADBench: by known classes of digits, wine,
iris and breast cancer, one or all but one of them normal; by clusters of training rows
that were left out, and by training rows with values of other rows. Areas of six of the
sets had been seen by then.
"""

import pathlib
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderOutlier

from ..shared.anomalies import ADBENCH, SHIPPED, labelled
from ..shared.report import mean_and_deviation, write_table
from ..shared.suite import Case, Options, Row, Suite

Rows = np.ndarray
#: How rare test rows are, and figures of the threshold if there is one.
Judged = tuple[Rows, dict[str, Rows]]
Detector = Callable[[Rows, Rows, int], Judged]

N_SEEDS = 3
SETTINGS = ("clean", "shuffled", "contaminated")
FALSE_DISCOVERY_RATE = 0.1


def autoencoder(train: Rows, test: Rows, seed: int) -> Judged:
    """Return the default detector, with its alarms."""
    found = AutoencoderOutlier(random_state=seed).fit(train)
    alarms = {
        "alarms": found.predict(test) < 0,
        "fdr": found.predict_fdr(test, FALSE_DISCOVERY_RATE) < 0,
    }
    return -found.score_samples(test), alarms


def nearest(train: Rows, test: Rows, seed: int) -> Judged:
    """Distance to the fifth neighbour; of a training row, other than itself."""
    neighbors = NearestNeighbors(n_neighbors=5).fit(train)
    others = neighbors.kneighbors(None if test is train else test)[0]
    return others[:, -1], {}


def local_factor(train: Rows, test: Rows, seed: int) -> Judged:
    """Density of the neighbours over the row's own."""
    if test is train:
        return -LocalOutlierFactor().fit(train).negative_outlier_factor_, {}
    return -LocalOutlierFactor(novelty=True).fit(train).score_samples(test), {}


def forest(train: Rows, test: Rows, seed: int) -> Judged:
    """Return how soon random cuts leave a row alone."""
    return -IsolationForest(random_state=seed).fit(train).score_samples(test), {}


def pca_error(train: Rows, test: Rows, seed: int) -> Judged:
    """Squared error of PCA's reconstruction from 90 % of the variance."""
    fitted = PCA(0.9, svd_solver="full").fit(train)
    reconstruction = fitted.inverse_transform(fitted.transform(test))
    return np.square(test - reconstruction).sum(axis=1), {}


DETECTORS: dict[str, Detector] = {
    "AutoencoderOutlier": autoencoder,
    "KNN": nearest,
    "LOF": local_factor,
    "IsolationForest": forest,
    "PCA, error": pca_error,
}
RANDOM = ("AutoencoderOutlier", "IsolationForest")


def split(name: str, setting: str, seed: int) -> tuple[Rows, Rows, Rows]:
    """Return training and test rows, and which of these are anomalies."""
    X, is_anomaly = labelled(name)
    if setting == "contaminated":
        rows = StandardScaler().fit_transform(X)
        return rows, rows, is_anomaly
    normal, anomalies = X[~is_anomaly], X[is_anomaly]
    if setting == "shuffled":
        normal = np.random.default_rng(seed).permutation(normal)
    n_training = round(len(normal) / 2)
    scaler = StandardScaler().fit(normal[:n_training])
    test = np.concatenate([normal[n_training:], anomalies])
    is_anomaly = np.arange(len(test)) >= len(normal) - n_training
    return scaler.transform(normal[:n_training]), scaler.transform(test), is_anomaly


def cases(options: Options) -> list[Case]:
    """Return a case for each set, setting, detector and, where it matters, seed."""
    return [
        {"data": name, "setting": setting, "method": method, "seed": seed}
        for seed in options.seed_range(N_SEEDS)
        for name in (SHIPPED[1:] if options.quick else ADBENCH)
        for setting in (SETTINGS[1:] if options.quick else SETTINGS)
        for method in (RANDOM if seed and setting != "shuffled" else DETECTORS)
    ]


def run(data: str, setting: str, method: str, seed: int) -> dict[str, Any]:
    """Return how well a detector tells anomalies, and its alarms, in per cent."""
    train, test, is_anomaly = split(data, setting, seed)
    rarity, alarms = DETECTORS[method](train, test, seed)
    figures = {"auc": 100 * roc_auc_score(is_anomaly, rarity)}
    for name, is_alarm in alarms.items():
        figures[f"{name}_false"] = 100 * is_alarm[~is_anomaly].mean()
        figures[f"{name}_found"] = 100 * is_alarm[is_anomaly].mean()
    if "fdr" in alarms:
        n_alarms = max(int(alarms["fdr"].sum()), 1)
        false = int((alarms["fdr"] & ~is_anomaly).sum())
        figures["false_discoveries"] = 100 * false / n_alarms
    return {name: round(float(value), 2) for name, value in figures.items()}


def collect(rows: list[Row], figure: str) -> dict[tuple[str, str], list[float]]:
    """Return a figure of all seeds, by setting and data set, and by detector."""
    found: dict[Any, Any] = {}
    for r in rows:
        if figure in r:
            by = found.setdefault((r["setting"], r["data"]), {})
            by.setdefault(r["method"], []).append(r[figure])
    return found


def auc_rows(rows: list[Row]) -> list[list[str]]:
    """Return a row for each setting and data set, and their means."""
    lines, found = [], collect(rows, "auc")
    complete = {k: by for k, by in found.items() if by.keys() == DETECTORS.keys()}
    for setting in SETTINGS:
        sets = {name: by for (s, name), by in complete.items() if s == setting}
        for name, by in sets.items():
            shown = [mean_and_deviation(by[method], 2) for method in DETECTORS]
            lines.append([setting, name, *shown])
        if sets:
            means = [
                statistics.mean(statistics.mean(by[method]) for by in sets.values())
                for method in DETECTORS
            ]
            lines.append([setting, "mean", *(f"{value:.2f}" for value in means)])
    return lines


def alarm_rows(rows: list[Row]) -> list[list[str]]:
    """Return the shares of alarms of the autoencoder, by setting and data set."""
    names = ("alarms_false", "alarms_found", "false_discoveries", "fdr_found")
    found = [collect(rows, name) for name in names]
    return [
        [
            *place,
            *(mean_and_deviation(by[place]["AutoencoderOutlier"], 1) for by in found),
        ]
        for place in found[0]
    ]


def report(rows: list[Row], output: pathlib.Path) -> list[Table]:
    """Write areas under the curve, and shares of alarms."""
    alarms = ["false alarms", "found", "false discoveries", "found"]
    return [
        write_table(
            output / "detector.csv",
            "AUC-ROC in per cent, mean and deviation over seeds",
            ["setting", "data", *DETECTORS],
            auc_rows(rows),
        ),
        write_table(
            output / "detector_alarms.csv",
            "Alarms in per cent, at a nominal 5 % and a false discovery rate of 10 %",
            ["setting", "data", *alarms],
            alarm_rows(rows),
        ),
    ]


SUITE = Suite(
    "AutoencoderOutlier beside other detectors, and its false alarms",
    cases,
    run,
    report,
)
