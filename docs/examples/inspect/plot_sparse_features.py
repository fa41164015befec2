"""
Features of a sparse code
=========================

A sparse code describes each image by a few parts out of many. The weights of a unit
show its part.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skae import SparseAE
from skae.inspection import FilterDisplay, SparsityDisplay

X = load_digits().data
ae = SparseAE(128, tied_weights=True, alpha=0.1, max_iter=60, random_state=0).fit(X)
print(f"Active entries of a row: {ae.mean_active_:.1f} of {ae.n_components_}")

# %%
# The weights of the first 64 units, as images. Most units look for a part of a stroke.

FilterDisplay.from_estimator(ae, n_filters=64, image_shape=(8, 8))
plt.show()

# %%
# How often each unit is active, and how many units are active in a row. Units that are
# never active are dead: they are not used.

SparsityDisplay.from_estimator(ae, X)
plt.show()
