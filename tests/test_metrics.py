"""Scorers: the same number by other roads, for PCA, pipelines and autoencoders."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    StandardScaler,
    scale,
)

from skae import UndercompleteAE
from skae.inspection import traverse_component, traverse_direction
from skae.metrics import explained_variance, neg_mean_squared_error


def test_pcas_explained_variance_is_its_ratio(digits):
    pca = PCA(7).fit(digits)
    assert explained_variance(pca, digits) == pytest.approx(
        pca.explained_variance_ratio_.sum()
    )


def test_explained_variance_is_our_score(digits):
    estimator = UndercompleteAE(2, max_iter=3).fit(digits)
    assert explained_variance(estimator, digits) == pytest.approx(
        estimator.score(digits)
    )


def test_explained_variance_is_r2_weighted_by_variance(breast_cancer):
    pca = PCA(3).fit(breast_cancer)
    reconstruction = pca.inverse_transform(pca.transform(breast_cancer))
    expected = r2_score(breast_cancer, reconstruction, multioutput="variance_weighted")
    assert explained_variance(pca, breast_cancer) == pytest.approx(expected)


def test_both_scorers_measure_the_same_error(digits):
    pca = PCA(3).fit(digits)
    error = (1 - explained_variance(pca, digits)) * digits.var(axis=0).mean()
    assert neg_mean_squared_error(pca, digits) == pytest.approx(-error)


@pytest.fixture(scope="module")
def wine():
    """Rows whose widest column is a hundred thousand times as wide as the others."""
    return load_wine().data


SCORERS = [explained_variance, neg_mean_squared_error]


@pytest.mark.parametrize("scorer", SCORERS)
def test_pipeline_is_scored_in_the_units_of_the_step_that_reduces(scorer, wine):
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(wine)
    expected = scorer(PCA(2).fit(scale(wine)), scale(wine))
    assert scorer(pipeline, wine) == pytest.approx(expected)
    if scorer is explained_variance:
        ratios = pipeline[-1].explained_variance_ratio_
        assert expected == pytest.approx(ratios.sum()) == pytest.approx(0.554, abs=1e-3)


@pytest.mark.parametrize("scorer", SCORERS)
def test_pipeline_is_scored_in_raw_units_if_it_is_asked_for(scorer, wine):
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(wine)
    squares = np.square(pipeline.inverse_transform(pipeline.transform(wine)) - wine)
    expected = {
        explained_variance: 1 - squares.sum() / (len(wine) * wine.var(axis=0).sum()),
        neg_mean_squared_error: -squares.mean(),
    }
    score = scorer(pipeline, wine, raw_units=True)
    assert score == pytest.approx(expected[scorer])
    assert score != pytest.approx(scorer(pipeline, wine), rel=0.1)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(
    "steps",
    [
        ["passthrough", StandardScaler(), PCA(2), "passthrough"],
        [StandardScaler(), PCA(2), None],
        [StandardScaler(), PCA(2), StandardScaler(), MinMaxScaler()],
        [StandardScaler(), FunctionTransformer(), PCA(2), FunctionTransformer()],
        [make_pipeline(StandardScaler(), PCA(2))],
        [StandardScaler(), make_pipeline("passthrough", PCA(2))],
        [StandardScaler(), SimpleImputer(), PCA(2)],
        [ColumnTransformer([("scale", StandardScaler(), list(range(13)))]), PCA(2)],
    ],
)
def test_every_way_to_write_a_pipeline_has_the_same_score(scorer, steps, wine):
    expected = scorer(PCA(2).fit(scale(wine)), scale(wine))
    assert scorer(make_pipeline(*steps).fit(wine), wine) == pytest.approx(expected)


@pytest.mark.parametrize("scorer", SCORERS)
def test_pipeline_of_scalers_alone_is_scored_as_a_whole(scorer, wine):
    pipeline = make_pipeline(StandardScaler(), MinMaxScaler()).fit(wine)
    best = {explained_variance: 1.0, neg_mean_squared_error: 0.0}
    assert scorer(pipeline, wine) == pytest.approx(best[scorer])


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_search_is_scored_as_its_best_estimator(scorer, wine):
    pipeline = make_pipeline(StandardScaler(), PCA(2))
    search = GridSearchCV(pipeline, {"pca__n_components": [1, 2]}, scoring=scorer, cv=2)
    search.fit(wine)
    assert search.score(wine) == scorer(search.best_estimator_, wine)
    assert scorer(search, wine) == scorer(search.best_estimator_, wine)
    raw = partial(scorer, raw_units=True)
    assert raw(search, wine) == raw(search.best_estimator_, wine)


def test_pipelines_own_score_is_the_scorers(wine):
    options = {"max_iter": 2, "early_stopping": False, "random_state": 0}
    pipeline = make_pipeline(StandardScaler(), UndercompleteAE(2, **options)).fit(wine)
    assert pipeline.score(wine) == pytest.approx(explained_variance(pipeline, wine))


def test_scaled_sparse_rows_stay_sparse(digits):
    pipeline = make_pipeline(MaxAbsScaler(), TruncatedSVD(2)).fit(csr_matrix(digits))
    assert explained_variance(pipeline, csr_matrix(digits)) == pytest.approx(
        explained_variance(pipeline, digits)
    )


@pytest.mark.parametrize("sparse", [coo_matrix, csr_matrix])
def test_sparse_rows_score_like_dense_ones(sparse, digits):
    pca = PCA(3).fit(digits)
    assert explained_variance(pca, sparse(digits)) == pytest.approx(
        explained_variance(pca, digits)
    )


def test_y_is_ignored(digits):
    pca = PCA(3).fit(digits)
    words = np.repeat("word", len(digits))
    assert explained_variance(pca, digits, words) == explained_variance(pca, digits)


@pytest.mark.parametrize("scorer", SCORERS)
def test_estimator_that_cannot_reconstruct(scorer, digits):
    kmeans = KMeans(n_clusters=2)
    for estimator in (kmeans, make_pipeline(StandardScaler(), kmeans).fit(digits)):
        with pytest.raises(TypeError, match=r"KMeans\(.*\) cannot reconstruct"):
            scorer(estimator, digits)


class Forgetful(PCA):
    """Answers so many rows by NaN or infinity."""

    lost, value = 2, np.nan

    def inverse_transform(self, X):
        answers = super().inverse_transform(X)
        answers[: self.lost, 1] = self.value
        return answers


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("scorer", SCORERS)
def test_answers_that_are_not_finite_are_counted(scorer, digits, value):
    forgetful = Forgetful(2).fit(digits[:9])
    forgetful.value = value
    with pytest.raises(ValueError, match=r"Forgetful reconstructs 2 of 9 rows"):
        scorer(forgetful, digits[:9])


class Reshaped(PCA):
    """Answers in other shapes than it is asked for."""

    code = row = staticmethod(lambda answer: answer)

    def transform(self, X):
        return self.code(super().transform(X))

    def inverse_transform(self, X):
        return self.row(super().inverse_transform(X))


SHAPES = {
    "one column": lambda answer: answer[:, :1],
    "one row": lambda answer: answer[:1],
    "one number": lambda answer: answer[:1, :1],
    "flat": np.ravel,
    "a row too many": lambda answer: np.vstack([answer, answer[:1]]),
    "a tensor": lambda answer: torch.tensor(answer[:1]),
    "sparse": lambda answer: csr_matrix(answer[:1]),
    "a list": lambda answer: answer[:1].tolist(),
    "a frame": lambda answer: pd.DataFrame(answer[:1]),
}


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_of_another_shape_are_not_stretched(scorer, shape, digits):
    reshaped = Reshaped(2).fit(digits[:9])
    reshaped.row = SHAPES[shape]
    message = r"Reshaped.inverse_transform .* the shape \(.* instead of \(9, 64\)"
    with pytest.raises(ValueError, match=message):
        scorer(reshaped, digits[:9])


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("shape", ["one row", "flat", "a row too many", "a tensor"])
def test_codes_of_another_number_are_not_stretched(scorer, shape, digits):
    reshaped = Reshaped(2).fit(digits[:9])
    reshaped.code = SHAPES[shape]
    message = r"Reshaped.transform .* shape .* instead of \(9, n_components\)"
    for ask in (scorer, lambda m, X: traverse_component(m, X, 0), traverse_direction):
        with pytest.raises(ValueError, match=message):
            ask(reshaped, digits[:9])


@pytest.mark.parametrize("scorer", SCORERS)
def test_answers_may_miss_what_rows_miss(scorer, rng):
    X = rng.normal(size=(9, 3))
    X[2, 1] = np.nan
    best = {explained_variance: 1.0, neg_mean_squared_error: 0.0}
    assert scorer(FunctionTransformer().fit(X), X) == best[scorer]
