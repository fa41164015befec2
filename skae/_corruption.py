"""Corruptions: rows in, damaged rows out, all chance from the generator given."""

import torch
from torch import Tensor


def gaussian(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation ``level``."""
    noise = torch.empty_like(x).normal_(std=level, generator=generator)
    return x + noise


def masking(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set each entry to zero, the mean of centred data, with chance ``level``."""
    keep = torch.empty_like(x).bernoulli_(1 - level, generator=generator)
    return x * keep
