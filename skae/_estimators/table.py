"""The autoencoder of tables: numbers, booleans and categories."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import Tags

from .._objectives.corruption import Corruption, hide_columns, swap_columns
from .._objectives.losses import Loss
from .._objectives.table import TableLoss
from .._rows.checks import COUNT, names
from .._rows.frames import build, empty_like
from .._rows.statistics import for_whole_rows
from .._rows.stored import in_memory
from .._rows.table import ColumnCode, check_table, encode_columns, learn_columns
from .._rows.templates import described, template
from .._training.engine import Engine
from .availability import available_unless
from .base import BaseAutoencoder
from .blockwise import blockwise
from .corrupting import CorruptingAutoencoder
from .data import Data
from .entries import entries_of, why_no_entries
from .model import Coding
from .parameters import autoencoder

# Gradient steps after which further ones gain little.
N_REFINEMENTS = 3
NOISES = {"swap": swap_columns, "gaps": hide_columns}


def _why_no_derivative(estimator: Any) -> str | None:
    return (
        "categories have no derivative. On a table of numbers alone, use "
        "UndercompleteAE after a StandardScaler."
    )


@autoencoder
class TableAE(CorruptingAutoencoder):
    """Autoencoder of tables of numbers, booleans and categories.

    Minimises ``mean_ij loss_j(x_ij, decode(encode(corrupt(x_i)))_j) / prior_j`` over
    rows ``i`` and columns ``j``. The loss is the squared error for numbers, the
    Bernoulli log-loss for booleans and for columns of two categories, and the
    cross-entropy for columns of more. ``prior_j`` is the loss of the column's best
    constant: its variance or its entropy. So each column counts alike, whatever its
    unit and its number of categories.

    ``X`` is a frame of pandas or polars, or an array, as it is.
    ``inverse_transform`` and ``reconstruct`` return a table of the same columns and
    dtypes. Columns of bool are booleans. Columns of text, of objects that are all text,
    and of a categorical dtype are categories. So are those named by
    ``categorical_features``. Other columns are numbers; those of dates raise an error,
    and so do sparse matrices.

    Missing values are accepted in any column. The network sees the mean of the column,
    the loss leaves them out, and ``reconstruct`` fills them in. Categories that were
    not seen in ``fit`` count as missing.

    Inside, a number is one entry in units of its deviation; two categories are one
    entry; more categories have an entry each, which the first layer embeds [1]_. The
    entries of a column have a common variance of one. Training starts from PCA of these
    rows, as factor analysis of mixed data [2]_. If it does not improve on that PCA on
    held-out rows, which are corrupted too, PCA is kept. Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code. None is the number of entries of an encoded row.

    categorical_features : "from_dtype", or array-like of bool, int or str, \
