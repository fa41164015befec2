"""The scikit-learn shell around a network, an objective and the engine."""

import copy
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._machine.devices import own_settings, resolve_device, to_arrays, to_tensors
from .._objectives.losses import make_loss
from .._rows.checks import DOMAINS, check_codes, check_count, check_finite, is_share
from .._rows.statistics import column_means, explained_share, squared_deviation
from .._training.solvers import is_full_batch
from .fitting import Trainable
from .model import Codec


def _is_stochastic(estimator: Any) -> bool:
    if is_share(estimator.n_components):
        raise AttributeError(
            f"partial_fit sees too few rows to choose a width by n_components="
            f"{estimator.n_components}: use an integer."
        )
    if is_full_batch(estimator.solver):
        raise AttributeError(
            f"partial_fit needs minibatches, and solver={estimator.solver!r} works on "
            "all rows at once: use solver='adam'."
        )
    return True


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Trainable):
    """The public contract of all autoencoders; a subclass adds parameters.

    Think twice before adding to this class: every estimator pays for it.
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the network on the rows of ``X``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, two at least, in any unit.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or ``X`` makes no sense, or the loss is infinite or NaN from
            the start. The estimator is then as it was before.
        TypeError
            If a callable parameter does not make what it should.
        KeyboardInterrupt
            If interrupted inside a meta-estimator, or before the first epoch ended.

        Warns
        -----
        ConvergenceWarning
            If the loss grew without bound, or training was interrupted: the weights
            are then the best of all epochs. If training did not improve on PCA, which
            is then kept, or does not reach ``n_components`` as a share.
        """
        return self._train(X, partial=False)

    @available_if(_is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one epoch on the rows of ``X``, going on from where it stands.

        ``mean_``, ``scale_`` and the PCA of ``init="pca"`` stay those of the first
        call. No rows are held out: ``early_stopping`` is for ``fit``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows; two at least in the first call.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The estimator, one epoch further.

        Raises
        ------
        ValueError, TypeError, KeyboardInterrupt
            As in ``fit``.
        AttributeError
            If ``solver="lbfgs"``, which works on all rows at once, or if
            ``n_components`` is a share of the variance.
        """
        return self._train(X, partial=True)

    def transform(self, X: Any) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components), float32
            Codes, without unit.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not take.
        """
        X, codec = self._checked(X), self._codec()
        return codec.map(lambda x: codec.encode(x).cpu().numpy(), X)

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
            If ``X`` has another number of columns than the codes.
        """
        check_is_fitted(self)
        codes, codec = check_codes(X, self.n_components_), self._codec()
        return self._in_layout(codec.map(codec.decode, codes))

    def reconstruct(self, X: Any) -> np.ndarray:
        """Encode and decode rows: ``inverse_transform(transform(X))``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            Their reconstruction, in the same unit and of the dtype of
            ``inverse_transform``.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not take.
        """
        X, codec = self._checked(X), self._codec()
        rows = codec.map(lambda x: codec.decode(codec.encode(x)), X)
        return self._in_layout(rows)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the squared reconstruction error of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float32
            ``-||x - reconstruct(x)||^2`` in the squared unit of the data, of which
            float32 holds 1e-45 to 3e38: the higher, the more like the training data.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not take.
        """
        errors = self._squared_errors(self._checked(X))
        with np.errstate(over="ignore"):
            return -(errors * self.scale_ * self.scale_).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the variance that the reconstruction explains.

        ``PCA.score`` is a log-likelihood: compare by :mod:`skae.metrics`.

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
            perfect, 0.0 as good as the mean. Of rows that are all alike it is 1.0 if
            the reconstruction is exact, else 0.0.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not take.
        """
        X = self._checked(X)
        unexplained = self._squared_errors(X).sum()
        total = squared_deviation(X, column_means(X), self.scale_)
        return explained_share(unexplained, total)

    def jacobian(self, X: Any) -> np.ndarray:
        """Differentiate the encoder at each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        derivatives : ndarray of shape (n_samples, n_components, n_features), float32
            ``d transform(x)[j] / d x[i]`` at ``[:, j, i]``, per unit of the data. Where
            the activation has a kink it is the derivative torch takes there.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not take.
        """
        X, codec = self._checked(X), self._codec()
        return self._in_layout(codec.map(codec.jacobian, X, codec.n_rows_of_slopes))

    def tangent_space(self, X: Any, n_directions: int) -> np.ndarray:
        """Find the directions in which the code changes fastest at each row.

        They span the tangent of the manifold that the data lie about (Rifai, Dauphin,
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
            The leading right singular vectors of the encoder's Jacobian at each row,
            orthonormal, without unit; the largest entry of each is positive. Beyond
            the Jacobian's rank they are any directions orthogonal to the others.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, other features than in ``fit``, or NaN that
            the estimator does not take, or if ``n_directions`` is not such a number.
        """
        X = self._checked(X)
        most = min(self.n_components_, self.n_features_in_)
        check_count("n_directions", n_directions, most)
        codec = self._codec()
        return self._in_layout(
            codec.map(
                lambda x: codec.tangents(x, n_directions), X, codec.n_rows_of_slopes
            )
        )

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._check_rows(X, reset=False)

    def _in_layout(self, rows: np.ndarray) -> np.ndarray:
        """Give answers, shape (..., n_features), the layout of the training rows."""
        return rows

    def _codec(self) -> Codec:
        """Return what computes on rows in their unit, on ``device`` if it is here."""
        try:
            device = resolve_device(self.device)
        except ValueError:
            # A model fitted on a GPU must open on a machine without one.
            device = torch.device("cpu")
        on_cpu = device.type == "cpu"
        network = self.network_ if on_cpu else copy.deepcopy(self.network_).to(device)
        loss = make_loss(self._fitted["loss"], self.mean_, self.scale_).to(device)
        domain = DOMAINS.get(self._fitted["loss"])
        has_gaps = self.__sklearn_tags__().input_tags.allow_nan
        check = partial(check_finite, self)
        settings = domain, device, self._n_refinements(), has_gaps, check
        return Codec(network, loss, self.mean_, self.scale_, *settings)

    def _n_refinements(self) -> int:
        """Return how many steps improve the encoder's codes."""
        return 0

    def _squared_errors(self, X: Any) -> np.ndarray:
        """Return each row's squared error, on data divided by ``scale_``."""
        codec = self._codec()

        def errors(x: np.ndarray) -> np.ndarray:
            reconstruction = codec.decode(codec.encode(x)).astype(np.float64)
            return np.nansum(np.square((x - reconstruction) / self.scale_), axis=1)

        return codec.map(errors, X)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.loss in ("bernoulli", "poisson")
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # Weights as arrays: the file knows neither torch's storages nor a device.
        state = dict(super().__getstate__())
        if "network_" in state:
            state["network_"] = to_arrays(self._whole_network().state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("network_", None)
        super().__setstate__(state)
        if weights is not None:
            with own_settings(torch.device("cpu"), grad=True):
                network = self._build_network().eval()
                network.load_state_dict(to_tensors(weights))
            self._use(network)
