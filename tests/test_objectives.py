"""Losses against naive formulas and scikit-learn's; the slots of the objective."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_poisson_deviance
from torch import nn
from torch.nn import functional as F

from skae import SparseAE, UndercompleteAE
from skae._objectives.denoising import DenoisingObjective
from skae._objectives.losses import LOSSES, Gaussian, make_loss, try_out
from skae._objectives.objective import Objective

ZERO = np.zeros(3)


def plain(loss):
    """Build a loss for rows that standardising leaves as they are."""
    return make_loss(loss, ZERO, 1.0)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(7, 3, generator=generator)
    return output, torch.rand(7, 3, generator=generator)


def test_squared_and_absolute_error(pair):
    output, x = pair
    difference = (output - x).numpy()
    assert plain("squared_error")(*pair).item() == pytest.approx(np.mean(difference**2))
    assert plain("absolute_error")(*pair).item() == pytest.approx(
        np.mean(abs(difference))
    )


def test_bernoulli_is_the_log_loss_of_the_reconstruction(pair):
    output, x = pair
    loss = plain("bernoulli")
    bits = (x > 0.5).float()
    p = torch.sigmoid(output).numpy().ravel().astype(float)
    expected = log_loss(bits.numpy().ravel(), np.column_stack([1 - p, p]))
    assert loss(output, bits).item() == pytest.approx(expected, rel=1e-5)


def test_poisson_differs_from_half_the_deviance_by_a_constant(pair):
    output, x = pair
    counts = torch.round(10 * x) + 1
    level, spread = 5.0, 2.0
    loss = make_loss("poisson", np.full(3, level), spread)

    def gap(output):
        rate = (level + spread * loss.link.inverse(output)).numpy().ravel()
        deviance = mean_poisson_deviance(counts.numpy().ravel(), rate)
        value = loss(output, (counts - level) / spread).item()
        return value * spread**2 / level - deviance / 2

    assert gap(output) == pytest.approx(gap(output + 1), abs=1e-5)


def test_gaussian_is_the_normal_likelihood(pair):
    output, x = pair
    loss = Gaussian(ZERO, 1.0)
    with torch.no_grad():
        loss.log_variance.fill_(-1.0)
    normal = torch.distributions.Normal(output, loss.variance().sqrt())
    expected = -normal.log_prob(x).mean() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(loss(output, x), expected)


def test_gaussian_is_bounded_on_a_perfect_fit():
    loss = Gaussian(ZERO, 1.0)
    with torch.no_grad():
        loss.log_variance.fill_(-1e6)
    assert loss(torch.zeros(2, 1), torch.zeros(2, 1)).item() == pytest.approx(
        -6.9, abs=0.1
    )


@pytest.mark.parametrize("name", LOSSES)
def test_first_output_reconstructs_the_mean(name):
    """Which is zero, on standardised rows."""
    loss = make_loss(name, np.array([0.1, 0.5, 0.9]), 0.3)
    reconstruction = loss.link.inverse(loss.first_output())
    torch.testing.assert_close(reconstruction, torch.zeros(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_the_least_loss_of_a_constant_is_at_the_mean_or_median(name):
    """Minimised over one constant output, each loss finds its own centre."""
    X = np.array([[0.1], [0.2], [0.9]])
    mean, scale = X.mean(axis=0), X.std()
    x = torch.tensor((X - mean) / scale, dtype=torch.float32)
    loss = make_loss(name, mean, scale)
    grid = torch.linspace(-3, 3, 2001)
    values = [loss(g.expand(3, 1), x).item() for g in grid]
    best = loss.link.inverse(grid[int(np.argmin(values))]).item()
    centre = x.median() if name == "absolute_error" else x.mean()
    assert best == pytest.approx(centre.item(), abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [lambda a, b: 1.0, lambda a, b: (a - b).detach(), torch.nn.MSELoss, np.subtract],
)
def test_function_that_is_no_loss(wrong):
    with pytest.raises(TypeError, match=r"to a differentiable tensor"):
        try_out(wrong, 3)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_callable_is_averaged(pair, reduction):
    def huber(output, x):
        return F.huber_loss(output, x, reduction=reduction)

    torch.testing.assert_close(plain(huber)(*pair), F.huber_loss(*pair))


class Scale(nn.Module):
    """Code = 2 x; reconstruction = 3 code."""

    def encode(self, x):
        return 2 * x

    def decode(self, code):
        return 3 * code


def test_objective_fills_its_slots(pair):
    _, x = pair
    objective = Objective(
        plain("squared_error"),
        corrupt=lambda x, generator: x + 1,
        penalty=lambda network, seen, generator: (2 * seen, seen.mean()),
        alpha=0.5,
    )
    expected = (6 * (x + 1) - x).square().mean() + 0.5 * (x + 1).mean()
    torch.testing.assert_close(objective(Scale(), x, torch.Generator()), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_gaps_are_left_out_of_the_loss(name):
    """It is the mean of the distances of what is known."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.1, 0.9, (20, 3))
    loss = make_loss(name, X.mean(axis=0), X.std())
    x = torch.tensor((X - X.mean(axis=0)) / X.std(), dtype=torch.float32)
    known = torch.tensor(rng.uniform(size=X.shape) < 0.7)
    objective = DenoisingObjective(loss, None, has_gaps=True)
    gappy = torch.where(known, x, torch.nan)
    seen = torch.where(known, x, 0.0)
    expected = loss.distance(6 * seen, x, "none")[known].mean()
    torch.testing.assert_close(objective(Scale(), gappy, torch.Generator()), expected)


