"""Rows with anomalies: sets of ADBench, and classes of what scikit-learn ships."""

import numpy as np
from sklearn import datasets

from . import data_sets
from .data_sets import Rows

ADBENCH = {name.split("_")[1]: name for name in data_sets.ADBENCH}
SHIPPED = ("digits", "breast cancer")


def labelled(name: str) -> tuple[Rows, Rows]:
    """Return rows, and whether they are anomalies."""
    if name in ADBENCH:
        stored = np.load(data_sets.stored_folder("adbench") / f"{ADBENCH[name]}.npz")
        X, is_anomaly = stored["X"].astype(float), stored["y"] == 1
    elif name == "digits":
        X, digit = datasets.load_digits(return_X_y=True)
        is_anomaly = digit != 3
    else:
        X, benign = datasets.load_breast_cancer(return_X_y=True)
        is_anomaly = benign == 0
    data_sets.remember(name, X, is_anomaly)
    return X, is_anomaly
