"""
Find outliers, and the feature to blame
=======================================

Rows that are unlike the training rows are reconstructed badly.
:func:`skae.inspection.reconstruction_errors` gives the error of each feature. The sum
over a row finds the outliers, and the largest error of a row says which feature makes
it one.

The test rows hold some mistakes. In twenty of them, one measurement has a value that
only every twentieth tumour exceeds. A check of each feature alone would not find this.
But the value does not fit the other measurements of the tumour.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skae import UndercompleteAE
from skae.inspection import reconstruction_errors

X = load_breast_cancer(as_frame=True).data
train, test = train_test_split(X, test_size=0.3, random_state=0)
mistaken = np.random.default_rng(0).integers(X.shape[1], size=20)
for row, column in enumerate(mistaken):
    test.iloc[row, column] = train.iloc[:, column].quantile(0.95)

scaler = StandardScaler().set_output(transform="pandas").fit(train)
ae = UndercompleteAE(8, random_state=0).fit(scaler.transform(train))
errors = reconstruction_errors(ae, scaler.transform(test))
is_mistaken = np.arange(len(test)) < len(mistaken)
print(f"Area under the ROC curve: {roc_auc_score(is_mistaken, errors.sum(axis=1)):.2f}")
is_found = errors.to_numpy()[:20].argmax(axis=1) == mistaken
print(f"Mistakes whose feature has the largest error: {is_found.sum()} of 20")

# %%
# The first 20 of these 30 rows hold a mistake, in the framed feature.

figure, ax = plt.subplots(figsize=(6, 6), layout="constrained")
image = ax.imshow(errors[:30], cmap="Oranges", vmax=8)
ax.plot(mistaken, range(20), "ks", markersize=10, fillstyle="none", label="Mistake")
ax.set(ylabel="Test row", xlabel="Feature")
ax.legend(loc="lower right", bbox_to_anchor=(1, 1))
figure.colorbar(image, label="Squared error, in variances", extend="max", shrink=0.7)
plt.show()
