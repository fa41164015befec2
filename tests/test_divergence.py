"""Training that blows up is told of, and what it leaves is never nonsense."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import skae

#: Parameters with which training blows up: finite weights and infinite, penalties.
BLOWN = [
    skae.SparseAE(4, solver="rmsprop", learning_rate_init=30.0, max_iter=5),
    skae.SparseAE(4, sparsity="jump_relu", solver="sgd", learning_rate_init=1e4),
    skae.UndercompleteAE(2, init="random", neighbor_weight=1.0, learning_rate_init=3e3),
    skae.UndercompleteAE(2, init="random", solver="sgd", learning_rate_init=1e4),
    skae.UndercompleteAE(2, init="random", ordered=True, learning_rate_init=3e3),
    skae.ContractiveAE(2, init="random", solver="rmsprop", learning_rate_init=100.0),
    skae.DenoisingAE(2, init="random", solver="sgd", learning_rate_init=1e4),
    skae.ConvAE(
        5,
        weight_decay=1e7,
        solver="sgd",
        learning_rate="constant",
        activation="relu",
        channels=(4, 8),
        hidden_layer_sizes=(16,),
    ),
]
NAMES = [f"{type(e).__name__}-{i}" for i, e in enumerate(BLOWN)]


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(200, 8))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("estimator", BLOWN, ids=NAMES)
def test_a_fit_never_ends_worse_than_the_mean_without_a_word(
    X, estimator, early_stopping
):
    estimator.set_params(max_iter=5, early_stopping=early_stopping, random_state=2)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        try:
            score = estimator.fit(X).score(X)
        except ValueError as error:
            if "grew without bound" in str(error):
                return
            raise
    assert score > -0.01 or any(w.category is ConvergenceWarning for w in record)
    assert np.isfinite(score)


@pytest.mark.filterwarnings("ignore:The loss grew without bound")
@pytest.mark.parametrize("estimator", BLOWN, ids=NAMES)
def test_partial_fit_that_blows_up_leaves_the_model_before(X, estimator):
    parameters = estimator.get_params()
    harmless = {"learning_rate_init": 1e-3, "weight_decay": 0.0, "solver": "adam"}
    estimator.set_params(**harmless, random_state=0).partial_fit(X)
    codes = estimator.transform(X)
    estimator.set_params(**parameters)
    for _ in range(5):
        try:
            codes = estimator.partial_fit(X).transform(X)
        except ValueError as error:
            if "grew without bound" not in str(error):
                raise
            np.testing.assert_array_equal(estimator.transform(X), codes)
    assert np.isfinite(estimator.reconstruct(X)).all()


def test_a_search_passes_over_what_answers_nothing(X):
    ae = BLOWN[-1].set_params(early_stopping=False, max_iter=5)
    grid = {"weight_decay": [0.0, 1e7]}
    with warnings.catch_warnings():
        # scikit-learn tells of fits that failed.
        warnings.simplefilter("ignore")
        search = GridSearchCV(ae, grid, cv=2, error_score=-np.inf).fit(X)
    assert search.best_params_ == {"weight_decay": 0.0}
