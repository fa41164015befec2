"""Prefixes: the first components of a code, used alone."""

from torch import Tensor

from .network import Network


def prefix_widths(n_components: int) -> list[int]:
    """Return 1, 2, 4, ... and ``n_components``."""
    return [*(2**i for i in range((n_components - 1).bit_length())), n_components]


class Prefix(Network):
    """A network that uses only the first components of its code."""

    network: Network

    def __init__(self, network: Network, n_components: int) -> None:
        super().__init__()
        self.network, self.widths = network, [n_components]
        self.link, self.n_values = network.link, network.n_values

    @property
    def constant(self) -> Tensor | None:
        return self.network.constant

    def offset(self, means: Tensor) -> Tensor | None:
        return self.network.offset(means)

    def encode(self, x: Tensor) -> Tensor:
        return self.network.encode(x)[:, : self.widths[0]]

    def encode_scaled(self, x: Tensor) -> Tensor:
        return self.network.encode_scaled(x)[:, : self.widths[0]]

    def decode(self, code: Tensor) -> Tensor:
        return self.network.decode_prefix(code)
