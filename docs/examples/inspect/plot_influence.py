"""
Explain a component by features
===============================

The components of PCA have loadings, one number for each feature.
:func:`skae.inspection.feature_influence` gives the same numbers for PCA, and their like
for an autoencoder. They come from the derivatives of ``transform`` and
``inverse_transform``, averaged over rows.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import UndercompleteAE
from skae.inspection import FeatureInfluenceDisplay, feature_influence

X = load_wine(as_frame=True).data
pipeline = make_pipeline(
    StandardScaler().set_output(transform="pandas"),
    UndercompleteAE(3, max_iter=60, early_stopping=False, random_state=0),
).fit(X)

# %%
# ``decoder`` says by how many of its standard deviations a feature changes when a
# component grows by one of its own.

influence = feature_influence(pipeline, X)
influence.decoder.T.round(2)

# %%
# The same numbers as a heat map.

FeatureInfluenceDisplay.from_estimator(pipeline, X)
plt.show()
