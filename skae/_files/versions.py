"""Which versions wrote an estimator, and what may differ by others."""

import sys
from typing import Any

import torch

from .._machine.callers import warn_caller

PACKAGE = __name__.partition(".")[0]
#: Names under which versions are in the state of an estimator.
SKAE, TORCH = "_skae_version", "_torch_version"


class VersionWarning(UserWarning):
    """Warning that an estimator was saved by another version of skae.

    The versions are in its text.

    See Also
    --------
    load : Loads a file that ``save`` has written.

    Examples
    --------
    In a program that must not use such an estimator, it can be an error:

    >>> import warnings
    >>> from skae import VersionWarning
    >>> warnings.simplefilter("error", VersionWarning)
    """


def versions() -> dict[str, str]:
    """Return the versions of this package and of torch."""
    # torch's is a subclass of str.
    return {SKAE: sys.modules[PACKAGE].__version__, TORCH: str(torch.__version__)}


def check_versions(state: dict[str, Any], owner: str) -> None:
    """Take the versions out of a state, and warn if another skae wrote it."""
    now = versions()
    before = {name: state.pop(name, None) for name in now}
    if before[SKAE] == now[SKAE]:
        return
    skae = f"skae {before[SKAE]}" if before[SKAE] else "an skae that told no version"
    torch = f"torch {before[TORCH]}" if before[TORCH] else "an unknown torch"
    warn_caller(
        f"{owner} was saved by {skae} with {torch}, and is loaded by skae {now[SKAE]} "
        f"with torch {now[TORCH]}. Its answers may differ in the last digits, or where "
        "a later version mended an error. Parameters that are new have their default, "
        "and further training may differ. Compare answers with those before, or fit "
        "again.",
        VersionWarning,
    )
