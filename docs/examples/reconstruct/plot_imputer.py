"""
Impute before a classifier
==========================

:class:`~skae.AutoencoderImputer` fills in missing values inside a pipeline. Here almost
half of the pixels of digits are missing, and a linear classifier reads what was filled
in.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderImputer

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 4, 2).mean(axis=3).reshape(-1, 32)
gaps = np.random.default_rng(0).random(X.shape) < 0.4
seen = np.where(gaps, np.nan, X)
train, test = train_test_split(np.arange(len(X)), train_size=0.3, random_state=0)

# %%
# The imputer learns from training rows, which have gaps too. It needs no scaler before
# it. ``keep_empty_features`` keeps pixels that are never seen.

options = {"keep_empty_features": True}
imputers = {
    "mean": SimpleImputer(**options),
    "KNNImputer": KNNImputer(**options),
    "AutoencoderImputer": AutoencoderImputer(random_state=0, **options),
}
errors, accuracies = {}, {}
for name, imputer in imputers.items():
    classifier = make_pipeline(
        imputer, StandardScaler(), LogisticRegression(max_iter=300)
    )
    classifier.fit(seen[train], y[train])
    missed = (classifier[0].transform(seen[test]) - X[test])[gaps[test]]
    errors[name] = np.sqrt(np.square(missed).mean())
    accuracies[name] = 100 * classifier.score(seen[test], y[test])

# %%
# Values that are filled in better leave more to classify.

figure, axes = plt.subplots(1, 2, figsize=(7, 1.8), sharey=True, layout="constrained")
titles = "Root mean squared error, grey values", "Accuracy on test rows, %"
for ax, title, numbers in zip(axes, titles, (errors, accuracies), strict=True):
    bars = ax.barh(list(numbers), list(numbers.values()))
    ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.set_title(title, fontsize="medium")
    ax.set_xlim(0, 1.2 * max(numbers.values()))
plt.show()

# %%
# A missing value is not certain. :meth:`~skae.AutoencoderImputer.sample_imputations`
# draws several values for each. Of the true values about nine in ten lie between the
# lowest and the highest twentieth of the draws.

imputer = classifier[0]
draws = imputer.sample_imputations(seen[test], 40, random_state=0)
low, high = np.quantile(draws, [0.05, 0.95], axis=0)
inside = (low <= X[test]) & (X[test] <= high)
print(f"True values inside: {100 * inside[gaps[test]].mean():.0f} %")