def test_emphasis_weighs_entries_that_were_left_alone(pair):
    _, x = pair

    def hide_first(x, generator):
        return torch.cat([0 * x[:, :1], x[:, 1:]], dim=1)

    objective = DenoisingObjective(plain("squared_error"), hide_first, emphasis=0.75)
    squares = (6 * hide_first(x, None) - x).square()
    weights = torch.full_like(x, 0.25)
    weights[:, 0] = 1
    expected = (weights * squares).sum() / weights.sum()
    torch.testing.assert_close(objective(Scale(), x, torch.Generator()), expected)


def euclidean(output, x):
    return (output - x).norm(dim=-1)


@pytest.fixture
def weighed(pair):
    """Rows of which entries count nothing, a quarter or all."""
    places = torch.arange(21).view(7, 3) * 5 % 7 % 3
    return *pair, torch.tensor([0.0, 0.25, 1.0])[places]


@pytest.mark.parametrize(
    "function",
    [
        F.mse_loss,
        lambda output, x: (output - x).square(),
        lambda output, x: (output - x).square().mean(dim=-1),
    ],
)
def test_callable_weighs_entries_as_the_named_loss_does(weighed, function):
    """Whether it answers for entries, rows or all."""
    torch.testing.assert_close(
        plain(function)(*weighed), plain("squared_error")(*weighed)
    )


def test_callable_sees_rows_in_which_what_does_not_count_is_met(weighed):
    output, x, weights = weighed
    shapes = []

    def loss(output, x):
        shapes.append((output.shape, x.shape))
        return euclidean(output, x)

    value = plain(loss)(*weighed)
    assert set(shapes) == {((7, 3), (7, 3))}
    some, most = (
        euclidean(torch.where(weights >= least, output, x), x).mean()
        for least in (0.25, 1.0)
    )
    torch.testing.assert_close(value, (some + 3 * most) / 4 * 21 / weights.sum())


def test_rows_without_a_value_have_no_slope(pair):
    """Though that of a root is infinite at zero."""
    output, x = pair
    output.requires_grad_()
    weights = torch.ones_like(x)
    weights[0] = 0.0
    root = plain(lambda output, x: (output - x).square().sum(dim=-1).sqrt())
    root(output, x, weights).backward()
    assert output.grad[0].abs().max() == 0 < output.grad[1:].abs().min()
    output.grad = None
    root(output, x, torch.zeros_like(x)).backward()
    assert output.grad.abs().max() == 0


SHARES = np.random.default_rng(0).uniform(0.02, 0.98, size=(80, 5))
COUNTS = np.random.default_rng(0).poisson(3.0, size=(80, 5)).astype(float)
FEW = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}


@pytest.mark.parametrize("unit", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_bernoulli_of_small_probabilities(unit, init):
    options = {"init": init, "loss": "bernoulli", "early_stopping": False}
    ae, small = (UndercompleteAE(2, **FEW, **options) for _ in range(2))
    score = ae.fit(SHARES * 1e-2).score(SHARES * 1e-2)
    rows = SHARES * unit
    assert small.fit(rows).score(rows) == pytest.approx(score, abs=0.02)


@pytest.mark.parametrize(
    "rows",
    [SHARES * 1e-13, SHARES * 1e-300, 0.5 + SHARES * 1e-8, 1 - SHARES * 1e-9],
)
@pytest.mark.parametrize("cls", [UndercompleteAE, SparseAE])
def test_bernoulli_refuses_what_it_cannot_tell_apart(rows, cls):
    with pytest.raises(ValueError, match=r"'bernoulli' cannot tell .*MinMaxScaler"):
        cls(2, **FEW, loss="bernoulli").fit(rows)


@pytest.mark.parametrize("rows", [np.zeros((9, 2)), np.ones((9, 2)), np.eye(9)])
def test_bernoulli_takes_what_does_not_vary(rows):
    UndercompleteAE(1, **FEW, loss="bernoulli", early_stopping=False).fit(rows)


@pytest.mark.parametrize("level", [1e6, 1e9, 1e12])
def test_a_level_of_counts_does_not_matter(level):
    ae = SparseAE(4, **FEW, loss="poisson", alpha=0.01)
    score = ae.fit(COUNTS + 1e3).score(COUNTS + 1e3)
    other = ae.fit(COUNTS + level).score(COUNTS + level)
    assert other == pytest.approx(score, abs=0.01)
