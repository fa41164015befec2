"""VariationalAE: its bound by exact roads, its start, and what it generates."""

import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skae import VariationalAE
from skae._estimators.variational import _draw_counts
from skae._networks.variational import LEAST_VARIANCE, Variational
from skae._objectives.bound import Bound, divergence, surprise
from skae._objectives.losses import make_loss
from skae.metrics import explained_variance

SHORT = {"max_iter": 4, "random_state": 0}
#: A fit whose weights stay those of the start.
STILL = {
    "max_iter": 1,
    "learning_rate_init": 1e-30,
    "early_stopping": False,
    "random_state": 0,
}
DATA = {
    "iris": load_iris().data,
    "wine, in other units": 1e4 * load_wine().data - 3e5,
    "more features than rows": np.random.default_rng(0).normal(size=(20, 30)),
}

pytestmark = pytest.mark.filterwarnings(
    "ignore:Training (did not improve|ended at max_iter)"
)


@pytest.fixture
def curved(rng):
    """Rows near a curve in six dimensions."""
    t = rng.uniform(-2, 2, size=(600, 1))
    curve = np.hstack([np.sin(k * t) for k in (1, 2, 3)] + [np.cos(t), t, t**2])
    return curve + 0.05 * rng.normal(size=curve.shape)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("n_draws", [1, 5])
def test_objective_is_the_bound_of_the_codes_drawn(n_draws, beta, curved):
    """Its densities by scipy, for the noise that the generator gives."""
    vae = VariationalAE(2, **SHORT).fit(curved)
    network = vae.network_
    x = torch.tensor((curved[:50] - vae.mean_) / vae.scale_, dtype=torch.float32)
    objective = Bound(
        make_loss("squared_error", vae.mean_, vae.scale_), beta, 0.0, n_draws
    )
    noise = torch.randn(n_draws, 50, 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = objective(network, x, torch.Generator().manual_seed(3))
        mean, log_variance = (part.double() for part in network.posterior(x))
        codes = mean + (log_variance / 2).exp() * noise
        answers = torch.stack([network.decode(code.float()) for code in codes])
        deviation = network.variance().sqrt().item()
    posterior = stats.norm(mean, (log_variance / 2).exp())
    of_rows = stats.norm(answers, deviation).logpdf(x).sum(2)
    if n_draws == 1:
        divergences = divergence(mean, log_variance).sum(1).numpy()
        bounds = of_rows[0] - beta * divergences
    else:
        ratio = (stats.norm.logpdf(codes) - posterior.logpdf(codes)).sum(2)
        bounds = logsumexp(of_rows + beta * ratio, axis=0) - np.log(n_draws)
    assert found.item() == pytest.approx(-bounds.mean() / 6, rel=1e-5)


def test_several_draws_train_too(curved):
    train, test = curved[:450], curved[450:]
    vae = VariationalAE(1, n_importance=5, max_iter=30, random_state=0).fit(train)
    several = vae.score(test)
    assert several > PCA(1).fit(train).score(test) + 1
    assert several > vae.set_params(n_importance=1).score(test)


@pytest.mark.parametrize("n_importance", [1, 7])
@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.parametrize("name", DATA)
def test_it_starts_at_the_log_likelihood_of_pca(name, n_components, n_importance):
    X = DATA[name]
    vae = VariationalAE(n_components, n_importance=n_importance, **STILL).fit(X)
    pca = PCA(n_components).fit(X)
    expected = pca.score_samples(X)
    np.testing.assert_allclose(vae.score_samples(X), expected, rtol=1e-4, atol=1e-4)
    assert vae.score(X) == pytest.approx(pca.score(X), rel=1e-5)
    variance = pytest.approx(pca.noise_variance_, rel=1e-3)
    assert vae.noise_variance_ == variance


def test_first_posterior_is_that_of_probabilistic_pca():
    X = load_iris().data
    means, deviations = VariationalAE(2, **STILL).fit(X).posterior(X)
    pca = PCA(2).fit(X)
    noise = pca.noise_variance_
    loadings = pca.components_.T * np.sqrt(pca.explained_variance_ - noise)
    inner = loadings.T @ loadings + noise * np.eye(2)
    expected = (X - pca.mean_) @ loadings @ np.linalg.inv(inner)
    np.testing.assert_allclose(np.abs(means), np.abs(expected), atol=1e-4)
    spread = np.sqrt(noise * np.linalg.inv(inner).diagonal())
    np.testing.assert_allclose(deviations, np.tile(spread, (len(X), 1)), rtol=1e-4)


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.3, 0.4), (-2.0, 3.0)])
def test_divergence_is_the_integral(mean, deviation):
    posterior, prior = stats.norm(mean, deviation), stats.norm()

    def integrand(z):
        return posterior.pdf(z) * (posterior.logpdf(z) - prior.logpdf(z))

    expected, _ = quad(integrand, mean - 12 * deviation, mean + 12 * deviation)
    log_variance = torch.tensor(2 * np.log(deviation))
    found = divergence(torch.tensor(mean), log_variance).item()
    assert found == pytest.approx(expected, abs=1e-6)


