"""Networks: shapes, tied weights, where they start."""

import numpy as np
import pytest
import torch
from torch import nn

from skae._networks.activations import ACTIVATIONS, make_activation
from skae._networks.dense import Dense
from skae._networks.linear_skip import LinearSkip
from skae._networks.links import Link


def start(network, output=None, seed=0):
    width = network.decoders[0][-1].bias.numel()
    generator = torch.Generator().manual_seed(seed)
    network.reset_parameters(
        generator, torch.zeros(width) if output is None else output
    )
    return network


@pytest.mark.parametrize("sizes", [(6, 2), (6, 5, 2), (6, 5, 4, 2)])
@pytest.mark.parametrize("tied", [False, True])
def test_decoder_mirrors_encoder(sizes, tied):
    network = start(Dense(sizes, tied_weights=tied))
    code = network.encode(torch.ones(3, 6))
    assert code.shape == (3, 2)
    assert network.decode(code).shape == (3, 6)
    assert len(network.encoder) == len(network.decoders[0]) == 2 * len(sizes) - 3


def test_tied_decoder_multiplies_by_the_transpose():
    network = start(Dense([6, 4, 2], activation="tanh", tied_weights=True))
    code = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    outer, inner = network.encoder[0].weight, network.encoder[2].weight
    expected = torch.tanh(code @ inner) @ outer
    torch.testing.assert_close(network.decode(code), expected)


def test_tied_weights_are_stored_and_learnt_once():
    tied, free = Dense([6, 4, 2], "tanh", tied_weights=True), Dense([6, 4, 2])
    assert set(free.state_dict()) - set(tied.state_dict()) == {
        "decoders.0.0.weight",
        "decoders.0.2.weight",
    }
    x = torch.randn(1, 6, generator=torch.Generator().manual_seed(1))
    start(tied).decode(tied.encode(x)).square().sum().backward()
    # The gradient through one use, on one row, is an outer product: here are two.
    assert torch.linalg.matrix_rank(tied.encoder[0].weight.grad) == 2


def test_start_answers_about_the_given_output():
    output = torch.arange(6.0)
    network = start(Dense([6, 5, 2]), output)
    torch.testing.assert_close(
        network.decode(network.encode(torch.zeros(1, 6)))[0], output
    )


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    a, b = start(Dense([6, 5, 2])), start(Dense([6, 5, 2]))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(a.encoder[0].weight, b.encoder[0].weight)
    assert not torch.equal(
        a.encoder[0].weight, start(Dense([6, 5, 2]), seed=1).encoder[0].weight
    )


def test_glorot_variance():
    weight = start(Dense([400, 200])).encoder[0].weight
    assert weight.var().item() == pytest.approx(2 / 600, rel=0.05)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_code_activation_is_applied_to_the_code(name):
    plain = start(Dense([6, 2]))
    network = start(Dense([6, 2], code_activation=name))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network.encode(x), ACTIVATIONS[name]()(plain.encode(x)))


@pytest.mark.parametrize("wrong", [nn.ReLU(), lambda: torch.relu])
def test_activation_that_is_no_class_of_modules(wrong):
    with pytest.raises(TypeError, match=r"torch\.nn\.Mish"):
        make_activation(wrong)


def linear_start(widths=(2,), tied=False, activation="gelu"):
    """A silent network on two axes of six features, whose scales are known."""
    dense = Dense([6, 5, 2], activation, tied_weights=tied, ordered=len(widths) > 1)
    dense.link = Link(np.zeros(6), 1.0)
    network = LinearSkip(dense, 2, 6)
    network.reset_parameters(torch.Generator().manual_seed(0), torch.zeros(6))
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 2)))[0].T
    network.become_linear(axes, np.full(6, 0.1), np.ones(6), [4.0, 1.0], [0.5, 0.25])
    return network, torch.tensor(axes, dtype=torch.float32)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "logistic"])
@pytest.mark.parametrize("widths", [(2,), (1, 2)])
def test_residual_starts_linear(widths, tied, activation):
    network, axes = linear_start(widths, tied, activation)
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    code = (x - 0.1) @ axes.T
    torch.testing.assert_close(network.encode(x), code)
    for n in widths:
        expected = code[:, :n] @ axes[:n] + 0.1
        torch.testing.assert_close(network.decode(network.encode(x)[:, :n]), expected)
        torch.testing.assert_close(network.expand(network.project(x)[:, :n]), expected)


def test_what_a_residual_network_adds_is_in_the_scale_of_what_pca_misses():
    network, axes = linear_start()
    bias = network.network.encoder[-1].bias
    with torch.no_grad():
        bias.fill_(1.0)
        network.network.decoders[0][-1].bias.fill_(1.0)
    x = torch.zeros(1, 6)
    code = (x - 0.1) @ axes.T + 0.5
    torch.testing.assert_close(network.encode(x), code)
    torch.testing.assert_close(network.decode(code), code @ axes + 0.1 + 0.5)


def test_what_a_residual_network_adds_is_bounded():
    network, axes = linear_start()
    with torch.no_grad():
        network.network.encoder[-1].weight.fill_(1.0)
    added = [
        network.encode(x) - (x - 0.1) @ axes.T
        for x in (torch.full((1, 6), distance) for distance in (1e3, 1e6))
    ]
    torch.testing.assert_close(*added, atol=0.1, rtol=0)


def test_decoders_of_prefixes_ask_for_no_more_threads():
    """They work one after the other, each on as few numbers as that of a plain code."""
    plain, ordered = (Dense([64, 32, 8], ordered=ordered) for ordered in (False, True))
    assert ordered.n_products == plain.n_products
