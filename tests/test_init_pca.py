"""The floor: before training it is PCA, after training PCA or better."""

import re
import warnings

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.datasets import make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback
from torch.nn import functional as F

from skae import UndercompleteAE
from skae._objectives.losses import make_loss
from skae._rows.split import hold_out
from skae.metrics import explained_variance

UNTRAINED = {"learning_rate_init": 1e-30, "max_iter": 1, "early_stopping": False}


def error(transformer, X):
    return np.square(X - transformer.inverse_transform(transformer.transform(X))).mean()


def fit_quietly(estimator, X):
    """Fit; on data without structure it is due to warn that PCA stays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X)


@pytest.mark.parametrize(
    "kw",
    [
        {},
        {"tied_weights": True},
        {"tied_weights": True, "activation": "logistic", "hidden_layer_sizes": (9, 5)},
        {"hidden_layer_sizes": ()},
        {"ordered": True},
        {"ordered": True, "tied_weights": True},
        {"activation": torch.nn.PReLU},
        {"loss": "absolute_error"},
        {"loss": "gaussian"},
        {"loss": F.huber_loss},
        {"solver": "adam"},
    ],
)
def test_start_is_pca(digits, kw):
    estimator = UndercompleteAE(5, **UNTRAINED | kw).fit(digits)
    pca = PCA(5).fit(digits)
    codes = pca.transform(digits)
    np.testing.assert_allclose(
        estimator.transform(digits) * estimator.scale_, codes, atol=1e-4
    )
    np.testing.assert_allclose(
        estimator.reconstruct(digits), pca.inverse_transform(codes), atol=1e-4
    )


@pytest.mark.parametrize(("loss", "top"), [("bernoulli", 1), ("poisson", np.inf)])
def test_start_goes_through_the_link(digits, loss, top):
    """What PCA puts outside of the domain is clipped to it."""
    X = digits / 16
    estimator = UndercompleteAE(5, loss=loss, **UNTRAINED).fit(X)
    pca = PCA(5).fit(X)
    expected = pca.inverse_transform(pca.transform(X)).clip(0, top)
    np.testing.assert_allclose(estimator.reconstruct(X), expected, atol=1e-3)


def test_start_is_pca_of_rows_fewer_than_features(digits):
    X = digits[:40]
    estimator = UndercompleteAE(5, **UNTRAINED).fit(X)
    assert error(estimator, digits) == pytest.approx(
        error(PCA(5).fit(X), digits), rel=1e-4
    )


def test_sparse_rows_start_and_train_as_dense_ones_do(digits):
    X, kw = digits[:400], {"max_iter": 5, "transform_max_iter": 0, "random_state": 0}
    # Adam makes large steps of what rounding leaves where gradients are zero.
    kw["learning_rate_init"] = 0.003
    dense, sparse = (
        UndercompleteAE(3, **kw).fit(make(X)) for make in (np.asarray, csr_array)
    )
    np.testing.assert_allclose(dense.transform(X), sparse.transform(X), atol=1e-2)
    assert dense.pca_score_ == pytest.approx(sparse.pca_score_, rel=1e-5)


@pytest.mark.parametrize("n_components", [7, 8])
def test_components_beyond_the_rank_are_spare(rng, n_components):
    X = rng.normal(size=(6, 10))
    estimator = UndercompleteAE(n_components, **UNTRAINED).fit(X)
    np.testing.assert_allclose(estimator.reconstruct(X), X, atol=1e-5)


def test_a_bent_code_has_no_linear_start(digits):
    with pytest.raises(ValueError, match=r"code_activation='tanh'.*init='random'"):
        UndercompleteAE(code_activation="tanh").fit(digits)


def test_scores_are_those_of_the_held_out_rows(digits):
    held_out = []

    class Listener(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            if not training and not held_out:
                held_out.append(batch.numpy())

    estimator = UndercompleteAE(
        4,
        max_iter=10,
        transform_max_iter=0,
        callbacks=[Listener()],
        random_state=0,
    ).fit(digits)
    X = held_out[0] * estimator.scale_ + estimator.mean_
    assert len(X) == 179
    # They take the variance about the training mean, score about that of its rows.
    assert estimator.best_score_ == pytest.approx(estimator.score(X), abs=3e-3)
    everything = np.round(digits, 3).tolist()
    is_held_out = np.isin(
        [str(r) for r in everything], [str(r) for r in X.round(3).tolist()]
    )
    pca = PCA(4).fit(digits[~is_held_out])
    assert estimator.pca_score_ == pytest.approx(explained_variance(pca, X), abs=3e-3)
    assert estimator.best_score_ == max(estimator.validation_scores_)
    assert estimator.best_score_ > estimator.pca_score_


def test_where_nothing_is_gained_pca_of_all_rows_stays(rng):
    X = rng.normal(size=(300, 8))
    with pytest.warns(
        ConvergenceWarning, match=r"did not improve on PCA.*early_stopping=False"
    ):
        estimator = UndercompleteAE(3, max_iter=100, random_state=0).fit(X)
    assert estimator.best_score_ == estimator.pca_score_
    new = rng.normal(size=(50, 8))
    pca = PCA(3).fit(X)
    np.testing.assert_allclose(
        estimator.reconstruct(new), pca.inverse_transform(pca.transform(new)), atol=1e-4
    )


def test_where_pca_is_exact_nothing_is_warned_of(rng):
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 8))
    estimator = UndercompleteAE(3, max_iter=3).fit(X)
    assert error(estimator, X) < 1e-10


def curve(rng, n_rows):
    """A helix in 100 dimensions, a little noise about it."""
    t = rng.uniform(0, 3, size=(n_rows, 1))
    coordinates = np.hstack([np.sin(3 * t), np.cos(3 * t), t])
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(100, 3)))[0]
    return coordinates @ axes.T + 0.02 * rng.normal(size=(n_rows, 100))


def low_rank(rng, n_rows):
    factors = np.random.default_rng(1).normal(size=(4, 100))
    return rng.normal(size=(n_rows, 4)) @ factors + rng.normal(size=(n_rows, 100))


def noise(rng, n_rows):
    return rng.normal(size=(n_rows, 100))


def outliers(rng, n_rows):
    return rng.standard_t(2, size=(n_rows, 100))


@pytest.mark.parametrize("make", [curve, low_rank, noise, outliers])
@pytest.mark.parametrize("n_rows", [20, 200])
@pytest.mark.parametrize("n_components", [2, 8])
def test_few_rows_are_no_worse_than_pca(make, n_rows, n_components):
    rng = np.random.default_rng(0)
    X, new = make(rng, n_rows), make(rng, 1000)
    pca = PCA(n_components).fit(X)
    ratios = [
        error(
            fit_quietly(UndercompleteAE(n_components, max_iter=100, random_state=s), X),
            new,
        )
        / error(pca, new)
        for s in range(3)
    ]
    assert np.median(ratios) < 1.02


def test_curved_data_are_far_better_than_pca():
    X, new = train_test_split(make_swiss_roll(1500, random_state=0)[0], random_state=0)
    estimator = UndercompleteAE(2, max_iter=100, random_state=0).fit(X)
    assert error(estimator, new) < 0.5 * error(PCA(2).fit(X), new)


@pytest.fixture(scope="module")
def estimator(digits):
    return UndercompleteAE(8, max_iter=20, random_state=0).fit(digits)


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e6])
def test_rows_far_out_are_reconstructed_as_by_pca(digits, estimator, distance):
    """A network asked far from all it has seen may answer anything; this one not."""
    pca = PCA(8).fit(digits)
    rows = digits.mean(axis=0) + distance * (digits[:50] - digits.mean(axis=0))
    assert error(estimator, rows) < 1.3 * error(pca, rows)


def test_random_start_has_no_floor(digits):
    estimator = UndercompleteAE(2, init="random", max_iter=2).fit(digits)
    assert estimator.pca_score_ is None
    assert estimator.best_score_ == max(estimator.validation_scores_)


def test_without_held_out_rows_what_is_trained_stays(rng):
    X = rng.normal(size=(300, 8))
    estimator = UndercompleteAE(3, early_stopping=False, max_iter=5).fit(X)
    assert estimator.pca_score_ is None
    assert error(estimator, X) != pytest.approx(error(PCA(3).fit(X), X), rel=1e-6)


def test_warm_start_keeps_the_floor(digits):
    kw = {"max_iter": 5, "warm_start": True, "random_state": 0}
    estimator = UndercompleteAE(4, **kw).fit(digits)
    first, pca_score = estimator.best_score_, estimator.pca_score_
    estimator.fit(digits)
    assert estimator.n_iter_ == 10
    assert estimator.pca_score_ == pca_score
    assert estimator.best_score_ > first


def test_init_cannot_change_when_training_goes_on(digits):
    estimator = UndercompleteAE(2, max_iter=9, warm_start=True).fit(digits)
    with pytest.raises(ValueError, match="init from pca to random"):
        estimator.set_params(init="random").fit(digits)


def test_random_state_determines_every_bit(digits):
    kw = {"max_iter": 3, "random_state": 7}
    a, b = (UndercompleteAE(4, **kw).fit(digits).transform(digits) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_warm_start_after_pca_was_kept_is_judged_by_unseen_rows(rng):
    X = rng.normal(size=(200, 12))
    estimator = fit_quietly(
        UndercompleteAE(4, max_iter=5, warm_start=True, random_state=0), X
    )
    first = estimator.pca_score_
    assert fit_quietly(estimator, X).pca_score_ == pytest.approx(first, rel=1e-5)


def test_training_without_judges_is_judged_when_they_come(rng):
    first, X = rng.normal(size=(2, 200, 8))
    estimator = UndercompleteAE(4, warm_start=True, random_state=0)
    for _ in range(30):
        estimator.partial_fit(first)
    estimator.set_params(max_iter=1, learning_rate_init=1e-9)
    with pytest.warns(ConvergenceWarning, match="did not improve on PCA"):
        estimator.fit(X)
    assert error(estimator, X) == pytest.approx(error(PCA(4).fit(X), X))


def test_warning_tells_the_scores(rng):
    X = rng.normal(size=(1010, 12))
    estimator = UndercompleteAE(6, ordered=True, max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning) as record:
        estimator.fit(X)
    (message,) = (str(w.message) for w in record)
    assert re.search(
        rf"PCA explains ([.\d]+, ){{3}}{estimator.pca_score_:.4g} .* 101 held-out rows "
        r"with 1, 2, 4, 6 components, and the best weights explain "
        r"([.\d]+, ){4}which is no significant improvement"
        ".*validation_fraction than 0.1",
        message,
    )


def test_features_that_never_varied_do_not_move_the_code(digits, estimator):
    """To the networks they are nothing; PCA's axes know nothing of them."""
    constant = digits.std(axis=0) == 0
    assert constant.sum() == 3
    jacobian = estimator.jacobian(digits[:5])
    assert abs(jacobian[:, :, constant]).max() < 1e-6 * abs(jacobian).max()
    moved = digits[:5] + 7 * constant
    np.testing.assert_allclose(
        estimator.transform(moved), estimator.transform(digits[:5]), atol=1e-5
    )


