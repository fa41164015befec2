"""What displays get from a fitted estimator: attributes, codes and reconstructions."""

import copy
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from .._rows.checks import (
    check_answers,
    check_reconstructs,
    check_shape,
    described,
)
from .._rows.containers import as_array
from .._rows.frozen import thawed
from .._rows.statistics import squared_errors
from .._rows.stored import in_memory
from ._walks import decode, encode


def opened(estimator: Any) -> Any:
    """Return the best estimator of a search, and what is inside a FrozenEstimator."""
    estimator = thawed(estimator)
    if hasattr(estimator, "best_estimator_"):
        return opened(estimator.best_estimator_)
    return estimator


def bare(estimator: Any) -> Any:
    """Return an estimator, and all steps of a pipeline, without what wraps them."""
    estimator = opened(estimator)
    if not isinstance(estimator, Pipeline):
        return estimator
    pipeline = copy.copy(estimator)
    pipeline.steps = [(name, bare(step)) for name, step in estimator.steps]
    return pipeline


def find_owner(estimator: Any, name: str) -> Any:
    """Return the estimator that has an attribute, or None.

    For a pipeline it is the last step that has it, for a search the best estimator.
    """
    estimator = opened(estimator)
    if not isinstance(estimator, Pipeline):
        return estimator if hasattr(estimator, name) else None
    found = [find_owner(step, name) for _, step in estimator.steps]
    return next((step for step in reversed(found) if step is not None), None)


def owner_of(estimator: Any, name: str, cure: str) -> Any:
    """Return the estimator or the step that has an attribute, or raise."""
    check_is_fitted(estimator)
    owner = find_owner(estimator, name)
    if owner is None:
        raise TypeError(f"{type(estimator).__name__} has no {name}: {cure}.")
    return owner


def rows_before(estimator: Any, step: Any, X: Any) -> Any:
    """Return the rows that enter a step of a pipeline, which may be nested."""
    estimator = opened(estimator)
    if estimator is step or not isinstance(estimator, Pipeline):
        return X
    for k, (_, part) in enumerate(estimator.steps):
        if _holds(part, step):
            return rows_before(part, step, estimator[:k].transform(X) if k else X)
    return X


def _holds(estimator: Any, step: Any) -> bool:
    estimator = opened(estimator)
    parts = estimator.steps if isinstance(estimator, Pipeline) else []
    return estimator is step or any(_holds(part, step) for _, part in parts)


def as_rows(X: Any) -> np.ndarray:
    """Return the numbers of any container as an array, NaN where they are missing."""
    X = in_memory(X)
    rows = as_array(X, allow_nan=True, owner="")
    _check_is_table("X", X, np.shape(rows))
    return np.asarray(rows.toarray() if issparse(rows) else rows, dtype=np.float64)


def flat_rows(X: Any, **checks: Any) -> np.ndarray:
    """Return two or more rows as an array with two axes, or raise as check_array."""
    rows = as_rows(X)
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    return check_array(rows, ensure_min_samples=2, input_name="X", **checks)


def first_rows(X: Any, n: int, name: str = "X") -> Any:
    """Return the first rows, at most ``n``, in the same container."""
    X = in_memory(X)
    _check_is_table(name, X, np.shape(as_array(X, allow_nan=True, owner="")))
    return X.tocsr()[:n] if issparse(X) else X[:n]


def _check_is_table(name: str, X: Any, shape: tuple[int, ...]) -> None:
    if len(shape) < 2:
        said = f"has the shape {shape}" if shape else f"is {described(X)}"
        raise ValueError(
            f"{name} {said}, but must be rows: pass an array of shape (n_samples, "
            "n_features), such as X[:1] for one row."
        )


def in_container(rows: np.ndarray, X: Any) -> Any:
    """Return rows as a frame with the columns of X, if X is one of pandas or polars."""
    if hasattr(X, "iloc"):
        return type(X)(rows, columns=X.columns)
    if hasattr(X, "columns"):
        return type(X)(rows, schema=X.columns)
    return rows


def codes_of(estimator: Any, X: Any) -> np.ndarray:
    """Return the codes of rows, or raise if they are not finite."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "transform"):
        raise TypeError(f"{estimator!r} cannot encode: it needs transform.")
    codes = encode(estimator, in_memory(X))
    if n_lost := int((~np.isfinite(codes)).any(axis=1).sum()):
        raise ValueError(
            f"{type(estimator).__name__}.transform encodes {n_lost} of {len(codes)} "
            "rows as NaN or infinity: leave these rows out, or fit it again."
        )
    return codes


def reconstruct(estimator: Any, X: Any) -> np.ndarray:
    """Return the reconstructions of rows, or raise if they are not finite."""
    check_reconstructs(estimator)
    rows = as_rows(X)
    answers = as_rows(decode(estimator, codes_of(estimator, X)).reconstructions)
    n_rows, n_values = len(rows), int(np.prod(rows.shape[1:]))
    check_shape(estimator, "inverse_transform", answers.shape, (n_rows, n_values))
    flat = rows.reshape(n_rows, -1), answers.reshape(n_rows, -1)
    check_answers(squared_errors(*flat, 1.0), estimator)
    return answers


def check_parameter(owner: type, name: str, value: Any, *constraints: Any) -> None:
    """Raise if a parameter of a display has an invalid value."""
    allowed = {name: list(constraints)}
    validate_parameter_constraints(allowed, {name: value}, owner.__name__)
