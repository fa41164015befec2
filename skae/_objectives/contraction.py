"""The squared norm of the encoder's Jacobian: exactly, and by random projections."""

from typing import Any

import torch
from torch import Tensor, nn

from .._machine.processes import drawn
from .._networks.activations import ACTIVATIONS
from .._networks.dense import Dense

# Layers whose derivative is a matrix, or one number for each entry.
KNOWN = {nn.Linear, *(type(make()) for make in ACTIVATIONS.values())}
CodeAndPenalty = tuple[Tensor, Tensor]


def is_layered(network: Any) -> bool:
    """Whether :func:`by_layers` knows the network's derivative."""
    return type(network) is Dense and all(
        type(m) in KNOWN and not getattr(m, "inplace", False) for m in network.encoder
    )


def is_closed(network: Any) -> bool:
    """Whether the norm has a closed form: one layer, or a hidden and a linear one."""
    n_maps = sum(isinstance(m, nn.Linear) for m in getattr(network, "encoder", ()))
    ends_linear = n_maps > 0 and isinstance(network.encoder[-1], nn.Linear)
    return is_layered(network) and (n_maps == 1 or (n_maps == 2 and ends_linear))


def exact(network: Any, x: Tensor, generator: torch.Generator) -> CodeAndPenalty:
    """Return codes, and the mean over rows of ``||d code / d x||_F^2``."""
    code, squares = squared_norms(network, x)
    return code, squares.mean()


def squared_norms(network: Any, x: Tensor) -> CodeAndPenalty:
    """Return codes, and ``||d code / d x||_F^2`` of each row, by the shorter way."""
    if is_layered(network):
        return by_layers(network, x)
    return network.encode(x), by_rows(network, x)


def by_rows(network: Any, x: Tensor) -> Tensor:
    """Return the squared norm of each row's Jacobian, of any network."""
    learns = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        # Rows are independent, so one pass differentiates an entry of all codes.
        slopes = (
            torch.autograd.grad(entry.sum(), x, retain_graph=True, create_graph=learns)
            for entry in network.encode(x).unbind(1)
        )
        squares = [slope.square().flatten(1).sum(1) for (slope,) in slopes]
        return torch.stack(squares).sum(0)


def by_layers(network: Any, x: Tensor) -> CodeAndPenalty:
    """Return codes, and the squared norm of each row's Jacobian, layer by layer.

    With one layer it is ``sum_j phi'(a_j)^2 ||w_j||^2`` (Rifai et al., 2011). With more
    layers it uses the Gram matrix of the first layer, which is the same for all rows;
    with one hidden layer and a linear code, so is that of the last layer.
    """
    weights, slopes, code = _trace(network.encoder, x)
    ends_linear = len(slopes) < len(weights)
    if len(weights) == 1:
        squares = weights[0].square().sum(1)
        total = (
            squares.sum().expand(len(x))
            if ends_linear
            else (slopes[0].square() @ squares)
        )
        return code, total
    gram = weights[0] @ weights[0].T
    if len(weights) == 2 and ends_linear:
        both = gram * (weights[1].T @ weights[1])
        return code, (slopes[0] @ both * slopes[0]).sum(1)
    product = weights[-1] if ends_linear else slopes.pop()[:, :, None] * weights[-1]
    for weight, slope in zip(weights[-2:0:-1], slopes[:0:-1], strict=True):
        product = (product * slope[:, None]) @ weight
    product = product * slopes[0][:, None]
    return code, (product @ gram * product).sum((1, 2))


def _trace(encoder: Any, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return the layers' weights, the derivatives of the activations, and the code."""
    weights: list[Tensor] = []
    slopes: list[Tensor] = []
    for layer in encoder:
        if isinstance(layer, nn.Linear):
            weights.append(layer.weight)
            x = layer(x)
        else:
            x, slope = _with_slope(layer, x)
            slopes.append(slope)
    return weights, slopes, x


def _with_slope(activation: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return an activation's values, and its derivative at each entry."""
    if isinstance(activation, nn.Sigmoid | nn.Tanh):
        value = activation(x)
        is_tanh = isinstance(activation, nn.Tanh)
        return value, 1 - value.square() if is_tanh else value * (1 - value)
    learns = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        value = activation(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=learns)
    return value, slope


def hutchinson(network: Any, x: Tensor, generator: torch.Generator) -> CodeAndPenalty:
    """Return codes, and an unbiased estimate of the mean squared norm.

    ``E ||v^T J||^2 = ||J||_F^2`` with random signs ``v`` for each row (Hutchinson,
    1989).
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        code = network.encode(x)
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        coins = drawn(lambda shape: torch.randint(2, shape, **options), code.shape)
        signs = (2 * coins - 1).to(code)
        (slopes,) = torch.autograd.grad(code, x, signs, create_graph=True)
    return code, slopes.square().flatten(1).sum(1).mean()
