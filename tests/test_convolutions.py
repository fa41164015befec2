"""Convolutional networks: any sizes, mirrored, the adjoint where they are tied."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skae._networks.convolutional import Convolutional
from skae._networks.windows import UPSAMPLINGS, Enlarge, Window

SHAPES = [
    (1, 1),
    (2, 7),
    (1, 28, 31),
    (3, 8, 7),
    (1, 1, 2),
    (1, 7, 8, 9),
    (2, 1, 3, 31),
]
KERNELS = [(5, 2), (3, 1), (4, 2), (4, 4), (2, 1), (7, 3), (6, 1), (1, 1)]


def make(shape, kernel_size=3, stride=2, **options):
    network = Convolutional(
        shape, 3, (4, 5), (kernel_size, 3), (stride, 2), (6,), **options
    )
    generator = torch.Generator().manual_seed(0)
    network.reset_parameters(generator, torch.ones(math.prod(shape)))
    return network


def rows(shape, n_rows=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_rows, math.prod(shape), generator=generator)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kernel_size", "stride"), KERNELS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_any_size_comes_back(shape, kernel_size, stride, upsampling):
    network = make(shape, kernel_size, stride, upsampling=upsampling)
    code = network.encode(rows(shape))
    assert code.shape == (2, 3)
    assert network.decode(code).shape == (2, math.prod(shape))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 28, 31])
@pytest.mark.parametrize(("kernel_size", "stride"), KERNELS)
def test_windows_see_every_place(size, kernel_size, stride):
    window = Window((size,), kernel_size, stride)
    x = torch.zeros(1, 1, size, requires_grad=True)
    kernel = torch.ones(1, 1, *window.kernel)
    answer = F.conv1d(x, kernel, stride=window.stride, padding=window.padding)
    assert answer.shape[2:] == window.outputs
    answer.sum().backward()
    assert (x.grad > 0).all()


@pytest.mark.parametrize("shape", [(2, 31), (1, 8, 7), (2, 5, 6, 7)], ids=str)
@pytest.mark.parametrize(("kernel_size", "stride"), KERNELS)
def test_tied_convolution_is_the_adjoint(shape, kernel_size, stride):
    """``<conv(x), y> = <x, transposed(y)>``."""
    network = make(shape, kernel_size, stride, tied_weights=True)
    forth, back = network.convolutions[0][0], network.expansions[-1]
    x = rows(shape).unflatten(1, shape)
    zero = torch.zeros_like(x)
    y = torch.randn_like(forth(x))
    there = ((forth(x) - forth(zero)) * y).sum()
    again = (x * (back(y) - back(torch.zeros_like(y)))).sum()
    torch.testing.assert_close(there, again, rtol=1e-4, atol=1e-4)


def test_tied_weights_are_stored_once():
    tied, free = make((1, 8, 8), tied_weights=True), make((1, 8, 8))
    kernels = [n for n, w in tied.named_parameters() if w.ndim > 1]
    assert len(kernels) == 4
    assert len([n for n, w in free.named_parameters() if w.ndim > 1]) == 8


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_silent_network_answers_zero(tied, normalization, activation):
    options = {"activation": activation, "normalization": normalization}
    network = make((1, 7, 8), tied_weights=tied, **options)
    network.zero_last_layers()
    code = network.encode(rows((1, 7, 8)))
    torch.testing.assert_close(code, torch.zeros(2, 3))
    torch.testing.assert_close(network.decode(code), torch.zeros(2, 56))


def test_it_starts_about_the_given_output():
    network = make((1, 6, 6))
    output = torch.arange(36.0)
    network.reset_parameters(torch.Generator().manual_seed(0), output)
    answer = network.decode(network.encode(torch.zeros(1, 36)))
    torch.testing.assert_close(answer[0], output)


def test_enlarging_keeps_what_is_constant():
    kernel = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        kernel.weight.fill_(1.0)
        kernel.bias.zero_()
    for how in ("nearest", "linear"):
        answer = Enlarge(kernel, (7, 5), how)(torch.full((1, 1, 3, 2), 2.0))
        torch.testing.assert_close(answer, torch.full((1, 1, 7, 5), 2.0))


def test_number_of_products_is_that_of_the_layers():
    """Counted by hand: 8 places of 4 kernels of 3, 4 of 5 kernels of 3 x 4, dense."""
    network = Convolutional((1, 16), 2, (4, 5), (3, 3), (2, 2), (6,))
    by_hand = 8 * 4 * 3 + 4 * 5 * 3 * 4 + 20 * 6 + 6 * 2
    assert network.n_products == 2 * by_hand
    assert network.n_values == 2 * 32


@pytest.mark.parametrize("how", ["batch", "layer"])
def test_normalization_forgets_the_scale(how):
    network = make((1, 8, 8), normalization=how).train()
    x = rows((1, 8, 8), n_rows=16)
    with torch.no_grad():
        one, ten = network.encode(100 * x), network.encode(1000 * x)
    torch.testing.assert_close(one, ten, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8, 8)], ids=str)
def test_row_alone_is_normalised_as_later_on(shape):
    network, x = make(shape, normalization="batch"), rows(shape, n_rows=1)
    torch.testing.assert_close(network.train().encode(x), network.eval().encode(x))
