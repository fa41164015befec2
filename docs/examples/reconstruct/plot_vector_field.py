"""
Denoising as a vector field
===========================

``reconstruct(X) - X`` of a :class:`~skae.DenoisingAE` is an arrow at each point. It
leads to where there are more rows. With normal noise of variance ``s^2`` it comes near
to ``s^2`` times the gradient of the log density of the noisy rows (Alain and Bengio,
2014).
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

from skae import DenoisingAE
from skae.inspection import VectorFieldDisplay

X, _ = make_moons(1500, noise=0.04, random_state=0)
ae = DenoisingAE(
    8,
    hidden_layer_sizes=(128, 128),
    init="random",
    noise_level=0.15,
    early_stopping=False,
    max_iter=400,
    random_state=0,
)

# %%
# The code is wider than the two features. It cannot just copy them, because the noise
# has to be removed.

VectorFieldDisplay.from_estimator(ae.fit(X), X, features=[0, 1])
plt.show()
