"""Walks through codes: where they begin, end, and what they leave alone."""

import numpy as np
import pytest
from scipy.sparse import random as sparse_random
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.random_projection import SparseRandomProjection

from skae import ConvAE, UndercompleteAE
from skae.inspection import interpolate, traverse_component, traverse_direction

WALKS = [
    lambda estimator, X, **kw: traverse_component(estimator, X, 1, **kw),
    lambda estimator, X, **kw: traverse_direction(estimator, X, 1, **kw),
]


@pytest.fixture(scope="module")
def pca(digits):
    return PCA(4).fit(digits)


@pytest.fixture(scope="module")
def autoencoder(digits):
    return UndercompleteAE(4, max_iter=10, random_state=0).fit(digits)


def test_component_goes_from_percentile_to_percentile(autoencoder, digits):
    codes = autoencoder.transform(digits)
    walk = traverse_component(autoencoder, digits, 2, n_steps=5, percentiles=(0.1, 1))
    low, high = np.quantile(codes[:, 2].astype(float), (0.1, 1))
    np.testing.assert_allclose(walk.codes[:, 2], np.linspace(low, high, 5))
    others = np.delete(walk.codes, 2, axis=1)
    means = np.delete(codes.mean(axis=0, dtype=float), 2)
    np.testing.assert_allclose(others, np.tile(means, (5, 1)))
    np.testing.assert_array_equal(
        walk.reconstructions, autoencoder.inverse_transform(walk.codes)
    )


def test_walk_from_a_row_keeps_its_other_components(autoencoder, digits):
    walk = traverse_component(autoencoder, digits, 0, origin=digits[7:8])
    code = autoencoder.transform(digits[7:8])[0]
    np.testing.assert_allclose(walk.codes[:, 1:], np.tile(code[1:], (9, 1)))


def test_pcas_components_are_the_directions_of_its_codes(pca, digits):
    for k in range(4):
        along, axis = (
            f(pca, digits, k) for f in (traverse_component, traverse_direction)
        )
        same = np.allclose(along.codes, axis.codes, atol=1e-6)
        assert same or np.allclose(
            along.codes, axis.codes[::-1], atol=0.1 * digits.std()
        )


def test_direction_is_that_of_the_most_variance(autoencoder, digits):
    codes = autoencoder.transform(digits).astype(float)
    walk = traverse_direction(autoencoder, digits, percentiles=(0, 1))
    step = np.diff(walk.codes, axis=0)
    axis = step[0] / np.linalg.norm(step[0])
    largest = np.linalg.eigvalsh(np.cov(codes.T))[-1]
    assert (codes @ axis).var(ddof=1) == pytest.approx(largest, rel=1e-4)
    reached = np.linalg.norm(walk.codes[-1] - walk.codes[0])
    assert reached == pytest.approx(np.ptp(codes @ axis), rel=1e-6)


def test_interpolation_joins_two_reconstructions(autoencoder, digits):
    walk = interpolate(autoencoder, digits[:1], digits[1:2], n_steps=3)
    ends = autoencoder.reconstruct(digits[:2])
    np.testing.assert_allclose(walk.reconstructions[[0, -1]], ends, atol=1e-4)
    np.testing.assert_allclose(walk.codes[1], walk.codes[[0, 2]].mean(axis=0))


def test_images_walk_as_images(digits):
    images = digits.reshape(-1, 8, 8)
    ae = ConvAE(3, max_iter=2, random_state=0).fit(images)
    assert interpolate(ae, images[:1], images[1:2]).reconstructions.shape == (9, 8, 8)


@pytest.mark.parametrize("walk", WALKS)
def test_pipelines_walk_in_the_unit_of_the_data(walk, digits):
    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(digits)
    found = walk(pipeline, digits)
    expected = pipeline[0].inverse_transform(pipeline[1].inverse_transform(found.codes))
    np.testing.assert_allclose(found.reconstructions, expected)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 1}, "n_steps=1 must be an integer of 2 or more"),
        ({"percentiles": (0.9, 0.1)}, r"percentiles=\(0.9, 0.1\)"),
        ({"percentiles": (5, 95)}, r"percentiles=\(5, 95\)"),
        ({"percentiles": "ab"}, "percentiles='ab'"),
        ({"percentiles": None}, "percentiles=None"),
        ({"percentiles": 0.5}, "percentiles=0.5"),
        ({"percentiles": (np.nan, 1)}, r"percentiles=\(nan, 1\)"),
        ({"n_steps": None}, "n_steps=None"),
        ({"n_steps": "9"}, "n_steps='9'"),
        ({"origin": np.zeros((2, 64))}, r"origin must be one row, .* not 2"),
        ({"origin": "mean"}, "origin='mean' must be one row"),
        ({"origin": 3}, "origin=3 must be one row"),
    ],
)
def test_walk_that_makes_no_sense(walk, options, message, pca, digits):
    with pytest.raises(ValueError, match=message):
        walk(pca, digits, **options)


@pytest.mark.parametrize("wrong", [4, -1, 1.0])
def test_component_that_is_not_there(wrong, pca, digits):
    with pytest.raises(ValueError, match=f"component={wrong} must be an index"):
        traverse_component(pca, digits, wrong)


def test_answers_that_are_no_walk(digits):
    class Still(PCA):
        def inverse_transform(self, X):
            return super().inverse_transform(X)[0]

    message = r"Still.inverse_transform .* shape \(64,\) instead of \(9, n_features\)"
    with pytest.raises(ValueError, match=message):
        traverse_component(Still(2).fit(digits), digits, 0)


@pytest.mark.parametrize("walk", WALKS)
def test_codes_that_are_all_equal_go_nowhere(walk, pca, autoencoder, digits):
    for model in (pca, autoencoder):
        found = walk(model, np.repeat(digits[:1], 5, axis=0))
        np.testing.assert_allclose(found.codes, np.tile(found.codes[:1], (9, 1)))


def test_sparse_codes_walk():
    X = sparse_random(30, 8, 0.3, format="csr", random_state=0)
    options = {"compute_inverse_components": True, "random_state": 0}
    model = SparseRandomProjection(5, **options).fit(X)
    codes = model.transform(X).toarray()
    along = traverse_component(model, X, 0, percentiles=(0, 1))
    np.testing.assert_allclose(np.ptp(along.codes[:, 0]), np.ptp(codes[:, 0]))
    assert traverse_direction(model, X).reconstructions.shape == (9, 8)
    assert interpolate(model, X[:1], X[1:2]).reconstructions.shape == (9, 8)


def test_transformer_that_cannot_reconstruct(digits):
    with pytest.raises(TypeError, match="inverse_transform"):
        interpolate(KMeans(2).fit(digits), digits[:1], digits[1:2])
