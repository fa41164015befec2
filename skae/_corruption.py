"""Corruptions ``(x, generator) -> x``: all chance comes from the generator."""

import torch
from torch import Tensor


def gaussian(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Add normal noise of standard deviation ``level``."""
    noise = torch.randn(x.shape, generator=generator, device=generator.device)
    return x + level * noise.to(x)


def masking(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set each entry to zero, the mean of centred data, with chance ``level``."""
    chance = torch.rand(x.shape, generator=generator, device=generator.device)
    return x * (chance >= level).to(x)