def test_streamed_rows_are_not_decayed_as_if_they_were_all(digits):
    X, new = digits[:1024], digits[1024:]
    scores = {}
    for decay in ("auto", 0.0):
        estimator = UndercompleteAE(4, weight_decay=decay, random_state=0)
        for _ in range(4):
            for chunk in np.split(X, 32):
                estimator.partial_fit(chunk)
        scores[decay] = estimator.score(new)
    assert scores["auto"] > scores[0.0] - 0.01


@pytest.mark.parametrize("n_components", [4, 5])
@pytest.mark.parametrize("factors", [np.ones(6), 2.0 ** np.arange(6)], ids=str)
def test_proportional_columns(n_components, factors):
    """Of one dimension: PCA misses less than float32 tells from nothing."""
    X = np.outer(np.linspace(-1, 1, 20), factors)
    estimator = UndercompleteAE(n_components, max_iter=50, random_state=0).fit(X)
    np.testing.assert_allclose(estimator.reconstruct(X), X, atol=1e-4)


def test_partial_fit_learns_what_the_first_batch_did_not_show(digits):
    two = digits[np.arange(20) % 2]
    estimator = UndercompleteAE(4, random_state=0).partial_fit(two)
    for _ in range(20):
        estimator.partial_fit(digits)
    assert estimator.score(digits) > 0.5


