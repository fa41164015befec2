"""
Progress and curves of a search
===============================

The callbacks of scikit-learn 1.9 follow a search into every fit and every epoch.
``ProgressBar`` shows how far a search is. ``ScoringMonitor`` collects the curves of all
candidates in one table.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import UndercompleteAE
from skae.metrics import explained_variance

monitor = ScoringMonitor(scoring={"explained variance": explained_variance})
ae = UndercompleteAE(init="random", max_iter=15, early_stopping=False, random_state=0)
search = GridSearchCV(
    Pipeline([("scale", MinMaxScaler()), ("encode", ae.set_callbacks(monitor))]),
    {"encode__n_components": [2, 8], "encode__learning_rate_init": [0.001, 0.01]},
    scoring=explained_variance,
    cv=2,
    refit=False,
)

# %%
# For a progress bar of each fit, install rich, import ``ProgressBar`` from
# ``sklearn.callback``, and add
# ``search.set_callbacks(ProgressBar(max_propagation_depth=None))``.
#
# ``ScoringMonitor`` of scikit-learn 1.9 only scores if ``y`` is given. The autoencoder
# does not use it.

X = load_digits().data
search.fit(X, y=np.zeros(len(X)))
logs = monitor.get_logs().data_as_pandas
epochs = logs[logs["task_name"] == "epoch"]
curves = epochs.groupby("parent_task_id_path")["explained variance"]

# %%
# The search fits two folds of each candidate, one after the other. The larger steps are
# better at both widths.

figure, ax = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
candidates = [tuple(p.values()) for p in search.cv_results_["params"] for _ in range(2)]
for fit, ((_, curve), (rate, width)) in enumerate(zip(curves, candidates, strict=True)):
    ax.plot(
        np.arange(1, len(curve) + 1),
        curve,
        color=f"C{[0.001, 0.01].index(rate)}",
        linestyle="--" if width == 2 else "-",
        label=None if fit % 2 else f"n_components={width}, learning_rate_init={rate}",
    )
ax.set(xlabel="Epoch", ylabel="Explained variance of training rows")
ax.legend(fontsize="small")
plt.show()
