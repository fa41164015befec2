"""Methods of arrays and frames of dask: nothing is computed before it is asked for."""

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from .._rows.stored import is_dask, is_lazy_frame

Method = TypeVar("Method", bound=Callable[..., Any])


def blockwise(method: Method) -> Method:
    """Decorate a method of rows: arrays and frames of dask have lazy results.

    Each block is passed to the method, with the estimator as it is now.
    """

    @wraps(method)
    def call(estimator: Any, X: Any) -> Any:
        if not is_dask(X):
            return method(estimator, X)
        check_is_fitted(estimator)
        _check_container(estimator, method.__name__)
        # A later fit sets other attributes.
        function = getattr(copy.copy(estimator), method.__name__)
        if is_lazy_frame(X):
            return _of_frame(function, X, _names(estimator, method.__name__))
        return _of_array(function, X)

    return cast(Method, call)


def _of_array(function: Callable[[Any], np.ndarray], X: Any) -> Any:
    """Return the lazy results of the blocks of an array."""
    if any(size != size for size in X.shape[1:]):
        raise ValueError(
            f"X is a dask array of shape {X.shape}: only the number of rows may be "
            "unknown. Call X.compute_chunk_sizes() first."
        )
    # It raises what any block would raise, and shows shape and dtype.
    example = function(np.zeros((1, *X.shape[1:]), X.dtype))
    rows = X.rechunk(dict.fromkeys(range(1, X.ndim), -1))
    return rows.map_blocks(
        lambda block: function(block) if len(block) else example[:0],
        dtype=example.dtype,
        chunks=(rows.chunks[0], *((size,) for size in example.shape[1:])),
        drop_axis=list(range(1, X.ndim)),
        new_axis=list(range(1, example.ndim)) or None,
        meta=example[:0],
    )


def _of_frame(function: Callable[[Any], Any], X: Any, names: list[str]) -> Any:
    """Return the lazy results of the parts of a frame, as a frame or a series."""
    example = function(X._meta_nonempty)
    if example.ndim > 2:
        raise ValueError(
            f"X is a frame, but each result has the shape {example.shape[1:]}, which "
            "is no row of a frame: pass X.to_dask_array()."
        )

    def call(part: Any) -> Any:
        answer = function(part) if len(part) else example[:0]
        return _framed(answer, part, names)

    return X.map_partitions(call, meta=call(X._meta))


def _framed(answer: Any, part: Any, names: list[str]) -> Any:
    """Return results with the index of the rows."""
    if not isinstance(answer, np.ndarray):
        return answer
    if answer.ndim == 1:
        return part._constructor_sliced(answer, index=part.index)
    return part._constructor(answer, index=part.index, columns=names)


def _names(estimator: Any, method: str) -> list[str]:
    """Return the names of the columns of a result."""
    if method == "transform":
        return list(estimator.get_feature_names_out())
    numbered = [f"x{i}" for i in range(estimator.n_features_in_)]
    return list(getattr(estimator, "feature_names_in_", numbered))


def _check_container(estimator: Any, method: str) -> None:
    """Raise if scikit-learn would read a lazy result, to make a frame of it."""
    own = getattr(estimator, "_sklearn_output_config", {})
    container = own.get("transform", get_config()["transform_output"])
    if method == "transform" and container != "default":
        raise ValueError(
            f"set_output(transform={container!r}) makes frames in memory, but the "
            "result for dask is lazy: use set_output(transform='default'). A frame of "
            "dask gives a frame of dask then."
        )
