"""Objectives: ``mean_i loss(x_i, decode(encode(corrupt(x_i)))) + alpha * penalty``."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .._machine.precision import rounded_products
from .._machine.processes import on_whole_batch
from .losses import Loss

#: ``(network, rows as the network sees them, generator) -> (code, penalty)``.
Penalty = Callable[[Any, Tensor, torch.Generator], tuple[Tensor, Tensor]]


class Objective(nn.Module):
    """What is minimised: a loss, and what a regularised autoencoder adds to it."""

    #: Whether it does not change during training; else the last weights are best.
    is_stationary = True
    #: Whether ``errors`` judge held-out rows, not their unexplained variance.
    judges = False
    #: What is added to them, so that they are positive.
    offset = 0.0
    #: Number of columns after each row of a batch: its place on a map, which the
    #: encoder learns and the decoder inverts.
    n_given = 0
    #: Deviation of the codes on the map.
    spread = 1.0
    #: How products are rounded while training.
    precision = "float32"

    def __init__(
        self,
        loss: Loss,
        corrupt: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        penalty: Penalty | None = None,
        alpha: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.corrupt = corrupt
        self.penalty = penalty
        self.alpha = alpha

    @property
    def is_repeatable(self) -> bool:
        """Whether each batch undergoes the same operations, all of them on the device.

        Penalties and corruptions draw numbers on the processor, or change.
        """
        return type(self) is Objective and self.corrupt is None and self.penalty is None

    def training_loss(
        self, network: Any, batch: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of a batch, to be differentiated."""
        # A context that does nothing would cost noticeable time in a small network.
        if self.precision != "bfloat16":
            return self.forward(network, batch, generator)
        with rounded_products(self.precision, batch.device):
            return self.forward(network, batch, generator)

    def forward(
        self, network: Any, batch: Tensor, generator: torch.Generator
    ) -> Tensor:
        x, place = self.parts(batch)
        seen = self.corrupted(x, generator)
        code, penalty = self.encode(network, seen, generator)
        decoded = code if place is None else place
        loss = self.reconstruction_loss(network, decoded, x, seen)
        # Adding zero would cost noticeable time in a small network.
        if self.penalty is not None:
            loss = loss + penalty
        if place is not None:
            missed = (code - place) / self.spread
            loss = loss + missed.square().sum(1).mean()
        return loss

    def parts(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return rows, and their places on a map if there is one."""
        if not self.n_given:
            return batch, None
        return batch[:, : -self.n_given], batch[:, -self.n_given :]

    def corrupted(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return rows as the network sees them."""
        if (corrupt := self.corrupt) is None:
            return x
        # Noise depends on the other rows of the batch.
        return on_whole_batch(lambda rows: corrupt(rows, generator), x)

    def encode(
        self, network: Any, seen: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Any]:
        """Return codes, and the penalty with its weight."""
        if self.penalty is None:
            return network.encode(seen), 0.0
        code, penalty = self.penalty(network, seen, generator)
        return code, self.penalty_weight() * penalty

    def penalty_weight(self) -> Any:
        """Return the penalty's weight."""
        return self.alpha

    def errors(
        self, network: Any, x: Tensor, seen: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return a positive number for each row, (n, 1), that training should lower."""
        raise NotImplementedError

    def overall(self, errors: Tensor) -> float:
        """Sum up ``errors`` of rows: a number whose relative changes count."""
        return errors.mean().item()

    def advance(self, network: Any, share: float) -> None:
        """Update what depends on the share of training that is done."""

    def entry_weights(self, x: Tensor, seen: Tensor) -> Tensor | None:
        """Return the weight of each entry; None if all are equal."""
        return None

    def reconstruction_loss(
        self, network: Any, code: Tensor, x: Tensor, seen: Tensor
    ) -> Tensor:
        """Return the loss of the decoded code."""
        return self.loss.forward(network.decode(code), x)
