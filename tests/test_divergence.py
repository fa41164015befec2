"""Training that blows up is told of, and what it leaves is never nonsense."""

import warnings

import numpy as np
import pytest
import torch
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


def test_what_is_kept_after_training_blew_up_is_named(X):
    ae = skae.UndercompleteAE(4, max_iter=5, learning_rate_init=1e3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="without bound.*; PCA is kept"):
        ae.fit(X)
    assert ae.is_pca_


@pytest.mark.parametrize(
    "ae",
    [
        skae.UndercompleteAE(4, max_iter=5, learning_rate_init=1e3, random_state=0),
        skae.UndercompleteAE(4, max_iter=2, random_state=0),
        skae.SparseAE(4, max_iter=2, target_sparsity=0.01, random_state=0),
        skae.UndercompleteAE(0.999, max_iter=2, random_state=0),
    ],
    ids=str,
)
def test_warnings_that_are_errors_undo_no_work(X, ae):
    """As of scikit-learn's MLPRegressor, what was trained stays."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            ae.fit(X)
    codes = ae.transform(X)
    with pytest.warns(ConvergenceWarning) as record:
        ae.fit(X)
    assert record[0].filename == __file__
    np.testing.assert_array_equal(ae.transform(X), codes)


@pytest.mark.parametrize("estimator", BLOWN, ids=NAMES)
def test_blowing_up_is_told_by_us_where_torch_looks_for_anomalies(X, estimator):
    estimator.set_params(max_iter=3, random_state=2)

    def outcome():
        try:
            with warnings.catch_warnings(record=True) as record:
                warnings.simplefilter("always")
                estimator.fit(X)
        except ValueError as error:
            return [str(error)]
        return [str(w.message) for w in record]

    expected = outcome()
    with torch.autograd.set_detect_anomaly(True):
        assert outcome() == expected
        assert torch.is_anomaly_check_nan_enabled()
