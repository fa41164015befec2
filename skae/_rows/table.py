"""Columns of mixed kinds as flat rows of numbers, in which each column counts alike."""

from collections import Counter
from dataclasses import dataclass, field
from numbers import Number
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from scipy.special import ndtr, ndtri
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from .checks import check_rows
from .containers import as_array
from .frames import (
    BOOLEAN,
    CATEGORY,
    NUMBER,
    NUMBERS,
    Column,
    is_frame,
    read_columns,
)
from .statistics import column_extremes, column_means, root_mean_square

# Levels that are kept of a column, the most frequent ones.
MOST_LEVELS = 255
N_QUANTILES = 1000
# Least probability of a quantile: normal scores are then at most 5.2.
LEAST_SHARE = 1e-7
# A column that is almost constant counts as if so many rows had another level.
LEAST_RARE = 0.01
FARTHEST = float(np.finfo(np.float32).max)
# Floats do not tell larger integers apart.
LARGEST_INTEGER = 2**53


@dataclass(frozen=True, eq=False)
class ColumnCode:
    """How one column becomes entries of a row, in units of its deviation.

    A number is one entry. Two levels are one entry too, which is larger for the second
    level, and more levels have an entry each. Missing values are NaN. A column that
    does not vary is one entry, 0.
    """

    name: Any
    #: "number", "boolean" or "category".
    kind: str
    mean: float = 0.0
    deviation: float = 0.0
    #: Values whose normal scores are evenly likely; None for numbers as they are.
    quantiles: np.ndarray | None = None
    levels: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    #: Shares of the levels.
    shares: np.ndarray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def learn(cls, column: Column, *, by_quantiles: bool) -> Self:
        """Measure a column of training rows."""
        if column.kind == NUMBER:
            return cls._of_numbers(column, by_quantiles)
        counts = Counter(column.values[~_missing(column)].tolist())
        order = sorted(counts) if column.levels is None else column.levels
        frequent = {level for level, _ in counts.most_common(MOST_LEVELS)}
        kept = [level for level in order if level in frequent]
        levels = np.empty(len(kept), dtype=object)
        levels[:] = list(map(bool, kept)) if column.kind == BOOLEAN else kept
        shares = np.array([counts[level] for level in kept], dtype=np.float64)
        shares /= max(1.0, shares.sum())
        mean = np.nan
        return cls(column.name, column.kind, mean, levels=levels, shares=shares)

    @classmethod
    def _of_numbers(cls, column: Column, by_quantiles: bool) -> Self:
        values = column.values[~np.isnan(column.values), np.newaxis]
        if not len(values):
            return cls(column.name, NUMBER, mean=np.nan)
        low, high = (float(end[0]) for end in column_extremes(values))
        if low == high:
            return cls(column.name, NUMBER, mean=low)
        quantiles = None
        if by_quantiles:
            shares = np.linspace(0, 1, min(N_QUANTILES, len(values)))
            quantiles = np.quantile(values[:, 0], shares)
            values = _scores(values, quantiles)
        mean = column_means(values)
        deviation = root_mean_square(values, mean)
        return cls(column.name, NUMBER, float(mean[0]), deviation, quantiles)

    @property
    def varies(self) -> bool:
        """Whether the column has different values."""
        return self.deviation > 0 or len(self.levels) > 1

    @property
    def is_empty(self) -> bool:
        """Whether the column had no value."""
        return not len(self.levels) and np.isnan(self.mean)

    @property
    def size(self) -> int:
        """Return the number of entries."""
        return 1 if len(self.levels) <= 2 else len(self.levels)

    @property
    def unit(self) -> float:
        """Return the size of an entry where a level is present; NaN for no levels."""
        if len(self.levels) < 2:
            return np.nan
        spread = float((self.shares * (1 - self.shares)).sum())
        least = LEAST_RARE * (1 - LEAST_RARE)
        spread = spread / 2 if self.size == 1 else spread
        return float(1 / np.sqrt(max(spread, least)))

    @property
    def prior(self) -> float:
        """Return the loss of the best constant: a variance, or an entropy."""
        if len(self.levels) < 2:
            return 1.0
        rare = np.array([LEAST_RARE, 1 - LEAST_RARE])
        least = -(rare * np.log(rare)).sum()
        return float(max(least, -(self.shares * np.log(self.shares)).sum()))

    def encode(self, column: Column) -> np.ndarray:
        """Return the entries of each row; NaN if missing or not among the levels."""
        # A column that was empty in fit has no kind.
        if self.is_empty:
            return np.zeros((len(column.values), 1))
        column = self._of_own_kind(column)
        if not self.varies:
            return np.where(_missing(column), np.nan, 0.0)[:, np.newaxis]
        if self.kind == NUMBER:
            return self._standardised(column.values[:, np.newaxis])
        places = self._places(column)
        entries = places[:, np.newaxis] == np.arange(len(self.levels))
        entries = entries[:, 1:] if self.size == 1 else entries
        return np.where(places[:, np.newaxis] < 0, np.nan, self.unit * entries)

    def _of_own_kind(self, column: Column) -> Column:
        """Return a column as one of categories or of numbers, or raise."""
        if self.kind == CATEGORY:
            return column.as_category()
        if column.kind == CATEGORY:
            column = self._of_objects(column)
        if self.kind == BOOLEAN:
            self._check_boolean(column.values)
        return column

    def _of_objects(self, column: Column) -> Column:
        """Return objects as numbers, or raise if one is none."""
        for value in column.values[~_missing(column)]:
            if not isinstance(value, Number):
                raise ValueError(
                    f"Column {self.name!r} of X holds {value!r}, but it held "
                    f"{self.kind}s in fit: convert it to {self.kind}s, or name it in "
                    "categorical_features and fit again."
                )
        # The missing ones are None.
        return Column(column.name, self.kind, column.values.astype(np.float64))

    def _check_boolean(self, values: np.ndarray) -> None:
        """Raise if numbers in place of booleans are others than 0, 1 and NaN."""
        is_other = ~(np.isin(values, (0, 1)) | np.isnan(values))
        if is_other.any():
            raise ValueError(
                f"Column {self.name!r} of X holds {values[is_other][0]:g}, but it held "
                "booleans in fit: convert it to booleans, or to 0 and 1."
            )

    @np.errstate(over="ignore")
    def _standardised(self, values: np.ndarray) -> np.ndarray:
        given = values
        if self.quantiles is not None:
            values = _scores(values, self.quantiles)
        entries = (values - self.mean) / self.deviation
        if (is_far := np.abs(entries) > FARTHEST).any():
            raise ValueError(
                f"Column {self.name!r} of X holds {given[is_far][0]:.3g}, which is "
                f"farther from its mean {self.mean:.3g} than 3e38 times its deviation "
                f"{self.deviation:.3g}: convert it to the unit of the training rows."
            )
        return entries

    def _places(self, column: Column) -> np.ndarray:
        """Return the place of each value among the levels; -1 if it is none of them."""
        found = {level: place for place, level in enumerate(self.levels.tolist())}
        places = [found.get(value, -1) for value in column.values.tolist()]
        return np.array(places, dtype=np.intp)

    def decode(self, entries: np.ndarray) -> np.ndarray:
        """Return the number, or the most probable level, of each row."""
        if self.kind == NUMBER:
            values = self.mean + self.deviation * entries[:, 0].astype(np.float64)
            return values if self.quantiles is None else _values(values, self.quantiles)
        if not len(self.levels):
            return np.full(len(entries), None)
        if self.size == 1:
            places = (entries[:, 0] > self.unit / 2).astype(np.intp)
            places = places if self.varies else np.zeros_like(places)
        else:
            places = entries.argmax(axis=1)
        levels = self.levels
        return levels[places].astype(bool) if self.kind == BOOLEAN else levels[places]


