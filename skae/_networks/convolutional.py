"""Convolutional networks in 1, 2 or 3 dimensions: signals, images and volumes."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .._rows.checks import check_sizes
from .activations import make_activation
from .dense import Dense
from .network import Network
from .weights import draw_weights, unset, without_weights
from .windows import (
    CONVOLUTIONS,
    NORMALIZATIONS,
    TRANSPOSED,
    Enlarge,
    TiedConvolution,
    Window,
)

#: On a CPU channels_last is up to twice as fast.
MEMORY_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


class Convolutional(Network):
    """Convolutional encoder of flat rows that are images, and its mirror.

    ``shape`` is (channels, ...sizes) of an image; ``channels``, ``kernel_sizes`` and
    ``strides`` have an entry for each convolution, one at least; ``hidden`` are the
    widths of dense layers between the last convolution and the code; ``heads`` is as in
    :class:`Dense`. A bias for each entry of a row ends the decoder.
    """

    def __init__(
        self,
        shape: Sequence[int],
        n_components: int,
        channels: Sequence[int],
        kernel_sizes: Sequence[int],
        strides: Sequence[int],
        hidden: Sequence[int] = (),
        activation: str | Callable[[], nn.Module] = "relu",
        code_activation: str | Callable[[], nn.Module] = "identity",
        upsampling: str = "transpose",
        normalization: str | None = None,
        tied_weights: bool = False,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.shape, self.widths = tuple(shape), [n_components]
        self._steps = steps = _steps(shape, channels, kernel_sizes, strides)
        self.inner_shape = (channels[-1], *steps[-1][1].outputs)
        self._sizes = sizes = [math.prod(self.inner_shape), *hidden, n_components]
        self.dense = Dense(sizes, activation, code_activation, tied_weights, heads)
        maps = _maps(steps, None if tied_weights else upsampling)
        self.convolutions, self.expansions = _chain(*maps, activation, normalization)
        self.bias, self.n_values = unset(math.prod(shape)), _n_values(steps, sizes)
        _settle(self, len(shape) - 1)

    @property
    def n_products(self) -> int:
        products = [a * b * window.n_products for (a, b), window in self._steps]
        return 2 * sum(products + [a * b for a, b in pairwise(self._sizes)])

    @classmethod
    def count(cls, **options: Any) -> int:
        names = "shape", "channels", "kernel_sizes", "strides"
        steps = _steps(*(options[name] for name in names))
        n_inner = options["channels"][-1] * math.prod(steps[-1][1].outputs)
        sizes = [n_inner, *options["hidden"], options["n_components"]]
        n_weights = sum(a * b * math.prod(window.kernel) for (a, b), window in steps)
        n_halves = 1 if options["tied_weights"] else 2
        return n_halves * (n_weights + sum(a * b for a, b in pairwise(sizes)))

    def encode(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.shape)
        return self.dense.encode(self.convolutions(images).flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        inner = self.dense.decode(code).view(-1, *self.inner_shape)
        return self.expansions(inner).flatten(1) + self.bias

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw Glorot-uniform weights; biases are zero, except the last."""
        draw_weights(self, generator)
        self.bias.copy_(output)

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        code = [m for m in self.dense.encoder if isinstance(m, nn.Linear)][-1]
        last: Any = self.expansions[-1]
        last = last.convolution if isinstance(last, Enlarge) else last
        # A tied decoder with a zero code could not learn. There the first convolution
        # is set to zero, which is also the last one of the decoder.
        first: Any = self.convolutions[0]
        zeros = first[0] if isinstance(last, TiedConvolution) else code
        for parameter in (zeros.weight, zeros.bias, last.weight, last.bias, self.bias):
            parameter.zero_()
        # The code is now constant: subtract it.
        code.bias.sub_(self.eval().encode(torch.zeros_like(self.bias)[None])[0])


#: Channels before and after a convolution, and how it moves.
Step = tuple[tuple[int, int], Window]


def _steps(
    shape: Sequence[int],
    channels: Sequence[int],
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
) -> list[Step]:
    """Return channels and window of each convolution, on the outputs before it."""
    windows, sizes = [], shape[1:]
    for kernel_size, stride in zip(kernel_sizes, strides, strict=True):
        windows.append(Window(sizes, kernel_size, stride))
        sizes = windows[-1].outputs
    return list(zip(pairwise([shape[0], *channels]), windows, strict=True))


