"""
Search the width and the penalty of a sparse code
=================================================

In a pipeline the code is one step, and a search varies its parameters together with
those of the other steps. Here a grid search looks for the width of a sparse code
(``n_components``) and the weight of its penalty (``alpha``). The score is the accuracy
of the classifier that follows, with 300 labelled images.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import SparseAE

widths, alphas = [16, 64, 128], [0.01, 0.03, 0.1, 0.3]
search = GridSearchCV(
    Pipeline(
        [
            ("scale", MinMaxScaler()),
            ("encode", SparseAE(tied_weights=True, max_iter=20, random_state=0)),
            ("classify", LogisticRegression(max_iter=1000)),
        ]
    ),
    {"encode__n_components": widths, "encode__alpha": alphas},
    cv=StratifiedShuffleSplit(3, train_size=300, random_state=0),
    refit=False,
).fit(*load_digits(return_X_y=True))
print(search.best_params_, f"{search.best_score_:.3f}")

# %%
# The grid varies ``alpha`` slowest, because its name comes first.
#
# Wide codes are better here. A wide code also wants a larger penalty than a narrow one.

accuracies = search.cv_results_["mean_test_score"].reshape(len(alphas), len(widths))
figure, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
ax.imshow(accuracies, cmap="YlGn", vmax=1)
for (row, column), accuracy in np.ndenumerate(accuracies):
    ax.text(column, row, f"{accuracy:.3f}", ha="center", va="center")
ax.set(
    xlabel="n_components",
    xticks=range(len(widths)),
    xticklabels=widths,
    ylabel="alpha",
    yticks=range(len(alphas)),
    yticklabels=alphas,
    title="Test accuracy with 300 labels",
)
plt.show()
