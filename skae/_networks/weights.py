"""Weights: built uninitialised, and drawn from a generator."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: Options of tensors, for any default of torch.
PLAIN: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}


def without_weights(module: Callable[..., nn.Module], *args: Any, **kwargs: Any) -> Any:
    """Build a module without drawing from torch's global generator."""
    skip_init: Callable[..., Any] = nn.utils.skip_init
    return skip_init(module, *args, **PLAIN, **kwargs)


def linear(n_inputs: int, n_outputs: int) -> nn.Linear:
    """Build a linear map with uninitialised weights."""
    return without_weights(nn.Linear, n_inputs, n_outputs)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw Glorot-uniform weights, and set biases to zero."""
    for name, parameter in module.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
        elif name.endswith("bias"):
            parameter.zero_()


def unset(*shape: int) -> nn.Parameter:
    """Return uninitialised weights."""
    return nn.Parameter(torch.empty(shape, **PLAIN))


def filled(shape: tuple[int, ...], value: float) -> Tensor:
    """Return a tensor of one value, for any default of torch."""
    return torch.full(shape, value, **PLAIN)
