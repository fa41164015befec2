"""Filling missing values: scikit-learn's contract, and what is predicted."""

import pickle
import pickletools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import (
    AutoencoderImputer,
    DenoisingAE,
    MaskedAE,
    RecurrentAE,
    UndercompleteAE,
    VariationalAE,
)
from skae._applications.filling import judge
from skae._applications.gaussian import (
    deviations,
    draw_errors,
    fill,
    fit_gaussian,
    hide_and_fill,
)

FEW = {"max_iter": 2, "early_stopping": False}
SMALL = DenoisingAE(
    None, noise="gaps", noise_level=0.2, emphasis=1.0, hidden_layer_sizes=8, **FEW
)
ESTIMATORS = [
    SMALL,
    PCA(2),
    make_pipeline(StandardScaler(), PCA(2)),
    UndercompleteAE(2, **FEW),
    DenoisingAE(2, **FEW),
    MaskedAE(8, **FEW),
    VariationalAE(2, **FEW),
]


@parametrize_with_checks(
    [
        AutoencoderImputer(SMALL),
        AutoencoderImputer(PCA(1), add_indicator=True),
        AutoencoderImputer(UndercompleteAE(1, **FEW), keep_empty_features=True),
        AutoencoderImputer(SMALL, missing_values=-1),
    ]
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def table(n_rows=200, n_columns=6, missing=0.2, seed=0):
    """Rows of two factors in odd units, with gaps."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_rows, 2))
    X = factors @ rng.standard_normal((2, n_columns))
    X += 0.2 * rng.standard_normal(X.shape)
    X = 10.0 ** rng.integers(-3, 4, n_columns) * (X + 5)
    return np.where(rng.random(X.shape) < missing, np.nan, X), X


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_known_values_stay_and_others_are_better_than_the_mean(estimator):
    seen, X = table()
    gaps = np.isnan(seen)
    filled = AutoencoderImputer(estimator, random_state=0).fit_transform(seen)
    assert filled.dtype == X.dtype
    np.testing.assert_array_equal(filled[~gaps], X[~gaps])
    errors = np.where(gaps, filled - X, 0.0) / X.std(axis=0)
    assert np.square(errors).sum() < 0.5 * gaps.sum()


def test_the_network_predicts_what_is_not_linear(rng):
    angle = rng.uniform(0, 2 * np.pi, 600)
    X = np.column_stack([f(k * angle) for k in (1, 2, 3) for f in (np.cos, np.sin)])
    X += 0.05 * rng.standard_normal(X.shape)
    gaps = rng.random(X.shape) < 0.2
    imputer = AutoencoderImputer(random_state=0).fit(np.where(gaps, np.nan, X)[:400])
    seen, gaps, X = np.where(gaps, np.nan, X)[400:], gaps[400:], X[400:]
    error = np.square(imputer.transform(seen) - X)[gaps].mean()
    assert imputer.weight_ > 0.5
    imputer.weight_ = 0.0
    assert error < 0.5 * np.square(imputer.transform(seen) - X)[gaps].mean()


@pytest.mark.parametrize("noise", ["gaps", "gaussian"])
def test_a_frozen_estimator_is_not_trained_again(noise):
    seen, X = table()
    rows = (X - np.nanmean(seen, axis=0)) / np.nanstd(seen, axis=0)
    ae = DenoisingAE(2, noise=noise, noise_level=0.2, **FEW)
    weights = [w.clone() for w in ae.fit(rows).network_.parameters()]
    frozen = FrozenEstimator(ae)
    imputer = AutoencoderImputer(frozen, random_state=0).fit(seen)
    assert imputer.estimator_ is frozen
    assert all(map(torch.equal, weights, ae.network_.parameters()))
    assert np.isfinite(imputer.transform(seen)).all()


@pytest.mark.filterwarnings("ignore:. of 200 sequences have fewer steps")
def test_estimators_that_leave_gaps_are_told():
    seen, _ = table()
    with pytest.raises(ValueError, match="leaves missing values missing"):
        AutoencoderImputer(RecurrentAE(2, **FEW)).fit(seen)


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0], [1.0, 2.0], [1.0, np.nan]],
        [[1.0], [1.0]],
        [[1.0, np.nan], [1.0, np.nan]],
        [[np.nan, np.nan], [np.nan, np.nan]],
    ],
    ids=["constant", "one column", "empty column", "empty"],
)
@pytest.mark.filterwarnings("ignore")
def test_draws_of_columns_that_do_not_vary_are_what_is_filled(rows):
    imputer = AutoencoderImputer(keep_empty_features=True, random_state=0).fit(rows)
    for some in (rows, np.full_like(rows[:1], np.nan)):
        draws = imputer.sample_imputations(some, 3, random_state=0)
        np.testing.assert_array_equal(draws, [imputer.transform(some)] * 3)


def test_without_dependence_the_mean_is_predicted(rng):
    X = np.where(rng.random((300, 5)) < 0.3, np.nan, rng.standard_normal((300, 5)))
    imputer = AutoencoderImputer(SMALL, random_state=0).fit(X)
    missed = (imputer.transform(X) - imputer.mean_) / imputer.scale_
    assert imputer.weight_ == 0
    assert np.square(missed[np.isnan(X)]).mean() < 0.05


def test_linear_rows_keep_the_gaussian_and_units_do_not_matter():
    seen, _ = table()
    units = 2.0 ** np.arange(-20, 28, 8)
    fills = [
        AutoencoderImputer(SMALL, random_state=0).fit_transform(rows) / unit
        for rows, unit in ((seen, 1.0), (seen * units, units))
    ]
    np.testing.assert_allclose(*fills, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
@pytest.mark.parametrize("keep", [False, True])
def test_empty_and_constant_columns_and_empty_rows(keep):
    seen, _ = table()
    seen[:, 1], seen[:, 3] = np.nan, np.where(np.isnan(seen[:, 3]), np.nan, 0.1)
    seen[0] = np.nan
    imputer = AutoencoderImputer(SMALL, keep_empty_features=keep, random_state=0)
    others = SimpleImputer(keep_empty_features=keep).fit(seen)
    filled = imputer.fit_transform(seen)
    assert filled.shape == others.transform(seen).shape
    names = others.get_feature_names_out()
    np.testing.assert_array_equal(imputer.get_feature_names_out(), names)
    means = np.nanmean(seen[:, [0, 2, 3, 4, 5]], axis=0)
    if keep:
        assert (filled[:, 1] == 0).all()
        filled = np.delete(filled, 1, axis=1)
    np.testing.assert_allclose(filled[0], means)
    assert (filled[:, 2] == 0.1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, int])
@pytest.mark.parametrize("marker", [-1, np.nan])
def test_dtypes_and_markers_are_those_of_knn_imputer(dtype, marker):
    seen, _ = table()
    if dtype is int and marker is np.nan:
        seen = np.nan_to_num(seen, nan=7.0)
    X = np.where(np.isnan(seen), marker, np.round(seen)).astype(dtype)
    options = {"missing_values": marker, "add_indicator": True}
    filled = AutoencoderImputer(SMALL, random_state=0, **options).fit_transform(X)
    other = KNNImputer(**options).fit_transform(X)
    assert filled.dtype == other.dtype
    assert filled.shape == other.shape
    known = marker != X if marker == -1 else ~np.isnan(X)
    np.testing.assert_array_equal(filled[:, :6][known], other[:, :6][known])
    np.testing.assert_array_equal(filled[:, 6:], other[:, 6:])


def test_frames_keep_their_names_and_get_those_of_the_indicator():
    seen, _ = table()
    frame = pd.DataFrame(seen, columns=list("abcdef")).astype("Float64")
    imputer = AutoencoderImputer(SMALL, add_indicator=True, random_state=0)
    filled = imputer.set_output(transform="pandas").fit_transform(frame)
    indicator = MissingIndicator().fit(frame)
    names = [*"abcdef", *indicator.get_feature_names_out()]
    assert filled.columns.tolist() == names
    assert not filled.isna().any(axis=None)


def test_the_users_estimator_is_cloned_and_the_kept_one_names_its_noise():
    seen, _ = table()
    imputer = AutoencoderImputer(SMALL, random_state=0).fit(seen)
    assert imputer.estimator is SMALL
    assert not hasattr(SMALL, "n_features_in_")
    assert imputer.estimator_.noise == "gaps"
    again = clone(imputer).fit(seen)
    np.testing.assert_array_equal(again.transform(seen), imputer.transform(seen))
    file = pickle.dumps(imputer)
    texts = [t for _, t, _ in pickletools.genops(file) if isinstance(t, str)]
    assert {t for t in texts if t.startswith("skae")} == {"skae"}
    np.testing.assert_array_equal(
        pickle.loads(file).transform(seen), imputer.transform(seen)
    )


def test_it_is_searched_in_a_pipeline(breast_cancer):
    y = breast_cancer[:, 0] > 0
    seen = np.where(np.random.default_rng(0).random((569, 9)) < 0.2, np.nan, 1.0)
    seen = seen * breast_cancer[:, 1:10]
    imputer = AutoencoderImputer(SMALL, random_state=0)
    pipeline = make_pipeline(imputer, LogisticRegression())
    grid = {"autoencoderimputer__estimator__hidden_layer_sizes": [4, 8]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(seen, y)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("missing", [0.1, 0.4])
def test_draws_keep_known_values_and_are_as_wide_as_errors(missing):
    seen, X = table(800, missing=missing)
    imputer = AutoencoderImputer(SMALL, random_state=0).fit(seen[:400])
    gaps, seen, X = np.isnan(seen[400:]), seen[400:], X[400:]
    draws = imputer.sample_imputations(seen, 60, random_state=0)
    assert draws.shape == (60, 400, 6)
    assert (draws == X)[:, ~gaps].all()
    low, high = np.quantile(draws, [0.1, 0.9], axis=0)
    inside = (low <= X) & (high >= X)
    assert 0.72 < inside[gaps].mean() < 0.88
    means = draws.mean(axis=0) - imputer.transform(seen)
    assert (abs(means) < 5 * draws.std(axis=0) / 60**0.5 + 1e-9).all()


@pytest.mark.parametrize("n_rows", [1, 2, 19])
def test_with_few_rows_only_the_gaussian_is_fitted(n_rows):
    seen, _ = table(n_rows)
    imputer = AutoencoderImputer(SMALL).fit(seen)
    assert imputer.estimator_ is None
    assert np.isfinite(imputer.transform(seen)).all()


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({}, [[1.0, np.inf]], "infinity"),
        ({}, [["a", 1.0]] * 3, "'a'"),
        ({}, np.ones((3, 2, 2)), "dim 3"),
        ({}, np.full((3, 2), 1e200), "1e[+]200"),
        ({"validation_fraction": 1.5}, np.ones((3, 2)), "1.5"),
        ({"estimator": 3}, np.ones((3, 2)), "estimator"),
    ],
)
def test_bad_input_is_told(options, X, message):
    with pytest.raises(ValueError, match=message):
        AutoencoderImputer(**options).fit(X)


def test_what_cannot_reconstruct_is_told():
    with pytest.raises(TypeError, match="LogisticRegression"):
        AutoencoderImputer(LogisticRegression()).fit(np.ones((3, 2)))
    imputer = AutoencoderImputer()
    with pytest.raises(NotFittedError):
        imputer.sample_imputations([[1.0]])
    imputer.fit(np.eye(3))
    with pytest.raises(ValueError, match="n_imputations=0"):
        imputer.sample_imputations(np.eye(3), 0)


def test_conditional_means_and_deviations_are_those_of_the_covariance(rng):
    X = rng.standard_normal((500, 5)) @ rng.standard_normal((5, 5))
    found = fit_gaussian(X, np.random.RandomState(0))
    covariance = found.loadings.T @ found.loadings + found.noise * np.eye(5)
    np.testing.assert_allclose(covariance, np.cov(X.T, ddof=0), atol=0.01)
    seen = X[:1].copy()
    seen[0, [1, 4]] = np.nan
    v, h = [0, 2, 3], [1, 4]
    weights = np.linalg.solve(covariance[np.ix_(v, v)], covariance[np.ix_(v, h)])
    expected = found.mean[h] + (seen[0, v] - found.mean[v]) @ weights
    np.testing.assert_allclose(fill(found, seen)[0, h], expected)
    rest = covariance[np.ix_(h, h)] - covariance[np.ix_(h, v)] @ weights
    np.testing.assert_allclose(deviations(found, seen)[0, h] ** 2, rest.diagonal())
    drawn = draw_errors(found, np.repeat(seen, 20_000, axis=0), np.random.RandomState())
    np.testing.assert_allclose(np.cov(drawn[:, h].T), rest, rtol=0.1, atol=0.05)


def test_expectation_maximisation_finds_the_maximum_of_the_likelihood():
    """There the gradient is zero: small changes do not raise the likelihood."""
    seen, _ = table(300, 4, 0.3)
    X = (seen - np.nanmean(seen, axis=0)) / np.nanstd(seen, axis=0)
    found = fit_gaussian(X, np.random.RandomState(0))

    def likelihood(covariance):
        total = 0.0
        for row in X:
            v = ~np.isnan(row)
            part, x = covariance[np.ix_(v, v)], (row - found.mean)[v]
            total -= np.linalg.slogdet(part)[1] + x @ np.linalg.solve(part, x)
        return total

    best = found.loadings.T @ found.loadings + found.noise * np.eye(4)
    for shrunk in (0.9 * best, 1.1 * best, 0.9 * best + 0.1 * np.eye(4)):
        assert likelihood(shrunk) < likelihood(best)


def test_many_columns_have_few_factors(rng):
    factors = rng.standard_normal((150, 3))
    X = factors @ rng.standard_normal((3, 100)) + 0.1 * rng.standard_normal((150, 100))
    seen = np.where(rng.random(X.shape) < 0.2, np.nan, X)
    found = fit_gaussian(seen, np.random.RandomState(0))
    assert found.loadings.shape == (32, 100)
    assert np.square(fill(found, seen) - X)[np.isnan(seen)].mean() < 0.03


def test_hidden_entries_become_conditional_means(rng):
    X = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 4))
    found = fit_gaussian(X, np.random.RandomState(0))
    rows = torch.tensor(X, dtype=torch.float32)
    rows[0] = 0.0
    generator = torch.Generator().manual_seed(0)
    filled = hide_and_fill(rows, generator, gaussian=found, level=0.3)
    changed = (filled != rows).numpy()
    assert changed[0].all()
    assert 0.25 < changed.mean() < 0.35
    expected = fill(found, np.where(changed, np.nan, rows.numpy().astype(float)))
    np.testing.assert_allclose(filled.numpy(), expected, atol=2e-3)


def test_a_correction_is_kept_only_if_its_gain_is_certain(rng):
    missed = rng.standard_normal((80, 5))
    assert judge(missed, 2 * missed, 20) == pytest.approx(0.5)
    assert judge(missed, 0.5 * missed, 20) == 1.0
    assert judge(missed, -missed, 20) == 0.0
    assert judge(missed, np.zeros_like(missed), 20) == 0.0
