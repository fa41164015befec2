"""
Predict hidden patches of images
================================

:class:`~skae.MaskedAE` hides three quarters of the patches of each training image, and
learns to predict them from the rest. So it can fill in what is missing in new images.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skae import MaskedAE

train, test = train_test_split(load_digits().images, random_state=0)
ae = MaskedAE(mask_ratio=0.5, max_iter=40, random_state=0).fit(train)

# %%
# Half of the 16 patches of each test image are missing. ``reconstruct`` predicts every
# pixel; here the known ones are kept.

rng = np.random.default_rng(0)
hidden = rng.permuted(np.tile(np.arange(16) < 8, (len(test), 1)), axis=1)
hidden = hidden.reshape(-1, 4, 4).repeat(2, axis=1).repeat(2, axis=2)
seen = np.where(hidden, np.nan, test)
filled = np.where(hidden, ae.reconstruct(seen), test)
for name, images in {"mean image": ae.mean_.reshape(8, 8), "MaskedAE": filled}.items():
    error = np.square(images - test)[hidden].mean()
    print(f"Mean squared error of hidden pixels, by {name}: {error:.1f}")

# %%
# From top to bottom: what is seen, what is filled in, and the images.

figure, axes = plt.subplots(3, 10, figsize=(7, 2.4), layout="constrained")
colours = plt.get_cmap("gray_r").with_extremes(bad="tab:blue")
for row, images in zip(axes, (seen, filled, test), strict=True):
    for ax, image in zip(row, images, strict=False):
        ax.imshow(image, cmap=colours, vmin=0, vmax=16)
        ax.set_axis_off()
plt.show()
