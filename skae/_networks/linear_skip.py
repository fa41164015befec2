"""The linear part: PCA, beside a network that adds what it misses."""

from bisect import bisect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .dense import Dense, draw_evenly
from .network import Network

# Standard deviations: farther out a network is asked about ever the same place.
FAR = 10.0
# Multiple of the distance to which gains are judged: from there on PCA answers alone.
FADED = 1.5
# Standard deviations: means so near to zero may be subtracted last.
NEAR = 64.0


class LinearSkip(Network):
    """A linear autoencoder ``A``, and a network that adds what it misses.

    ``encode(x) = A (x - c) + s network.encode(near(x - c))`` and
    ``decode(z) = link(A^T z + c) + r network.decode(near(z / d))``: with a silent
    network it is PCA where ``A`` has PCA's axes. ``A`` and ``c`` stay as they are:
    trained too they gained nothing, and lost where rows are few or far out. The
    deviations ``d`` of the codes, and ``r`` and ``s`` of what is missed, make one step
    size right for any spectrum. ``near`` clips what lies farther than ``FAR``
    deviations, and so bounds what is added: an outlier is reconstructed about as PCA
    does. Beyond ``reach``, a distance from ``c``, what is added fades, until it is zero
    at ``FADED`` times of it.
    """

    axes: Tensor
    centre: Tensor
    deviation: Tensor
    code_deviation: Tensor
    code_scale: Tensor
    output_scale: Tensor
    reach: Tensor
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
        reach = torch.full((), torch.inf, dtype=torch.float32, device="cpu")
        self.register_buffer("reach", reach)
        # How prefixes are decoded: along PCA's axes alone, corrected, or by a guess.
        uncorrected = torch.zeros(n_components, dtype=torch.bool, device="cpu")
        self.register_buffer("is_corrected", uncorrected)
        self.register_buffer("is_linear", torch.tensor(False, device="cpu"))

    @property
    def n_products(self) -> int:
        return self.network.n_products

    @property
    def spread(self) -> float:
        return float(self.code_deviation.square().mean().sqrt()) or 1.0

    @property
    def constant(self) -> Tensor | None:
        constant = self.deviation == 0
        return constant if constant.any() else None

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
        missed = self._fade(x, self.network.encode(x.clamp(1e-30 - far, far)))
        return torch.addcmul(F.linear(x, self.axes), self.code_scale, missed)

    def decode(self, code: Tensor) -> Tensor:
        n_given = code.shape[1]
        near = (code / self.code_deviation[:n_given]).clamp(-FAR, FAR)
        # Of a code as of the row that PCA decodes it to.
        missed = self._fade(code, self.network.decode(near))
        scale = self.output_scale[n_given - 1]
        return torch.addcmul(self.expand(code), scale, missed)

    def _fade(self, rows: Tensor, missed: Tensor) -> Tensor:
        """Let what is added to rows, or codes, fade where they are far out."""
        if self.reach.isinf():
            return missed
        farther = torch.linalg.vector_norm(rows, dim=1, keepdim=True) / self.reach
        return ((FADED - farther) / (FADED - 1)).clamp(0, 1) * missed

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
        answer = self.answer(code[:, :narrow])
        further = (code - self.encode(answer)[:, :n_given])[:, narrow:]
        return self.link(answer + F.linear(further, self.axes[narrow:n_given].T))

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        self.network.reset_parameters(generator, torch.zeros_like(output))
        if isinstance(self.network, Dense):
            # Of few inputs, Glorot's weights without biases make units of one kind,
            # which unfold slowly, and one layer never what is odd about the mean.
            draw_evenly(self.network, generator)
        self.network.zero_last_layers()

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        self.network.zero_last_layers()
        self.is_linear.fill_(True)

    @torch.no_grad()
    def become_linear(
        self, axes: Any, centre: Any, deviation: Any, variances: Any, unexplained: Any
    ) -> None:
        """Take a linear code over, as arrays, and zero_last_layers the network.

        ``deviation`` is that of each feature, ``variances`` are those of the code, and
        ``unexplained`` is the mean over features of the variance that the first 1, 2,
        ... components leave.
        """
        self.axes.copy_(torch.as_tensor(axes, device="cpu"))
        self.centre.copy_(torch.as_tensor(centre, device="cpu"))
        self.deviation.copy_(torch.as_tensor(deviation, device="cpu"))
        missed = torch.as_tensor(unexplained, device="cpu").sqrt()
        ends = [next(w for w in self.widths if w > i) for i in range(len(missed))]
        self.output_scale.copy_(missed * self.link.slope)
        self.code_scale.copy_(missed[torch.tensor(ends, device="cpu") - 1])
        # A component of no variance is free to code what the others miss; what is less
        # than float32 resolves is nothing.
        least = missed[-1] if missed[-1] > 1e-6 else torch.ones_like(missed[-1])
        self.code_deviation.copy_(
            torch.as_tensor(variances, device="cpu").sqrt().clamp(min=least)
        )
        self.zero_last_layers()
