"""
Find similar images by their codes
==================================

To find images that are similar to a query, compare codes in place of pixels. Codes are
smaller and faster to compare. In a code of few numbers, neighbours are more often of
the same class with an autoencoder than with PCA.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from skae import UndercompleteAE

X, y = load_digits(return_X_y=True)
stored, queries, y_stored, y_queries = train_test_split(X, y, random_state=0)


def neighbours(stored_codes, query_codes):
    """Return the positions of the ten nearest stored images."""
    index = NearestNeighbors(n_neighbors=10).fit(stored_codes)
    return index.kneighbors(query_codes, return_distance=False)


def precision(found):
    """Return the share of found images that are of the query's class."""
    return (y_stored[found] == y_queries[:, np.newaxis]).mean()


models = [
    *(PCA(width) for width in (2, 4, 8)),
    *(UndercompleteAE(width, tol=0.1, random_state=0) for width in (2, 4, 8)),
    UndercompleteAE(2, neighbor_weight=1.0, tol=0.1, random_state=0),
]
found = [
    neighbours(model.fit(stored).transform(stored), model.transform(queries))
    for model in models
]
shares = [precision(positions) for positions in found]

# %%
# No labels were used for training. ``neighbor_weight`` makes a map of the stored
# images, on which neighbours attract each other. Neighbours on the map are of the same
# class even more often than neighbours in the pixels.

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot((2, 4, 8), shares[:3], "o-", label="PCA")
ax.plot((2, 4, 8), shares[3:6], "s-", label="UndercompleteAE")
ax.plot(2, shares[6], "*", markersize=12, label="with neighbor_weight=1.0")
in_pixels = precision(neighbours(stored, queries))
ax.axhline(in_pixels, color="gray", linestyle="--", label="64 pixels")
ax.set(xlabel="Numbers in the code", ylabel="Share of the same class")
ax.set(xticks=(2, 4, 8), ylim=(0.5, 1))
ax.legend()
plt.show()

# %%
# The first query of each class, and the three nearest stored images in a code of two
# numbers. Images of another class have a red frame.

_, first = np.unique(y_queries, return_index=True)
figure, axes = plt.subplots(7, 10, figsize=(8, 6), layout="constrained")
nearest = np.concatenate([found[model][first, :3].T for model in (0, 3)])
for ax, query in zip(axes[0], queries[first], strict=True):
    ax.imshow(query.reshape(8, 8), cmap="gray_r")
for line, positions in zip(axes[1:], nearest, strict=True):
    for ax, position, label in zip(line, positions, y_queries[first], strict=True):
        ax.imshow(stored[position].reshape(8, 8), cmap="gray_r")
        if y_stored[position] != label:
            ax.spines[:].set(color="red", linewidth=3)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
for row, name in enumerate(("Query", "", "PCA", "", "", "UndercompleteAE", "")):
    axes[row, 0].set_ylabel(name)
plt.show()
