"""
From one row to another
=======================

Codes between those of two rows can be decoded too. With PCA the images are mixtures of
both rows. A variational autoencoder is trained with codes that are drawn at random
about those of the rows, so that its decoder knows codes in between.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import VariationalAE
from skae.inspection import interpolate

X, y = load_digits(return_X_y=True)
models = {
    "PCA": PCA(8).fit(X),
    "VariationalAE": VariationalAE(8, random_state=0).fit(X),
}
start, end = X[y == 0][:1], X[y == 1][:1]


def show(paths, title):
    """Show a line of images for each model."""
    figure, axes = plt.subplots(2, 9, figsize=(9, 2.6), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    for line, (name, rows) in zip(axes, paths.items(), strict=True):
        for ax, row in zip(line, rows, strict=True):
            ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
            ax.set(xticks=[], yticks=[])
        line[0].set_title(name, loc="left", fontsize="medium")
    plt.show()


paths = {name: interpolate(m, start, end).reconstructions for name, m in models.items()}
show(paths, "From a zero to a one")

# %%
# A direction in the code with a name: from the mean code of images with little ink to
# that of images with much. It makes the strokes of another digit thinner or bolder.

ink = X.sum(axis=1)
bold, thin = ink > np.quantile(ink, 0.9), ink < np.quantile(ink, 0.1)
paths = {}
for name, model in models.items():
    codes = model.transform(X)
    direction = codes[bold].mean(axis=0) - codes[thin].mean(axis=0)
    steps = np.linspace(-0.7, 0.7, 9)[:, np.newaxis]
    paths[name] = model.inverse_transform(codes[y == 4][0] + steps * direction)
show(paths, "From thin to bold strokes")