def check_table(
    estimator: Any, X: Any, *, reset: bool, min_samples: int
) -> tuple[Any, list[Column]]:
    """Return a frame, or an array of any kind, and its columns, or raise."""
    owner = type(estimator).__name__
    if issparse(X):
        raise TypeError(
            f"Sparse data was passed, but {owner} takes dense tables: pass X.toarray()."
        )
    if is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        # scikit-learn's own errors for too few rows or columns.
        check_array(np.empty(X.shape, dtype=bool), ensure_min_samples=min_samples)
        columns = read_columns(X)
    else:
        rows = _of_mixed_list(X, as_array(X, True, owner))
        rows = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
        if rows.dtype.kind not in NUMBERS + "bc":
            options: dict[str, Any] = {"dtype": None, "ensure_all_finite": False}
            rows = check_array(rows, ensure_min_samples=min_samples, **options)
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        else:
            rows = check_rows(estimator, X, reset=reset, min_samples=min_samples)
        X, columns = rows, read_columns(rows)
    for column in columns:
        _check_finite(column)
    return X, columns


def _of_mixed_list(X: Any, rows: Any) -> Any:
    """Return lists of text and numbers as objects; numpy makes text of all."""
    is_text = isinstance(rows, np.ndarray) and rows.dtype.kind == "U"
    return (
        np.array(X, dtype=object) if is_text and isinstance(X, list | tuple) else rows
    )


