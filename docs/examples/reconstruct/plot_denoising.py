"""
Remove noise from images
========================

:class:`~skae.DenoisingAE` learns from clean images, to which it adds noise by itself.
Then ``reconstruct`` removes the noise of new images.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import DenoisingAE
from skae.inspection import ReconstructionDisplay

clean, test = train_test_split(load_digits().data, random_state=0)
ae = DenoisingAE(16, noise="gaussian", noise_level=0.8, random_state=0).fit(clean)

# %%
# ``noise_level`` is in units of ``scale_``, the root mean squared deviation of the
# pixels.

noise = np.random.default_rng(0).normal(size=test.shape)
noisy = test + 0.8 * ae.scale_ * noise
pca = PCA(16).fit(clean)
reconstructions = {
    "noisy images": noisy,
    "PCA": pca.inverse_transform(pca.transform(noisy)),
    "DenoisingAE": ae.reconstruct(noisy),
}
for name, images in reconstructions.items():
    print(f"Mean squared error of {name}: {np.square(images - test).mean():.1f}")

# %%
# Both keep 16 numbers of each noisy image. PCA projects the noise, too. The autoencoder
# has learnt what digits look like.

ReconstructionDisplay.from_estimator(ae, test, corrupted=noisy, image_shape=(8, 8))
plt.show()
