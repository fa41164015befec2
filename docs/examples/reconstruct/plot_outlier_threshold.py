"""
Outliers with a threshold, and the column to blame
==================================================

:class:`skae.AutoencoderOutlier` gives each row a p-value: the share of held-out
training rows that are at least as rare. ``predict`` has a threshold of 0.05, so about
5 % of usual rows are false alarms. For each outlier ``feature_scores`` says which
column is the reason.

Twenty of the test rows hold a mistake: one measurement of a tumour was replaced by the
largest one of the training rows. It does not fit the other measurements.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skae import AutoencoderOutlier, DenoisingAE

X = load_breast_cancer(as_frame=True).data
train, test = train_test_split(X, test_size=0.3, random_state=0)
mistaken = np.random.default_rng(0).integers(X.shape[1], size=20)
for row, column in enumerate(mistaken):
    test.iloc[row, column] = train.iloc[:, column].max()

ae = DenoisingAE(None, noise_level=1.0, init="random")
detector = AutoencoderOutlier(ae, cv=3, random_state=0).fit(train)
p_values = detector.p_values(test)
is_mistaken = np.arange(len(test)) < len(mistaken)
is_alarm = detector.predict(test) < 0
print(f"Mistakes found: {is_alarm[is_mistaken].sum()} of 20")
print(f"Other alarms: {is_alarm[~is_mistaken].mean():.0%} of the other rows")
blamed = detector.feature_scores(test[:20]).argmax(axis=1)
print(f"Mistakes whose column is blamed: {(blamed == mistaken).sum()} of 20")

# %%
# Left: the p-values in order. Those of rows without a mistake lie near the diagonal:
# about 5 % of them are below 0.05. Right: which columns make the rows with a mistake
# rare.

figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for chosen, label in [(is_mistaken, "With a mistake"), (~is_mistaken, "Without")]:
    share = np.linspace(0, 1, chosen.sum())
    axes[0].step(share, np.sort(p_values[chosen]), where="mid", label=label)
axes[0].axline((0, 0), slope=1, color="grey", linewidth=0.8)
axes[0].axhline(0.05, color="black", linestyle=":", label="Threshold of predict")
axes[0].set(xlabel="Share of rows", ylabel="p-value")
axes[0].legend()
image = axes[1].imshow(
    detector.feature_scores(test[:20]).clip(0), cmap="Oranges", aspect="auto"
)
axes[1].plot(mistaken, range(20), "ks", markersize=9, fillstyle="none", label="Mistake")
axes[1].set(xlabel="Column", ylabel="Test row")
axes[1].legend(loc="lower right", bbox_to_anchor=(1, 1))
figure.colorbar(image, label="Rise of the score without the column's value")
plt.show()
