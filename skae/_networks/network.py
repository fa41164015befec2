"""Networks: modules with two verbs, ``encode`` and ``decode``."""

from bisect import bisect
from typing import Any

import torch
from torch import Tensor, nn

from .links import Link


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

    @classmethod
    def count(cls, **options: Any) -> int:
        """Return about how many weights a network of such arguments has."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode rows."""
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, ...), to codes, shape (n, n_components)."""
        raise NotImplementedError

    def decode(self, code: Tensor) -> Tensor:
        """Map codes of one of the widths back, to the scale of the loss."""
        raise NotImplementedError

    def answer(self, code: Tensor) -> Tensor:
        """Map codes back to standardised rows."""
        return self.link.inverse(self.decode(code))

    @property
    def constant(self) -> Tensor | None:
        """Return which features never varied, if the network keeps count of that."""
        return None

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
    def spread(self) -> float:
        """Return the deviation of codes that the first decoder is made for."""
        return 1.0

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
        guess = self.encode(self.answer(code[:, :narrow]))
        return self.decode(torch.cat([code, guess[:, n_given:wide]], dim=1))

    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw weights with which decoded codes lie about ``output``."""
        raise NotImplementedError

    def zero_last_layers(self) -> None:
        """Change last layers so that every code, and every output, is zero."""
        raise NotImplementedError
