"""Scorers: the same number by other roads, for PCA, pipelines and autoencoders."""

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae import UndercompleteAE
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


def test_pipeline_is_scored_in_the_units_given(digits):
    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(digits)
    difference = pipeline.inverse_transform(pipeline.transform(digits)) - digits
    assert neg_mean_squared_error(pipeline, digits) == pytest.approx(
        -np.mean(difference**2)
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


@pytest.mark.parametrize("scorer", [explained_variance, neg_mean_squared_error])
def test_estimator_that_cannot_reconstruct(scorer, digits):
    with pytest.raises(TypeError, match=r"KMeans\(.*\) cannot reconstruct"):
        scorer(KMeans(n_clusters=2), digits)


class Forgetful(PCA):
    """Answers so many rows by NaN or infinity."""

    lost, value = 2, np.nan

    def inverse_transform(self, X):
        answers = super().inverse_transform(X)
        answers[: self.lost, 1] = self.value
        return answers


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("scorer", [explained_variance, neg_mean_squared_error])
def test_answers_that_are_not_finite_are_counted(scorer, digits, value):
    forgetful = Forgetful(2).fit(digits[:9])
    forgetful.value = value
    with pytest.raises(ValueError, match=r"Of 9 rows 2 .* by Forgetful"):
        scorer(forgetful, digits[:9])


@pytest.mark.parametrize("scorer", [explained_variance, neg_mean_squared_error])
def test_answers_may_miss_what_rows_miss(scorer, rng):
    X = rng.normal(size=(9, 3))
    X[2, 1] = np.nan
    best = {explained_variance: 1.0, neg_mean_squared_error: 0.0}
    assert scorer(FunctionTransformer().fit(X), X) == best[scorer]
