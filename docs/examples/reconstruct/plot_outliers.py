"""
Find outliers, and the feature to blame
=======================================

Rows that are unlike the training rows are reconstructed badly. ``score_samples`` finds
them, and :func:`skae.inspection.reconstruction_errors` says which feature makes a row
unusual.

The training rows here are clean. The test rows hold some mistakes: in each of ten rows the
value of one measurement is that of another row.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import UndercompleteAE
from skae.inspection import reconstruction_errors

X, y = load_breast_cancer(as_frame=True, return_X_y=True)
train, test = train_test_split(X[y == 1], test_size=0.3, random_state=0)
generator = np.random.default_rng(0)
is_wrong = np.arange(len(test)) < 10
blamed = generator.integers(X.shape[1], size=10)
for row, column in enumerate(blamed):
    test.iloc[row, column] = X[y == 0].iloc[row, column]

pipeline = make_pipeline(StandardScaler(), UndercompleteAE(6, random_state=0))
scores = pipeline.fit(train).score_samples(test)
print(f"Area under the ROC curve: {roc_auc_score(is_wrong, -scores):.2f}")

# %%
# The errors have a sign. The sum of their squares is minus the score.

errors = reconstruction_errors(pipeline, test)
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
limit = np.abs(errors[:20]).to_numpy().max()
image = ax.imshow(errors[:20], cmap="RdBu_r", vmin=-limit, vmax=limit)
ax.plot(blamed, range(10), "ks", markersize=12, fillstyle="none", label="mistake")
ax.set(ylabel="Test row", xlabel="Feature")
ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
figure.colorbar(image, label="Error, in standard deviations")
plt.show()
