"""
Remove the noise of a scanner
=============================

A scanner that counts few photons makes noisy images. The noise has a Poisson
distribution, so that it is strongest where the image is bright. A function as ``noise``
draws such counts in training. Here the scans are made of random ellipses.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.ndimage import gaussian_filter, median_filter
from sklearn.decomposition import PCA

from skae import ConvAE

rng = np.random.default_rng(0)
rows, columns = np.mgrid[:32, :32]


def ellipses(n, spread, radii):
    """Return images of one ellipse each, with a soft edge."""
    y, x = 15.5 + rng.uniform(-spread, spread, (2, n, 1, 1))
    height, width = rng.uniform(*radii, (2, n, 1, 1))
    turn = rng.uniform(0, np.pi, (n, 1, 1))
    across = np.cos(turn) * (columns - x) + np.sin(turn) * (rows - y)
    along = np.cos(turn) * (rows - y) - np.sin(turn) * (columns - x)
    distance = np.hypot(across / width, along / height)
    return 1 / (1 + np.exp(np.minimum(12 * (distance - 1), 50)))


def scans(n):
    """Return the expected counts of ``n`` scans: a body with three organs."""
    images = 6 * ellipses(n, 1.5, (11, 14))
    for _ in range(3):
        images += rng.uniform(-4, 8, (n, 1, 1)) * ellipses(n, 6, (1.5, 5))
    return images.clip(0) + 0.5


train, test = scans(1500), scans(300)
noisy = rng.poisson(test).astype(float)

# %%
# The function gets standardised images, and returns them to counts first.

mean = torch.tensor(train.mean(axis=0), dtype=torch.float32)
scale = float(train.var(axis=0).mean() ** 0.5)


def photons(x, generator):
    """Draw counts whose expected values are the images."""
    expected = (x * scale + mean).clamp(min=0)
    return (torch.poisson(expected, generator=generator) - mean) / scale


ae = ConvAE(
    64,
    channels=(16, 32),
    noise=photons,
    tol=0.05,
    n_iter_no_change=2,
    random_state=0,
).fit(train)

# %%
# The filters know nothing about scans. PCA and the autoencoder have seen clean scans.
# The filters have the width that is best for these test scans, and PCA has the best
# number of components.

pca = PCA(28).fit(train.reshape(1500, -1))
projected = pca.inverse_transform(pca.transform(noisy.reshape(300, -1)))
images = {
    "Counts": noisy,
    "Median": median_filter(noisy, (1, 5, 5)),
    "Gaussian": gaussian_filter(noisy, (0, 1.2, 1.2)),
    "PCA": projected.reshape(test.shape),
    "ConvAE": ae.reconstruct(noisy),
    "Truth": test,
}
figure, axes = plt.subplots(4, 6, figsize=(8, 6), layout="constrained")
for column, (name, answer) in zip(axes.T, images.items(), strict=True):
    for ax, image in zip(column, answer, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=14)
        ax.axis("off")
    if name == "Truth":
        column[0].set_title(name)
    else:
        ratio = 10 * np.log10(test.max() ** 2 / np.square(answer - test).mean())
        column[0].set_title(f"{name}\n{ratio:.1f} dB")
plt.show()

# %%
# The numbers are peak signal-to-noise ratios over 300 scans: higher is better. A filter
# that removes more noise also blurs the edges more. The autoencoder knows what scans
# look like. But it may remove what its training scans do not show, such as a rare
# disease.
