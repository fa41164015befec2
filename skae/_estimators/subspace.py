"""The space of all reconstructions: few coordinates tell how near a wide row is."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from .._networks.network import Network

# Maximum share of columns per feature: coordinates take time, too.
MOST_COLUMNS = 0.5


@dataclass(frozen=True, eq=False)
class Subspace:
    """Coordinates that tell distances of rows from a network's answers.

    Answers of a decoder that ends with a linear map differ only along the columns of
    its matrix. Along an orthonormal basis of them, and with one more coordinate for
    what no code reaches, all distances are those between whole rows. What constant
    features are beyond the basis is left out, since no code changes it.
    """

    #: Columns that span all answers, shape (n_features, n_columns).
    columns: Tensor
    #: Which features are constant.
    constant: Tensor
    #: Orthonormal columns, shape (n_features, n_coordinates - 1).
    basis: Tensor
    #: Coordinates of ``columns``, of which the last one is 0.
    coordinates: Tensor
    #: Which coordinates are those of constant features.
    is_constant: Tensor

    @classmethod
    def of(cls, network: Network, kept: Self | None = None) -> Self | None:
        """Return the space of a network's answers; None if it is not small, or unknown.

        An earlier one is kept as long as it is the same.
        """
        columns = network.answer_columns()
        if columns is None or columns.shape[1] > MOST_COLUMNS * len(columns):
            return None
        constant = network.constant
        if constant is None:
            constant = torch.zeros_like(columns[:, 0], dtype=torch.bool)
        if kept is not None and kept._is_of(columns, constant):
            return kept
        return cls(columns, constant, *_coordinates(columns, constant))

    def _is_of(self, columns: Tensor, constant: Tensor) -> bool:
        is_same = torch.equal(columns, self.columns)
        return is_same and torch.equal(constant, self.constant)

    def along(self, network: Network) -> Network:
        """Return a network that decodes to the coordinates of answers."""
        return network.along(self.coordinates, self.is_constant)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the coordinates of standardised rows."""
        along = x @ self.basis
        whole, reached = x[:, ~self.constant], along[:, ~self.is_constant[:-1]]
        beyond = whole.square().sum(1, keepdim=True)
        beyond = beyond - reached.square().sum(1, keepdim=True)
        return torch.cat([along, beyond.clamp(min=0).sqrt()], dim=1)


def _coordinates(columns: Tensor, constant: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a basis of columns, their coordinates, and which of these are constant.

    Constant features have coordinates of their own, since codes ignore them.
    """
    # Not every device has float64.
    exact, is_held = columns.cpu().to(torch.float64), constant.cpu()
    varying, held = (torch.linalg.qr(exact[rows]).Q for rows in (~is_held, is_held))
    n_varying, n_held = varying.shape[1], held.shape[1]
    basis = exact.new_zeros(len(exact), n_varying + n_held)
    basis[~is_held, :n_varying] = varying
    basis[is_held, n_varying:] = held
    is_constant = torch.zeros_like(basis[0], dtype=torch.bool)
    is_constant[n_varying:] = True
    coordinates = functional.pad(basis.T @ exact, (0, 0, 0, 1))
    return (
        basis.to(columns),
        coordinates.to(columns),
        functional.pad(is_constant, (0, 1)).to(columns.device),
    )
