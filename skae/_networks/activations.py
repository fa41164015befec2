"""Activations by name, class or factory."""

from collections.abc import Callable
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
    module, reason = None, ""
    # An instance would be shared by all layers, and a function cannot be built.
    if not isinstance(activation, nn.Module):
        try:
            # It may draw weights of its own: the same ones each time.
            with seeded(torch.Generator("cpu"), torch.device("cpu")):
                module = activation()
        except TypeError as error:
            reason = f": {error}"
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"The activation {activation!r} is neither a class of torch modules that "
            "needs no arguments, such as torch.nn.Mish, nor one of "
            f"{sorted(ACTIVATIONS)}{reason}."
        )
    return module


def try_out(network: Any, n_features: int, given: dict[str, Any]) -> None:
    """Raise if the user's own activations do not work in the network."""
    own = [f"{name}={value!r}" for name, value in given.items() if callable(value)]
    if not own:
        return
    try:
        # Random activations must not change the global generator.
        with seeded(torch.Generator("cpu"), torch.device("cpu")):
            reason = _why_unfit(network.eval(), n_features)
    except Exception as error:
        # torch adds lines that list all signatures of a function.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    if reason:
        raise TypeError(
            f"{' and '.join(own)} must make differentiable modules that keep the shape "
            f"of a tensor; {reason}. Use a class such as torch.nn.Mish, or one of "
            f"{sorted(ACTIVATIONS)}."
        )


def _why_unfit(network: Any, n_features: int) -> str:
    """Say why a network cannot reconstruct rows; empty if it can."""
    x = torch.zeros(2, n_features, dtype=torch.float32, device="cpu").requires_grad_()
    code: Tensor = network.encode(x)
    if code.shape != (2, network.widths[-1]):
        return f"they gave codes of shape {tuple(code.shape)} for 2 rows"
    has_slope = code.requires_grad
    if (
        not has_slope
        or torch.autograd.grad(code.sum(), x, allow_unused=True)[0] is None
    ):
        return "the code has no gradient"
    encode, decode, _ = network.maps
    answer = decode(encode(x))
    is_row = answer.shape == x.shape
    return "" if is_row else f"they gave rows of shape {tuple(answer.shape)}"
