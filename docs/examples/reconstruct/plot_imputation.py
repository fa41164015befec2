"""
Fill missing values of a table
==============================

:class:`~skae.DenoisingAE` takes rows with NaN, in ``fit`` and afterwards. With
``noise="gaps"`` it hides more values in training, and learns to fill them in. Here a
fifth of the measurements of tumours is missing.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.preprocessing import scale

from skae import DenoisingAE

X = scale(load_breast_cancer().data)
gaps = np.random.default_rng(0).random(X.shape) < 0.2
seen = np.where(gaps, np.nan, X)

# %%
# ``reconstruct`` gives a value for each entry. Keep the known ones. The table has few
# rows: ``early_stopping=False`` uses all of them for training.

ae = DenoisingAE(
    10, noise="gaps", noise_level=0.2, max_iter=60, early_stopping=False, random_state=0
)
filled = {
    "mean": SimpleImputer().fit_transform(seen),
    "KNNImputer": KNNImputer().fit_transform(seen),
    "DenoisingAE": np.where(gaps, ae.fit(seen).reconstruct(seen), X),
}
errors = {name: np.square(rows - X)[gaps].mean() for name, rows in filled.items()}

figure, ax = plt.subplots(figsize=(5, 2), layout="constrained")
ax.bar_label(ax.barh(list(errors), list(errors.values())), fmt="%.2f", padding=3)
ax.set(xlabel="Mean squared error of missing values, in variances", xlim=(0, 1.2))
plt.show()
