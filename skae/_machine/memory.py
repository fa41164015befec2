"""How much memory this machine has."""

import os

# A weight, its slope and what a solver or the best epoch keeps of it, in float32.
BYTES_OF_A_WEIGHT = 3 * 4


def total_memory() -> int | None:
    """Return the bytes of memory in all; None where the system does not tell."""
    names = "SC_PHYS_PAGES", "SC_PAGE_SIZE"
    if not set(names) <= set(getattr(os, "sysconf_names", ())):
        return None
    n_pages, page_size = (os.sysconf(name) for name in names)
    return n_pages * page_size


def check_memory(n_weights: int, what: str) -> None:
    """Raise if so many weights cannot be trained here."""
    needed, total = BYTES_OF_A_WEIGHT * n_weights, total_memory()
    if total is not None and needed > total:
        raise ValueError(
            f"{what} make a network of {n_weights:.3g} weights, which needs at least "
            f"{needed:.3g} bytes to train, but this machine has {total:.3g}. Use fewer "
            "or narrower layers."
        )
