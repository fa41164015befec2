"""
An autoencoder in the place of PCA
==================================

A pipeline that reduces by PCA reduces by an autoencoder if you replace one step. Here
both encode images of digits. A scorer of :mod:`skae.metrics` measures both in the same
way, on images that were not used for training.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import UndercompleteAE
from skae.metrics import explained_variance

X_train, X_test = train_test_split(load_digits().data, random_state=0)

widths = [2, 4, 8, 16]
reducers = {"PCA": PCA(), "UndercompleteAE": UndercompleteAE(tol=0.01, random_state=0)}
scores = {
    name: [
        explained_variance(
            make_pipeline(MinMaxScaler(), reducer.set_params(n_components=k)).fit(
                X_train
            ),
            X_test,
        )
        for k in widths
    ]
    for name, reducer in reducers.items()
}

# %%
# The autoencoder needs about half as many components for the same explained variance.

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for (name, line), marker in zip(scores.items(), "os", strict=True):
    ax.plot(widths, line, marker=marker, label=name)
ax.set(xlabel="n_components", ylabel="Explained variance of test images", xscale="log")
ax.set_xticks(widths, widths)
ax.minorticks_off()
ax.legend()
plt.show()
