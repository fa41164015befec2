"""PCA as a start: what scikit-learn's PCA gives, in standardised units."""

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from sklearn.decomposition import PCA

from skae._rows.chunks import sample
from skae._rows.pca import fit_pca


@pytest.mark.parametrize("shape", [(60, 8), (10, 30)], ids=["tall", "wide"])
@pytest.mark.parametrize("make", [np.asarray, csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("n_components", [3, None])
def test_agrees_with_scikit_learn(shape, make, n_components):
    X = random_array(shape, density=0.5, rng=0).toarray() + np.eye(*shape)
    mean, scale = X.mean(axis=0) + 0.1, 2.0
    pca = PCA(n_components).fit(X)
    code = fit_pca(make(X), mean, scale, n_components, seed=0)
    # Centred wide rows have an axis less than there are rows.
    n_axes = min(len(code.axes), shape[0] - 1)
    products = abs(code.axes @ pca.components_.T)
    np.testing.assert_allclose(products[:n_axes, :n_axes], np.eye(n_axes), atol=1e-6)
    np.testing.assert_allclose(code.centre, (pca.mean_ - mean) / scale, atol=1e-12)
    np.testing.assert_allclose(
        code.variances[:n_axes], pca.explained_variance_[:n_axes] / 4, atol=1e-9
    )
    np.testing.assert_allclose(code.deviation, X.std(axis=0) / 2, atol=1e-9)


def test_unexplained_is_the_error_by_each_width():
    X = np.random.default_rng(0).normal(size=(40, 6))
    code = fit_pca(X, np.zeros(6), 1.0, 4, seed=0)
    for k in range(1, 5):
        pca = PCA(k).fit(X)
        rest = X - pca.inverse_transform(pca.transform(X))
        # Divided by one row less, as scikit-learn's variances are.
        assert code.unexplained[k - 1] == pytest.approx(np.square(rest).sum() / 39 / 6)


def test_explained_share_of_each_prefix():
    """Of rows that PCA has not seen, whose mean is not its own."""
    X = np.random.default_rng(0).normal(size=(40, 6)) * np.arange(1, 7) + 3
    mean, new = X.mean(axis=0), X[30:]
    code = fit_pca(X[:30], mean, 2.0, None, seed=0)
    expected = []
    for k in range(1, 7):
        pca = PCA(k).fit(X[:30])
        rest = new - pca.inverse_transform(pca.transform(new))
        expected.append(1 - np.square(rest).sum() / np.square(new - mean).sum())
    rows = (new - mean) / 2
    np.testing.assert_allclose(
        code.explained([rows[:5], rows[5:]]), expected, atol=1e-12
    )


def test_components_beyond_the_rank_are_zero():
    X = np.random.default_rng(0).normal(size=(3, 5))
    code = fit_pca(X, np.zeros(5), 1.0, 4, seed=0).first(4)
    assert code.axes.shape == (4, 5)
    assert not code.axes[3].any()
    assert code.variances[3] == 0
    assert len(code.unexplained) == 4


def test_constant_rows():
    code = fit_pca(np.ones((5, 3)), np.zeros(3), 1.0, 2, seed=0)
    assert not code.variances.any()
    assert not code.unexplained.any()


def test_rows_too_few_to_miss_anything_hide_what_others_miss():
    X = np.random.default_rng(0).normal(size=(4, 9))
    code = fit_pca(X, np.zeros(9), 1.0, 3, seed=0)
    assert code.unexplained[-1] == pytest.approx(code.variances.sum() / 900)


@pytest.mark.parametrize("shape", [(300, 8), (40, 30)], ids=["tall", "wide"])
def test_chosen_rows_are_those_of_an_array_of_them(shape):
    X = np.random.default_rng(0).normal(size=shape) + 5
    chosen = np.arange(1, shape[0], 2)
    some, all_of_them = (
        fit_pca(Z, np.full(shape[1], 4.0), 2.0, 3, 0, rows)
        for Z, rows in ((X, chosen), (X[chosen], slice(None)))
    )
    for name, value in vars(some).items():
        np.testing.assert_array_equal(value, getattr(all_of_them, name))


def test_parts_add_up_to_the_same_covariance(monkeypatch):
    """Far from zero, where squares alone would not tell how rows vary."""
    X = 1e6 + np.random.default_rng(0).normal(size=(500, 6)) * np.arange(1, 7)
    whole = fit_pca(X, np.zeros(6), 1.0, 4, seed=0)
    monkeypatch.setattr("skae._rows.chunks.CHUNK_ELEMENTS", 1)
    parts = fit_pca(X, np.zeros(6), 1.0, 4, seed=0)
    pca = PCA(4, svd_solver="full").fit(X)
    for code in (whole, parts):
        np.testing.assert_allclose(code.variances, pca.explained_variance_)
        np.testing.assert_allclose(code.axes, pca.components_, atol=1e-8)


def test_a_sample_stands_for_more_rows_than_are_copied(monkeypatch):
    X = np.random.default_rng(0).normal(size=(90, 20))
    # Evenly spaced rows would all be of one kind.
    X[::2, :10] = X[1::2, 10:] = 0
    monkeypatch.setattr("skae._rows.pca.COPIED_ELEMENTS", 45 * 20)
    code = fit_pca(X, np.zeros(20), 1.0, 3, seed=0)
    expected = PCA(3).fit(sample(X, 45)).components_
    np.testing.assert_allclose(code.axes, expected, atol=1e-9)
    assert (np.abs(code.axes).max(axis=0) > 0).all()
