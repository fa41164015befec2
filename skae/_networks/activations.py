"""Activations by name, class or factory."""

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import nn

from .._machine.devices import seeded

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
        # It may have weights of its own to draw: the same ones each time.
        with suppress(TypeError), seeded(torch.Generator("cpu"), torch.device("cpu")):
            module = activation()
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"The activation {activation!r} is neither a class of torch modules, such "
            f"as torch.nn.Mish, nor one of {sorted(ACTIVATIONS)}."
        )
    return module
