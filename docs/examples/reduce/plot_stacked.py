"""
Train a deep network layer by layer
===================================

With sigmoid units, a deep autoencoder with a random start hardly learns at first: its
gradients are too small. :class:`~skae.StackedAE` first trains each layer to reconstruct
the layer below it, and then the whole network. This was the way out in 2006. With
today's units a random start works too.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skae import StackedAE

# Training ends early here, so that the example is fast.
warnings.simplefilter("ignore", ConvergenceWarning)
X = load_digits().data
sizes = {"hidden_layer_sizes": (96, 64, 48, 32), "n_components": 8, "init": "random"}

# %%
# ``pretraining_max_iter=0`` leaves out the training of layers. Each curve shows how the
# whole network is trained, with the same sizes, batches and steps.

figure, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3.5), layout="constrained")
for ax, activation in zip(axes, ("logistic", "gelu"), strict=True):
    for name, n_epochs in {"by layers first": "auto", "random start": 0}.items():
        ae = StackedAE(
            **sizes,
            activation=activation,
            pretraining_max_iter=n_epochs,
            max_iter=30,
            random_state=0,
        ).fit(X)
        ax.plot(range(1, ae.n_iter_ + 1), ae.validation_scores_, label=name)
        print(f"{activation}, {name}: {ae.best_score_:.2f} explained")
    ax.set(title=activation, xlabel="epoch of the whole network", ylim=(-0.05, 1))
axes[0].set_ylabel("explained variance of held-out rows")
axes[1].legend()
plt.show()
