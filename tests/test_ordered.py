"""Ordered codes: every prefix is a code, and one fit answers for all widths."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import train_test_split

from skae import UndercompleteAE
from skae._networks.dense import Dense
from skae._networks.links import Link
from skae._networks.prefix import Prefix, prefix_widths
from skae._objectives.losses import SquaredError
from skae._objectives.objective import Objective
from skae._objectives.ordered import OrderedObjective
from skae._rows.split import hold_out
from skae.metrics import explained_variance


@pytest.fixture(scope="module")
def parts(digits):
    return train_test_split(digits, random_state=0)


@pytest.fixture(scope="module")
def ordered(parts):
    return UndercompleteAE(10, ordered=True, max_iter=20, random_state=0).fit(parts[0])


def test_prefix_widths():
    assert [prefix_widths(k) for k in (1, 2, 3, 4, 9)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4],
        [1, 2, 4, 8, 9],
    ]


def test_objective_is_the_weighted_sum_over_prefixes():
    generator = torch.Generator().manual_seed(0)
    network = Dense([6, 5, 4], ordered=True)
    network.reset_parameters(generator, torch.zeros(6))
    x = torch.randn(7, 6, generator=generator)
    loss, weights = SquaredError(np.zeros(6), 1.0), np.array([3.0, 2.0, 1.0])
    value = OrderedObjective(loss, weights / 6)(network, x, generator)
    code = network.encode(x)
    expected = sum(
        w / 6 * (decoder(code[:, :n]) - x).square().mean()
        for w, n, decoder in zip(weights, (1, 2, 4), network.decoders, strict=True)
    )
    torch.testing.assert_close(value, expected)
    one = Dense([6, 5, 1], ordered=True)
    one.reset_parameters(generator, torch.zeros(6))
    torch.testing.assert_close(
        OrderedObjective(loss, np.ones(1))(one, x, generator),
        Objective(loss)(one, x, generator),
    )


def test_between_two_widths_the_narrower_guesses_what_the_wider_has_more():
    generator = torch.Generator().manual_seed(0)
    network = Dense([6, 5, 4], ordered=True)
    network.reset_parameters(generator, torch.zeros(6))
    network.link = Link(np.zeros(6), 1.0)
    code = torch.randn(7, 3, generator=generator)
    guess = network.encode(network.decode(code[:, :2]))[:, 3:]
    expected = network.decode(torch.cat([code, guess], dim=1))
    torch.testing.assert_close(Prefix(network, 3).decode(code), expected)


def test_between_two_widths_the_narrower_may_be_corrected(ordered):
    network, x = ordered.network_, torch.randn(7, 64, generator=torch.Generator())
    code = network.encode(x)[:, :6]
    answer = network.decode(code[:, :4])
    further = (code - network.encode(answer)[:, :6])[:, 4:]
    torch.testing.assert_close(
        network.correct_prefix(code), answer + further @ network.axes[4:6]
    )


def test_prefixes_that_guesses_would_spoil_are_corrected():
    """The guess of curved components by straight ones is worse than none."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, (600, 1))
    curve = [f(k * angle) for k in range(1, 5) for f in (np.sin, np.cos)]
    X = np.hstack([[4, 3, 2] * rng.normal(size=(600, 3)), *curve])
    estimator = UndercompleteAE(8, ordered=True, max_iter=60, random_state=0)
    estimator.fit(X[:300])
    three = estimator.truncate(3)
    assert (
        three.score(X[300:]) > explained_variance(PCA(3).fit(X[:300]), X[300:]) - 0.01
    )
    assert np.all(estimator.explained_variance_ratio_ > 0)
    codes = three.transform(X)
    estimator.network_.is_corrected.zero_()
    guessed = estimator.truncate(3).inverse_transform(codes)
    error, spoilt = (np.square(X - r).sum() for r in (three.reconstruct(X), guessed))
    assert error < spoilt


@pytest.mark.parametrize("seed", [0, 5])
def test_where_pca_stays_every_prefix_is_pcas(seed):
    """Clipped to the domain of the loss, and not what was made of narrower ones."""
    X = np.minimum(np.random.default_rng(seed).poisson(0.05, (60, 9)), 1.0)
    options = {"learning_rate_init": 1e-9, "max_iter": 2, "random_state": 0}
    estimator = UndercompleteAE(7, ordered=True, loss="bernoulli", **options)
    with pytest.warns(ConvergenceWarning, match="did not improve on PCA"):
        estimator.fit(X)
    for k in range(1, 8):
        pca = PCA(k).fit(X)
        expected = np.clip(pca.inverse_transform(pca.transform(X)), 0, 1)
        error = np.square(X - estimator.truncate(k).reconstruct(X)).sum()
        assert error == pytest.approx(
            np.square(X - expected).sum(), rel=0.005, abs=0.05
        )


