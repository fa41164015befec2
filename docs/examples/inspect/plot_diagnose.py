"""
Find out what is wrong with a fit
=================================

:func:`skae.inspection.diagnose` looks for common mistakes, and names what may help.
Here training ends far too early.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skae import UndercompleteAE
from skae.inspection import LossCurveDisplay, diagnose

X = load_digits().data
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fit warns of the same
    short = UndercompleteAE(8, max_iter=4, random_state=0).fit(X)
diagnose(short, X)

# %%
# With the default, training ends by itself.

ae = UndercompleteAE(8, random_state=0).fit(X)
diagnose(ae, X)

# %%
# The loss curve shows the same: after 4 epochs, the loss was still falling.

LossCurveDisplay.from_estimator(ae).ax_.axvline(4, color="gray", linestyle=":")
plt.show()