def _maps(
    steps: list[Step], upsampling: str | None
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Build convolutions, and the modules that invert them: adjoints or upsampling."""
    narrow = [_narrow(*n, window) for n, window in steps]
    if upsampling is None:
        pairs = zip(narrow, steps, strict=True)
        return narrow, [TiedConvolution(m, window) for m, (_, window) in pairs]
    return narrow, [_widen(*n, window, upsampling) for n, window in steps]


def _chain(
    narrow: list[Any],
    widen: list[nn.Module],
    activation: str | Callable[[], nn.Module],
    normalization: str | None,
) -> tuple[nn.Sequential, nn.Sequential]:
    """Chain convolutions, and in reverse order the modules that invert them."""
    finish = partial(_finish, activation, normalization)
    channels = [convolution.out_channels for convolution in narrow]
    finished = map(finish, widen[:0:-1], channels[-2::-1])
    return (
        nn.Sequential(*map(finish, narrow, channels)),
        nn.Sequential(make_activation(activation), *finished, widen[0]),
    )


def _n_values(steps: list[Step], sizes: list[int]) -> int:
    """Return how many numbers an image needs in memory at once."""
    (n_channels, _), first = steps[0]
    layers = [n * math.prod(window.outputs) for (_, n), window in steps]
    return max(n_channels * math.prod(first.sizes), 2 * max(sizes + layers))


def _settle(network: nn.Module, dims: int) -> None:
    """Store weights in the fastest format, for any default of torch."""
    # Activations may have weights too.
    network.to("cpu", torch.float32)
    if memory_format := MEMORY_FORMATS.get(dims):
        cast(Any, network).to(memory_format=memory_format)


def _finish(
    activation: str | Callable[[], nn.Module],
    normalization: str | None,
    step: nn.Module,
    n_channels: int,
) -> nn.Sequential:
    """Append normalization, if any, and activation to a convolution."""
    layers = [NORMALIZATIONS[normalization](n_channels)] if normalization else []
    return nn.Sequential(step, *layers, make_activation(activation))


def _narrow(n_inputs: int, n_outputs: int, window: Window) -> Any:
    """Build a convolution."""
    size = window.kernel, window.stride, window.padding
    kind = CONVOLUTIONS[len(window.sizes)]
    return without_weights(kind, n_inputs, n_outputs, *size)


def _widen(n_outputs: int, n_inputs: int, window: Window, how: str) -> nn.Module:
    """Build a module from a convolution's outputs back to the sizes of its inputs."""
    dims, kernel = len(window.sizes), window.kernel
    if how == "transpose":
        size = kernel, window.stride, window.padding, window.missing
        return without_weights(TRANSPOSED[dims], n_inputs, n_outputs, *size)
    padding = tuple(k // 2 for k in kernel)
    same = without_weights(
        CONVOLUTIONS[dims], n_inputs, n_outputs, kernel, padding=padding
    )
    return Enlarge(same, window.sizes, how)


def check_convolutions(
    channels: Any, kernel_size: Any, stride: Any
) -> dict[str, list[int]]:
    """Return channels, kernel sizes and strides as one number for each convolution."""
    widths = check_sizes("channels", channels, "one for each convolution")
    kernel_sizes = _per_layer("kernel_size", kernel_size, widths)
    strides = _per_layer("stride", stride, widths)
    if any(s > k for s, k in zip(strides, kernel_sizes, strict=True)):
        raise ValueError(
            f"stride={stride} leaves gaps between kernels of "
            f"kernel_size={kernel_size}: use a smaller stride or a larger kernel."
        )
    return {"channels": widths, "kernel_sizes": kernel_sizes, "strides": strides}


def _per_layer(name: str, value: Any, channels: list[int]) -> list[int]:
    """Return a parameter as one number for each convolution."""
    sizes = check_sizes(name, value, "one number, or one for each convolution")
    if np.ndim(value) == 0:
        return sizes * len(channels)
    if len(sizes) != len(channels):
        raise ValueError(
            f"{name}={value} has {len(sizes)} entries, but channels={channels} make "
            f"{len(channels)} convolutions: give one for each, or a single number."
        )
    return sizes
