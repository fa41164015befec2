"""Windows of convolutions, and convolutional modules."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._machine.processes import batch_mean, is_shared, rows_in_batch
from .recording import is_recorded
from .weights import PLAIN, unset

CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Any] = {
    1: nn.ConvTranspose1d,
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
#: Names of the modes of ``torch.nn.functional.interpolate`` by dimension.
INTERPOLATIONS = {
    "nearest": {1: "nearest", 2: "nearest", 3: "nearest"},
    "linear": {1: "linear", 2: "bilinear", 3: "trilinear"},
}
UPSAMPLINGS = ("transpose", *INTERPOLATIONS)


class Window:
    """Kernel, stride and padding of a convolution along each axis.

    ``ceil(size / stride)`` windows cover every position for any size; neither kernel
    nor stride is longer than the axis.
    """

    def __init__(self, sizes: Sequence[int], kernel_size: int, stride: int) -> None:
        self.sizes = tuple(sizes)
        self.kernel = tuple(min(kernel_size, n) for n in sizes)
        self.stride = tuple(min(stride, k) for k in self.kernel)
        axes = list(zip(self.sizes, self.kernel, self.stride, strict=True))
        overhang = [(math.ceil(n / s) - 1) * s + k - n for n, k, s in axes]
        self.padding = tuple(math.ceil(n / 2) for n in overhang)
        padded = zip(axes, self.padding, strict=True)
        self.outputs = tuple((n + 2 * p - k) // s + 1 for (n, k, s), p in padded)

    @property
    def n_products(self) -> int:
        """Return the multiplications for a pair of channels."""
        return math.prod(self.kernel) * math.prod(self.outputs)

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the output padding of the transposed convolution."""
        reached = zip(self.outputs, self.kernel, self.stride, self.padding, strict=True)
        ends = [(m - 1) * s - 2 * p + k for m, k, s, p in reached]
        return tuple(n - end for n, end in zip(self.sizes, ends, strict=True))


class TiedConvolution(nn.Module):
    """Transposed convolution that borrows its kernel: the adjoint, plus a bias."""

    def __init__(self, source: Any, window: Window) -> None:
        super().__init__()
        # A list keeps the borrowed map out of parameters() and state_dict().
        self._source, self.window = [source], window
        self.bias = unset(source.in_channels)

    @property
    def weight(self) -> Tensor:
        return self._source[0].weight

    def forward(self, x: Tensor) -> Tensor:
        transpose = getattr(F, f"conv_transpose{len(self.window.sizes)}d")
        window = self.window
        return transpose(
            x, self.weight, self.bias, window.stride, window.padding, window.missing
        )


class Enlarge(nn.Module):
    """Interpolation to ``sizes``, then a convolution of stride one.

    It leaves no checkerboard (Odena, Dumoulin and Olah, 2016).
    """

    def __init__(self, convolution: nn.Module, sizes: Sequence[int], how: str) -> None:
        super().__init__()
        self.convolution, self.sizes = convolution, tuple(sizes)
        self.mode = INTERPOLATIONS[how][len(self.sizes)]

    def forward(self, x: Tensor) -> Tensor:
        # In a trace sizes are tensors; to the same sizes nothing changes.
        if is_recorded() or x.shape[2:] != self.sizes:
            x = F.interpolate(x, self.sizes, mode=self.mode)
        answer = self.convolution(x)
        # An even kernel with equal padding at both ends has one position too many.
        for axis, size in enumerate(self.sizes, 2):
            answer = answer.narrow(axis, 0, size)
        return answer


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalization in any number of dimensions."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        # A single row would be normalised by itself, unlike in evaluation.
        if self.training and rows_in_batch(x) == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias
            )
        if self.training and is_shared():
            return self._by_whole_batch(x)
        return super().forward(x)

    def _by_whole_batch(self, x: Tensor) -> Tensor:
        """Normalise by the mean and the variance of rows of all processes."""
        x, axes = x.float(), [0, *range(2, x.ndim)]
        mean = batch_mean(x.mean(axes, keepdim=True))
        variance = batch_mean((x - mean).square().mean(axes, keepdim=True))
        n_values = rows_in_batch(x) * x[0, 0].numel()
        unbiased = variance * n_values / max(1, n_values - 1)
        own: Any = self
        with torch.no_grad():
            own.num_batches_tracked.add_(1)
            own.running_mean.lerp_(mean.flatten(), self.momentum)
            own.running_var.lerp_(unbiased.flatten(), self.momentum)
        shape = mean.shape
        scale = own.weight.view(shape) * (variance + self.eps).rsqrt()
        return (x - mean) * scale + own.bias.view(shape)


NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": lambda n_channels: BatchNorm(n_channels, **PLAIN),
    "layer": lambda n_channels: nn.GroupNorm(1, n_channels, **PLAIN),
}
