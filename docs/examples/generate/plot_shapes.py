"""
Shapes in three dimensions
==========================

With ``spatial_dims=3`` the convolutions of :class:`~skae.ConvAE` are those of volumes.
Here the volumes are balls, boxes and rings, at random places and of random sizes.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LightSource
from scipy.ndimage import rotate, zoom
from sklearn.decomposition import PCA

from skae import ConvAE
from skae.inspection import interpolate

rng = np.random.default_rng(0)
grid = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"), axis=-1)


def shapes(n):
    """Return volumes: a ball, a box, a ring, and so on, with soft surfaces."""
    offset = grid - rng.uniform(3.5, 5.5, (n, 1, 1, 1, 3))
    radius = rng.uniform(2, 3.5, (n, 1, 1, 1))
    around = np.linalg.norm(offset[..., 1:], axis=-1)
    insides = [
        radius - np.linalg.norm(offset, axis=-1),
        0.8 * radius - abs(offset).max(axis=-1),
        1.2 - np.hypot(around - radius, offset[..., 0]),
    ]
    inside = np.stack(insides)[np.arange(n) % 3, np.arange(n)]
    return 1 / (1 + np.exp(-3 * inside))


def rows(volumes):
    """Return volumes as rows."""
    return volumes.reshape(len(volumes), -1)


train, test = shapes(600), shapes(300)
ae = ConvAE(
    6,
    spatial_dims=3,
    channels=(16, 32),
    tol=0.05,
    n_iter_no_change=3,
    random_state=0,
).fit(train)
pca = PCA(6).fit(rows(train))
decoded = {
    "PCA": pca.inverse_transform(pca.transform(rows(test))).reshape(test.shape),
    "ConvAE": ae.reconstruct(test),
}
variance = np.square(test - train.mean(axis=0)).sum()
for name, volumes in decoded.items():
    unexplained = np.square(volumes - test).sum() / variance
    print(f"Unexplained variance of {name}: {unexplained:.3f}")

# %%
# A shape has a kind, a place and a size. Each volume of 1000 numbers is kept as six
# numbers, and decoded. The pictures show the surface at which a volume is 0.5, lit from
# the upper left.


def view(volume):
    """Return an image of the surface of a volume."""
    fine = zoom(volume, 6, order=1)
    for angle, axes in ((35, (0, 1)), (25, (0, 2))):
        fine = rotate(fine, angle, axes, reshape=False, order=1)
    solid = fine > 0.5
    light = LightSource().hillshade(-solid.argmax(axis=0).astype(float))
    return np.where(solid.any(axis=0), light, np.nan)


def show(lines):
    """Show a line of volumes for each name."""
    n = len(next(iter(lines.values())))
    size = 8, 8 / n * len(lines) + 0.6
    _, axes = plt.subplots(len(lines), n, figsize=size, layout="constrained")
    for line, (name, volumes) in zip(axes, lines.items(), strict=True):
        for ax, volume in zip(line, volumes, strict=True):
            ax.imshow(view(volume), cmap="copper", vmin=-0.2, vmax=1)
            ax.axis("off")
        line[0].set_title(name, loc="left", fontsize="medium")
    plt.show()


show({"Original": test[:6]} | {name: v[:6] for name, v in decoded.items()})

# %%
# A walk through the codes from a small ring to a large one. With the autoencoder the
# volumes in between are rings too. With PCA each volume on the way is a mixture of the
# first and the last one, and the small ring is already broken at the start.

ends = test[2:3], test[5:6]
walks = {
    "PCA": interpolate(pca, *map(rows, ends), n_steps=6).reconstructions,
    "ConvAE": interpolate(ae, *ends, n_steps=6).reconstructions,
}
show({name: walk.reshape(6, 10, 10, 10) for name, walk in walks.items()})
