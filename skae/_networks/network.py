"""Networks: modules with two methods, ``encode`` and ``decode``."""

from bisect import bisect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .links import Link
from .recording import width_of

Map = Callable[[Tensor], Tensor]


class Network(nn.Module):
    """Interface of a network.

    Weights are uninitialised until :meth:`reset_parameters` or ``load_state_dict``.
    ``widths`` are the numbers of first components that it learns to decode. ``link``
    maps reconstructions to the output of ``decode``. ``n_values`` is how many numbers a
    row needs in memory at once: itself, or a layer before and after its activation.
    With ``draws_evenly`` the part beside PCA starts with weights as torch draws them.
    """

    draws_evenly = False
    #: Whether codes determine rows, so that ``decode`` can undo ``encode``.
    is_invertible: ClassVar[bool] = True

    widths: list[int]
    link: Link
    n_values: int

    @classmethod
    def count(cls, **options: Any) -> int:
        """Return the approximate number of weights with these arguments."""
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

    def seen(self, x: Tensor) -> Tensor:
        """Return rows as :meth:`encode` takes them: missing values are 0, the mean."""
        return x.nan_to_num()

    @property
    def maps(self) -> tuple[Map, Map, list[int]]:
        """Return the two maps that are trained, and the widths between them."""
        return self.encode, self.decode, self.widths

    def reconstruct(self, x: Tensor) -> Tensor:
        """Map standardised rows to their reconstructions."""
        return self.answer(self.encode(x))

    @property
    def constant(self) -> Tensor | None:
        """Return which features are constant; None if there are none, or unknown."""
        return None

    def answer_columns(self) -> Tensor | None:
        """Return columns that span all answers, shape (n_features, n).

        None if the decoder does not end with a linear map.
        """
        return None

    def along(self, columns: Tensor, is_constant: Tensor) -> "Network":
        """Return a network whose answers are spanned by other columns.

        They are coordinates of :meth:`answer_columns`, of which ``is_constant`` tells
        those of constant features.
        """
        raise NotImplementedError

    def offset(self, means: Tensor) -> Tensor | None:
        """Return the offset of rows, in units of the scale, for :meth:`encode_scaled`.

        ``means`` are the means of the features in that unit. None if rows must be
        standardised for :meth:`encode`.
        """
        return None

    def encode_scaled(self, x: Tensor) -> Tensor:
        """Map rows to which the :meth:`offset` was added to codes."""
        raise NotImplementedError

    @property
    def spread(self) -> float:
        """Return the standard deviation of codes that the decoder expects at first."""
        return 1.0

    @property
    def n_products(self) -> int:
        """Return the number of multiplications for a row."""
        return sum(w.numel() for w in self.parameters())

    def decode_prefix(self, code: Tensor) -> Tensor:
        """Decode any number of first components of a code.

        Between two widths the narrower one is decoded and encoded again, to estimate
        the missing components of the wider one.
        """
        n_given = width_of(code)
        if n_given in self.widths:
            return self.decode(code)
        following = bisect(self.widths, n_given)
        narrow, wide = self.widths[following - 1], self.widths[following]
        guess = self.encode(self.answer(code[:, :narrow]))
        return self.decode(torch.cat([code, guess[:, n_given:wide]], dim=1))

    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw weights, such that decoded codes are near ``output``."""
        raise NotImplementedError

    def zero_last_layers(self) -> None:
        """Change last layers so that every code, and every output, is zero."""
        raise NotImplementedError