def test_noise_variance_is_that_of_the_components_kept(digits):
    estimator = UndercompleteAE(
        4,
        ordered=True,
        loss="gaussian",
        early_stopping=False,
        max_iter=8,
        transform_max_iter=0,
        random_state=0,
    ).fit(digits)
    for k in range(1, 5):
        truncated = estimator.truncate(k)
        error = np.square(digits - truncated.reconstruct(digits)).mean()
        assert truncated.noise_variance_ == pytest.approx(error, rel=1e-4)


def test_truncated_shares_nothing(ordered, digits):
    truncated = ordered.truncate(3)
    before = ordered.reconstruct(digits)
    truncated.mean_[:] = 0
    truncated.loss_curve_.clear()
    np.testing.assert_array_equal(ordered.reconstruct(digits), before)
    assert len(ordered.loss_curve_) == ordered.n_iter_


def test_every_prefix_is_better_than_pca(ordered, parts):
    X, new = parts
    ordered = copy.deepcopy(ordered).set_params(transform_max_iter=0)
    codes = ordered.transform(new)
    for k in range(1, 11):
        truncated = ordered.truncate(k)
        assert truncated.score(new) > explained_variance(PCA(k).fit(X), new)
        np.testing.assert_array_equal(truncated.transform(new), codes[:, :k])


def test_explained_variance_is_that_of_the_prefixes(digits):
    """Without held-out rows it is measured on the training rows."""
    estimator = UndercompleteAE(
        5,
        ordered=True,
        early_stopping=False,
        max_iter=5,
        transform_max_iter=0,
        random_state=0,
    ).fit(digits)
    scores = [estimator.truncate(k).score(digits) for k in range(1, 6)]
    np.testing.assert_allclose(
        estimator.explained_variance_ratio_.cumsum(), scores, rtol=1e-5
    )


def test_explained_variance_is_that_of_the_held_out_rows(ordered, parts):
    X = parts[0]
    ordered = copy.deepcopy(ordered).set_params(transform_max_iter=0)
    _, held_out = hold_out(len(X), 0.1, ordered._state.engine.split_seed)
    rows = X[held_out.numpy()]
    variance = np.square(rows - ordered.mean_).sum()
    explained = [
        1 - np.square(rows - ordered.truncate(k).reconstruct(rows)).sum() / variance
        for k in range(1, 11)
    ]
    np.testing.assert_allclose(
        ordered.explained_variance_ratio_.cumsum(), explained, rtol=1e-5
    )


