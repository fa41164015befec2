"""AutoencoderOutlier: held-out scores, p-values, thresholds, the feature to blame."""

import pickle
import pickletools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderOutlier, UndercompleteAE
from skae._applications.conformal import surprise

LINEAR = PCA(0.9, svd_solver="full")
FEW = UndercompleteAE(1, max_iter=2, hidden_layer_sizes=(), early_stopping=False)
VARIANTS = [
    AutoencoderOutlier(FEW, cv=2),
    AutoencoderOutlier(LINEAR),
    AutoencoderOutlier(LINEAR, measure="error", standardize=False, contamination=0.2),
    AutoencoderOutlier(make_pipeline(MinMaxScaler(), PCA(1)), measure="density", cv=3),
]


# The checks' data have two columns at times, or are noise, and the warnings are due.
@pytest.mark.filterwarnings("ignore:n_components=. is not smaller than n_features")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(VARIANTS)
def test_scikit_learn(estimator, check):
    check(estimator)
