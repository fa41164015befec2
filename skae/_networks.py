"""Networks: modules with two verbs, ``encode`` and ``decode``."""

from bisect import bisect
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._links import Link

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


def without_weights(module: Callable[..., nn.Module], *args: Any, **kwargs: Any) -> Any:
    """Build a module without drawing from torch's global generator."""
    skip_init: Callable[..., Any] = nn.utils.skip_init
    return skip_init(module, *args, device="cpu", **kwargs)


def linear(n_inputs: int, n_outputs: int) -> nn.Linear:
    """Build a linear map, its weights not yet set."""
    return without_weights(nn.Linear, n_inputs, n_outputs)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw Glorot-uniform weights, and set biases to zero."""
    for name, parameter in module.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
        elif name.endswith("bias"):
            parameter.zero_()


def draw_evenly(module: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases evenly up to ``1 / sqrt(n_inputs)``, as torch does."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | TiedLinear):
            bound = layer.weight.shape[1] ** -0.5
            if isinstance(layer, nn.Linear):
                layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)


class TiedLinear(nn.Module):
    """Linear map ``x W + b`` that borrows ``W`` from the map ``x W.T + c``.

    Of shorter rows ``x`` the first rows of ``W`` are used.
    """

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        # A list keeps the borrowed map out of parameters() and state_dict().
        self._source = [source]
        self.bias = nn.Parameter(torch.empty(source.in_features, device="cpu"))

    @property
    def weight(self) -> Tensor:
        return self._source[0].weight.T

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, : x.shape[1]], self.bias)


class Network(nn.Module):
    """What the rest of the package asks of a network.

    Weights are uninitialised until :meth:`reset_parameters` or ``load_state_dict``.
    ``widths`` are the numbers of first components that it learns to decode. ``link``
    leads from reconstructions to what ``decode`` answers. ``n_values`` is how many
    numbers a row takes at once: itself, or a layer before and after its activation.
    """

    widths: list[int]
    link: Link
    n_values: int

    def encode(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, ...), to codes, shape (n, n_components)."""
        raise NotImplementedError

    def decode(self, code: Tensor) -> Tensor:
        """Map codes of one of the widths back, to the scale of the loss."""
        raise NotImplementedError

    def offset(self, means: Tensor) -> Tensor | None:
        """Return what :meth:`encode_scaled` wants added to rows in units of the scale.

        ``means`` are those of the features, in that unit. None if rows must be
        standardised, and go to :meth:`encode`.
        """
        return None

    def encode_scaled(self, x: Tensor) -> Tensor:
        """Map rows to which the :meth:`offset` was added to codes."""
        raise NotImplementedError

    @property
    def n_products(self) -> int:
        """Return how many multiplications a row takes."""
        return sum(w.numel() for w in self.parameters())

    def decode_prefix(self, code: Tensor) -> Tensor:
        """Decode the first components of a code, as many as there may be.

        Between two widths the narrower is decoded, and encoded again to estimate what
        the wider has more.
        """
        n_given = code.shape[1]
        if n_given in self.widths:
            return self.decode(code)
        following = bisect(self.widths, n_given)
        narrow, wide = self.widths[following - 1], self.widths[following]
        guess = self.encode(self.link.inverse(self.decode(code[:, :narrow])))
        return self.decode(torch.cat([code, guess[:, n_given:wide]], dim=1))

    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw weights with which decoded codes lie about ``output``."""
        raise NotImplementedError

    def silence(self) -> None:
        """Change last layers so that every code, and every output, is zero."""
        raise NotImplementedError


class Dense(Network):
    """Fully connected encoder, and a decoder that mirrors it.

    ``sizes`` are the widths from the input to the code, both included. An ``ordered``
    code has a decoder for each of the :func:`prefix_widths`: one for all of them would
    answer with whatever it makes of missing components.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Callable[[], nn.Module] = "relu",
        code_activation: str | Callable[[], nn.Module] = "identity",
        tied_weights: bool = False,
        ordered: bool = False,
    ) -> None:
        super().__init__()
        self.n_values = max(sizes[0], 2 * max(sizes[1:]))
        maps = [linear(a, b) for a, b in pairwise(sizes)]
        self.encoder = _alternate(maps, activation)
        if code_activation != "identity":
            self.encoder.append(make_activation(code_activation))
        self.widths = prefix_widths(sizes[-1]) if ordered else [sizes[-1]]
        self.decoders = nn.ModuleList()
        for width in self.widths:
            mirrored = [
                TiedLinear(m) if tied_weights else linear(m.out_features, m.in_features)
                for m in reversed(maps)
            ]
            if not tied_weights:
                mirrored[0] = linear(width, maps[-1].in_features)
            self.decoders.append(_alternate(mirrored, activation))
        # Whatever torch's default is, and activations may have weights too.
        self.to("cpu", torch.float32)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode(self, code: Tensor) -> Tensor:
        return self.decoders[self.widths.index(code.shape[1])](code)

    def decoder_weights(self) -> list[Tensor]:
        """Return the matrices of the whole code's decoder, the code's own first."""
        maps = cast(nn.Sequential, self.decoders[-1])
        return [m.weight for m in maps if isinstance(m, nn.Linear | TiedLinear)]

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw Glorot-uniform weights; biases are zero, save the last."""
        draw_weights(self, generator)
        for decoder in self.decoders:
            cast(Tensor, cast(nn.Sequential, decoder)[-1].bias).copy_(output)

    @torch.no_grad()
    def silence(self) -> None:
        for half in (self.encoder, *self.decoders):
            maps = [m for m in half if isinstance(m, nn.Linear | TiedLinear)]
            cast(Tensor, maps[-1].bias).zero_()
            if isinstance(maps[-1], nn.Linear):
                maps[-1].weight.zero_()
        # A tied decoder ignores its code too, but may answer a constant.
        for width, decoder in zip(self.widths, self.decoders, strict=True):
            last = cast(Tensor, cast(nn.Sequential, decoder)[-1].bias)
            last.sub_(self.decode(last.new_zeros(1, width))[0])


def prefix_widths(n_components: int) -> list[int]:
    """Return 1, 2, 4, ... and ``n_components``."""
    return [*(2**i for i in range((n_components - 1).bit_length())), n_components]


# Standard deviations: farther out a network is asked about ever the same place.
FAR = 10.0
# Standard deviations: means so near to zero may be subtracted last.
NEAR = 64.0


class Residual(Network):
    """A linear autoencoder ``A``, and a network that adds what it misses.

    ``encode(x) = A (x - c) + s network.encode(near(x - c))`` and
    ``decode(z) = link(A^T z + c) + r network.decode(near(z / d))``: with a silent
    network it is PCA where ``A`` has PCA's axes. ``A`` and ``c`` stay as they are:
    trained too they gained nothing, and lost where rows are few or far out. The
    deviations ``d`` of the codes, and ``r`` and ``s`` of what is missed, make one step
    size right for any spectrum. ``near`` clips what lies farther than ``FAR``
    deviations, and so bounds what is added: an outlier is reconstructed about as PCA
    does.
    """

    axes: Tensor
    centre: Tensor
    deviation: Tensor
    code_deviation: Tensor
    code_scale: Tensor
    output_scale: Tensor
    is_corrected: Tensor
    is_linear: Tensor

    def __init__(self, network: Network, n_components: int, n_features: int) -> None:
        super().__init__()
        self.network, self.widths = network, network.widths
        self.link, self.n_values = network.link, network.n_values
        shapes = {
            "axes": (n_components, n_features),
            "centre": (n_features,),
            "deviation": (n_features,),
            "code_deviation": (n_components,),
            "code_scale": (n_components,),
            "output_scale": (n_components,),
        }
        for name, shape in shapes.items():
            empty = torch.empty(shape, dtype=torch.float32, device="cpu")
            self.register_buffer(name, empty)
        # How prefixes are decoded: along PCA's axes alone, corrected, or by a guess.
        uncorrected = torch.zeros(n_components, dtype=torch.bool, device="cpu")
        self.register_buffer("is_corrected", uncorrected)
        self.register_buffer("is_linear", torch.tensor(False, device="cpu"))

    @property
    def n_products(self) -> int:
        return self.network.n_products

    def offset(self, means: Tensor) -> Tensor | None:
        # Division rounds a feature by so much of its mean, not of its deviation. One
        # that never varied is rounded as its mean is.
        deviation = self.deviation.to(means)
        is_near = (means.abs() <= NEAR * deviation) | (deviation == 0)
        return -(means + self.centre.to(means)) if is_near.all() else None

    def encode(self, x: Tensor) -> Tensor:
        return self.encode_scaled(x - self.centre)

    def encode_scaled(self, x: Tensor) -> Tensor:
        far = FAR * self.deviation
        # A feature that never varied tells nothing when it does: its bounds cross,
        # which makes it zero, and its slope too.
        missed = self.network.encode(x.clamp(1e-30 - far, far))
        return torch.addcmul(F.linear(x, self.axes), self.code_scale, missed)

    def decode(self, code: Tensor) -> Tensor:
        n_given = code.shape[1]
        near = (code / self.code_deviation[:n_given]).clamp(-FAR, FAR)
        missed = self.network.decode(near)
        scale = self.output_scale[n_given - 1]
        return torch.addcmul(self.expand(code), scale, missed)

    def project(self, x: Tensor) -> Tensor:
        """Encode by the linear part alone."""
        return F.linear(x - self.centre, self.axes)

    def expand(self, code: Tensor) -> Tensor:
        """Decode some first components by the linear part alone."""
        axes = self.axes[: code.shape[1]]
        return self.link(F.linear(code, axes.T) + self.centre)

    def decode_prefix(self, code: Tensor) -> Tensor:
        if self.is_linear:
            return self.expand(code)
        if self.is_corrected[code.shape[1] - 1]:
            return self.correct_prefix(code)
        return super().decode_prefix(code)

    def correct_prefix(self, code: Tensor) -> Tensor:
        """Decode the first components of a code, as many as there may be.

        Between two widths the narrower is decoded, and corrected along PCA's axes by
        what the further components are other than those of that answer.
        """
        n_given = code.shape[1]
        if n_given in self.widths:
            return self.decode(code)
        narrow = self.widths[bisect(self.widths, n_given) - 1]
        answer = self.link.inverse(self.decode(code[:, :narrow]))
        further = (code - self.encode(answer)[:, :n_given])[:, narrow:]
        return self.link(answer + F.linear(further, self.axes[narrow:n_given].T))

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        self.network.reset_parameters(generator, torch.zeros_like(output))
        if isinstance(self.network, Dense):
            # Of few inputs, Glorot's weights without biases make units of one kind,
            # which unfold slowly, and one layer never what is odd about the mean.
            draw_evenly(self.network, generator)
        self.network.silence()

    @torch.no_grad()
    def silence(self) -> None:
        self.network.silence()
        self.is_linear.fill_(True)

    @torch.no_grad()
    def become_linear(
        self, axes: Any, centre: Any, deviation: Any, variances: Any, unexplained: Any
    ) -> None:
        """Take a linear code over, as arrays, and silence the network.

        ``deviation`` is that of each feature, ``variances`` are those of the code, and
        ``unexplained`` is the mean over features of the variance that the first 1, 2,
        ... components leave.
        """
        self.axes.copy_(torch.as_tensor(axes))
        self.centre.copy_(torch.as_tensor(centre))
        self.deviation.copy_(torch.as_tensor(deviation))
        missed = torch.as_tensor(unexplained).sqrt()
        ends = [next(w for w in self.widths if w > i) for i in range(len(missed))]
        self.output_scale.copy_(missed * self.link.slope)
        self.code_scale.copy_(missed[torch.tensor(ends) - 1])
        # A component of no variance is free to code what the others miss; what is less
        # than float32 resolves is nothing.
        least = missed[-1] if missed[-1] > 1e-6 else torch.ones_like(missed[-1])
        self.code_deviation.copy_(torch.as_tensor(variances).sqrt().clamp(min=least))
        self.silence()


class Prefix(Network):
    """A network of which only the first components of the code are used."""

    network: Network

    def __init__(self, network: Network, n_components: int) -> None:
        super().__init__()
        self.network, self.widths = network, [n_components]
        self.n_values = network.n_values

    def offset(self, means: Tensor) -> Tensor | None:
        return self.network.offset(means)

    def encode(self, x: Tensor) -> Tensor:
        return self.network.encode(x)[:, : self.widths[0]]

    def encode_scaled(self, x: Tensor) -> Tensor:
        return self.network.encode_scaled(x)[:, : self.widths[0]]

    def decode(self, code: Tensor) -> Tensor:
        return self.network.decode_prefix(code)


def _alternate(
    maps: Sequence[nn.Module], activation: str | Callable[[], nn.Module]
) -> nn.Sequential:
    """Chain maps with an activation between each two."""
    layers: list[nn.Module] = [maps[0]]
    for following in maps[1:]:
        layers += [make_activation(activation), following]
    return nn.Sequential(*layers)
