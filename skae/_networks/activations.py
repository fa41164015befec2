"""Activations by name, class or factory."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

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


def try_out(network: Any, n_features: int, given: dict[str, Any]) -> None:
    """Raise if activations of the user's do not suit the network that has them."""
    own = [f"{name}={value!r}" for name, value in given.items() if callable(value)]
    if not own:
        return
    try:
        # Those that draw shall not move the user's generator.
        with seeded(torch.Generator("cpu"), torch.device("cpu")):
            reason = _why_unfit(network.eval(), n_features)
    except Exception as error:
        # More lines would list all ways to call a function of torch.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    if reason:
        raise TypeError(
            f"{' and '.join(own)} must make modules that map a tensor to one of the "
            f"same shape, differentiably; {reason}. Use a class such as torch.nn.Mish, "
            f"or one of {sorted(ACTIVATIONS)}."
        )


def _why_unfit(network: Any, n_features: int) -> str:
    """Say in which way a network does not answer rows; empty if it does."""
    x = torch.zeros(2, n_features, dtype=torch.float32, device="cpu").requires_grad_()
    code: Tensor = network.encode(x)
    if code.shape != (2, network.widths[-1]):
        return f"they made codes of the shape {tuple(code.shape)} of 2 rows"
    has_slope = code.requires_grad
    if (
        not has_slope
        or torch.autograd.grad(code.sum(), x, allow_unused=True)[0] is None
    ):
        return "the code has no gradient"
    answer = network.decode(code)
    is_row = answer.shape == x.shape
    return "" if is_row else f"they made rows of the shape {tuple(answer.shape)}"