def test_partial_fit_does_not_start_with_rows_that_are_all_alike(digits):
    estimator = UndercompleteAE(4, random_state=0)
    with pytest.raises(ValueError, match="start with rows that vary"):
        estimator.partial_fit(np.ones((20, 64)))
    assert not hasattr(estimator, "mean_")


def test_warm_start_on_few_rows_does_not_lose_the_pca_of_more(rng):
    X = rng.normal(size=(300, 8)) * np.arange(1, 9)
    estimator = UndercompleteAE(4, max_iter=3, warm_start=True, random_state=0)
    fit_quietly(estimator, X)
    before = estimator.reconstruct(X)
    fit_quietly(estimator, X[:10])
    np.testing.assert_allclose(estimator.reconstruct(X), before, atol=1e-5)


def test_a_loss_that_is_nan_is_no_loss(digits):
    estimator = UndercompleteAE(2, loss=lambda a, b: (a - b).sum() * np.nan)
    with pytest.raises(ValueError, match=r"loss=.* is NaN before the first step"):
        estimator.fit(digits)


def test_partial_fit_recovers_from_a_first_batch_that_hides_the_rest(digits):
    estimator = UndercompleteAE(3, random_state=0).partial_fit(digits[:4])
    before = estimator.score(digits)
    for _ in range(20):
        estimator.partial_fit(digits)
    assert estimator.score(digits) > max(before, 0.6)


