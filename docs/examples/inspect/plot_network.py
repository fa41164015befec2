"""
A network of your own
=====================

``encoder`` and ``decoder`` take your own networks. You pass a function, or a class,
that makes a module for a number of inputs and outputs. The start from PCA, the stopping
rule and all methods stay as they are.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from torch import nn

from skae import UndercompleteAE
from skae.metrics import explained_variance


class ResidualNetwork(nn.Module):
    """Two residual blocks between two linear layers."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.first, self.last = nn.Linear(n_inputs, 64), nn.Linear(64, n_outputs)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU())
            for _ in range(2)
        )

    def forward(self, x):
        """Map rows to codes, or codes to rows."""
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


X_train, X_test = train_test_split(load_digits().data, random_state=0)
estimators = {
    "PCA": PCA(8),
    "Default layers": UndercompleteAE(8, random_state=0),
    "Own network": UndercompleteAE(
        8, encoder=ResidualNetwork, decoder=ResidualNetwork, random_state=0
    ),
}
scores = {
    name: explained_variance(estimator.fit(X_train), X_test)
    for name, estimator in estimators.items()
}

# %%
# On this data the default layers are better. A network of your own pays if you know
# more about your data than the default does.

figure, ax = plt.subplots(figsize=(5, 1.8), layout="constrained")
ax.bar_label(ax.barh(list(scores), list(scores.values())), fmt="%.3f", padding=3)
ax.set(xlabel="Explained variance of test images", xlim=(0, 1.05))
plt.show()
