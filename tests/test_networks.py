"""Networks: shapes, tied weights, where they start."""

import pytest
import torch
from torch import nn

from skae._networks import ACTIVATIONS, Dense, make_activation


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
