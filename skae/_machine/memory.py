"""Memory of this machine."""

import os

# A weight, its gradient and a copy for the solver or the best epoch, in float32.
BYTES_OF_A_WEIGHT = 3 * 4


def total_memory() -> int | None:
    """Return the total memory in bytes; None if the system does not tell."""
    names = "SC_PHYS_PAGES", "SC_PAGE_SIZE"
    if not set(names) <= set(getattr(os, "sysconf_names", ())):
        return None
    n_pages, page_size = (os.sysconf(name) for name in names)
    return n_pages * page_size


def check_memory(n_weights: int, what: str) -> None:
    """Raise if ``n_weights`` weights do not fit in memory."""
    needed, total = BYTES_OF_A_WEIGHT * n_weights, total_memory()
    if total is not None and needed > total:
        raise ValueError(
            f"{what} make a network of {n_weights:.3g} weights, which needs at least "
            f"{needed:.3g} bytes to train, but this machine has {total:.3g}. Use fewer "
            "or narrower layers."
        )
