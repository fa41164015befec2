"""Links lead to the output of a reconstruction, and back."""

import numpy as np
import pytest
import torch

from skae._networks.links import Link, Log, Logit, bend, excess, log_ratio


@pytest.mark.parametrize("link_class", [Link, Logit, Log])
def test_inverse_undoes(link_class):
    rng = np.random.default_rng(0)
    data = torch.from_numpy(rng.uniform(0.1, 0.9, size=(20, 4)).astype(np.float32))
    mean = np.array([0.2, 0.4, 0.6, 0.8])
    link = link_class(mean, 0.3)
    rows = (data - torch.tensor(mean, dtype=torch.float32)) / 0.3
    torch.testing.assert_close(link.inverse(link(rows)), rows, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("link_class", "low", "high"), [(Logit, 0, 1), (Log, 0, 9)])
def test_reconstructions_out_of_the_domain_are_clipped(link_class, low, high):
    mean = torch.tensor([0.2, 0.5])
    link = link_class(mean.numpy(), 1.0)
    data = link.inverse(link(torch.tensor([[-3.0, -0.6], [8.0, 0.1]]))) + mean
    expected = [[low, low], [min(8.2, high), 0.6]]
    torch.testing.assert_close(data, torch.tensor(expected), atol=1e-3, rtol=1e-3)


def test_a_count_that_is_always_zero_stays_zero():
    link = Log(np.array([0.0, 1.0]), 1.0)
    output = link(torch.tensor([[0.0, 0.5]]))
    assert torch.isfinite(output).all()
    assert link.inverse(output)[0, 0] == 0


@pytest.mark.parametrize("level", [0.0, 1e3, 1e9])
def test_a_level_costs_a_count_no_digits(level):
    scale = 1.7 / (3 + level)
    link = Log(np.ones(3), scale)
    rows = torch.linspace(-1.7, 6.0, 60).view(20, 3)
    torch.testing.assert_close(link.inverse(link(rows)), rows, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("value", [-3.0, -0.031, -0.029, -1e-4, 1e-9, 0.029, 0.5, 4.0])
def test_bend_has_all_digits(value):
    x = torch.tensor(value, requires_grad=True)
    y = x.detach().double().requires_grad_()
    exact = excess(y) - log_ratio(y)
    expected = exact.item() if abs(value) > 1e-6 else value**2 / 2
    assert bend(x).item() == pytest.approx(expected, rel=1e-5)
    (slope,) = torch.autograd.grad(bend(x), x)
    (true,) = torch.autograd.grad(exact, y)
    assert slope.item() == pytest.approx(true.item(), rel=3e-5)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-10])
def test_small_probabilities_are_resolved(unit):
    data = unit * torch.tensor([[0.1, 0.5], [0.3, 0.9], [0.9, 0.0]])
    link = Logit(data.mean(0).numpy(), 0.3 * unit)
    rows = (data - data.mean(0)) / (0.3 * unit)
    torch.testing.assert_close(link.inverse(link(rows)), rows, atol=3e-3, rtol=1e-4)
