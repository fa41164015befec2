"""The public contract of all autoencoders: scikit-learn's methods."""

from dataclasses import asdict
from os import fspath
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from .._machine.devices import find_device, own_settings, to_arrays, to_tensors
from .._objectives.neighbors import NeighborMap
from .._rows.checks import (
    check_answers,
    check_codes,
    check_count,
    check_float,
    is_share,
)
from .._rows.statistics import (
    column_means,
    explained_share,
    for_whole_rows,
    squared_errors,
)
from .._training.solvers import is_full_batch
from .availability import available_unless
from .blockwise import blockwise
from .callback_support import with_callbacks
from .deployed import AutoencoderModule, why_not_deployed
from .fitting import Trainable
from .model import ENCODER, Coding, FittedModel
from .records import as_lists
from .state import TrainingState


def _why_not_in_parts(estimator: Any) -> str | None:
    if is_share(estimator.n_components):
        return (
            f"it sees too few rows to choose a width by n_components="
            f"{estimator.n_components}. Use an integer."
        )
    if is_full_batch(estimator.solver):
        return (
            f"it trains on minibatches, but solver={estimator.solver!r} needs all rows "
            "at once. Use solver='adam'."
        )
    return None


def _of_model(name: str, doc: str) -> Any:
    """Return a property that reads a fitted attribute from the model."""

    def read(estimator: Any) -> Any:
        if (model := vars(estimator).get("_model")) is None:
            raise AttributeError(
                f"{type(estimator).__name__!r} object has no attribute '{name}_' "
                "before fit"
            )
        return getattr(model, name)

    return property(read, doc=doc)


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Trainable):
    """The public methods of all autoencoders; a subclass adds parameters.

    Think twice before adding to this class: every estimator pays for it.
    """

    n_components_ = _of_model("n_components", "Width of the code.")
    network_ = _of_model("network", "The trained network.")
    mean_ = _of_model("mean", "Mean that is subtracted from rows.")
    scale_ = _of_model("scale", "Number that they are then divided by.")

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the network on the rows of ``X``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, at least two, in any unit.
        y : Ignored
            Not used, present for API consistency by convention. Callbacks see it.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or ``X`` is invalid, if the loss is infinite or NaN from the
            start, or if a callback ended training in the first epoch and there is no
            PCA to keep. The estimator is then unchanged.
        TypeError
            If a callable parameter does not return what it should.
        KeyboardInterrupt
            If interrupted, by Ctrl-C or otherwise, inside a meta-estimator or before
            the first epoch ended.

        Warns
        -----
        ConvergenceWarning
            If the loss grew without bound or training was interrupted: the weights are
            then the best of all epochs. If training did not improve on PCA, which is
            then kept. If the code does not reach the share of variance in
            ``n_components``. If training ended at ``max_iter`` while it still improved.
            The estimator is fitted even if a filter turns warnings into errors.

        Notes
        -----
        For scikit-learn's callbacks, set by ``set_callbacks``, each epoch is a task.
        Their ``fitted_estimator`` has the weights of that epoch, whether or not they
        are better than PCA. If ``on_fit_task_end`` returns True, training ends.
        """
        self._begin_task()
        return self._train(X, y, is_part=False)

    @available_unless(_why_not_in_parts)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one more epoch on the rows of ``X``.

        ``mean_``, ``scale_``, the PCA of ``init="pca"`` and the map of
        ``neighbor_weight`` stay those of the first call. No rows are held out; only
        ``fit`` uses ``early_stopping``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows; at least two in the first call.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The estimator, trained for one more epoch.

        Raises
        ------
        ValueError, TypeError, KeyboardInterrupt
            As in ``fit``.
        AttributeError
            If ``solver="lbfgs"``, which needs all rows at once, or if ``n_components``
            is a share of the variance.
        """
        return self._train(X, is_part=True)

    @blockwise
    def transform(self, X: Any) -> np.ndarray:
        """Encode rows, and improve the codes as set by the parameters.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components), float32
            Codes, without a unit. For arrays and frames of dask they are lazy ones.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not accept.
        """
        X, model, coding = self._checked(X), self._here(), self._coding()
        return model.map(lambda x: model.encode(x, coding).cpu().numpy(), X)

    @blockwise
    def inverse_transform(self, X: Any) -> np.ndarray:
        """Decode codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Rows in the unit of the training data; float32 if it was float32 or uint8,
            else float64.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the number of columns of ``X`` is not ``n_components_``.
        """
        check_is_fitted(self)
        codes, model = check_codes(X, self.n_components_), self._here()
        clip = self._parameter("clip")
        rows = model.map(lambda z: model.decode(z, clip), codes)
        return model.in_layout(rows)

    @blockwise
    def reconstruct(self, X: Any) -> np.ndarray:
        """Encode and decode rows: ``inverse_transform(transform(X))``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            Reconstructed rows in the same unit, with the dtype of
            ``inverse_transform``.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not accept.
        """
        X, model, coding = self._checked(X), self._here(), self._coding()
        clip = self._parameter("clip")
        rows = model.map(lambda x: model.reconstruct(x, coding, clip), X)
        return model.in_layout(self._without_padding(rows, X))

    @blockwise
    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the squared reconstruction error of each row.

        ``-n_features / n_known sum_known (x - reconstruct(x))^2``: the missing values
        of a row count as if they were reconstructed as well as the known ones.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float32
            ``-||x - reconstruct(x)||^2`` for complete rows, in the squared unit of the
            data, in the range of float32, 1e-45 to 3e38. Higher is more like the
            training data. ``-inf``, the worst score, if the reconstruction is not
            finite; NaN for rows without any value.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not accept.
        """
        errors = self._squared_errors(self._checked(X), fills_gaps=True)
        with np.errstate(over="ignore", under="ignore"):
            return -(errors * self.scale_ * self.scale_).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the variance that the reconstruction explains.

        ``PCA.score`` is a log-likelihood: use :mod:`skae.metrics` to compare.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            ``1 - sum ||x - reconstruct(x)||^2 / sum ||x - mean(X)||^2``: 1.0 is
            perfect, 0.0 is as good as the mean. NaN if the rows do not vary.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not accept. If a reconstruction is not finite.

        Warns
        -----
        UndefinedMetricWarning
            If the rows do not vary: a single row, rows equal up to rounding, or rows
            without any value.
        """
        X = self._checked(X)
        errors = self._squared_errors(X)
        check_answers(errors, self)
        return explained_share(errors.sum(), X, column_means(X), self.scale_)

    def jacobian(self, X: Any) -> np.ndarray:
        """Differentiate the encoder at each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        derivatives : ndarray of shape (n_samples, n_components, n_features), float32
            ``d z[j] / d x[i]`` at ``[:, j, i]``, per unit of the data, where ``z`` is
            the encoder's code. At a kink of the activation it is the derivative that
            torch uses.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not accept.
        """
        X, model = self._checked(X), self._here()
        return model.in_layout(model.map(model.jacobian, X, model.n_rows_of_slopes))

    def tangent_space(self, X: Any, n_directions: int) -> np.ndarray:
        """Find the directions in which the code changes fastest at each row.

        They span the tangent space of the manifold near the data (Rifai, Dauphin,
        Vincent, Bengio and Muller, "The manifold tangent classifier", 2011).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.
        n_directions : int
            Number of directions, at most ``n_components_`` and the number of features.

        Returns
        -------
        directions : ndarray of shape (n_samples, n_directions, n_features), float32
            The leading right singular vectors of the encoder's Jacobian at each row.
            They are orthonormal and have no unit; the entry of each with the largest
            magnitude is positive. Beyond the Jacobian's rank they are arbitrary
            directions orthogonal to the others.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not accept, or if ``n_directions`` is out of range.
        """
        X = self._checked(X)
        most = min(self.n_components_, self._n_inputs)
        check_count("n_directions", n_directions, most)
        model = self._here()
        n_rows = model.n_rows_of_slopes
        return model.in_layout(
            model.map(lambda x: model.tangents(x, n_directions), X, n_rows)
        )

    def to_torch(self) -> torch.nn.Module:
        """Return the fitted estimator as a plain module of torch.

        The module maps tensors as the estimator maps arrays, between rows in their unit
        and codes:

        - ``module(x)`` is ``reconstruct(x)``;
        - ``module.encode(x)`` is ``transform(x)``, with the steps that improve codes;
        - ``module.decode(z)`` is ``inverse_transform(z)``;
        - ``module.score_samples(x)`` is ``score_samples(x)``.

        ``torch.jit.trace`` and ``torch.export.export`` accept it, for any number of
        rows. It has a copy of the weights, on the CPU, and the parameters of this
        moment: ``set_params`` has no effect on it afterwards.

        Returns
        -------
        module : torch.nn.Module
            Takes tensors of any real dtype, flat or in the layout of the training data.
            Codes are float32; rows have the dtype of ``inverse_transform``. It checks
            nothing: values that the estimator refuses give NaN or nonsense.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If a tensor cannot do what ``transform`` does: places of rows on the map of
            ``neighbor_weight``, columns of text, and quantiles of tables.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_digits
        >>> from skae import UndercompleteAE
        >>> X = load_digits().data
        >>> ae = UndercompleteAE(8, max_iter=20, random_state=0).fit(X)
        >>> codes = ae.to_torch().encode(torch.from_numpy(X))
        >>> bool(abs(codes.numpy() - ae.transform(X)).max() < 1e-2)
        True
        """
        check_is_fitted(self)
        coding, clip = self._coding(), self._parameter("clip")
        if reason := self._why_not_torch() or why_not_deployed(self._model, coding):
            raise ValueError(f"This {type(self).__name__} has no module: {reason}")
        with own_settings(torch.device("cpu"), grad=False):
            return AutoencoderModule(self._model, coding, clip, **self._torch_parts())

    def _why_not_torch(self) -> str | None:
        """Say why tensors cannot hold the rows, if they cannot."""
        return None

    def _torch_parts(self) -> dict[str, Any]:
        """Return further arguments of the module."""
        return {}

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._check_rows(X, reset=False)[0]

    def _here(self) -> FittedModel:
        """Return the model on ``device`` if it is available."""
        device = find_device(self._parameter("device"))
        # A model fitted on a GPU must load on a machine without one.
        return self._model.on(device or torch.device("cpu"))

    def _parameter(self, name: str) -> Any:
        """Return a parameter that may be set after ``fit``, checked."""
        value, constraint = getattr(self, name), self._parameter_constraints[name]
        owner = type(self).__name__
        validate_parameter_constraints({name: constraint}, {name: value}, owner)
        check_float(name, value)
        return value

    def _coding(self) -> Coding:
        """Return how rows get their codes."""
        return ENCODER

    def _squared_errors(self, X: Any, fills_gaps: bool = False) -> np.ndarray:
        """Return each row's squared error, on data divided by ``scale_``.

        Missing values count as 0, or with ``fills_gaps`` as the mean of their row's
        known ones.
        """
        model, coding, clip = self._here(), self._coding(), self._parameter("clip")

        def errors(x: np.ndarray) -> np.ndarray:
            answers = model.reconstruct(x, coding, clip)
            known = squared_errors(x, answers, model.scale)
            return for_whole_rows(known, x) if fills_gaps else known

        return model.map(errors, X)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.loss in ("bernoulli", "poisson")
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _to_state(self) -> dict[str, Any]:
        # Plain values: a file must not depend on torch's storages, a device, or the
        # paths of private classes.
        state = super()._to_state()
        if self.checkpoint is not None:
            state["checkpoint"] = fspath(self.checkpoint)
        if (model := state.pop("_model", None)) is not None:
            state["_state"] = self._state.to_dict()
            state["_model"] = {
                "weights": to_arrays(model.whole.state_dict()),
                "n_components": model.n_components,
                "unit": (model.mean, model.scale, model.layout, model.seen),
                "neighbor_map": model.neighbor_map and asdict(model.neighbor_map),
            }
        return state

    def _from_state(self, state: dict[str, Any]) -> None:
        state = as_lists(dict(state))
        values = state.pop("_model", None)
        super()._from_state(state)
        if values is None:
            return
        last = TrainingState.from_dict(state["_state"])
        mean, scale, layout, seen = values["unit"]
        with own_settings(torch.device("cpu"), grad=True):
            network = self._build_network(last.parameters, last.network, mean, scale)
            network.eval().load_state_dict(to_tensors(values["weights"]))
        drawn = values["neighbor_map"]
        neighbor_map = drawn and NeighborMap(**drawn)
        self._set_model(network, last, mean, scale, layout, seen, neighbor_map)
        self._model = self._model.first(values["n_components"])
