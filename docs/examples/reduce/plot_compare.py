"""
Compare PCA with autoencoders
=============================

:func:`skae.compare` fits transformers to the same folds, and measures them on the other
rows: the reconstruction, how well neighbours are kept, how well a classifier does with
few labels, and the time.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import UndercompleteAE, compare

X, y = load_digits(return_X_y=True)
comparison = compare(
    {
        "PCA": PCA(4),
        "UndercompleteAE": UndercompleteAE(4, tol=0.02, random_state=0),
    },
    X,
    y,
    cv=3,
    random_state=0,
)
comparison

# %%
# Each dot is a fold. The maps show the first two principal components of each code.
# ``comparison.to_html("comparison.html")`` writes the table and the figures to a file.

comparison.plot()
# sphinx_gallery_thumbnail_number = 2
plt.show()
