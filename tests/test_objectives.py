"""Losses against naive formulas and scikit-learn's; the slots of the objective."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_poisson_deviance
from torch import nn
from torch.nn import functional as F

from skae._objectives import LOSSES, Gaussian, Objective, make_loss


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(7, 3, generator=generator)
    return output, torch.rand(7, 3, generator=generator)


def test_squared_and_absolute_error(pair):
    output, x = pair
    difference = (output - x).numpy()
    assert make_loss("squared_error")(*pair).item() == pytest.approx(
        np.mean(difference**2)
    )
    assert make_loss("absolute_error")(*pair).item() == pytest.approx(
        np.mean(abs(difference))
    )


def test_bernoulli_is_the_log_loss_of_the_reconstruction(pair):
    output, x = pair
    loss = make_loss("bernoulli")
    bits = (x > 0.5).float()
    p = loss.inverse_link(output).numpy().ravel().astype(float)
    expected = log_loss(bits.numpy().ravel(), np.column_stack([1 - p, p]))
    assert loss(output, bits).item() == pytest.approx(expected, rel=1e-5)


def test_poisson_differs_from_half_the_deviance_by_a_constant(pair):
    output, x = pair
    counts = torch.round(10 * x) + 1
    loss = make_loss("poisson")

    def gap(output):
        rate = loss.inverse_link(output).numpy().ravel()
        deviance = mean_poisson_deviance(counts.numpy().ravel(), rate)
        return loss(output, counts).item() - deviance / 2

    assert gap(output) == pytest.approx(gap(output + 1), abs=1e-5)


def test_gaussian_is_the_normal_likelihood(pair):
    output, x = pair
    loss = Gaussian()
    with torch.no_grad():
        loss.log_variance.fill_(-1.0)
    normal = torch.distributions.Normal(output, loss.variance().sqrt())
    expected = -normal.log_prob(x).mean() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(loss(output, x), expected)


def test_gaussian_is_bounded_on_a_perfect_fit():
    loss = Gaussian()
    with torch.no_grad():
        loss.log_variance.fill_(-1e6)
    assert loss(torch.zeros(2, 1), torch.zeros(2, 1)).item() == pytest.approx(
        -6.9, abs=0.1
    )


@pytest.mark.parametrize("name", LOSSES)
def test_link_is_the_inverse_of_inverse_link(name):
    loss = make_loss(name)
    mean = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(loss.inverse_link(loss.link(mean)), mean)


@pytest.mark.parametrize("name", LOSSES)
def test_the_least_loss_of_a_constant_is_at_the_mean_or_median(name):
    """Minimised over one constant output, each loss finds its own centre."""
    x = torch.tensor([[0.1], [0.2], [0.9]])
    loss = make_loss(name)
    grid = loss.link(torch.linspace(0.05, 0.95, 181))
    values = [loss(g.expand(3, 1), x).item() for g in grid]
    best = loss.inverse_link(grid[int(np.argmin(values))]).item()
    centre = x.median() if name == "absolute_error" else x.mean()
    assert best == pytest.approx(centre.item(), abs=0.006)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_callable_is_averaged(pair, reduction):
    def huber(output, x):
        return F.huber_loss(output, x, reduction=reduction)

    torch.testing.assert_close(make_loss(huber)(*pair), F.huber_loss(*pair))


class Scale(nn.Module):
    """Code = 2 x; reconstruction = 3 code."""

    def encode(self, x):
        return 2 * x

    def decode(self, code):
        return 3 * code


def test_objective_fills_its_slots(pair):
    _, x = pair
    objective = Objective(
        make_loss("squared_error"),
        corrupt=lambda x: x + 1,
        penalty=lambda seen, code: (code - seen).mean(),
        alpha=0.5,
    )
    expected = (6 * (x + 1) - x).square().mean() + 0.5 * (x + 1).mean()
    torch.testing.assert_close(objective(Scale(), x), expected)
