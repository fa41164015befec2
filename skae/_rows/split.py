"""Rows to train on, and rows to hold out."""

import torch
from torch import Tensor

# Minimum number of held-out rows, if there are three times as many rows.
LEAST_HELD_OUT = 10


def n_held_out(n_rows: int, fraction: float) -> int:
    """Return how many rows to hold out; a fraction of zero is none."""
    few = max(1, min(LEAST_HELD_OUT, n_rows // 3))
    return max(few, int(fraction * n_rows)) if fraction else 0


def hold_out(n_rows: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return indices of rows to train on and of rows to hold out, chosen by a seed.

    The same seed holds out the same rows in further training.
    """
    if not fraction:
        return torch.arange(n_rows, device="cpu"), torch.arange(0, device="cpu")
    generator = torch.Generator("cpu").manual_seed(seed)
    order = torch.randperm(n_rows, generator=generator, device="cpu")
    n_validation = n_held_out(n_rows, fraction)
    # Sorted, because they may be read from a file.
    return order[n_validation:].sort().values, order[:n_validation].sort().values
