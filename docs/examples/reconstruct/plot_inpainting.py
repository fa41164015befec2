"""
Fill gaps in images
===================

:class:`~skae.ConvAE` with ``noise="block"`` hides a box in each training image, at
random places, and learns to fill it. Missing pixels of new images are NaN.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skae import ConvAE
from skae.inspection import ReconstructionDisplay

train, test = train_test_split(load_digits().images, random_state=0)
ae = ConvAE(16, noise="block", noise_level=0.15, tol=0.03, random_state=0)
ae.fit(train)

# %%
# A box of 3 x 3 pixels is lost in the middle of each test image.

gap = np.s_[:, 3:6, 2:5]
seen = test.copy()
seen[gap] = np.nan
filled = ae.reconstruct(seen)
mean_image = ae.mean_.reshape(8, 8)
for name, images in {"mean image": mean_image[None], "ConvAE": filled}.items():
    error = np.square(images[gap] - test[gap]).mean()
    print(f"Mean squared error in the gap, filled by {name}: {error:.1f}")

# %%
# The error is small around the gap, because the code also describes the known pixels.

ReconstructionDisplay.from_estimator(ae, test, corrupted=seen)
plt.show()
