"""Corruptions ``(x, generator) -> x``: all randomness comes from the generator.

Rows are standardised: zero is the mean of a feature, one the root mean squared
deviation over all features.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from .._machine.processes import drawn
from .._rows.checks import described

# Number of rows that give values to a row: one for each feature would be slow.
N_DONORS = 32
Corruption = Callable[[Tensor, torch.Generator], Tensor]


def gaussian(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Add normal noise of standard deviation ``level``."""
    return torch.add(x, standard_normal(x, generator), alpha=level)


def uniform(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Add noise drawn evenly from ``-level`` to ``level``."""
    noise = torch.rand(x.shape, **_drawn_by(generator))
    return torch.add(x, noise.mul_(2).sub_(1).to(x), alpha=level)


def masking(
    x: Tensor, generator: torch.Generator, *, level: float, masked: Tensor
) -> Tensor:
    """Set entries, with probability ``level``, to ``masked``: zero in the data."""
    (hits,) = _hits(x, generator, level)
    return _replace(x, hits, masked.to(x).view(x.shape[1:]))


def gaps(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set each entry to zero, the mean, with probability ``level``."""
    (hits,) = _hits(x, generator, level)
    return _replace(x, hits, 0.0)


def salt_and_pepper(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set entries, with probability ``level``, to the batch's minimum or maximum."""
    hits, half = _hits(x, generator, level, level / 2)
    least, largest = x.aminmax()
    return _replace(x, hits, largest).add_(half * (least - largest))


def block(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Set a share ``level`` of adjacent features to zero, anywhere in a row.

    The features of flat rows form a ring, so that each has the same probability. In
    images (n, channels, ...sizes) it is a box, in all channels.
    """
    is_flat = x.ndim == 2
    sizes = x.shape[1:] if is_flat else x.shape[2:]
    hits = torch.ones((), dtype=torch.bool, device=x.device)
    for axis, size in enumerate(sizes):
        length = max(1, round(level ** (1 / len(sizes)) * size)) if level else 0
        n_starts = size if is_flat else size - length + 1
        first = _draw(n_starts, (len(x), 1), generator).to(x.device)
        place, last = torch.arange(size, device=x.device), first + length
        along = (place >= first) & (place < last) | (place < last - size)
        shape = [len(x), *(1 for _ in x.shape[1:])]
        shape[x.ndim - len(sizes) + axis] = size
        hits = hits & along.view(shape)
    return _replace(x, hits, 0.0)


def swap(x: Tensor, generator: torch.Generator, *, level: float) -> Tensor:
    """Replace entries, with probability ``level``, by those of another row.

    The other row comes a random number of rows later, drawn for each feature, or for
    each of 32 groups of adjacent features. This is enough, because batches are
    shuffled.
    """
    flat = x.flatten(1)
    groups = flat.tensor_split(min(N_DONORS, flat.shape[1]), dim=1)
    other = _of_other_rows(groups, generator).view_as(x)
    (hits,) = _hits(x, generator, level)
    return _replace(x, hits, other)


def swap_columns(
    x: Tensor, generator: torch.Generator, *, level: float, sizes: Sequence[int]
) -> Tensor:
    """Replace whole columns, of several adjacent entries each, as ``swap`` does."""
    bounds = list(accumulate(sizes))[:-1]
    other = _of_other_rows(x.tensor_split(bounds, dim=1), generator)
    return _replace(x, _column_hits(x, generator, level, sizes), other)


def hide_columns(
    x: Tensor, generator: torch.Generator, *, level: float, sizes: Sequence[int]
) -> Tensor:
    """Set whole columns to zero, the mean, as ``gaps`` does."""
    return _replace(x, _column_hits(x, generator, level, sizes), 0.0)


def _column_hits(
    x: Tensor, generator: torch.Generator, level: float, sizes: Sequence[int]
) -> Tensor:
    (hits,) = _hits(x[:, : len(sizes)], generator, level)
    repeats = torch.tensor(sizes, device=hits.device)
    return hits.repeat_interleave(repeats, dim=1)


def _of_other_rows(groups: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Return groups of features, each from rows that come a random number later."""
    n_rows = len(groups[0])
    ahead = _draw(n_rows, (len(groups),), generator).tolist()
    return torch.cat(
        [group.roll(-n, dims=0) for n, group in zip(ahead, groups, strict=True)], dim=1
    )


def _replace(x: Tensor, hits: Tensor, values: Tensor | float) -> Tensor:
    """Like ``torch.where``, in half of its time."""
    kept = x * ~hits
    return kept if isinstance(values, float) and not values else kept + hits * values


def standard_normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw normal numbers of the shape of ``x``; its last dimension but one is rows."""
    options = _drawn_by(generator)
    return drawn(lambda shape: torch.randn(shape, **options), x.shape, x.ndim - 2).to(x)


def _drawn_by(generator: torch.Generator) -> dict[str, Any]:
    """Return options with which torch draws the same floats for any of its defaults."""
    return {
        "generator": generator,
        "device": generator.device,
        "dtype": torch.float32,
    }


def _draw(n: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(n, shape, generator=generator, device=generator.device)


def _hits(x: Tensor, generator: torch.Generator, *chances: float) -> list[Tensor]:
    """Return which entries are hit with each probability; lower ones hit a subset.

    16 random bits per entry take a third of the time of a random number.
    """
    n_words = -(-x.numel() // 4)
    words = torch.empty(n_words, dtype=torch.int64, device=generator.device)
    words.random_(torch.iinfo(torch.int64).min, None, generator=generator)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape).to(x.device, torch.int32)
    return [bits < round(chance * 2**16) - 2**15 for chance in chances]


NOISES: dict[str, Callable[..., Tensor]] = {
    "gaussian": gaussian,
    "uniform": uniform,
    "masking": masking,
    "gaps": gaps,
    "salt_and_pepper": salt_and_pepper,
    "block": block,
    "swap": swap,
}
#: Those whose level is a probability or a share.
SHARES = {"masking", "gaps", "salt_and_pepper", "block", "swap"}


def make_corruption(
    noise: str | Corruption, level: float, zeros: Tensor
) -> Corruption | None:
    """Return a corruption by name, or the user's own; None if it does nothing.

    ``zeros`` is a row of zeros in the data's unit, standardised.
    """
    if not isinstance(noise, str):
        return partial(_checked, noise=noise)
    # torch takes no boolean for a number.
    level = float(level)
    if not level:
        return None
    if noise == "masking":
        # Off by a rounding error, so that a masked zero differs from another zero:
        # corrupted entries may have a larger weight.
        masked = torch.where(zeros == 0, 1e-30, zeros)
        masked = torch.nextafter(masked, 2 * masked)
        return partial(masking, level=level, masked=masked)
    return partial(NOISES[noise], level=level)


def of_images(
    x: Tensor,
    generator: torch.Generator,
    *,
    corrupt: Corruption,
    shape: tuple[int, ...],
) -> Tensor:
    """Corrupt flat rows as images (channels, ...sizes)."""
    return corrupt(x.view(-1, *shape), generator).flatten(1)


def _checked(x: Tensor, generator: torch.Generator, *, noise: Corruption) -> Tensor:
    """Return the output of the user's function for a copy of the rows."""
    try:
        # On the generator's device, so that one function works on all devices.
        seen, reason = noise(x.to("cpu", copy=True), generator), ""
    except Exception as error:
        raise TypeError(_what_noise_is(noise, f"it raised {error!r}")) from error
    if not isinstance(seen, Tensor):
        reason = f"it gave {described(seen)}"
    elif seen.shape != x.shape:
        reason = f"it gave the shape {tuple(seen.shape)} for {tuple(x.shape)}"
    elif seen.is_complex() or seen.layout != x.layout:
        reason = "it gave one that is complex or sparse"
    elif not seen.isfinite().all():
        reason = "it gave NaN or infinite values"
    if reason:
        raise TypeError(_what_noise_is(noise, reason))
    return seen.detach().to(x)


def _what_noise_is(noise: Corruption, reason: str) -> str:
    return (
        f"noise={noise!r} must map a tensor of rows and a torch.Generator to a tensor "
        f"of finite rows of the same shape; {reason}. Use one of {sorted(NOISES)} or a "
        "function such as lambda x, generator: x + torch.randn(x.shape, "
        "generator=generator)."
    )
