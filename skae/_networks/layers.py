"""The layers of a dense autoencoder, each an autoencoder of the layer below it."""

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from .dense import Dense


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a network, which shares its weights.

    ``below`` maps rows to the layer's input. ``network`` encodes that input, and
    ``activation`` maps what it decodes to a reconstruction of the input.
    """

    network: Dense
    below: nn.Sequential
    activation: nn.Sequential
    n_inputs: int


def n_layers(network: Dense) -> int:
    """Return the number of layers, the code's included."""
    return (len(cast(nn.Sequential, network.decoders[-1])) + 1) // 2


def layer(network: Dense, place: int) -> Layer:
    """Return one of the layers, which are counted from the input."""
    encoder: Any = network.encoder
    decoder: Any = network.decoders[-1]
    # Maps and activations alternate.
    first, mirror = 2 * place, 2 * (n_layers(network) - 1 - place)
    n_outputs, n_inputs = encoder[first].weight.shape
    part = Dense([n_inputs, n_outputs])
    part.encoder = encoder[first : first + 2]
    part.decoders = nn.ModuleList([decoder[mirror : mirror + 1]])
    return Layer(part, encoder[:first], decoder[mirror + 1 : mirror + 2], n_inputs)
