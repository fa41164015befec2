"""Linear skip connection: PCA, plus a network that adds what PCA misses."""

from bisect import bisect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .dense import draw_evenly
from .network import Network
from .recording import is_recorded, width_of

# In standard deviations: inputs of the network are clipped there.
FAR = 10.0
# Multiple of ``reach`` beyond which only PCA reconstructs.
FADED = 1.5
# In standard deviations: means closer to zero may be subtracted last.
NEAR = 64.0


class LinearSkip(Network):
    """A linear autoencoder ``A`` plus a network that adds what it misses.

    ``encode(x) = A (x - c) + s network.encode(near(x - c))`` and ``decode(z) = link(A^T
    z + c) + r network.decode(near(z / d))``: if the network's output is zero, it is
    PCA, since ``A`` has PCA's axes. ``A`` and ``c`` are not trained: training them
    gained nothing, and was worse for few rows and outliers. The deviations ``d`` of the
    codes, and ``r`` and ``s`` of PCA's errors, make one step size suitable for any
    spectrum. ``near`` clips at ``FAR`` deviations, which bounds the network's part: an
    outlier is reconstructed about as by PCA. Beyond the distance ``reach`` from ``c``
    the network's part fades, and is zero at ``FADED`` times ``reach``.
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
        #: ``reach`` on a GPU, its version, and whether it was finite.
        self._asked: tuple[Tensor | None, int, bool] = (None, 0, False)
        # How prefixes are decoded: by PCA's axes only, corrected, or by an estimate.
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

    def answer_columns(self) -> Tensor | None:
        columns = self.network.answer_columns()
        if columns is None:
            return None
        return torch.cat([self.axes.T, self.centre[:, None], columns], dim=1)

    def along(self, columns: Tensor, is_constant: Tensor) -> Network:
        axes, centre = columns[:, : len(self.axes)].T, columns[:, len(self.axes)]
        inner = self.network.along(columns[:, len(self.axes) + 1 :], is_constant)
        found = LinearSkip(inner, len(axes), len(columns))
        for name in ("code_deviation", "output_scale", "reach"):
            setattr(found, name, getattr(self, name))
        found.axes, found.centre = axes, centre
        found.deviation = (~is_constant).to(axes)
        return found

    def offset(self, means: Tensor) -> Tensor | None:
        # Division rounds a feature relative to its mean, not to its deviation. A
        # constant feature is rounded like its mean.
        deviation = self.deviation.to(means)
        is_near = (means.abs() <= NEAR * deviation) | (deviation == 0)
        return -(means + self.centre.to(means)) if is_near.all() else None

    def encode(self, x: Tensor) -> Tensor:
        return self.encode_scaled(x - self.centre)

    def encode_scaled(self, x: Tensor) -> Tensor:
        missed = self._fade(x, self.network.encode(self.near(x)))
        return torch.addcmul(F.linear(x, self.axes), self.code_scale, missed)

    def near(self, x: Tensor) -> Tensor:
        """Return centred rows as the network sees them: clipped."""
        far = FAR * self.deviation
        # A constant feature must have no effect if it varies later: its crossed bounds
        # make it zero, and its gradient too.
        return x.clamp(1e-30 - far, far)

    def decode(self, code: Tensor) -> Tensor:
        n_given = width_of(code)
        near = (code / self.code_deviation[:n_given]).clamp(-FAR, FAR)
        # A code fades like the row that PCA decodes it to.
        missed = self._fade(code, self.network.decode(near))
        scale = self.output_scale[n_given - 1]
        return torch.addcmul(self.expand(code), scale, missed)

    def _fade(self, rows: Tensor, missed: Tensor) -> Tensor:
        """Let the network's part fade for rows, or codes, that are far out."""
        if not is_recorded() and not self._is_bounded():
            return missed
        farther = torch.linalg.vector_norm(rows, dim=1, keepdim=True) / self.reach
        faded = ((FADED - farther) / (FADED - 1)).clamp(0, 1) * missed
        if not is_recorded():
            return faded
        return torch.where(self.reach.isinf(), missed, faded)

    def _is_bounded(self) -> bool:
        """Whether ``reach`` is finite. A GPU is asked only once, for it would wait."""
        if not self.reach.is_cuda:
            return not self.reach.isinf()
        version = -1 if self.reach.is_inference() else self.reach._version
        if self._asked[0] is not self.reach or self._asked[1] != version:
            self._asked = self.reach, version, not self.reach.isinf()
        return self._asked[2]

    def project(self, x: Tensor) -> Tensor:
        """Encode by the linear part only."""
        return F.linear(x - self.centre, self.axes)

    def expand(self, code: Tensor) -> Tensor:
        """Decode some first components by the linear part only."""
        axes = self.axes[: width_of(code)]
        return self.link(F.linear(code, axes.T) + self.centre)

    def decode_prefix(self, code: Tensor) -> Tensor:
        is_corrected = self.is_corrected[width_of(code) - 1]
        if is_recorded():
            answer = torch.where(
                is_corrected, self.correct_prefix(code), super().decode_prefix(code)
            )
            return torch.where(self.is_linear, self.expand(code), answer)
        if self.is_linear:
            return self.expand(code)
        if is_corrected:
            return self.correct_prefix(code)
        return super().decode_prefix(code)

    def correct_prefix(self, code: Tensor) -> Tensor:
        """Decode any number of first components of a code.

        Between two widths the narrower one is decoded. Its reconstruction is encoded,
        and the differences of the further components are added along PCA's axes.
        """
        n_given = width_of(code)
        if n_given in self.widths:
            return self.decode(code)
        narrow = self.widths[bisect(self.widths, n_given) - 1]
        answer = self.answer(code[:, :narrow])
        further = (code - self.encode(answer)[:, :n_given])[:, narrow:]
        return self.link(answer + F.linear(further, self.axes[narrow:n_given].T))

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        self.network.reset_parameters(generator, torch.zeros_like(output))
        if self.network.draws_evenly:
            # With few inputs, Glorot weights without biases make similar units, which
            # learn slowly, and a single layer cannot learn odd functions about the
            # mean.
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
        """Copy a linear code from arrays, and set the network's output to zero.

        ``deviation`` is that of each feature, ``variances`` are those of the code, and
        ``unexplained`` is the unexplained variance with 1, 2, ... components, averaged
        over features.
        """
        self.axes.copy_(torch.as_tensor(axes, device="cpu"))
        self.centre.copy_(torch.as_tensor(centre, device="cpu"))
        self.deviation.copy_(torch.as_tensor(deviation, device="cpu"))
        missed = torch.as_tensor(unexplained, device="cpu").sqrt()
        ends = [next(w for w in self.widths if w > i) for i in range(len(missed))]
        self.output_scale.copy_(missed * self.link.slope)
        self.code_scale.copy_(missed[torch.tensor(ends, device="cpu") - 1])
        # A component without variance may code what the others miss. Values below the
        # resolution of float32 count as zero.
        least = missed[-1] if missed[-1] > 1e-6 else torch.ones_like(missed[-1])
        self.code_deviation.copy_(
            torch.as_tensor(variances, device="cpu").sqrt().clamp(min=least)
        )
        self.zero_last_layers()