def test_divergence_falls_back_to_pca(digits):
    estimator = UndercompleteAE(3, learning_rate_init=1e30, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Lower learning_rate_init"):
        estimator.fit(digits)
    assert error(estimator, digits) == pytest.approx(error(PCA(3).fit(digits), digits))


def test_lbfgs_improves_on_pca(digits):
    estimator = UndercompleteAE(
        4, solver="lbfgs", hidden_layer_sizes=(16,), max_iter=30, random_state=0
    ).fit(digits)
    assert estimator.best_score_ > estimator.pca_score_


def test_lbfgs_has_as_many_epochs_for_many_rows_as_for_few(rng):
    kw = {"hidden_layer_sizes": (), "solver": "lbfgs", "n_iter_no_change": 10_000}
    X = rng.normal(size=(2000, 3))
    estimator = UndercompleteAE(1, early_stopping=False, init="random", **kw).fit(X)
    assert estimator.n_iter_ == 800


def test_of_rank_deficient_rows_nothing_is_nan():
    """scikit-learn's truncated solvers may find less than no variance left."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(550, 3)) @ rng.normal(size=(3, 60))
        estimator = UndercompleteAE(8, max_iter=2, random_state=seed).fit(X)
        assert error(estimator, X) < 1e-10


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_sparse_rows(value):
    X = csr_array(np.full((50, 20), value))
    estimator = UndercompleteAE(2, max_iter=50).fit(X)
    np.testing.assert_allclose(estimator.reconstruct(X), value)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rare_counts_do_not_explode(seed):
    """A rate is an exponential, and a small error in its logarithm may be any."""
    rng = np.random.default_rng(seed)
    X, new = (1.0 * (rng.random((n, 10)) < 0.03) for n in (300, 3000))
    estimator = UndercompleteAE(2, loss="poisson", max_iter=30, random_state=0)
    assert error(fit_quietly(estimator, X), new) < 1.02 * error(PCA(2).fit(X), new)


def test_small_probabilities_are_not_clipped_away(rng):
    X = 1e-4 * rng.random((200, 8))
    estimator = fit_quietly(UndercompleteAE(2, loss="bernoulli", max_iter=3), X)
    assert error(estimator, X) < 1.02 * error(PCA(2).fit(X), X)


def test_warm_start_on_few_rows_does_not_lose_the_model(digits):
    estimator = UndercompleteAE(4, max_iter=20, warm_start=True, random_state=0)
    before = estimator.fit(digits).score(digits)
    estimator.set_params(learning_rate_init=1e-3).fit(digits[:12])
    assert estimator.score(digits) > before - 0.05


def test_gaussian_variance_starts_from_pca_and_falls_back_to_it(rng):
    X = rng.normal(size=(300, 8))
    kw = {"loss": "gaussian", "max_iter": 3, "random_state": 0}
    estimator = fit_quietly(UndercompleteAE(3, **kw), X)
    residual = error(PCA(3).fit(X), X)
    assert estimator.noise_variance_ == pytest.approx(residual, rel=0.01)
    kw |= {"learning_rate_init": 1e-30, "early_stopping": False}
    untrained = UndercompleteAE(3, **kw).fit(X)
    assert untrained.noise_variance_ == pytest.approx(residual, rel=0.01)


@pytest.mark.parametrize("loss", ["absolute_error", "bernoulli", "poisson"])
def test_the_loss_that_was_asked_for_decides_whether_pca_stays(loss, rng):
    """Training lowers the loss, though not always the squared error."""
    t = rng.uniform(0.2, 0.8, size=(400, 1))
    X = np.hstack([t, t**2, np.sqrt(t), 1 - t]) + 0.02 * rng.standard_t(1.5, (400, 4))
    X = np.clip(X, 0.0, 1.0)
    ae = UndercompleteAE(2, loss=loss, max_iter=30, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ae.fit(X)
    _, held_out = hold_out(len(X), 0.1, ae._state.engine.split_seed)
    made = make_loss(loss, ae.mean_, ae.scale_)
    x = torch.tensor((X[held_out] - ae.mean_) / ae.scale_, dtype=torch.float32)
    network = ae.network_
    with torch.no_grad():
        ours = made(network.decode(network.encode(x)), x)
        pca = made(network.expand(network.project(x)), x)
    assert ours <= pca + 1e-6


def test_a_picture_is_kept_though_pca_reconstructs_better(rng):
    ae = UndercompleteAE(2, neighbor_weight=30.0, max_iter=10, random_state=0)
    ae.fit(rng.normal(size=(100, 10)) * np.arange(1, 11))
    assert not ae.is_pca_
    assert ae.best_score_ < ae.pca_score_


def curve(rng, n_rows, n_features=20):
    """Rows about a curved surface."""
    t = rng.uniform(-1, 1, (n_rows, 2))
    angles = 3 * t @ rng.normal(size=(2, n_features))
    return np.sin(angles) + 0.05 * rng.normal(size=angles.shape)


def with_outliers(X, n_outliers, factor, rng):
    X = X - X.mean(axis=0)
    X[rng.permutation(len(X))[:n_outliers]] *= factor
    return X


@pytest.mark.parametrize("seed", range(3))
def test_a_few_rows_that_outweigh_the_rest_do_not_make_it_worse_than_pca(seed):
    """Next to none of them are held out, so that nobody could judge them."""
    rng = np.random.default_rng(seed)
    X = with_outliers(curve(rng, 1000), 10, 60, rng)
    train, test = X[:700], X[700:]
    ae = fit_quietly(UndercompleteAE(2, max_iter=60, random_state=seed), train)
    assert ae.n_far_rows_ > 0
    assert error(ae, test) < 1.005 * error(PCA(2).fit(train), test)


def test_what_lies_farther_than_held_out_rows_tell_is_left_to_pca(rng):
    X, seed = curve(rng, 700), np.random.RandomState(0).randint(2**31 - 1)
    training, _ = hold_out(700, 0.1, seed)
    X[training[:8]] *= 60
    ae = UndercompleteAE(6, max_iter=60, random_state=0).fit(X)
    distance = np.linalg.norm(X - ae.mean_, axis=1) / ae.scale_
    reach = float(ae.network_.reach)
    assert ae.n_far_rows_ == np.count_nonzero(distance > reach)
    linear, far = PCA(6), X[distance > 2.5 * reach]
    linear.fit(X[training])
    expected = linear.inverse_transform(linear.transform(far))
    np.testing.assert_allclose(ae.reconstruct(far), expected, rtol=1e-3, atol=1e-3)
    near = X[distance < reach]
    gain = error(ae, near) / error(linear, near)
    assert gain < 0.8


@pytest.mark.parametrize("n_rows", [2, 3, 5, 12, 29, 30])
def test_of_few_rows_some_are_left_to_judge(n_rows, rng):
    X = rng.normal(size=(n_rows, 4))
    X[0] = 1e3
    ae = fit_quietly(UndercompleteAE(1, max_iter=2, random_state=0), X)
    assert ae.n_far_rows_ == (n_rows == 30)
    assert np.isfinite([ae.best_score_, ae.pca_score_]).all()


@pytest.mark.parametrize("turns", [False, True])
def test_training_adds_to_pca_of_all_rows_if_those_held_out_turn_its_axes(turns, rng):
    """No gain makes up for an axis that only PCA of all rows has."""

    class Axes(Callback):
        def on_train_begin(self, net, **kwargs):
            self.at_start = net.module_.axes.numpy().copy()

    axes, X = Axes(), rng.normal(size=(300, 10)) * np.linspace(1.5, 1, 10)
    _, held_out = hold_out(300, 0.1, np.random.RandomState(0).randint(2**31 - 1))
    if turns:
        X[held_out[:4], 9] = 12, -12, 12, -12
    ae = UndercompleteAE(1, max_iter=1, callbacks=[axes], random_state=0)
    fit_quietly(ae, X)
    assert ae.n_far_rows_ == 0
    rows = X if turns else np.delete(X, held_out, axis=0)
    cosine = axes.at_start @ PCA(1).fit(rows).components_.T
    assert abs(cosine.item()) == pytest.approx(1, abs=1e-4)


def test_without_outliers_no_row_is_left_to_pca(digits):
    ae = UndercompleteAE(4, max_iter=5, random_state=0).fit(digits)
    assert ae.n_far_rows_ == 0
    assert torch.isinf(ae.network_.reach)


def test_of_few_rows_pca_of_nearly_all_has_to_be_beaten():
    """Rows held out tell PCA much, when it is kept, and they train nothing else."""
    ratios = []
    for seed in range(12):
        X = curve(np.random.default_rng(seed), 320)
        train, test = X[:20], X[20:]
        ae = fit_quietly(UndercompleteAE(6, max_iter=60, random_state=seed), train)
        ratios.append(error(ae, test) / error(PCA(6).fit(train), test))
    assert max(ratios) < 1.06
    assert np.median(ratios) < 1.01


def test_a_row_that_outweighs_the_others_is_named(rng):
    """A held-out one that is not so far out as to be left to PCA."""
    X = rng.normal(size=(300, 10))
    # The first axis of all rows is not that of the heavy one.
    X[:, 1] *= 3
    _, held_out = hold_out(300, 0.1, np.random.RandomState(0).randint(2**31 - 1))
    heavy = int(held_out[0])
    X[heavy, 0] = 10
    with pytest.warns(ConvergenceWarning, match=rf"Row {heavy} of X alone makes \d\d%"):
        UndercompleteAE(1, max_iter=5, random_state=0).fit(X)


def test_one_row_does_not_throw_away_what_the_others_gain(rng):
    """A test of means would see its error alone."""
    X = curve(rng, 1500, 10)
    X[7, 3] = X[200, 4] = 300
    ae = UndercompleteAE(0.9, max_iter=60, random_state=0).fit(X)
    assert not ae.is_pca_
    near = np.delete(X, [7, 200], axis=0)
    pca = PCA(ae.n_components_).fit(X)
    assert error(ae, near) < 0.5 * error(pca, near)


def test_the_warning_that_pca_is_kept_names_a_small_max_iter(digits):
    with pytest.warns(ConvergenceWarning, match=r"larger max_iter than 1, more rows"):
        UndercompleteAE(2, max_iter=1, random_state=0).fit(digits[:150])
