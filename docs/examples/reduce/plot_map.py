"""
A picture of the data in two dimensions
=======================================

A code of two numbers is a point in the plane. PCA projects the data. A plain
autoencoder reconstructs them better, but groups may touch. With ``neighbor_weight``
rows that are neighbours in the data are neighbours in the picture too.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import UndercompleteAE
from skae.inspection import CodeDisplay

X, y = load_digits(return_X_y=True)
train, test = slice(0, 1200), slice(1200, None)
reducers = {
    "PCA": PCA(2),
    "UndercompleteAE": UndercompleteAE(2, random_state=0),
    "neighbor_weight=1.0": UndercompleteAE(2, neighbor_weight=1.0, random_state=0),
}

# %%
# The pictures show test images. All three methods can place new rows.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for ax, (name, reducer) in zip(axes, reducers.items(), strict=True):
    CodeDisplay.from_estimator(reducer.fit(X[train]), X[test], y[test], ax=ax)
    ax.set(title=name, xticks=[], yticks=[])
for ax in axes[:-1]:
    ax.get_legend().remove()
plt.show()
