"""Rows and outputs of any transformer, as flat arrays."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import OneToOneFeatureMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array

from .checks import check_shape, taken_dtypes
from .chunks import dense
from .containers import as_array
from .text import named_text


def is_scaler(step: Any) -> bool:
    """Whether a step changes each feature separately, and reduces nothing."""
    kinds = OneToOneFeatureMixin, FunctionTransformer
    return step in (None, "passthrough") or isinstance(step, kinds)


def reducing_step(estimator: Any, X: Any) -> tuple[Any, Any, Any]:
    """Return the step of a pipeline that reduces, and the rows that enter it.

    Between them is what reconstructs these rows: the step, and scalers after it. A
    search stands for its best estimator.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        return estimator, estimator, X
    steps = [step for _, step in estimator.steps]
    reduces = [i for i, step in enumerate(steps) if not is_scaler(step)]
    last = reduces[-1] if reduces else 0
    X = estimator[:last].transform(X) if last and X is not None else X
    if last < len(steps) - 1:
        return steps[last], estimator[last:], X
    return reducing_step(steps[last], X)


def keeps_features(estimator: Any, step: Any) -> bool:
    """Whether only scalers come before a step: features then keep their names."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    if estimator is step or not isinstance(estimator, Pipeline):
        return True
    parts = (part for _, part in estimator.steps if not is_scaler(part))
    first = next(parts, step)
    return first is step or (
        isinstance(first, Pipeline) and keeps_features(first, step)
    )


def flat_answer(estimator: Any, verb: str, answer: Any, wanted: Any) -> np.ndarray:
    """Return the output of an estimator as flat rows, or raise for a wrong shape."""
    answer = as_array(answer, allow_nan=True, owner="")
    # numpy would broadcast a single row or column.
    check_shape(estimator, verb, np.shape(answer), wanted)
    return dense(flat(answer))


def flat(X: Any) -> Any:
    """Return two-dimensional rows: a CSR matrix, or an array."""
    with named_text(X):
        X = as_array(X, allow_nan=True, owner="")
        X = check_array(
            X,
            accept_sparse="csr",
            dtype=taken_dtypes(X),
            ensure_all_finite=False,
            allow_nd=True,
            input_name="X",
        )
    return X if issparse(X) else X.reshape(len(X), -1)
