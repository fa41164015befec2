"""Text and integers that are no floats in the rows: an error names them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .containers import column_names


@contextmanager
def named_text(X: Any) -> Iterator[None]:
    """Name columns of text, if numpy fails because of them."""
    try:
        yield
    except OverflowError as error:
        raise ValueError(
            "X holds an integer that is larger than any float, 1.8e308: divide it, or "
            "take its logarithm."
        ) from error
    except ValueError as error:
        if not (text := _find_text(X)):
            raise
        first, *others = text
        more = f", and so do {', '.join(map(repr, others))}" if others else ""
        raise ValueError(
            f"Column {first!r} of X holds {text[first]!r}, which is not a "
            f"number{more}: encode text first, with OneHotEncoder or OrdinalEncoder of "
            "sklearn.preprocessing, or use the methods of TableAE, which take it."
        ) from error


def _find_text(X: Any) -> dict[Any, Any]:
    """Return the first text of each column that has some, by the column's name."""
    try:
        rows = np.asarray(X, dtype=object)
    except (RuntimeError, TypeError):
        # Tensors that numpy cannot read contain no text.
        return {}
    if rows.ndim != 2:
        return {}
    names = column_names(X, rows.shape[1])
    firsts = ((n, _first_text(c)) for n, c in zip(names, rows.T, strict=True))
    return {name: text for name, text in firsts if text is not None}


def _first_text(column: np.ndarray) -> str | None:
    texts = (value for value in column if isinstance(value, str))
    return next((str(text) for text in texts if not _is_number(text)), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
