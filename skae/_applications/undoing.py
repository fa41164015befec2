"""A fit that fails leaves an estimator as it was before."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def undone_on_error(estimator: Any) -> Iterator[None]:
    """Take back all attributes of an estimator if an error or Ctrl-C ends the block."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
