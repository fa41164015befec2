"""
Learn from few labels
=====================

Someone has to look at a picture to say which digit it is. Here 20 to 400 of 1200
pictures have a label. :class:`skae.AutoencoderClassifier` learns from the others too.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.semi_supervised import LabelSpreading

from skae import AutoencoderClassifier, DenoisingAE

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, train_size=1200, random_state=0)

# %%
# The autoencoder needs no labels, so it is trained once. Its noise is strong: the
# deviation of the noise is that of the pixels.

ae = DenoisingAE(64, noise_level=1.0, init="random", random_state=0).fit(X)

# %%
# Four classifiers see the same labels. The first knows nothing else. The second joins
# pictures to those that are near. The third knows codes that were learnt from all
# pictures. The last one tunes the encoder, so that noise on any picture does not change
# the answer.

counts = [20, 50, 100, 200, 400]
classifiers = {
    "pixels, logistic regression": LogisticRegression(max_iter=1000),
    "pixels, label spreading": LabelSpreading(gamma=1.0),
    "code, not tuned": AutoencoderClassifier(FrozenEstimator(ae), fine_tune=False),
    "code, tuned": AutoencoderClassifier(
        FrozenEstimator(ae), max_iter=500, random_state=0
    ),
}
found = {name: [] for name in classifiers}
for n in counts:
    labels = np.where(np.arange(len(y)) < n, y, -1)
    for name, classifier in classifiers.items():
        if isinstance(classifier, LogisticRegression):
            classifier.fit(X[:n], y[:n])
        else:
            classifier.fit(X, labels)
        found[name].append(100 * classifier.score(X_test, y_test))

# %%

figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, accuracies in found.items():
    ax.semilogx(counts, accuracies, marker="o", label=name)
ax.set_xticks(counts, counts)
ax.minorticks_off()
ax.set_xlabel("Labels")
ax.set_ylabel("Accuracy on test pictures, %")
ax.legend()
plt.show()