def test_epochs_that_lose_at_a_width_are_passed_over():
    """The widest code learns noise while the others still improve."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, (600, 1))
    curve = np.hstack([f(k * angle) for k in range(1, 5) for f in (np.sin, np.cos)])
    X = np.pad(curve, ((0, 0), (0, 4))) + 0.1 * rng.normal(size=(600, 12))
    estimator = UndercompleteAE(8, ordered=True, max_iter=60, random_state=0)
    estimator.fit(X[:300])
    explained = estimator.explained_variance_ratio_.cumsum()
    assert np.all(1 - explained <= 1.005 * (1 - estimator._state.prefixes.pca))
    two = PCA(2).fit(X[:300])
    assert estimator.truncate(2).score(X[300:]) > 0.1 + explained_variance(two, X[300:])


def test_components_start_in_the_order_of_pca(digits):
    estimator = UndercompleteAE(
        5,
        ordered=True,
        early_stopping=False,
        learning_rate_init=1e-30,
        max_iter=1,
    ).fit(digits)
    np.testing.assert_allclose(
        estimator.explained_variance_ratio_,
        PCA(5).fit(digits).explained_variance_ratio_,
        rtol=1e-4,
    )


@pytest.mark.parametrize("kw", [{"init": "random"}, {"tied_weights": True}])
def test_other_networks_can_be_ordered(digits, kw):
    estimator = UndercompleteAE(5, ordered=True, max_iter=15, random_state=0, **kw).fit(
        digits
    )
    assert np.all(estimator.explained_variance_ratio_ > 0)


def test_truncated_estimators_are_estimators(ordered, parts):
    X = parts[1]
    truncated = ordered.truncate(3)
    assert truncated.n_components_ == truncated.n_components == 3
    assert clone(truncated).n_components == 3
    assert truncated.jacobian(X[:2]).shape == (2, 3, 64)
    assert len(truncated.get_feature_names_out()) == 3
    assert len(truncated.explained_variance_ratio_) == 3
    copied = pickle.loads(pickle.dumps(truncated))
    np.testing.assert_array_equal(copied.reconstruct(X), truncated.reconstruct(X))
    shorter = truncated.truncate(2)
    np.testing.assert_array_equal(
        shorter.reconstruct(X), ordered.truncate(2).reconstruct(X)
    )
    # The whole is as it was.
    assert ordered.n_components_ == 10
    assert ordered.transform(X).shape == (len(X), 10)


@pytest.mark.parametrize("n_components", [0, 11, 2.0, True, "3", None])
def test_bad_truncations_are_quoted(ordered, n_components):
    with pytest.raises(ValueError, match=r"n_components=.* from 1 to 10"):
        ordered.truncate(n_components)


def test_what_has_no_order_cannot_be_truncated(digits):
    with pytest.raises(AttributeError) as error:
        UndercompleteAE(2).truncate(1)
    assert "Use ordered=True" in str(error.value)
    with pytest.raises(NotFittedError):
        UndercompleteAE(2, ordered=True).truncate(1)


def test_training_cannot_go_on_once_truncated(ordered, digits):
    with pytest.raises(ValueError, match="of 10 components only 3 are kept"):
        ordered.truncate(3).partial_fit(digits)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_share_of_variance_chooses_the_width(parts, share):
    X = parts[0]
    estimator = UndercompleteAE(share, max_iter=15, random_state=0).fit(X)
    explained = estimator.explained_variance_ratio_.cumsum()
    assert len(explained) == estimator.n_components_
    assert explained[-1] >= share
    assert np.all(explained[:-1] < share)
    assert estimator.n_components_ < PCA(share).fit(X).n_components_


def test_share_that_is_out_of_reach_is_warned_of(rng):
    X = rng.normal(size=(60, 100))
    with pytest.warns(ConvergenceWarning) as record:
        estimator = UndercompleteAE(0.9, max_iter=20, random_state=0).fit(X)
    assert any("n_components=0.9 is not reached" in str(w.message) for w in record)
    assert estimator.n_components_ == 50


@pytest.mark.parametrize("seed", [3, 5])
def test_share_that_pca_reaches_is_reached(seed):
    """Noise, of which the held-out rows lie about another mean than the others."""
    X = np.random.default_rng(seed).normal(size=(100, 20))
    estimator = UndercompleteAE(
        0.5, hidden_layer_sizes=(), max_iter=1, random_state=seed
    )
    with pytest.warns(ConvergenceWarning) as record:
        estimator.fit(X)
    assert not any("is not reached" in str(w.message) for w in record)
    assert estimator.explained_variance_ratio_.sum() >= 0.5


def test_share_of_variance_needs_all_rows(digits):
    with pytest.raises(AttributeError) as error:
        UndercompleteAE(0.5).partial_fit(digits)
    assert "n_components=0.5. Use an integer" in str(error.value)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_none_keeps_as_many_components_as_there_are(rng, shape):
    X = rng.normal(size=shape)
    estimator = UndercompleteAE(None, max_iter=3, early_stopping=False).fit(X)
    assert estimator.n_components_ == min(shape)


@pytest.mark.parametrize("n_components", [0, -1, 1.0, 1.5, 0.0, "mle"])
def test_bad_n_components_are_quoted(digits, n_components):
    with pytest.raises(ValueError, match="'n_components' parameter"):
        UndercompleteAE(n_components).fit(digits)


def test_scores_are_those_of_the_width(ordered):
    explained = ordered.explained_variance_ratio_.cumsum()
    assert ordered.best_score_ == pytest.approx(explained[-1])
    truncated = ordered.truncate(3)
    assert truncated.best_score_ == pytest.approx(explained[2])
    assert truncated.pca_score_ < ordered.pca_score_ < ordered.best_score_


@pytest.mark.parametrize("start", [False, True])
def test_order_is_that_of_the_fit(digits, start):
    estimator = UndercompleteAE(3, ordered=start, max_iter=5, random_state=0)
    estimator.fit(digits).set_params(ordered=not start)
    assert hasattr(estimator, "truncate") == start


def test_width_cannot_change_when_training_goes_on(digits):
    estimator = UndercompleteAE(3, max_iter=5, warm_start=True).fit(digits)
    for n_components in (2, None, 0.5):
        with pytest.raises(ValueError, match="n_components from 3 to"):
            estimator.set_params(n_components=n_components).fit(digits)


def test_share_of_variance_of_sparse_rows(digits):
    kw = {"max_iter": 10, "random_state": 0}
    dense, sparse = (
        UndercompleteAE(0.6, **kw).fit(make(digits[:500]))
        for make in (np.asarray, csr_array)
    )
    assert dense.n_components_ == sparse.n_components_
