"""
What a component means
======================

To see what a component means, change it and decode the result. With PCA each step adds
the same image. With an autoencoder the effect of a step depends on where you are.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skae import UndercompleteAE
from skae.inspection import CodeGridDisplay, TraversalDisplay

X = load_digits().data
ae = UndercompleteAE(6, random_state=0).fit(X)

# %%
# Each line of images changes one component, and keeps the others as in the first image.

TraversalDisplay.from_estimator(ae, X, origin=X[:1], image_shape=(8, 8))
plt.show()

# %%
# A code of two numbers can be decoded on a grid. Neighbours on the grid look alike.

flat = UndercompleteAE(2, random_state=0).fit(X)
CodeGridDisplay.from_estimator(flat, X, image_shape=(8, 8))
plt.show()
