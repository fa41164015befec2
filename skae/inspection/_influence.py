"""Influence of features on components and back: Jacobians in standard deviations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._rows.checks import check_count, check_reconstructs
from .._rows.chunks import dense
from .._rows.containers import column_names, unmasked
from .._rows.stored import in_memory
from .._rows.transformers import flat, flat_answer
from ._asking import codes_of
from ._axes import axes, merged
from ._frames import component_names, feature_names, pandas
from ._walks import encode

# Step of central differences, in standard deviations: large enough for rounding in
# float32, and small enough for curvature, not to matter.
STEP = 0.05
# Standard deviations for which derivatives do not leave the range of float32.
SAFE = 1e-25, 1e25
# Maximum number of columns, or rows, of a heat map that are named.
MOST_NAMED = 40

#: How derivatives at several rows are averaged.
AVERAGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda slopes: slopes.mean(axis=0),
    "rms": lambda slopes: np.sqrt(np.square(slopes).mean(axis=0)),
}


def feature_influence(
    estimator: Any,
    X: Any,
    *,
    average: str = "mean",
    max_rows: int = 100,
    random_state: Any = None,
) -> Bunch:
    """Return what each component depends on, and what each component changes.

    ``encoder[j, i] = mean dz_j/dx_i std(x_i) / std(z_j)`` and ``decoder[j, i] = mean
    dx^_i/dz_j std(z_j) / std(x_i)``, means over rows. ``encoder[j, i]`` is the change
    of component ``j``, in its standard deviations, if feature ``i`` grows by one
    standard deviation. ``decoder[j, i]`` is the change of feature ``i`` of the
    reconstruction if component ``j`` grows by one standard deviation. For ``PCA``,
    ``decoder`` has the loadings, the correlations of features and components.

    Parameters
    ----------
    estimator : object
        Fitted estimator with ``transform`` and ``inverse_transform``. Derivatives are
        central differences over a tenth of a standard deviation, which are exact for
        linear maps up to rounding. At the ends of the range of a feature or component
        they are one-sided: beyond it ``transform`` may not be defined. Autoencoders of
        this package whose ``transform`` neither improves codes nor places them on a map
        (``transform_max_iter``, ``transform_n_neighbors``) give the derivative of the
        encoder by ``jacobian``.
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Rows in the unit that the estimator was fitted in, without missing values.
        Standard deviations are those of these rows and of their codes.
    average : {"mean", "rms"}, default="mean"
        How derivatives at several rows are averaged. "mean" keeps the sign. With "rms",
        the root mean square, derivatives of opposite signs do not cancel.
    max_rows : int, default=100
        Maximum number of rows at which derivatives are taken. If ``X`` has more, they
        are drawn at random.
    random_state : int, RandomState instance or None, default=None
        Determines which rows are drawn.

    Returns
    -------
    influence : Bunch
        ``encoder`` and ``decoder``, each a pandas.DataFrame of shape (n_components,
        n_features), without a unit. The index has the names of
        ``get_feature_names_out``; columns are named as in
        :func:`reconstruction_errors`. NaN if the component or feature to divide by does
        not vary.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator cannot reconstruct.
    ValueError
        If ``X`` has missing values or fewer than two rows, if codes are not finite, or
        a parameter is invalid.
    ImportError
        If pandas is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import feature_influence
    >>> X = load_iris(as_frame=True).data
    >>> feature_influence(PCA(2).fit(X), X).decoder.round(2).iloc[:, 2:]
          petal length (cm)  petal width (cm)
    pca0               1.00              0.97
    pca1              -0.05             -0.05
    """
    pd = pandas("feature_influence")
    check_count("max_rows", max_rows)
    _check_name("average", average, AVERAGES)
    rows, codes = _read(estimator, X), codes_of(estimator, X)
    spread_x, spread_z = _deviations(rows.values), _deviations(codes)
    some = _drawn(len(codes), max_rows, random_state)
    of_codes = AVERAGES[average](_changes_of_codes(estimator, rows, some, spread_x))
    of_rows = AVERAGES[average](_changes_of_rows(estimator, codes, some, spread_z))
    names = {
        "index": component_names(estimator, codes.shape[1]),
        "columns": feature_names(estimator, X, rows.layout),
    }
    return Bunch(
        encoder=pd.DataFrame(of_codes / _known(spread_z)[:, None], **names),
        decoder=pd.DataFrame(of_rows / _known(spread_x), **names),
    )


@dataclass(frozen=True)
class _Rows:
    """Flat rows without gaps, and their original layout and columns."""

    values: np.ndarray
    layout: tuple[int, ...]
    columns: list[Any] | None

    def in_container(self, values: np.ndarray) -> Any:
        """Return other values in the layout of the rows."""
        values = values.reshape(-1, *self.layout)
        # Steps of a pipeline may pick columns by name.
        if self.columns is None:
            return values
        return pandas("feature_influence").DataFrame(values, columns=self.columns)


def _read(estimator: Any, X: Any) -> _Rows:
    check_is_fitted(estimator)
    check_reconstructs(estimator)
    X = unmasked(in_memory(X), allow_nan=True, owner=type(estimator).__name__)
    values = dense(flat(X)).astype(np.float64)
    if len(values) < 2:
        raise ValueError(
            "feature_influence needs at least two rows for standard deviations, but X "
            f"has {len(values)}."
        )
    if n_gaps := int(np.sum(~np.isfinite(values))):
        raise ValueError(
            f"X has {n_gaps} missing or infinite values, but derivatives need complete "
            "rows: leave these rows out, or impute."
        )
    has_names = hasattr(X, "columns")
    columns = column_names(X, values.shape[1]) if has_names else None
    return _Rows(values, np.shape(X)[1:] or values.shape[1:], columns)


def _drawn(n_rows: int, max_rows: int, random_state: Any) -> np.ndarray:
    """Return indices of at most ``max_rows`` random rows."""
    order = check_random_state(random_state).permutation(n_rows)
    return np.sort(order[:max_rows])


def _check_name(parameter: str, value: Any, options: Iterable[str]) -> None:
    """Raise if a value is none of some names."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(
            f"{parameter}={value!r} must be one of {', '.join(map(repr, options))}."
        )