class Fixed(torch.nn.Module):
    """A decoder with a given output, and a variance."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def decode(self, code):
        return self.output

    def variance(self):
        return torch.tensor(0.7)


@pytest.mark.parametrize("name", ["squared_error", "bernoulli", "poisson"])
def test_surprise_is_minus_the_log_density(name, rng):
    counts = {
        "bernoulli": rng.integers(0, 2, (5, 4)),
        "poisson": rng.poisson(3, (5, 4)),
    }
    X = counts.get(name, rng.normal(size=(5, 4))).astype(float)
    mean, scale = X.mean(axis=0) + 0.1 * (name != "squared_error"), 1.7
    mean = np.clip(mean, 0.1, 0.9) if name == "bernoulli" else mean
    loss = make_loss(name, mean, scale)
    output = torch.tensor(0.3 * rng.normal(size=X.shape), dtype=torch.float32)
    rows = torch.tensor((X - mean) / scale, dtype=torch.float32)
    found = surprise(loss, Fixed(output), torch.empty(5, 1), rows)
    answer = loss.link.inverse(output).numpy()
    if name == "poisson":
        answer = answer * scale + mean
    densities = {
        "squared_error": stats.norm(answer, 0.7**0.5).logpdf(rows.numpy()),
        "bernoulli": stats.bernoulli(expit(output.numpy())).logpmf(X),
        "poisson": stats.poisson(answer).logpmf(X),
    }
    np.testing.assert_allclose(found, -densities[name].sum(1), rtol=1e-4)


def test_bound_of_a_wrong_posterior_is_lower_and_rises_with_more_draws():
    """The likelihood of the linear model is known: it is that of PCA."""
    X = load_iris().data
    vae = VariationalAE(2, **STILL).fit(X)
    exact = PCA(2).fit(X).score_samples(X)
    vae.network_.posterior_log_variance += 1.0
    vae.network_.shrinkage *= 0.9
    bounds = [
        vae.set_params(n_importance=n).score_samples(X).astype(float)
        for n in (1, 10, 100, 3000)
    ]
    means = [bound.mean() for bound in bounds]
    assert means == sorted(means)
    assert means[0] < exact.mean() - 0.3
    np.testing.assert_allclose(bounds[-1], exact, atol=0.1)


def test_linear_networks_learn_what_pca_is(rng):
    """From a random start, to the optimum that is known (Lucas et al., 2019)."""
    X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6))
    X += 0.3 * rng.normal(size=X.shape)
    vae = VariationalAE(
        2, hidden_layer_sizes=(), init="random", early_stopping=False, max_iter=150
    )
    vae.set_params(random_state=0, weight_decay=0.0, learning_rate_init=0.02).fit(X)
    pca = PCA(2).fit(X)
    bound = vae.set_params(n_importance=1).score(X)
    assert pca.score(X) - 0.05 < bound < pca.score(X) + 1e-3
    assert vae.noise_variance_ == pytest.approx(pca.noise_variance_, rel=0.15)


def test_it_raises_the_bound_of_curved_rows(curved):
    train, test = curved[:450], curved[450:]
    vae = VariationalAE(2, max_iter=60, random_state=0).fit(train)
    assert vae.score(test) > PCA(2).fit(train).score(test) + 1
    assert explained_variance(vae, test) > explained_variance(PCA(2).fit(train), test)
    assert not vae.is_pca_
    assert vae.best_score_ > vae.pca_score_


def test_noise_keeps_probabilistic_pca(rng):
    X = rng.normal(size=(150, 5))
    vae = VariationalAE(2, max_iter=30, random_state=0).fit(X)
    assert vae.is_pca_
    assert vae.score(X) == pytest.approx(PCA(2).fit(X).score(X), abs=1e-4)


def test_samples_of_the_first_model_have_its_covariance():
    X = load_iris().data
    vae, pca = VariationalAE(2, **STILL).fit(X), PCA(2).fit(X)
    drawn = vae.sample(40_000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), pca.mean_, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), pca.get_covariance(), atol=0.06)
    np.testing.assert_array_equal(vae.sample(5, 3), vae.sample(5, 3))
    assert not np.array_equal(vae.sample(5, 3), vae.sample(5, 4))


@pytest.mark.parametrize("loss", ["bernoulli", "poisson"])
def test_samples_and_scores_of_discrete_rows(loss, rng):
    slopes = rng.uniform(-1, 1, size=(1, 8))
    X = rng.poisson(np.exp(rng.normal(size=(300, 1)) @ slopes))
    X = (np.minimum(X, 1) if loss == "bernoulli" else X).astype(float)
    vae = VariationalAE(1, loss=loss, max_iter=30, random_state=0).fit(X)
    drawn = vae.sample(2000, random_state=0)
    assert drawn.dtype == X.dtype
    assert np.array_equal(drawn, np.round(drawn))
    assert drawn.min() >= 0
    assert (drawn.max() == 1) == (loss == "bernoulli")
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), rtol=0.5)
    # Better than independent features with the right means.
    alone = {"bernoulli": stats.bernoulli, "poisson": stats.poisson}[loss]
    assert vae.score(X) > alone(X.mean(axis=0)).logpmf(X).sum(1).mean()
    with pytest.raises(ValueError, match=f"loss='{loss}' needs values in"):
        vae.score(X - 5)


def test_score_is_in_the_unit_of_the_data(curved):
    vae = VariationalAE(2, **SHORT)
    scores = vae.fit(curved).score_samples(curved)
    larger = vae.fit(1000 * curved).score_samples(1000 * curved)
    np.testing.assert_allclose(larger + 6 * np.log(1000), scores, atol=1e-3)


def test_beta_and_free_bits_set_how_much_the_code_tells(curved):
    def nats(**options):
        vae = VariationalAE(3, early_stopping=False, max_iter=20, random_state=0)
        means, deviations = vae.set_params(**options).fit(curved).posterior(curved)
        log_variances = torch.tensor(2 * np.log(deviations))
        return divergence(torch.tensor(means), log_variances).mean(0).numpy()

    with pytest.warns(ConvergenceWarning, match="components are not used"):
        least = nats(beta=100.0)
    assert least.sum() < nats(beta=4.0).sum() < nats().sum() < nats(beta=0.1).sum()
    kept = nats(beta=100.0, free_bits=0.5)
    assert (kept > 0.3).all()


def test_collapsed_components_are_counted(curved):
    vae = VariationalAE(3, beta=100.0, early_stopping=False, max_iter=20)
    with pytest.warns(ConvergenceWarning, match="components are not used"):
        vae.set_params(random_state=0).fit(curved)
    variances = vae.transform(curved).var(axis=0)
    np.testing.assert_array_equal(vae.active_units_, variances > 0.01)


def test_images_have_convolutions(digits):
    images = digits[:200].reshape(-1, 8, 8)
    vae = VariationalAE(2, **SHORT).fit(images)
    flat = VariationalAE(2, image_shape=(8, 8), **SHORT).fit(digits[:200])
    assert vae.image_shape_ == flat.image_shape_ == (1, 8, 8)
    np.testing.assert_array_equal(vae.transform(images), flat.transform(digits[:200]))
    assert vae.sample(3).shape == (3, 8, 8)
    assert flat.sample(3).shape == (3, 64)
    assert any(isinstance(m, torch.nn.Conv2d) for m in vae.network_.modules())
    dense = VariationalAE(2, **SHORT).fit(digits[:200])
    assert dense.image_shape_ is None
    assert not any(isinstance(m, torch.nn.Conv2d) for m in dense.network_.modules())
    with pytest.raises(ValueError, match="dim 3"):
        dense.transform(images)


def test_a_search_chooses_the_width_by_the_bound(curved):
    search = GridSearchCV(VariationalAE(**SHORT), {"n_components": [1, 2]}, cv=2)
    search.fit(curved)
    best = search.best_estimator_
    assert search.score(curved) == best.score(curved)


def test_parts_and_pickles(curved):
    vae = VariationalAE(2, random_state=0)
    for part in np.array_split(curved, 3):
        vae.partial_fit(part)
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(
        vae.score_samples(curved), again.score_samples(curved)
    )
    for ours, theirs in zip(
        vae.posterior(curved), again.posterior(curved), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(vae.posterior(curved)[0], vae.transform(curved))
    assert vae.partial_fit(curved).n_iter_ == again.partial_fit(curved).n_iter_ == 4
    np.testing.assert_array_equal(vae.transform(curved), again.transform(curved))


def test_learnt_variance_has_a_floor():
    network = Variational(sizes=[3, 4, 2])
    network.set_variance(torch.tensor(0.0))
    assert LEAST_VARIANCE < network.variance() < 1.1 * LEAST_VARIANCE
    network.set_variance(torch.tensor(0.3))
    assert network.variance().item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lbfgs"}, "codes are drawn at random"),
        ({"loss": "squared_error"}, "'loss' parameter .* 'gaussian'"),
        ({"beta": 0.0}, "'beta' parameter"),
        ({"free_bits": -1.0}, "'free_bits' parameter"),
        ({"free_bits": 1e300}, "free_bits=1e.300 is too large"),
        ({"n_importance": 0}, "'n_importance' parameter"),
        ({"n_importance": 2, "free_bits": 0.1}, "free_bits=0.1 needs"),
        ({"tied_weights": True}, "'tied_weights' parameter"),
        ({"code_activation": "relu"}, "'code_activation' parameter"),
    ],
)
def test_what_it_cannot_do_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        VariationalAE(2, **options).fit(load_iris().data)


def test_number_of_samples_is_checked():
    vae = VariationalAE(2, **STILL).fit(load_iris().data)
    with pytest.raises(ValueError, match="n_samples=0"):
        vae.sample(0)


@pytest.mark.filterwarnings("ignore:.* components are not used")
@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.parametrize("loss", ["gaussian", "bernoulli", "poisson"])
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize(("name", "value"), [("beta", 1e6), ("free_bits", 1e6)])
def test_large_weights_leave_finite_answers(name, value, init, loss, rng):
    X = rng.uniform(size=(40, 5))
    vae = VariationalAE(1, loss=loss, init=init, **{name: value}, **SHORT).fit(X)
    assert np.isfinite(vae.history_["validation_loss"]).all()
    assert np.isfinite(vae.score(X))


def test_the_size_of_a_bound_rises_beyond_the_range_of_floats():
    """As an exponential where it has a value, and in the same order further out."""
    bound = Bound(make_loss("squared_error", np.zeros(1), 1.0), 1.0, 0.0)
    means = [-3.0, 0.0, 5.0, 299.0, 301.0, 1e4, 1e38]
    sizes = [bound.overall(torch.tensor([[m + bound.offset]]).double()) for m in means]
    np.testing.assert_allclose(sizes[:4], np.exp(2 * np.array(means[:4])), rtol=1e-9)
    assert np.isfinite(sizes).all()
    assert (np.diff(sizes) > 0).all()


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e-30, 1e30, 1e160, 1e300])
def test_samples_follow_the_unit_of_the_rows(unit):
    X = load_iris().data
    ours, plain = (VariationalAE(1, **STILL).fit(rows) for rows in (unit * X, X))
    drawn, same = (m.sample(100, random_state=0) for m in (ours, plain))
    np.testing.assert_allclose(drawn / unit, same, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rate", [3.0, 1e6, 1e15, 1e20, 1e30])
def test_samples_of_large_counts_have_their_mean(rate, dtype):
    rng = np.random.default_rng(0)
    X = (rate * rng.uniform(0.5, 1.5, (60, 1)) * np.ones((60, 4))).astype(dtype)
    drawn = VariationalAE(1, loss="poisson", **STILL).fit(X).sample(500, random_state=0)
    assert (drawn >= 0).all()
    assert drawn.mean() == pytest.approx(X.mean(), rel=0.1)


@pytest.mark.parametrize("rate", [4.0, 1e9, 1e12, 2e12, 1e17, 2e18, 1e25])
def test_counts_are_drawn_from_their_rate(rate):
    counts = _draw_counts(np.full(20_000, rate), np.random.RandomState(0))
    deviations = (counts - rate) / np.sqrt(rate)
    assert deviations.mean() == pytest.approx(0, abs=0.03)
    assert deviations.var() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(counts, np.rint(counts))


def test_rows_that_are_too_far_are_told(rng):
    rows = rng.normal(size=(100, 4))
    ae = VariationalAE(2, max_iter=2, random_state=0).fit(rows)
    assert np.isfinite(ae.reconstruct(1e20 * rows)).all()
    assert np.isneginf(ae.score_samples(1e30 * rows)).all()
    with pytest.raises(
        ValueError, match=r"100 of 100 rows is not finite.*unit of these"
    ):
        ae.score(1e30 * rows)
