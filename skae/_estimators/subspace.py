"""The space of all reconstructions: few coordinates tell how near a wide row is."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .._networks.network import Network

# Maximum share of columns per feature: coordinates take time, too.
MOST_COLUMNS = 0.5


def few_columns(network: Network) -> Tensor | None:
    """Return columns that span all answers; None if they are not few or unknown."""
    columns = network.answer_columns()
    if columns is None or columns.shape[1] > MOST_COLUMNS * len(columns):
        return None
    return columns


class Subspace(nn.Module):
    """Coordinates that tell distances of rows from a network's answers.

    Answers of a decoder that ends with a linear map differ only along the columns of
    its matrix. Along an orthonormal basis of them, and with one more coordinate for
    what no code reaches, all distances are those between whole rows. ``network`` maps
    codes to the coordinates of their answers, of which the last one is 0.
    """

    basis: Tensor

    def __init__(self, network: Network, columns: Tensor) -> None:
        super().__init__()
        basis, is_constant = _basis(columns, network.constant)
        self.network = network.along(functional.pad(basis, (0, 1)), is_constant)
        self.register_buffer("basis", basis.to(torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return the coordinates of standardised rows."""
        along = x @ self.basis
        beyond = x.square().sum(1, keepdim=True) - along.square().sum(1, keepdim=True)
        return torch.cat([along, beyond.clamp(min=0).sqrt()], dim=1)


def _basis(columns: Tensor, constant: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis of columns, and which coordinates are constant.

    Constant features have coordinates of their own, since codes ignore them.
    """
    if constant is None:
        constant = torch.zeros_like(columns[:, 0], dtype=torch.bool)
    varying, held = (
        torch.linalg.qr(columns[rows].to(torch.float64)).Q
        for rows in (~constant, constant)
    )
    n_varying, n_held = varying.shape[1], held.shape[1]
    basis = varying.new_zeros(len(columns), n_varying + n_held)
    basis[~constant, :n_varying] = varying
    basis[constant, n_varying:] = held
    is_constant = torch.zeros_like(basis[0], dtype=torch.bool)
    is_constant[n_varying:] = True
    return basis, functional.pad(is_constant, (0, 1))
