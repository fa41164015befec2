"""Corruptions ``(x, generator) -> x``: all chance comes from the generator.

Rows are standardised: zero is the mean of a feature, one the root mean squared
deviation over all features.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Corruption = Callable[[Tensor, torch.Generator], Tensor]


def gaussian(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Add normal noise of standard deviation ``level``."""
    noise = torch.randn(x.shape, generator=generator, device=generator.device)
    return torch.add(x, noise.to(x), alpha=level)


def uniform(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Add noise drawn evenly from ``-level`` to ``level``."""
    return torch.add(x, _chances(x, generator).mul_(2).sub_(1), alpha=level)


def masking(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set each entry to zero, the mean of centred data, with chance ``level``."""
    return x * (_chances(x, generator) >= level)


def salt_and_pepper(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set each entry, with chance ``level``, to the batch's least or largest value."""
    chances, (least, largest) = _chances(x, generator), x.aminmax()
    damaged = torch.where(chances < level, largest, x)
    return torch.where(chances < level / 2, least, damaged)


def block(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set a share ``level`` of neighbouring features to zero, anywhere in a row.

    The features are a ring, so that each is hit with the same chance.
    """
    n_features = x.shape[1]
    n_hidden = round(level * n_features)
    first = torch.randint(
        n_features, (len(x), 1), generator=generator, device=generator.device
    ).to(x.device)
    place = torch.arange(n_features, device=x.device)
    return x * ((place - first) % n_features >= n_hidden)


def swap(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Replace entries, with chance ``level``, by the feature's value in other rows."""
    other = torch.randint(
        len(x), x.shape, generator=generator, device=generator.device
    ).to(x.device)
    return torch.where(_chances(x, generator) < level, x.gather(0, other), x)


def _chances(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator, device=generator.device).to(x)


NOISES: dict[str, Callable[..., Tensor]] = {
    "gaussian": gaussian,
    "uniform": uniform,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
    "block": block,
    "swap": swap,
}
#: Those whose level is a chance or a share.
SHARES = {"masking", "salt_and_pepper", "block", "swap"}


def make_corruption(noise: str | Corruption, level: float) -> Corruption | None:
    """Return a corruption by name, or the user's own; None if it does nothing."""
    if not isinstance(noise, str):
        return noise
    return partial(NOISES[noise], level=level) if level else None


def try_out(noise: str | Corruption, n_features: int) -> None:
    """Raise if a function is no corruption."""
    if isinstance(noise, str):
        return
    rows = torch.ones(2, n_features, dtype=torch.float32, device="cpu")
    value, reason = None, ""
    try:
        value = noise(rows.clone(), torch.Generator("cpu").manual_seed(0))
    except Exception as error:
        reason = f" ({error})"
    if not (isinstance(value, Tensor) and value.shape == rows.shape):
        raise TypeError(
            f"noise={noise!r} must make, of a tensor of rows and a torch.Generator, a "
            f"tensor of the same shape; it gave {value!r}{reason}. Use one of "
            f"{sorted(NOISES)} or a function such as lambda x, generator: x + "
            "torch.randn(x.shape, generator=generator)."
        )
