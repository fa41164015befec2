"""Fully connected networks."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activations import make_activation
from .custom import Custom, Factory
from .links import Link
from .network import Network
from .prefix import prefix_widths
from .recording import width_of
from .weights import draw_weights, linear, unset


def draw_evenly(module: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases evenly up to ``1 / sqrt(n_inputs)``, as torch does."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | TiedLinear):
            bound = layer.weight.shape[1] ** -0.5
            if isinstance(layer, nn.Linear):
                layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
    _draw_custom(module, generator)


def _draw_custom(module: nn.Module, generator: torch.Generator) -> None:
    """Let the user's modules draw their weights again, which were overwritten."""
    for layer in module.modules():
        if isinstance(layer, Custom):
            layer.reset_parameters(generator)


class TiedLinear(nn.Module):
    """Linear map ``x W + b`` that borrows ``W`` from the map ``x W.T + c``.

    For shorter rows ``x`` the first rows of ``W`` are used.
    """

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        # A list keeps the borrowed map out of parameters() and state_dict().
        self._source = [source]
        self.bias = unset(source.in_features)

    @property
    def weight(self) -> Tensor:
        return self._source[0].weight.T

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, : width_of(x)], self.bias)


class Dense(Network):
    """Fully connected encoder, and a decoder that mirrors it.

    ``sizes`` are the widths from the input to the code, both included. An ``ordered``
    code has a decoder for each of the :func:`prefix_widths`: a single one could not
    tell missing components from zeros. An ``encoder`` or ``decoder`` is a factory that
    makes a module in place of the layers. The encoder gives ``heads`` numbers for each
    component that is decoded.
    """

    draws_evenly = True

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Callable[[], nn.Module] = "relu",
        code_activation: str | Callable[[], nn.Module] = "identity",
        tied_weights: bool = False,
        heads: int = 1,
        ordered: bool = False,
        encoder: Factory | None = None,
        decoder: Factory | None = None,
    ) -> None:
        super().__init__()
        width, sizes = sizes[-1], [*sizes[:-1], heads * sizes[-1]]
        maps = [linear(a, b) for a, b in pairwise(sizes)]
        self.encoder = _encoder(maps, activation, encoder)
        if code_activation != "identity":
            self.encoder.append(make_activation(code_activation))
        self.widths = prefix_widths(width) if ordered else [width]
        self.decoders = nn.ModuleList(
            _decoder(maps, width, activation, tied_weights, decoder)
            for width in self.widths
        )
        own_values = (m.n_values for m in self.modules() if isinstance(m, Custom))
        self.n_values = max(sizes[0], 2 * max(sizes[1:]), *own_values)
        # For any default of torch; activations may have weights too.
        self.to("cpu", torch.float32)

    @property
    def n_products(self) -> int:
        # Several decoders work one after the other, each on few numbers.
        halves = self.encoder, self.decoders[-1]
        return sum(w.numel() for half in halves for w in half.parameters())

    @classmethod
    def count(cls, **options: Any) -> int:
        sizes = options["sizes"]
        n_decoders = len(prefix_widths(sizes[-1])) if options.get("ordered") else 1
        n_halves = 1 if options["tied_weights"] else 1 + n_decoders
        # The size of a factory's module is unknown.
        n_halves -= options.get("encoder") is not None
        n_halves -= n_decoders * (options.get("decoder") is not None)
        return n_halves * sum(a * b for a, b in pairwise(sizes))

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoders[self.widths.index(width_of(code))](code)

    def answer_columns(self) -> Tensor | None:
        last = cast(nn.Sequential, self.decoders[-1])[-1]
        if len(self.widths) > 1 or type(self.link) is not Link:
            return None
        if not isinstance(last, nn.Linear):
            return None
        return torch.cat([last.weight, last.bias[:, None]], dim=1).detach()

    def along(self, columns: Tensor, is_constant: Tensor) -> Network:
        return DecoderAlong(self, columns)

    def decoder_weights(self) -> list[Tensor]:
        """Return the matrices of the whole code's decoder, the code's own first."""
        maps = cast(nn.Sequential, self.decoders[-1])
        return [m.weight for m in maps if isinstance(m, nn.Linear | TiedLinear)]

    def column_norms(self) -> Tensor:
        """Return how much an entry of each unit changes the output.

        It is the norm of a column of the decoder's first map. Later maps stretch it by
        their norm, so that no part of the decoder can make up for a small code.
        """
        first, *later = self.decoder_weights()
        stretch = math.prod(w.norm() / w.shape[1] ** 0.5 for w in later)
        return first.norm(dim=0) * stretch

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw Glorot-uniform weights; biases are zero, except the last."""
        draw_weights(self, generator)
        _draw_custom(self, generator)
        for decoder in self.decoders:
            cast(Tensor, cast(nn.Sequential, decoder)[-1].bias).copy_(output)

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        for half in (self.encoder, *self.decoders):
            maps = [m for m in half if isinstance(m, nn.Linear | TiedLinear | Custom)]
            cast(Tensor, maps[-1].bias).zero_()
            if not isinstance(maps[-1], TiedLinear):
                maps[-1].weight.zero_()
        # A tied decoder also ignores its code, but may return a constant.
        for width, decoder in zip(self.widths, self.decoders, strict=True):
            last = cast(Tensor, cast(nn.Sequential, decoder)[-1].bias)
            # In training mode activations may be random, or need several rows.
            last.sub_(self.eval().decode(last.new_zeros(1, width))[0])


class DecoderAlong(Network):
    """A dense decoder whose last map has other columns; the last one is its bias."""

    def __init__(self, network: Dense, columns: Tensor) -> None:
        super().__init__()
        self.widths, self.link = network.widths, network.link
        self.n_values = network.n_values
        self.layers = cast(nn.Sequential, network.decoders[-1])[:-1]
        self.columns = columns

    def decode(self, code: Tensor) -> Tensor:
        return F.linear(self.layers(code), self.columns[:, :-1], self.columns[:, -1])


def _encoder(
    maps: Sequence[nn.Linear],
    activation: str | Callable[[], nn.Module],
    factory: Factory | None,
) -> nn.Sequential:
    """Return the maps in a chain, or what a factory makes in their place."""
    if factory is None:
        return _alternate(maps, activation)
    sizes = maps[0].in_features, maps[-1].out_features
    return nn.Sequential(Custom("encoder", factory, *sizes))


def _decoder(
    maps: Sequence[nn.Linear],
    width: int,
    activation: str | Callable[[], nn.Module],
    tied_weights: bool,
    factory: Factory | None,
) -> nn.Sequential:
    """Return what undoes the maps from so many components, or a factory's module."""
    if factory is None:
        return _alternate(_mirrored(maps, width, tied_weights), activation)
    return nn.Sequential(Custom("decoder", factory, width, maps[0].in_features))


def _mirrored(
    maps: Sequence[nn.Linear], width: int, tied_weights: bool
) -> list[nn.Module]:
    """Return linear maps from ``width`` components back to a row."""
    if tied_weights:
        return [TiedLinear(m) for m in reversed(maps)]
    first = linear(width, maps[-1].in_features)
    return [first, *(linear(m.out_features, m.in_features) for m in maps[-2::-1])]


def _alternate(
    maps: Sequence[nn.Module], activation: str | Callable[[], nn.Module]
) -> nn.Sequential:
    """Chain maps with an activation between each two."""
    layers: list[nn.Module] = [maps[0]]
    for following in maps[1:]:
        layers += [make_activation(activation), following]
    return nn.Sequential(*layers)
