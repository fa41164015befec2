"""A fitted estimator as a chain of steps, and what the graph of it has to answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._estimators.base import BaseAutoencoder
from .._rows.frozen import thawed

#: Outputs of an autoencoder, and of a predictor after it.
OUTPUTS = ("transform", "reconstruct", "score_samples")
PREDICTIONS = ("predict", "predict_proba")
# Rows that show whether steps can be undone, and a factor of further ones.
N_EXAMPLES, UNEVEN = 100, 0.37


@dataclass(frozen=True)
class Chain:
    """The steps before an autoencoder, itself if there is one, and those after it."""

    before: Sequence[Any]
    autoencoder: Any
    after: Sequence[Any]

    @classmethod
    def of(cls, estimator: Any) -> "Chain":
        """Return the steps of a fitted estimator, or raise if there is no graph."""
        steps = _flattened(estimator)
        for step in steps:
            _check_step(step)
            check_is_fitted(step)
        places = [i for i, s in enumerate(steps) if isinstance(s, BaseAutoencoder)]
        if len(places) != 1:
            raise TypeError(
                f"{estimator!r} has {len(places)} autoencoders of skae as steps, but a "
                "graph is made of one: pass an autoencoder, or a Pipeline with one."
            )
        place = places[0]
        return cls(steps[:place], steps[place], steps[place + 1 :])

    def check_output(self, output: str) -> None:
        """Raise if the steps do not give this output."""
        if output not in OUTPUTS + PREDICTIONS:
            raise ValueError(
                f"output={output!r} must be one of {[*OUTPUTS, *PREDICTIONS]}."
            )
        if output in PREDICTIONS and not self.after:
            raise ValueError(
                f"output={output!r} needs a predictor after the autoencoder: pass a "
                f"Pipeline that ends with one, or use one of {[*OUTPUTS]}."
            )
        if output == "transform" and self.after and hasattr(self.after[-1], "predict"):
            raise ValueError(
                f"output='transform' needs a transformer as the last step, but "
                f"{self.after[-1]!r} is a predictor: use output='predict', or pass the "
                "steps before, pipeline[:-1]."
            )
        if output in OUTPUTS[1:] and self.after:
            raise ValueError(
                f"output={output!r} needs the autoencoder as the last step, but "
                f"{self.after[-1]!r} follows it: pass the steps before, pipeline[:-1]."
            )

    def check_features(self, rows: np.ndarray) -> None:
        """Raise if flat rows have another width than those of ``fit``."""
        first = (*self.before, self.autoencoder)[0]
        wanted = getattr(first, "n_features_in_", None)
        if rows.ndim == 2 and wanted not in (None, rows.shape[1]):
            raise ValueError(
                f"X has {rows.shape[1]} features, but {type(first).__name__} was "
                f"fitted with {wanted}: pass rows with the same columns."
            )

    def undo(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the autoencoder in the unit of the first step."""
        for step in reversed(self.before):
            rows = step.inverse_transform(rows)
        return np.asarray(rows)

    def undoing(
        self, answers: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the map from the autoencoder's unit to that of the first step.

        ``answers`` are those of each step before, which has to be undone.
        """
        if not self.before:
            return None
        for step, rows in zip(self.before, answers, strict=True):
            _check_undone(step, rows[:N_EXAMPLES])
        return affine(self.undo, answers[-1][:N_EXAMPLES])

    def answer(self, estimator: Any, X: Any, output: str) -> np.ndarray:
        """Return what the estimator itself answers."""
        if output != "reconstruct":
            return np.asarray(getattr(estimator, output)(X))
        for step in self.before:
            X = step.transform(X)
        return self.undo(self.autoencoder.reconstruct(X))


def _flattened(estimator: Any) -> list[Any]:
    """Return the steps of pipelines, also of nested and frozen ones."""
    estimator = thawed(estimator)
    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = [s for _, s in estimator.steps if s is not None and s != "passthrough"]
    return [inner for step in steps for inner in _flattened(step)]


def _check_step(step: Any) -> None:
    is_ours = type(step).__module__.partition(".")[0] == "skae"
    if is_ours and not isinstance(step, BaseAutoencoder):
        raise TypeError(
            f"{type(step).__name__} has no graph in ONNX: only the autoencoders have. "
            "Pass its fitted autoencoder, or a Pipeline of an autoencoder and a "
            "predictor of scikit-learn."
        )


def _check_undone(step: Any, rows: np.ndarray) -> None:
    """Raise unless an affine map undoes a step, which answered with these rows."""
    try:
        affine(step.inverse_transform, rows)
    # Steps without an inverse raise errors of many kinds, about their parameters.
    except Exception as error:
        raise TypeError(
            "output='reconstruct' needs steps before the autoencoder whose "
            "inverse_transform is affine, as in StandardScaler, MinMaxScaler or PCA, "
            f"but that of {step!r} is not, or does not exist. Use output='transform', "
            "or pass what comes after this step, and rows that it has transformed."
        ) from error


def affine(
    function: Callable[[np.ndarray], np.ndarray], example: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias of an affine map of rows, or raise if it is not one.

    Weights are a vector if each feature has its own factor.
    """
    n_features = example.shape[1]
    bias = function(np.zeros((1, n_features)))[0]
    weights = function(np.ones((1, n_features)))[0] - bias
    # A missing value tells nothing of the map, and whole numbers hide rounding.
    rows = np.where(np.isnan(example), 0.0, example).astype(np.float64)
    rows = np.concatenate([rows, UNEVEN * rows])
    answers = function(rows)
    is_each = len(bias) == n_features and _agree(rows * weights + bias, answers)
    if is_each:
        return weights, bias
    weights = function(np.eye(n_features)) - bias
    if not _agree(rows @ weights + bias, answers):
        raise ValueError("No affine map does what the function does.")
    return weights, bias


def _agree(found: np.ndarray, wanted: np.ndarray) -> bool:
    size = float(np.abs(wanted).max(initial=0.0))
    return bool(np.abs(found - wanted).max(initial=0.0) <= 1e-6 * size)
