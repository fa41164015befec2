"""Labels of rows: classes, values or dates, where some may be missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from .._rows.containers import as_array
from ._axes import COLORS, colormap, plain

# Maximum number of classes: a legend of more is longer than a figure.
MOST_CLASSES = 20
MARKERS = "o^"
#: Names of None, of NaN, and of what numpy and pandas use for missing entries.
MISSING = {"None", "nan", "NaT", "<NA>"}
UNLABELLED = {"color": "#bbbbbb", "marker": ".", "label": "unlabelled", "zorder": 0}


@dataclass(frozen=True)
class Labels:
    """A class or a value of each row.

    Attributes
    ----------
    known : ndarray of shape (n_known,)
        Labels, without the missing ones. Dates are in days since 1970.
    is_known : ndarray of bool, shape (n_samples,)
        Rows that have a label.
    are_classes, are_dates : bool
        What the labels are. If they are neither, they are values.
    """

    known: np.ndarray
    is_known: np.ndarray
    are_classes: bool
    are_dates: bool

    @property
    def values(self) -> np.ndarray:
        """Value of each row, NaN where it is missing."""
        values = np.full(len(self.is_known), np.nan)
        values[self.is_known] = self.known
        return values

    @property
    def axis_label(self) -> str:
        """Label of an axis of the values."""
        n_missing = int((~self.is_known).sum())
        return f"y, unlabelled in {n_missing} rows" if n_missing else "y"

    def parts(self) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Yield rows that look alike, and the options of their dots."""
        if self.are_classes:
            yield from self._classes()
        else:
            yield self.is_known, {"c": self.known, "cmap": colormap()}
        if not self.is_known.all():
            yield ~self.is_known, UNLABELLED

    def _classes(self) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        distinct, index = np.unique(self.known, return_inverse=True)
        for i, label in enumerate(distinct):
            name = f"{label:.0f}" if self.known.dtype.kind == "f" else plain(label)
            is_in = self.is_known.copy()
            is_in[self.is_known] = index == i
            style = {"color": COLORS[i % len(COLORS)], "label": name}
            yield is_in, style | {"marker": MARKERS[i // len(COLORS)]}


def read_labels(y: Any, codes: np.ndarray) -> Labels:
    """Return the labels of codes, or raise if they cannot be drawn."""
    is_masked = np.ma.isMaskedArray(y)
    given = np.ma.getdata(y) if is_masked else as_array(y, allow_nan=True, owner="")
    given = column_or_1d(given)
    check_consistent_length(codes, given)
    is_known = ~_are_missing(given)
    if is_masked:
        is_known &= ~np.ma.getmaskarray(y).ravel()
    known, are_dates = _inferred(given[is_known])
    are_classes = not are_dates and _are_classes(known)
    return Labels(known, is_known, are_classes, are_dates)


def _are_missing(y: np.ndarray) -> np.ndarray:
    if y.dtype.kind in "fM":
        return np.isnan(y)
    if y.dtype.kind not in "OT":
        return np.zeros(len(y), dtype=bool)
    are = [not isinstance(label, str) and str(label) in MISSING for label in y]
    return np.array(are, dtype=bool)


def _inferred(known: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return labels as booleans, numbers or text, and whether they are dates."""
    known = np.array(known.tolist()) if known.dtype.kind == "O" else known
    if known.dtype.kind == "O" and all(isinstance(v, Number) for v in known):
        known = known.astype(np.float64)
    of_dates = known.dtype.kind == "O" and all(isinstance(v, date) for v in known)
    if known.dtype.kind == "M" or of_dates:
        return import_module("matplotlib.dates").date2num(known), True
    if known.dtype.kind == "m":
        raise TypeError(
            f"y has the dtype {known.dtype}: pass numbers, such as "
            "y / np.timedelta64(1, 's')."
        )
    return (known.astype(str) if known.dtype.kind == "O" else known), False


def _are_classes(known: np.ndarray) -> bool:
    """Whether labels are of few kinds: text, booleans or few distinct integers."""
    distinct, is_number = np.unique(known), known.dtype.kind in "iuf"
    if is_number and np.isinf(distinct).any():
        raise ValueError(
            f"y is infinite in {int(np.isinf(known).sum())} rows: replace it by a "
            "number, or by NaN, which is drawn as unlabelled."
        )
    if is_number:
        is_whole = bool((distinct == distinct.round()).all())
        return len(distinct) <= MOST_CLASSES and is_whole
    if len(distinct) > MOST_CLASSES:
        raise ValueError(
            f"y has {len(distinct)} classes, such as {str(distinct[0])!r}, but "
            f"{MOST_CLASSES} at most can be told apart: pass numbers to draw values, "
            "or None for the rows of rare classes, which are drawn as unlabelled."
        )
    return True