def _deviations(values: np.ndarray) -> np.ndarray:
    """Return standard deviations, exactly zero for a constant."""
    # Squares of values up to 1 do not overflow.
    largest = _known(np.abs(values).max(axis=0))
    spread = np.std(values / largest, axis=0) * largest
    return np.where(np.ptp(values, axis=0) > 0, spread, 0.0)


def _known(spread: np.ndarray) -> np.ndarray:
    """Return deviations to divide by, NaN where they are zero."""
    return np.where(spread > 0, spread, np.nan)


def _changes_of_codes(
    estimator: Any, rows: _Rows, some: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Return ``dz_j/dx_i std(x_i)`` at ``[:, j, i]``."""
    if _tells_slopes(estimator, spread):
        slopes = estimator.jacobian(rows.in_container(rows.values[some]))
        return slopes.reshape(*slopes.shape[:2], -1) * spread
    return _differences(
        lambda values: encode(estimator, rows.in_container(values)),
        rows.values,
        some,
        spread,
    )


def _tells_slopes(estimator: Any, spread: np.ndarray) -> bool:
    """Whether ``jacobian`` differentiates what ``transform`` does, within float32."""
    low, high = SAFE
    is_safe = np.all((spread == 0) | ((spread > low) & (spread < high)))
    if not is_safe or not hasattr(estimator, "jacobian"):
        return False
    asked = (
        (getattr(estimator, name, 0), getattr(estimator, f"{name}_", 0))
        for name in ("transform_max_iter", "transform_n_neighbors")
    )
    return not any(auto if value == "auto" else value for value, auto in asked)


def _changes_of_rows(
    estimator: Any, codes: np.ndarray, some: np.ndarray, spread: np.ndarray
) -> Any:
    """Return ``dx^_i/dz_j std(z_j)`` at ``[:, j, i]``."""

    def decode(codes: np.ndarray) -> np.ndarray:
        rows = estimator.inverse_transform(codes)
        wanted = len(codes), "n_features"
        return flat_answer(estimator, "inverse_transform", rows, wanted).astype(float)

    return _differences(decode, codes, some, spread).swapaxes(1, 2)


def _differences(
    function: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    some: np.ndarray,
    spread: np.ndarray,
) -> np.ndarray:
    """Return changes per standard deviation of each argument, along the last axis.

    Central differences cancel the curvature. Arguments stay in the range of ``values``.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    points, changes = values[some], []
    for i, step in enumerate(STEP * spread):
        ends = [points.copy(), points.copy()]
        ends[0][:, i] = np.maximum(points[:, i] - step, low[i])
        ends[1][:, i] = np.minimum(points[:, i] + step, high[i])
        width = (ends[1][:, i] - ends[0][:, i]) / (spread[i] or 1.0)
        change = function(ends[1]) - function(ends[0])
        changes.append(change / (width[:, None] if step else 1.0))
    return np.stack(changes, axis=2)


class FeatureInfluenceDisplay:
    """Heat map of what components depend on, or of what they change.

    Create it with :meth:`from_estimator`, or from two data frames of
    :func:`feature_influence`.

    Parameters
    ----------
    encoder, decoder : pandas.DataFrame of shape (n_components, n_features)
        Influence on each component, and of each component, in standard deviations.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the heat map.
    figure_ : matplotlib Figure
        Figure that has the axes.
    image_ : matplotlib AxesImage
        The heat map.

    See Also
    --------
    feature_influence : The numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import FeatureInfluenceDisplay
    >>> X = load_iris(as_frame=True).data
    >>> display = FeatureInfluenceDisplay.from_estimator(PCA(2).fit(X), X)
    >>> display.ax_.get_xlabel()
    'feature'
    """

    def __init__(self, *, encoder: Any, decoder: Any) -> None:
        self.encoder = encoder
        self.decoder = decoder

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        part: str = "decoder",
        average: str = "mean",
        max_rows: int = 100,
        random_state: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute :func:`feature_influence` and draw a part of it.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform`` and ``inverse_transform``.
        X : {array-like, sparse matrix} of shape (n_samples, ...)
            Rows in the unit that the estimator was fitted in.
        part : {"decoder", "encoder"}, default="decoder"
            Whether to draw what components change, or what they depend on.
        average : {"mean", "rms"}, default="mean"
            How derivatives at several rows are averaged.
        max_rows : int, default=100
            Maximum number of rows at which derivatives are taken.
        random_state : int, RandomState instance or None, default=None
            Determines which rows are drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        **kwargs : dict
            Passed to ``matplotlib.axes.Axes.imshow``.

        Returns
        -------
        display : FeatureInfluenceDisplay
            The display, drawn.

        Raises
        ------
        TypeError, ValueError, ImportError
            As in :func:`feature_influence` and :meth:`plot`.
        """
        options = {"max_rows": max_rows, "random_state": random_state}
        influence = feature_influence(estimator, X, average=average, **options)
        return cls(**influence).plot(part=part, ax=ax, **kwargs)

    def plot(self, *, part: str = "decoder", ax: Any = None, **kwargs: Any) -> Self:
        """Draw a heat map: a row for each component, a column for each feature.

        Parameters
        ----------
        part : {"decoder", "encoder"}, default="decoder"
            Whether to draw what components change, or what they depend on.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        **kwargs : dict
            Passed to ``matplotlib.axes.Axes.imshow``, such as ``cmap``.

        Returns
        -------
        display : FeatureInfluenceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If ``part`` is neither.
        ImportError
            If matplotlib is not installed.
        """
        labels = {
            "decoder": "deviations of the feature",
            "encoder": "deviations of the component",
        }
        _check_name("part", part, labels)
        frame = getattr(self, part)
        self.ax_ = axes(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        # Zero has the colour in the middle.
        largest = np.nanmax(np.abs(frame.to_numpy()), initial=0.0) or 1.0
        drawn = {"cmap": "PuOr", "vmin": -largest, "vmax": largest, "aspect": "auto"}
        self.image_ = self.ax_.imshow(frame, **merged("imshow", drawn, kwargs))
        self.figure_.colorbar(self.image_, ax=self.ax_, label=labels[part])
        # NaN must not look like zero.
        self.ax_.set(xlabel="feature", ylabel="component", facecolor="#999999")
        _name_ticks(self.ax_, frame)
        return self


def _name_ticks(ax: Any, frame: Any) -> None:
    """Write names along the axes, where there is room for them."""
    if len(frame.columns) <= MOST_NAMED:
        ax.set_xticks(range(len(frame.columns)), frame.columns, rotation=90)
    if len(frame) <= MOST_NAMED:
        ax.set_yticks(range(len(frame)), frame.index)