def _check_finite(column: Column) -> None:
    if column.kind == NUMBER and np.isinf(column.values).any():
        raise ValueError(
            f"Input X contains infinity in column {column.name!r}: replace it by a "
            "large number, or by NaN if the value is missing."
        )


def learn_columns(
    columns: list[Column], chosen: Any, *, by_quantiles: bool
) -> list[ColumnCode]:
    """Measure the columns of training rows; the chosen ones are categories."""
    is_chosen = _mask(columns, chosen)
    return [
        ColumnCode.learn(_chosen(c) if is_in else c, by_quantiles=by_quantiles)
        for c, is_in in zip(columns, is_chosen, strict=True)
    ]


def _chosen(column: Column) -> Column:
    """Return a column as one of categories, or raise if they could be confused."""
    if column.kind == NUMBER:
        largest = np.nanmax(np.abs(column.values), initial=0.0)
        if largest >= LARGEST_INTEGER:
            raise ValueError(
                f"Column {column.name!r} of X is one of categories, but holds "
                f"{largest:.17g}, and floats do not tell integers from 2**53 apart: "
                "convert the column to strings."
            )
    return column.as_category()


def encode_columns(codes: list[ColumnCode], columns: list[Column]) -> np.ndarray:
    """Return the entries of all columns side by side."""
    parts = [code.encode(c) for code, c in zip(codes, columns, strict=True)]
    rows = np.hstack(parts).astype(np.float32)
    has_values = np.repeat(
        [not code.is_empty for code in codes], [c.size for c in codes]
    )
    # The entry of an empty column tells nothing about a row.
    rows[np.isnan(rows[:, has_values]).all(axis=1)] = np.nan
    return rows


def _mask(columns: list[Column], chosen: Any) -> np.ndarray:
    """Return which columns are named, by a mask, indices or names."""
    mask = np.zeros(len(columns), dtype=bool)
    if isinstance(chosen, str):
        return mask
    given, names = np.asarray(chosen), [column.name for column in columns]
    if given.dtype.kind == "b" and given.shape == mask.shape:
        return given
    values = given.ravel().tolist()
    is_index = given.dtype.kind in "iu" and len(values) > 0
    known = range(-len(names), len(names)) if is_index else names
    unknown = [value for value in values if value not in known]
    if unknown or given.dtype.kind == "b":
        raise ValueError(
            f"categorical_features={chosen!r} does not fit X, which has the "
            f"{len(names)} columns {names}: give a mask with a value for each column, "
            "indices, or names of columns."
        )
    mask[[v if is_index else names.index(v) for v in values]] = True
    return mask


def _missing(column: Column) -> np.ndarray:
    if column.kind == CATEGORY:
        return np.array([value is None for value in column.values], dtype=bool)
    return np.isnan(column.values)


def _scores(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Return the normal scores of numbers."""
    shares = np.linspace(0, 1, len(quantiles))
    # Equal quantiles stand for a range of shares, whose middle counts.
    low = np.interp(values, quantiles, shares)
    high = 1 - np.interp(-values, -quantiles[::-1], shares)
    scores = ndtri(np.clip((low + high) / 2, LEAST_SHARE, 1 - LEAST_SHARE))
    return np.where(np.isnan(values), np.nan, scores)


def _values(scores: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Undo ``_scores``."""
    return np.interp(ndtr(scores), np.linspace(0, 1, len(quantiles)), quantiles)
