"""Networks: modules with two verbs, ``encode`` and ``decode``."""

from collections.abc import Callable, Sequence
from itertools import pairwise

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
    factory = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    module = factory()
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"activation={activation!r} made {module!r}, which is not a torch module; "
            f"use one of {sorted(ACTIVATIONS)} or a class such as torch.nn.Mish."
        )
    return module


def linear(n_inputs: int, n_outputs: int) -> nn.Linear:
    """Build a linear map without drawing from torch's global generator."""
    return nn.utils.skip_init(
        nn.Linear, n_inputs, n_outputs, device="cpu", dtype=torch.float32
    )


class TiedLinear(nn.Module):
    """Linear map ``x W + b`` that borrows ``W`` from the map ``x W.T + c``."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        # A list keeps the borrowed map out of parameters() and state_dict().
        self._source = [source]
        self.bias = nn.Parameter(torch.empty(source.in_features, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self._source[0].weight.T, self.bias)


class Dense(nn.Module):
    """Fully connected encoder, and a decoder that mirrors it.

    ``sizes`` are the widths from the input to the code, both included. Weights are
    uninitialised until :meth:`reset_parameters` or ``load_state_dict``.
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

    def encode(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, sizes[0]), to codes, shape (n, sizes[-1])."""
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        """Map codes back, to the scale on which the loss compares."""
        return self.decoder(code)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw Glorot-uniform weights; begin by answering about ``output`` to all."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
        self.decoder[-1].bias.copy_(output)


def _alternate(
    maps: Sequence[nn.Module], activation: str | Callable[[], nn.Module]
) -> nn.Sequential:
    """Chain maps with an activation between each two."""
    layers: list[nn.Module] = [maps[0]]
    for following in maps[1:]:
        layers += [make_activation(activation), following]
    return nn.Sequential(*layers)
