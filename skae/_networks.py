"""Networks: modules with two verbs, ``encode`` and ``decode``."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


def make_activation(activation: str | Callable[[], nn.Module]) -> nn.Module:
    """Build an activation from its name, its class or any factory of modules."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation]()
    module = None
    # An instance would be shared by all layers, and a function cannot be built.
    if not isinstance(activation, nn.Module):
        with suppress(TypeError):
            module = activation()
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"The activation {activation!r} is neither a class of torch modules, such "
            f"as torch.nn.Mish, nor one of {sorted(ACTIVATIONS)}."
        )
    return module


def linear(n_inputs: int, n_outputs: int) -> nn.Linear:
    """Build a linear map without drawing from torch's global generator."""
    skip_init: Callable[..., nn.Linear] = nn.utils.skip_init
    return skip_init(nn.Linear, n_inputs, n_outputs, device="cpu")


class TiedLinear(nn.Module):
    """Linear map ``x W + b`` that borrows ``W`` from the map ``x W.T + c``."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        # A list keeps the borrowed map out of parameters() and state_dict().
        self._source = [source]
        self.bias = nn.Parameter(torch.empty(source.in_features, device="cpu"))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self._source[0].weight.T, self.bias)


class Network(nn.Module):
    """What the rest of the package asks of a network.

    Weights are uninitialised until :meth:`reset_parameters` or ``load_state_dict``.
    """

    def encode(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, ...), to codes, shape (n, n_components)."""
        raise NotImplementedError

    def decode(self, code: Tensor) -> Tensor:
        """Map codes back, to the scale on which the loss compares."""
        raise NotImplementedError

    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw weights with which decoded codes lie about ``output``."""
        raise NotImplementedError


class Dense(Network):
    """Fully connected encoder, and a decoder that mirrors it.

    ``sizes`` are the widths from the input to the code, both included.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Callable[[], nn.Module] = "relu",
        code_activation: str | Callable[[], nn.Module] = "identity",
        tied_weights: bool = False,
    ) -> None:
        super().__init__()
        maps = [linear(a, b) for a, b in pairwise(sizes)]
        mirrored = [
            TiedLinear(m) if tied_weights else linear(m.out_features, m.in_features)
            for m in reversed(maps)
        ]
        self.encoder = _alternate(maps, activation)
        if code_activation != "identity":
            self.encoder.append(make_activation(code_activation))
        self.decoder = _alternate(mirrored, activation)
        # Whatever torch's default is, and activations may have weights too.
        self.to("cpu", torch.float32)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoder(code)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw Glorot-uniform weights; biases are zero, save the last."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
        cast(Tensor, self.decoder[-1].bias).copy_(output)


def _alternate(
    maps: Sequence[nn.Module], activation: str | Callable[[], nn.Module]
) -> nn.Sequential:
    """Chain maps with an activation between each two."""
    layers: list[nn.Module] = [maps[0]]
    for following in maps[1:]:
        layers += [make_activation(activation), following]
    return nn.Sequential(*layers)
