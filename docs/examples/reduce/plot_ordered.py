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
ae = UndercompleteAE(16, ordered=True, tol=0.03, random_state=0).fit(X)
pca = PCA(16).fit(X)
for name, reducer in {"UndercompleteAE": ae, "PCA": pca}.items():
    shares = reducer.explained_variance_ratio_.cumsum()
    n_components = 1 + (shares < 0.8).sum()
    print(f"{name} explains 80 % of the variance with {n_components} components")

# %%
# ``explained_variance_ratio_`` is what each component adds. For the autoencoder it is
# measured on held-out rows.

ExplainedVarianceDisplay.from_estimator({"UndercompleteAE": ae, "PCA": pca})
plt.show()

# %%
# ``truncate`` keeps the first components, without training.

for k in (2, 4, 8):
    print(f"{k} components explain {ae.truncate(k).score(X):.3f}")