default="from_dtype"
        Columns that are categories: a mask, indices, or names in a frame. They are
        categories beside those whose dtype says so. "from_dtype" adds none.

    scaling : {"standard", "quantiles"}, default="standard"
        What happens to numbers. "standard" subtracts the mean and divides by the
        standard deviation. "quantiles" first maps them to a normal distribution by
        their ranks: for columns of long tails, whose few large values would count most.

    noise : str or callable, default="swap"
        Corruption of the rows that the encoder sees in training, drawn anew in each
        step. A column is corrupted as a whole:

        - "swap": the value of another row;
        - "gaps": the value is missing;
        - a function ``(rows, generator) -> rows`` of encoded, standardised rows and a
          ``torch.Generator``, from which it draws all random numbers.

    noise_level : float, default=0.0
        Probability that a value is corrupted. With 0.0 nothing is corrupted. Not used
        by a function.

    emphasis : float, default=0.0
        Entries that were not corrupted have the weight ``1 - emphasis`` in the loss:
        with 0.0 all count alike, with 1.0 only corrupted ones count.

    transform_max_iter : int or "auto", default="auto"
        Number of gradient steps by which ``transform`` improves the encoder's code of
        each row, so that its known values are reconstructed with a smaller squared
        error. 0 is the encoder's code. "auto" is 3, or 0 if PCA is kept.

    <layer parameters>

    code_activation : str or callable, default="identity"
        Activation of the code, from the same list.

    loss : {"squared_error"}, default="squared_error"
        Loss of numbers. Those of booleans and categories are log-losses.

    tied_weights : bool, default=False
        Whether the decoder uses the encoder's weights, transposed. Biases are separate.

    <start parameter>

    <training parameters>

    Attributes
    ----------
    columns_ : list
        How each column is encoded: its ``name``, its ``kind`` ("number", "boolean" or
        "category"), ``mean`` and ``deviation`` of numbers, ``levels`` and their
        ``shares`` of the others.

    container_ : object
        A table without rows, which has the names and dtypes of the columns.

    transform_max_iter_ : int
        Number of steps that "auto" stands for.

    <shared attributes>

    See Also
    --------
    DenoisingAE : The same for numbers only.
    AutoencoderImputer : Fills in missing numbers.

    Notes
    -----
    ``mean_`` and ``scale_`` are those of encoded rows, and ``best_score_`` is their
    explained variance. ``score`` and ``score_samples`` are also those of encoded rows.
    For a table of numbers this is the explained variance in units of the standard
    deviation. For categories the squared error is that of the probabilities, the Brier
    score [3]_, divided by that of the frequencies.

    A column counts as if its rarest categories made up at least 1 % of the rows, so
    that a few rows cannot outweigh all others. Of each column, the 255 most frequent
    categories are kept; others count as missing. A column without a value, or with one
    value only, has no effect, and is reconstructed by that value.

    References
    ----------
    .. [1] C. Guo and F. Berkhahn, "Entity embeddings of categorical variables",
       arXiv:1604.06737, 2016.
    .. [2] J. Pages, "Analyse factorielle de donnees mixtes", Revue de statistique
       appliquee 52, 2004.
    .. [3] G. W. Brier, "Verification of forecasts expressed in terms of probability",
       Monthly Weather Review 78, 1950.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_iris
    >>> from skae import TableAE
    >>> data = load_iris(as_frame=True)
    >>> X = data.data.assign(species=data.target_names[data.target])
    >>> ae = TableAE(2, max_iter=20, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (150, 2)
    >>> answer = ae.reconstruct(X)
    >>> bool((answer.dtypes == X.dtypes).all())
    True
    >>> bool((answer.species == X.species).mean() > 0.9)
    True
    """

    categorical_features: str | Sequence[Any] = "from_dtype"
    scaling: str = "standard"
    noise: str | Corruption = "swap"
    noise_level: float = 0.02
    transform_max_iter: int | str = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CorruptingAutoencoder._parameter_constraints,
        "categorical_features": [names({"from_dtype"}), "array-like"],
        "scaling": [names({"standard", "quantiles"})],
        "noise": [names(NOISES), callable],
        "transform_max_iter": [names({"auto"}), COUNT],
        "loss": [names({"squared_error"})],
    }

    jacobian = available_unless(_why_no_derivative)(BaseAutoencoder.jacobian)
    tangent_space = available_unless(_why_no_derivative)(BaseAutoencoder.tangent_space)

    @blockwise
    def inverse_transform(self, X: Any) -> Any:
        """Decode codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        X_original : {DataFrame, ndarray} of shape (n_samples, n_features)
            A table of the container, columns and dtypes that ``fit`` saw, with the
            index of ``X`` if both are of pandas. Integers of a frame are rounded. An
            array has the dtype float32 if it was float32 or uint8, and float64 for
            other numbers.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the number of columns of ``X`` is not ``n_components_``.
        """
        index = X.index if hasattr(X, "iloc") else None
        return self._table(super().inverse_transform(X), index)

    @blockwise
    def reconstruct(self, X: Any) -> Any:
        """Encode and decode rows: ``inverse_transform(transform(X))``.

        Parameters
        ----------
        X : {DataFrame, array-like} of shape (n_samples, n_features)
            Table of the columns that ``fit`` saw.

        Returns
        -------
        X_reconstructed : {DataFrame, ndarray} of shape (n_samples, n_features)
            Table as ``inverse_transform`` returns it, with the index of ``X``. It has
            no missing values, except in columns that had no value in ``fit``.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, or other columns than in ``fit``.
        """
        index = X.index if hasattr(X, "iloc") else None
        return self._table(super().reconstruct(X), index)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the squared reconstruction error of each row.

        The sum over columns of the squared error of encoded values, in units of their
        variance. Missing values of a row, and categories that ``fit`` did not see,
        count as if they were reconstructed as well as the known values.

        Parameters
        ----------
        X : {DataFrame, array-like} of shape (n_samples, n_features)
            Table of the columns that ``fit`` saw.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float32
            Higher is more like the training data. ``-inf``, the worst score, if the
            reconstruction is not finite; NaN for rows without any value.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, or other columns than in ``fit``.
        """
        return super().score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the variance that the reconstruction explains.

        Each column counts alike: numbers in units of their deviation, categories by
        their probabilities.

        Parameters
        ----------
        X : {DataFrame, array-like} of shape (n_samples, n_features)
            Table of the columns that ``fit`` saw.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            1.0 is perfect, 0.0 is as good as the mean of each number and the
            frequencies of the categories in ``X``. NaN if the rows do not vary.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, or other columns than in ``fit``. If a
            reconstruction is not finite.

        Warns
        -----
        UndefinedMetricWarning
            If the rows do not vary.
        """
        return super().score(X, y)

    @property
    def _sizes(self) -> list[int]:
        """Return the number of entries of each column."""
        return [code.size for code in self.columns_]

    @property
    def _n_inputs(self) -> int:
        return sum(self._sizes)

    def _fixed_parameters(self) -> dict[str, Any]:
        chosen = self.categorical_features
        listed = chosen if isinstance(chosen, str) else np.asarray(chosen).tolist()
        own = {"scaling": self.scaling, "categorical_features": listed}
        return super()._fixed_parameters() | own

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, tuple[int, ...]]:
        X, columns = check_table(
            self, in_memory(X), reset=reset, min_samples=min_samples
        )
        if reset:
            by_quantiles = self.scaling == "quantiles"
            self.columns_: list[ColumnCode] = learn_columns(
                columns, self.categorical_features, by_quantiles=by_quantiles
            )
            self.container_: Any = empty_like(X)
        rows = encode_columns(self.columns_, columns)
        return rows, rows.shape[1:]

    def _table(self, rows: np.ndarray, index: Any = None) -> Any:
        """Return encoded rows as a table."""
        parts = np.split(rows, np.cumsum(self._sizes)[:-1], axis=1)
        pairs = zip(self.columns_, parts, strict=True)
        return build(
            self.container_, [code.decode(part) for code, part in pairs], index
        )

    def _why_not_torch(self) -> str | None:
        return why_no_entries(self.columns_)

    def _torch_parts(self) -> dict[str, Any]:
        return {"entries": entries_of(self.columns_, self.container_)}

    def _make_loss(self, loss: Any, mean: np.ndarray, scale: float) -> Loss:
        units = [np.full(code.size, code.unit) for code in self.columns_]
        priors = [code.prior for code in self.columns_]
        return TableLoss(mean, scale, self._sizes, np.concatenate(units), priors)

    def _corruption(self, data: Data) -> Corruption | None:
        if isinstance(self.noise, str) and self.noise_level:
            corrupt = NOISES[self.noise]
            return partial(corrupt, level=self.noise_level, sizes=self._sizes)
        return super()._corruption(data)

    def _coding(self) -> Coding:
        asked = self._parameter("transform_max_iter")
        n_steps = self.transform_max_iter_ if asked == "auto" else asked
        return Coding(int(n_steps), by_known=True)

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        gains = not self.is_pca_ and self.code_activation == "identity"
        self.transform_max_iter_ = N_REFINEMENTS if gains else 0

    def _squared_errors(self, X: Any, fills_gaps: bool = False) -> np.ndarray:
        errors = super()._squared_errors(X)
        # A missing value is one column, however many entries it has.
        first = np.cumsum(self._sizes) - self._sizes
        return for_whole_rows(errors, X[:, first]) if fills_gaps else errors

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.categorical = True
        return tags

    def _to_state(self) -> dict[str, Any]:
        state = super()._to_state()
        if "columns_" in state:
            state["columns_"] = [vars(code) for code in self.columns_]
            state["container_"] = described(self.container_)
        return state

    def _from_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "columns_" in state:
            state["columns_"] = [ColumnCode(**code) for code in state["columns_"]]
            state["container_"] = template(state["container_"])
        super()._from_state(state)
