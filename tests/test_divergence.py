"""Training that blows up is told of, and what it leaves is never nonsense."""

import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

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
@pytest.mark.filterwarnings("ignore:After 1 epochs the reconstruction is worse")
@pytest.mark.filterwarnings("ignore:. of 4 units are active in no training row")
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


@pytest.mark.parametrize("unit", [1e300, np.float32(1e33)])
def test_answers_that_leave_the_numbers_of_the_unit_are_an_error(X, unit):
    """Weights are finite, and so are codes; what they mean is not."""
    ae = skae.SparseAE(4, learning_rate_init=1e6, max_iter=1, random_state=0)
    with pytest.raises(ValueError, match="grew without bound in 1 epochs with learn"):
        ae.fit(X.astype(np.asarray(unit).dtype) * unit)
    assert not hasattr(ae, "n_features_in_")


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


WORSE = "(grew without bound|is worse than the mean of the rows)"


@pytest.mark.parametrize(
    "ae",
    [
        skae.UndercompleteAE(3, learning_rate_init=5.0),
        skae.UndercompleteAE(3, learning_rate_init=5.0, init="random"),
        skae.SparseAE(3, learning_rate_init=5.0),
        skae.ConvAE(3, learning_rate_init=5.0, channels=4),
    ],
    ids=str,
)
def test_parts_that_stay_worse_than_the_mean_are_told_each_time(X, ae):
    ae.set_params(random_state=0)
    for _ in range(3):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            is_bad = ae.partial_fit(X).score(X) < -0.15
        told = [w for w in record if re.search(WORSE, str(w.message))]
        assert bool(told) == is_bad
        # It is remembered.
        ae = pickle.loads(pickle.dumps(ae))


def test_a_part_that_loses_what_pca_has_is_told():
    X = np.random.default_rng(0).normal(size=(400, 10))
    ae = skae.DenoisingAE(3, solver="sgd", learning_rate_init=5.0, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"worse than .* Lower learning_rate"):
        assert ae.partial_fit(X).score(X) < 0


@pytest.mark.filterwarnings("ignore:. of 3 units are active in no")
@pytest.mark.parametrize("n_rows", [2, 5, 50])
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize(
    "cls", [skae.UndercompleteAE, skae.SparseAE, skae.DenoisingAE, skae.ConvAE]
)
def test_training_that_has_just_begun_is_no_reason_to_warn(X, cls, init, n_rows):
    ae = cls(3, random_state=0)
    if cls is not skae.SparseAE:
        ae.set_params(init=init)
    for start in range(0, 4 * n_rows, n_rows):
        ae.partial_fit(X[start : start + n_rows])


def warm(ae, X):
    return ae.set_params(warm_start=True, max_iter=2).fit(X)


@pytest.mark.parametrize("go_on", [lambda ae, X: ae.partial_fit(X), warm])
@pytest.mark.parametrize("cls", [skae.UndercompleteAE, skae.SparseAE, skae.ConvAE])
def test_rows_in_another_unit_are_no_fault_of_the_learning_rate(X, cls, go_on):
    ae = cls(2, random_state=0).partial_fit(X)
    codes = ae.transform(X)
    with pytest.raises(ValueError, match=r"lie 1e\+20 times scale_=.* from mean_") as e:
        go_on(ae, X * 1e20)
    assert "learning_rate" not in str(e.value)
    np.testing.assert_array_equal(ae.transform(X), codes)


class Spoil(Callback):
    """Puts NaN into the weights before the first step."""

    def on_train_begin(self, net, **kwargs):
        for weight in net.module_.parameters():
            weight.data.fill_(np.nan)


class Nothing(torch.nn.Module):
    """Answers NaN."""

    def forward(self, x):
        return x * np.nan


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"callbacks": [Spoil()]}, r"callbacks=\["),
        ({"activation": Nothing}, "activation=<class"),
        ({"loss": lambda a, b: (a - b) * np.nan}, r"loss=<.* use another, such as"),
    ],
)
@pytest.mark.parametrize("cls", [skae.UndercompleteAE, skae.DenoisingAE])
def test_nan_before_the_first_step_is_said_to_be_of_what_makes_it(
    X, cls, options, named
):
    with pytest.raises(ValueError, match="NaN before the first step") as e:
        cls(2, max_iter=1, **options).fit(X)
    assert re.search(named, str(e.value))
    assert ("'squared_error'" in str(e.value)) == ("loss" in options)
