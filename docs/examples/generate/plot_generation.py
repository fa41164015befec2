"""
New rows
========

A variational autoencoder is a model of rows: codes are normal random numbers, and the
decoder turns them into rows. Probabilistic PCA is the same with a linear decoder.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import VariationalAE

X = load_digits().data
vae = VariationalAE(8, random_state=0).fit(X)
pca = PCA(8).fit(X)
print(f"log-likelihood of PCA {pca.score(X):.0f}, bound {vae.score(X):.0f}")

# %%
# Random codes, decoded. PCA adds up images of strokes, which do not know of each other.

codes = np.random.default_rng(0).normal(size=(12, 8))
decoded = {
    "PCA": pca.inverse_transform(codes * pca.explained_variance_**0.5),
    "VariationalAE": vae.inverse_transform(codes),
}
figure, axes = plt.subplots(2, 12, figsize=(9, 2), layout="constrained")
for line, (name, rows) in zip(axes, decoded.items(), strict=True):
    for ax, row in zip(line, rows, strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    line[0].set_title(name, loc="left", fontsize="medium")
plt.show()
