"""What a diagnosis looks at: a fitted transformer, and rows."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from ..._rows.checks import check_answers, is_share
from ..._rows.chunks import dense
from ..._rows.split import n_held_out
from ..._rows.statistics import (
    column_means,
    for_whole_rows,
    root_mean_square,
    squared_distances,
    squared_errors,
)
from ..._rows.transformers import flat, flat_answer
from .._asking import codes_of

# Relative rounding error of means and scales of the same rows.
ROUNDING = 1e-5
# Rows like those of training: their largest root mean square distance from the mean of
# training, the largest distance of their mean from it, and their least deviation, all
# in deviations of training rows.
FARTHER, SHIFTED, NARROWER = 2.0, 1.0, 0.6
# Fewer rows may deviate less, or have another mean, by chance.
ENOUGH_ROWS = 20


@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted transformer and rows; each quantity is computed once."""

    estimator: Any
    #: Rows as given to the estimator; None if there are none.
    X: Any = None

    def fitted(self, name: str, default: Any = None) -> Any:
        """Return a fitted attribute, or a default if there is none."""
        return getattr(self.estimator, name, default)

    @property
    def state(self) -> Any:
        """What the fit of an autoencoder keeps; None for others."""
        state = self.fitted("_state")
        # Estimators of others may have an attribute of this name.
        return state if hasattr(state, "schedule") else None

    def parameter(self, name: str, default: Any = None) -> Any:
        """Return a parameter of the fit if that keeps it, else its value of now."""
        kept = self.state.network | self.state.parameters if self.state else {}
        if name in kept:
            return kept[name]
        if not hasattr(self.estimator, "get_params"):
            return default
        return self.estimator.get_params(deep=False).get(name, default)

    @cached_property
    def rows(self) -> np.ndarray:
        """Flat rows, in float64."""
        return dense(flat(self.X)).astype(np.float64)

    @cached_property
    def codes(self) -> np.ndarray:
        """Their codes."""
        return codes_of(self.estimator, self.X)

    @cached_property
    def errors(self) -> np.ndarray:
        """Squared error of each row; zero if it has no value."""
        try:
            answers = self.estimator.inverse_transform(self.codes)
        except NotFittedError as error:
            # KernelPCA has an inverse only if asked for.
            raise TypeError(f"{self.estimator!r} cannot reconstruct: {error}") from None
        shape = self.rows.shape
        answers = flat_answer(self.estimator, "inverse_transform", answers, shape)
        errors = squared_errors(self.rows, answers, self.spread)
        check_answers(errors, self.estimator)
        return np.nan_to_num(for_whole_rows(errors, self.rows))

    @cached_property
    def distances(self) -> np.ndarray:
        """Squared distance of each row from the mean; zero if it has no value."""
        squares = squared_distances(self.rows, column_means(self.rows), self.spread)
        return np.nan_to_num(squares)

    @cached_property
    def spread(self) -> float:
        """Root mean squared deviation of rows from their mean."""
        return root_mean_square(self.rows, column_means(self.rows))

    @property
    def unexplained(self) -> float:
        """Share of the variance of the rows that the reconstruction misses."""
        return float(self.errors.sum() / self.distances.sum())

    @cached_property
    def has_rows(self) -> bool:
        """Whether there are rows, and they vary.

        Encoding comes first: ``transform`` checks the number of features.
        """
        n_rows = 0 if self.X is None else min(len(self.rows), len(self.codes))
        return n_rows > 1 and bool(self.distances.any())

    @property
    def scale(self) -> float | None:
        """Root mean squared deviation of training rows; None if unknown."""
        if isinstance(scale := self.fitted("scale_"), float):
            return scale
        names = "explained_variance_", "explained_variance_ratio_", "n_features_in_"
        variances, shares, n_features = map(self.fitted, names)
        if self.fitted("mean_") is None or variances is None or shares is None:
            return None
        # PCA's variances are this share of the total, which is zero for equal rows.
        total = np.sum(variances) / np.sum(shares) if np.any(variances) else 0.0
        return float(np.sqrt(total / n_features)) or None

    @cached_property
    def is_of_training(self) -> bool:
        """Whether the rows are those of ``fit``: they have the same mean and scale."""
        if not self.has_rows or self.scale is None:
            return False
        mean = self.fitted("mean_")
        shift = np.abs(column_means(self.rows) - mean).max()
        # Rounding error of a mean in float32.
        rounding = ROUNDING * max(self.scale, np.abs(mean).max())
        return abs(self.spread / self.scale - 1) < ROUNDING and bool(shift < rounding)

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """Return rows minus the mean of training, in units of its scale."""
        return (rows - self.fitted("mean_")) / self.scale

    @property
    def deviation(self) -> float:
        """Root mean square distance from the mean of training, in its scale."""
        if self.scale is None:
            return 1.0
        return float(np.sqrt(np.nanmean(np.square(self.standardised(self.rows)))))

    @property
    def is_far(self) -> bool:
        """Whether rows lie farther out than training rows did."""
        return self.deviation > FARTHER

    @property
    def relative_spread(self) -> float:
        """Deviation of rows from their mean, in the scale of training."""
        return self.spread / (self.scale or self.spread)

    @property
    def shift(self) -> float:
        """Root mean square distance of the mean from that of training, in its scale."""
        mean = self.standardised(column_means(self.rows))
        return float(np.sqrt(np.nanmean(np.square(mean))))

    @property
    def is_elsewhere(self) -> bool:
        """Whether rows differ from training rows in deviation or mean, not by chance.

        Their shares of variance cannot be compared with those in training.
        """
        if self.is_far:
            return True
        if self.scale is None or len(self.rows) < ENOUGH_ROWS:
            return False
        return self.relative_spread < NARROWER or self.shift > SHIFTED

    @property
    def width(self) -> int | None:
        """Number of components; None if unknown."""
        return self.fitted(
            "n_components_", self.codes.shape[1] if self.has_rows else None
        )

    @property
    def n_features(self) -> int | None:
        """Number of features; None if unknown."""
        return self.fitted("n_features_in_")

    @cached_property
    def n_held_out(self) -> int | None:
        """Number of these rows that ``fit`` held out; None if unknown.

        A fit does not keep ``validation_fraction``, so its value of now may be another
        one. It counts if it suits the rows of PCA, or the batches of the fit.
        """
        fraction, state = self.parameter("validation_fraction"), self.state
        if not fraction or state is None or not self.fitted("validation_scores_"):
            return None
        n_rows, pca = len(self.rows), state.baseline
        n = n_held_out(n_rows, fraction)
        # Rows that are far out are neither trained on nor held out.
        far = range(self.fitted("n_far_rows_", 0) + 1)
        if pca and pca.n_rows < n_rows:
            return n if n - (n_rows - pca.n_rows) in far else None
        suits = any(self._made_batches_of(max(n_rows - n - i, 1)) for i in far)
        # Batches of some settings do not tell the number of rows.
        tells = not self._made_batches_of(n_rows - n_rows // 2)
        return n if suits and tells else None

    def _made_batches_of(self, n_training: int) -> bool:
        """Whether the fit made the batches of so many training rows."""
        if self.state is None:
            return False
        made = self.state.schedule.fill_in(self.estimator, n_training, is_part=False)
        names = "batch_size", "weight_decay"
        return all(made[name] == self.fitted(f"{name}_") for name in names)

    @property
    def is_ordered(self) -> bool:
        """Whether training ordered the components."""
        share = is_share(self.parameter("n_components"))
        return share or bool(self.parameter("ordered"))

    @property
    def adapted_penalty(self) -> bool:
        """Whether training adapted the weight of the penalty."""
        objective = self.state.engine.objective if self.state else {}
        return bool(objective.get("factor", 1.0) != 1.0)

    @property
    def penalty(self) -> Any:
        """Weight of the penalty, at its end if that was adapted; None without one."""
        return self.fitted("alpha_", self.parameter("alpha"))

    @property
    def corrupts(self) -> bool:
        """Whether training corrupted its rows."""
        level, noise = self.parameter("noise_level", 0), self.parameter("noise")
        return callable(noise) or bool(level)
