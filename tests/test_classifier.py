"""AutoencoderClassifier and AutoencoderRegressor: codes with a linear head."""

import pytest
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import (
    AutoencoderClassifier,
    AutoencoderRegressor,
    DenoisingAE,
    UndercompleteAE,
)

FEW = DenoisingAE(8, hidden_layer_sizes=8, max_iter=2, noise_level=0.3, init="random")
PLAIN = UndercompleteAE(4, hidden_layer_sizes=8, max_iter=2)
WIDE = UndercompleteAE(10, hidden_layer_sizes=8, max_iter=2)
ADVERSARIAL = {"consistency": "virtual_adversarial", "reconstruction_weight": 0.5}
VARIANTS = [
    AutoencoderClassifier(FEW, max_iter=60),
    AutoencoderClassifier(PLAIN, max_iter=30, early_stopping=True, **ADVERSARIAL),
    AutoencoderClassifier(PCA(0.99, svd_solver="full"), fine_tune=False),
    AutoencoderRegressor(FEW, max_iter=60),
    AutoencoderRegressor(WIDE, max_iter=200, early_stopping=True, **ADVERSARIAL),
    AutoencoderRegressor(PCA(0.99, svd_solver="full"), fine_tune=False),
]


# The checks' data have two columns at times, or are noise, and the warnings are due.
@pytest.mark.filterwarnings("ignore:n_components=. is not smaller than n_features")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(VARIANTS)
def test_scikit_learn(estimator, check):
    check(estimator)
