"""
Ordered codes and the scree plot
================================

With ``ordered=True`` every prefix of a code is a code, as in PCA. So one fit serves all
widths, and a scree plot shows how many components you need.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skae import UndercompleteAE
from skae.inspection import ExplainedVarianceDisplay

X = load_digits().data
ae = UndercompleteAE(0.9, max_iter=100, random_state=0).fit(X)
pca = PCA(0.9).fit(X)
print("Components that explain 90 % of the variance:")
print(f"UndercompleteAE {ae.n_components_}, PCA {pca.n_components_}")

# %%
# ``explained_variance_ratio_`` is what each component adds. For the autoencoder it is
# measured on held-out rows.

ExplainedVarianceDisplay.from_estimator({"UndercompleteAE": ae, "PCA": pca})
plt.show()

# %%
# ``truncate`` keeps the first components, without training.

for k in (2, 4, 8):
    print(f"{k} components explain {ae.truncate(k).score(X):.3f}")
