"""The scikit-learn shell around a network, an objective and the engine."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._codec import Codec
from ._devices import own_settings, resolve_device, to_arrays, to_tensors
from ._engine import Engine
from ._floor import NEGLIGIBLE, is_better, overall
from ._networks import Dense, Network, Prefix, Residual
from ._objectives import Gaussian, Objective, make_loss, try_out
from ._parameters import SharedParameters
from ._pca import fit_pca
from ._rows import (
    Rows,
    column_means,
    explained_share,
    hold_out,
    map_rows,
    n_held_out,
    read_rows,
    root_mean_square,
    squared_deviation,
)
from ._schedule import Schedule
from ._solvers import is_full_batch
from ._validation import (
    DOMAINS,
    check_callbacks,
    check_codes,
    check_count,
    check_domain,
    check_layer_sizes,
    check_rows,
    in_meta_estimator,
    is_share,
    warn_caller,
)


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Undo every change to the estimator's attributes if an error leaves the block."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


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


class BaseAutoencoder(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, SharedParameters
):
    """What all autoencoders do; a subclass fills slots and adds parameters.

    The slots are ``_network_class`` with ``_network_options``, and ``_objective``;
    ``_choose_width``, ``_schedule``, ``_judge`` and ``_finish`` can be extended.
    Think twice before adding to this class: every estimator pays for it.
    """

    _network_class: ClassVar[Callable[..., Network]] = Dense

    def _network_options(self) -> dict[str, Any]:
        """Arguments of the network class, from the parameters and the data's shape."""
        if isinstance(self.hidden_layer_sizes, str):
            hidden = self._schedule().hidden_layer_sizes(self.n_features_in_)
        else:
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "sizes": [self.n_features_in_, *hidden, self._width],
            "activation": self.activation,
            "code_activation": self.code_activation,
            "tied_weights": self.tied_weights,
        }

    def _schedule(self) -> Schedule:
        """Return what the user may leave open."""
        return Schedule()

    def _objective(self) -> Objective:
        """Return what is minimised."""
        return Objective(make_loss(self.loss, self.mean_, self.scale_))

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
            If the loss grew without bound, or training was interrupted. The weights
            are then the best of all epochs.
        """
        return self._train(X, partial=False)

    @available_if(_is_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one epoch on the rows of ``X``, going on from where it stands.

        ``mean_`` and ``scale_`` stay those of the first call. No rows are held out:
        ``early_stopping`` is for ``fit``.

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
            If ``solver="lbfgs"``, which works on all rows at once.
        """
        return self._train(X, partial=True)

    def _train(self, X: Any, partial: bool) -> Self:
        resume = (partial or self.warm_start) and hasattr(self, "network_")
        validate = self.early_stopping and not partial
        device = resolve_device(self.device)
        with all_or_nothing(self), own_settings(device, grad=True):
            min_samples = 1 if resume and not validate else 2
            X = check_rows(self, X, reset=not resume, min_samples=min_samples)
            check_domain(X, self.loss)
            if resume:
                self._check_resumable()
                self._resume(X, validate)
            else:
                self._start(X, validate)
            engine = self._engine(X, device, partial, validate)
            engine.run(read_rows(X, self.mean_, self.scale_), self._state)
            self._finish(engine, X, keep_optimizer=partial or self.warm_start)
        if engine.interrupted:
            self._report_interrupt()
        return self

    def _start(self, X: Any, validate: bool) -> None:
        """Measure the data, and set the first weights."""
        if self.init == "pca" and self.code_activation != "identity":
            raise ValueError(
                f"init='pca' starts with a linear code, which code_activation="
                f"{self.code_activation!r} would bend: use init='random'."
            )
        try_out(self.loss, self.n_features_in_)
        means = column_means(X)
        self.scale_ = root_mean_square(X, means)
        self.mean_ = means.astype(np.float64 if X.dtype == np.float64 else np.float32)
        self._fitted = self._parameters_of_the_fit()
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        training, judges = self._parts(X, validate, seed)
        self.n_components_ = self._width = self._choose_width(X, training, judges)
        self._architecture = self._network_options()
        self.network_: Network = self._build_network()
        self._is_pca = False
        generator = torch.Generator("cpu").manual_seed(seed)
        loss = make_loss(self.loss, self.mean_, self.scale_)
        self.network_.reset_parameters(generator, loss.first_output())
        self._state = {"generator": generator.get_state().numpy(), "split_seed": seed}
        if self.init == "pca":
            self._become_pca(self.network_, X, training)
            # The one weight of an objective starts where PCA is too.
            log_variance = np.float32(np.log(max(self._rest, 1e-6)))
            self._state["objective"] = {"loss.log_variance": np.array(log_variance)}
        self.loss_curve_: list[float] = []
        self.__dict__.pop("noise_variance_", None)

    def _parameters_of_the_fit(self) -> dict[str, Any]:
        """Return parameters that cannot change when training goes on."""
        return {name: getattr(self, name) for name in ("n_components", "loss", "init")}

    def _resume(self, X: Any, validate: bool) -> None:
        """Forget what PCA of all rows knows of the rows that will judge."""
        if validate and self._is_pca:
            self.network_ = copy.deepcopy(self.network_)
            training, _ = self._parts(X, validate, self._state["split_seed"])
            self._become_pca(self.network_, X, training)

    def _parts(self, X: Any, validate: bool, seed: int) -> tuple[Rows, Rows]:
        """Return what picks the rows to train on, and those that judge."""
        if not validate:
            return slice(None), slice(None)
        parts = hold_out(X.shape[0], self.validation_fraction, seed)
        training, held_out = (part.numpy() for part in parts)
        # Two rows at least have a principal axis.
        return training if len(training) > 1 else slice(None), held_out

    def _choose_width(self, X: Any, training: Rows, judges: Rows) -> int:
        """Return how many components to train."""
        if self.n_components is None:
            return min(X.shape)
        return int(self.n_components)

    def _build_network(self) -> Network:
        """Build a network of the fitted shape, its weights not yet set."""
        network = self._network_class(**self._architecture)
        network.link = make_loss(self._fitted["loss"], self.mean_, self.scale_).link
        if self._fitted["init"] != "pca":
            return network
        return Residual(network, self._width, self.n_features_in_)

    def _whole_network(self) -> Network:
        """Return the network that was trained."""
        network = self.network_
        return network.network if isinstance(network, Prefix) else network

    def _use(self, network: Network) -> None:
        """Publish the network, or as much as is kept of its code."""
        kept = self.n_components_
        self.network_ = Prefix(network, kept) if self._is_cut() else network

    def _is_cut(self) -> bool:
        """Whether the code is narrower than what was trained."""
        return self.n_components_ < self._width

    def _become_pca(self, network: Any, X: Any, chosen: Rows = slice(None)) -> None:
        """Turn the network into the PCA of all rows or some."""
        seed = self._state["split_seed"]
        X = X if isinstance(chosen, slice) else X[chosen]
        pca = fit_pca(X, self.mean_, self.scale_, self._width, seed).first(self._width)
        network.become_linear(**vars(pca))
        self._is_pca, self._rest = True, pca.unexplained[-1]

    def _check_resumable(self) -> None:
        """Raise if the parameters now describe another network or loss."""
        if self._is_cut():
            raise ValueError(
                f"Cannot go on training: of {self._width} components only "
                f"{self.n_components_} are kept. Fit with warm_start=False, or fit a "
                f"clone with n_components={self.n_components_}."
            )
        now = self._network_options() | self._parameters_of_the_fit()
        fitted = self._architecture | self._fitted
        changed = {k: (fitted[k], now[k]) for k in now if fitted[k] != now[k]}
        if changed:
            changes = ", ".join(f"{k} from {a} to {b}" for k, (a, b) in changed.items())
            raise ValueError(
                f"Cannot go on training: the parameters change {changes}. Fit with "
                "warm_start=False to start anew."
            )

    def _engine(
        self, X: Any, device: torch.device, partial: bool, validate: bool
    ) -> Engine:
        fraction = self.validation_fraction if validate else 0.0
        n_rows = X.shape[0] - n_held_out(X.shape[0], fraction)
        schedule = self._schedule()
        batch_size, max_iter = self.batch_size, self.max_iter
        if is_full_batch(self.solver):
            batch_size = n_rows
        elif batch_size == "auto":
            batch_size = schedule.batch_size(n_rows)
        if max_iter == "auto":
            max_iter = schedule.n_epochs(n_rows, int(batch_size))
        weight_decay = self.weight_decay
        if weight_decay is None:
            weight_decay = schedule.weight_decay if self.solver == "adamw" else 0.0
        return Engine(
            copy.deepcopy(self.network_),
            self._objective(),
            solver=self.solver,
            learning_rate_init=self.learning_rate_init,
            # An epoch at a time there is no last one to slow down to.
            learning_rate="constant" if partial else self.learning_rate,
            weight_decay=weight_decay,
            validation_fraction=fraction,
            keeps_start=self._fitted["init"] == "pca",
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            # A user's activation may draw from the only generator that it knows.
            draws_globally=callable(self.activation) or callable(self.code_activation),
            batch_size=min(int(batch_size), n_rows),
            max_epochs=1 if partial else int(max_iter),
            callbacks=check_callbacks(self.callbacks),
            device=str(device),
            verbose=int(self.verbose),
        )

    def _finish(self, engine: Engine, X: Any, keep_optimizer: bool) -> None:
        """Publish what was learnt."""
        epochs = engine.epochs()
        if engine.diverged:
            self._report_divergence(engine)
        if engine.interrupted and not epochs:
            raise KeyboardInterrupt
        if self._judge(engine):
            self._is_pca = False
        else:
            self._become_pca(engine.module_, X)
        self.network_ = engine.module_.to("cpu").eval()
        self.network_.zero_grad()
        self.device_ = engine.device
        # Moments that saw the loss explode would make it explode again, and those of
        # weights that are gone mean nothing.
        keep_optimizer &= not (engine.diverged or self._is_pca)
        self._state = engine.state(keep_optimizer)
        self.loss_curve_ = [*self.loss_curve_, *(e["train_loss"] for e in epochs)]
        self.n_iter_ = len(self.loss_curve_)
        if isinstance(loss := engine.criterion_.loss, Gaussian):
            # A power of the scale would raise where a product is infinite.
            variance = self._rest if self._is_pca else loss.variance().item()
            self.noise_variance_ = variance * self.scale_ * self.scale_
        self.interrupted_ = engine.interrupted

    def _judge(self, engine: Engine) -> bool:
        """Score by the held-out rows; return whether training may keep its weights."""
        self.validation_scores_ = self.best_score_ = self.pca_score_ = None
        if not engine.validation_fraction:
            return True
        self.validation_scores_ = [1 - e["valid_loss"] for e in engine.epochs()]
        self.best_score_ = 1 - engine.stopping.best
        if self._fitted["init"] != "pca":
            return True
        network = engine.module_
        ours = engine.unexplained(network.encode, network.decode, network.widths)
        pca = engine.unexplained(network.project, network.expand, network.widths)
        self.pca_score_ = pca_score = 1 - overall(pca).item()
        # A model from before is good enough to go back to, whatever the new rows are.
        if not self._is_pca or is_better(ours, pca):
            return True
        # Nothing was left to gain, or another warning says why nothing was gained.
        cut_short = engine.diverged or engine.interrupted
        if 1 - pca_score > NEGLIGIBLE and not cut_short:
            self._report_no_gain(len(pca))
        self.best_score_ = pca_score
        return False

    def _report_interrupt(self) -> None:
        """Warn that training was cut short, or stop the meta-estimator too."""
        message = f"Interrupted: the weights are the best of {self.n_iter_} epochs."
        if in_meta_estimator():
            raise KeyboardInterrupt(message)
        warn_caller(message, ConvergenceWarning)

    def _report_no_gain(self, n_held_out: int) -> None:
        """Warn that PCA stays."""
        warn_caller(
            "Training did not improve on PCA, which is kept: of the variance of "
            f"{n_held_out} held-out rows PCA explains {self.pca_score_:.4g}, the best "
            f"epoch {self.best_score_:.4g}, which is worse or may be luck. More rows, "
            f"or another width than n_components={self.n_components}, may help; "
            "early_stopping=False trains on all rows and keeps what comes of it.",
            ConvergenceWarning,
        )

    def _report_divergence(self, engine: Engine) -> None:
        """Warn if there are good weights to go back to, raise if not."""
        message = (
            f"The loss grew without bound in {len(engine.history)} epochs with "
            f"learning_rate_init={self.learning_rate_init}, on data divided by "
            f"scale_={self.scale_:.3g}. Lower learning_rate_init"
        )
        if engine.stopping.weights is None:
            raise ValueError(f"{message}.")
        warn_caller(f"{message}; the best weights are kept.", ConvergenceWarning)

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
            If ``X`` has NaN, infinite values, or other features than in ``fit``.
        """
        X, codec = self._checked(X), self._codec()
        return map_rows(lambda x: codec.encode(x).cpu().numpy(), X)

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
        codes = check_codes(X, self.n_components_)
        return map_rows(self._codec().decode, codes, width=self.n_features_in_)

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
            If ``X`` has NaN, infinite values, or other features than in ``fit``.
        """
        X, codec = self._checked(X), self._codec()
        return map_rows(lambda x: codec.decode(codec.encode(x)), X)

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
            If ``X`` has NaN, infinite values, or other features than in ``fit``.
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
            If ``X`` has NaN, infinite values, or other features than in ``fit``.
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
            If ``X`` has NaN, infinite values, or other features than in ``fit``.
        """
        X, width = self._checked(X), self.n_components_ * self.n_features_in_
        return map_rows(self._codec().jacobian, X, width)

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
            orthonormal, without unit; the largest entry of each is positive.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN, infinite values, or other features than in ``fit``, or if
            ``n_directions`` is not such a number.
        """
        X = self._checked(X)
        most = min(self.n_components_, self.n_features_in_)
        check_count("n_directions", n_directions, most)
        codec, width = self._codec(), self.n_components_ * self.n_features_in_
        return map_rows(lambda x: codec.tangents(x, n_directions), X, width)

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return check_rows(self, X, reset=False)

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
        return Codec(network, loss, self.mean_, self.scale_, domain, device)

    def _squared_errors(self, X: Any) -> np.ndarray:
        """Return each row's squared error, on data divided by ``scale_``."""
        codec = self._codec()

        def errors(x: np.ndarray) -> np.ndarray:
            reconstruction = codec.decode(codec.encode(x)).astype(np.float64)
            return np.square((x - reconstruction) / self.scale_).sum(axis=1)

        return map_rows(errors, X)

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
