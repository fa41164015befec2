"""Training: from parameters and rows to a network, and what is told of it."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import Tensor

from .._machine.callers import in_meta_estimator, warn_caller
from .._machine.devices import own_settings, resolve_device
from .._networks.dense import Dense
from .._networks.linear_part import Residual
from .._networks.network import Network
from .._networks.prefix import Prefix
from .._objectives.losses import Gaussian, make_loss, try_out
from .._objectives.objective import Objective
from .._rows.batches import read_rows
from .._rows.checks import (
    check_callbacks,
    check_domain,
    check_finite,
    check_layer_sizes,
    check_rows,
)
from .._rows.chunks import Rows, sample, take
from .._rows.pca import LinearCode, fit_pca
from .._rows.split import hold_out, n_held_out
from .._rows.statistics import column_means, root_mean_square
from .._training.engine import Engine
from .._training.schedule import N_STREAMED, Schedule
from .._training.solvers import is_full_batch
from .._training.validation import NEGLIGIBLE, is_better, overall
from .parameters import SharedParameters

# Rows that show well enough what PCA misses.
N_SAMPLE = 4096


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


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))


def _unless_auto(value: Any, choice: float) -> Any:
    return choice if value == "auto" else value


class Trainable(SharedParameters):
    """What ``fit`` does; a subclass fills slots.

    The slots are ``_network_class`` with ``_network_options``, and ``_objective``;
    ``_choose_width``, ``_schedule``, ``_judge`` and ``_finish`` can be extended.
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

    def _n_neighbors(self) -> int:
        """Return how many neighbours of a row it may be trained with; 0 for none."""
        return 0

    def _check_rows(self, X: Any, *, reset: bool, min_samples: int = 1) -> Any:
        """Return flat rows that the network can take, or raise."""
        return check_rows(self, X, reset=reset, min_samples=min_samples)

    def _train(self, X: Any, partial: bool) -> Self:
        resume = (partial or self.warm_start) and hasattr(self, "network_")
        validate = self.early_stopping and not partial
        device = resolve_device(self.device)
        with all_or_nothing(self), own_settings(device, grad=True):
            min_samples = 1 if resume and not validate else 2
            X = self._check_rows(X, reset=not resume, min_samples=min_samples)
            check_finite(self, X)
            check_domain(X, self.loss)
            if resume:
                self._check_resumable()
                self._resume(X, validate)
            else:
                self._start(X, validate, partial)
            engine = self._engine(X, device, partial, validate)
            engine.run(read_rows(X, self.mean_, self.scale_), self._state)
            self._finish(engine, X, keep_optimizer=partial or self.warm_start)
        if engine.interrupted:
            self._report_interrupt()
        return self

    def _start(self, X: Any, validate: bool, partial: bool) -> None:
        """Measure the data, and set the first weights."""
        if self.init == "pca" and self.code_activation != "identity":
            raise ValueError(
                f"init='pca' starts with a linear code, which code_activation="
                f"{self.code_activation!r} would bend: use init='random'."
            )
        try_out(self.loss, self.n_features_in_)
        means = column_means(X)
        if (empty := np.flatnonzero(np.isnan(means))).size:
            raise ValueError(
                f"No row of X has a value in columns {empty.tolist()}: leave them out."
            )
        self.scale_ = root_mean_square(X, means)
        self.mean_ = means.astype(np.float64 if X.dtype == np.float64 else np.float32)
        self._fitted = self._parameters_of_the_fit()
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        training, judges = self._parts(X, validate, seed)
        self.n_components_ = self._width = self._choose_width(X, training, judges)
        self._architecture = self._network_options()
        self.network_: Network = self._build_network()
        self._is_pca = self._is_judged = False
        generator = torch.Generator("cpu").manual_seed(seed)
        loss = make_loss(self.loss, self.mean_, self.scale_)
        self.network_.reset_parameters(generator, loss.first_output())
        self._state = {"generator": generator.get_state().numpy(), "split_seed": seed}
        if self.init == "pca":
            self._become_pca(self.network_, X, training, partial)
            self._state["objective"] = self._objective_of_pca()
        self.loss_curve_: list[float] = []
        self.__dict__.pop("noise_variance_", None)

    def _parameters_of_the_fit(self) -> dict[str, Any]:
        """Return parameters that cannot change when training goes on."""
        return {name: getattr(self, name) for name in ("n_components", "loss", "init")}

    def _resume(self, X: Any, validate: bool) -> None:
        """Forget what PCA of all rows knows of the rows that will judge."""
        if validate and self._is_pca and X.shape[0] >= self._n_pca_rows:
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
            return self.n_features_in_
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

    def _become_pca(
        self, network: Any, X: Any, chosen: Rows = slice(None), partial: bool = False
    ) -> None:
        """Turn the network into the PCA of all rows or some."""
        index = np.arange(X.shape[0])[chosen]
        settings = self.mean_, self.scale_, self._width, self._state["split_seed"]
        pca = fit_pca(X, *settings, chosen).first(self._width)
        pca = pca.for_rows_to_come() if partial else pca
        least = self._least_missed(pca, take(X, sample(index, N_SAMPLE)))
        missed = np.maximum(pca.unexplained, least)
        network.become_linear(**vars(replace(pca, unexplained=missed)))
        self._is_pca, self._rest = True, pca.unexplained[-1]
        self._n_pca_rows = len(index)

    def _least_missed(self, pca: LinearCode, rows: Any) -> float:
        """Return what PCA misses of the objective, though it may explain all rows."""
        return 0.0

    def _go_back_to_pca(self, network: Any, X: Any) -> None:
        """Turn the network into the PCA of these rows, or that of more before."""
        if X.shape[0] >= self._n_pca_rows:
            self._become_pca(network, X)
        else:
            network.silence()
            self._is_pca = True

    def _objective_of_pca(self) -> dict[str, np.ndarray]:
        """Return the one weight of an objective, the variance of what PCA misses."""
        log_variance = np.float32(np.log(max(self._rest, 1e-6)))
        return {"loss.log_variance": np.array(log_variance)}

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
            changes = changes.replace("sizes from", "sizes of layers from")
            raise ValueError(
                f"Cannot go on training: the parameters change {changes}. Fit with "
                "warm_start=False to start anew."
            )

    def _engine(
        self, X: Any, device: torch.device, partial: bool, validate: bool
    ) -> Engine:
        fraction = self.validation_fraction if validate else 0.0
        n_rows = X.shape[0] - n_held_out(X.shape[0], fraction)
        pace = self._pace(n_rows, partial)
        return Engine(
            copy.deepcopy(self.network_),
            self._objective(),
            solver=self.solver,
            learning_rate_init=self.learning_rate_init,
            # An epoch at a time there is no last one to slow down to.
            learning_rate="constant" if partial else self.learning_rate,
            validation_fraction=fraction,
            keeps_start=self._fitted["init"] == "pca",
            tol=self.tol,
            # A user's activation may draw from the only generator that it knows.
            n_neighbors=self._n_neighbors(),
            draws_globally=callable(self.activation) or callable(self.code_activation),
            **pace,
            callbacks=check_callbacks(self.callbacks),
            device=str(device),
            verbose=int(self.verbose),
        )

    def _pace(self, n_rows: int, partial: bool) -> dict[str, Any]:
        """Return number and size of steps, by the schedule what is "auto"."""
        schedule = self._schedule()
        batch_size = int(_unless_auto(self.batch_size, schedule.batch_size(n_rows)))
        batch_size = n_rows if is_full_batch(self.solver) else min(batch_size, n_rows)
        n_epochs = int(
            _unless_auto(self.max_iter, schedule.n_epochs(n_rows, batch_size))
        )
        n_batches = N_STREAMED if partial else math.ceil(n_rows / batch_size)
        decays = self.solver == "adamw"
        decay = schedule.weight_decay(n_batches) if decays else 0.0
        patience = schedule.patience(n_epochs)
        return {
            "batch_size": batch_size,
            "max_epochs": 1 if partial else n_epochs,
            "weight_decay": _unless_auto(self.weight_decay, decay),
            "n_iter_no_change": _unless_auto(self.n_iter_no_change, patience),
        }

    def _finish(self, engine: Engine, X: Any, keep_optimizer: bool) -> None:
        """Publish what was learnt."""
        epochs = engine.epochs()
        if math.isnan(engine.loss_before):
            raise ValueError(
                f"loss={self.loss!r} is NaN before the first step: use another, such "
                "as 'squared_error'."
            )
        if engine.diverged:
            self._report_divergence(engine)
        if engine.interrupted and not epochs:
            raise KeyboardInterrupt
        if self._judge(engine):
            self._is_pca = False
        else:
            self._go_back_to_pca(engine.module_, X)
        self.network_ = engine.module_.to("cpu").eval()
        self.network_.zero_grad()
        self.device_ = engine.device
        # Moments that saw the loss explode would make it explode again, and those of
        # weights that are gone mean nothing.
        keep_optimizer &= not (engine.diverged or self._is_pca)
        self._state = engine.state(keep_optimizer)
        if self._is_pca:
            self._state["objective"] = self._objective_of_pca()
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
            self._is_judged = False
            return True
        self.validation_scores_ = [1 - e["unexplained"] for e in engine.epochs()]
        network = engine.module_
        ours = engine.unexplained(network.encode, network.decode, network.widths)
        price = engine.price(network)
        self.best_score_ = 1 - (overall(ours).item() if price else engine.stopping.best)
        if self._fitted["init"] != "pca":
            return True
        pca = engine.unexplained(network.project, network.expand, network.widths)
        self.pca_score_ = pca_score = 1 - overall(pca).item()
        if price:
            linear = copy.deepcopy(network)
            linear.silence()
            ours, pca = ours + price, pca + engine.price(linear)
        # A model that was better before is good enough to go back to, whatever the new
        # rows are.
        self._is_judged = self._is_judged or is_better(ours, pca)
        if self._is_judged:
            return True
        # Nothing was left to gain, or another warning says why nothing was gained.
        cut_short = engine.diverged or engine.interrupted
        if 1 - pca_score > NEGLIGIBLE and not cut_short:
            self._report_no_gain(network.widths, ours, pca)
        self.best_score_ = pca_score
        return False

    def _report_interrupt(self) -> None:
        """Warn that training was cut short, or stop the meta-estimator too."""
        message = f"Interrupted: the weights are the best of {self.n_iter_} epochs."
        if in_meta_estimator():
            raise KeyboardInterrupt(message)
        warn_caller(message, ConvergenceWarning)

    def _report_no_gain(self, widths: list[int], ours: Tensor, pca: Tensor) -> None:
        """Warn that PCA stays."""
        by = f" by {_listed(widths)} components" if len(widths) > 1 else ""
        explained, ours_explained = (
            _listed(f"{1 - share:.4g}" for share in shares.mean(0).tolist())
            for shares in (pca, ours)
        )
        warn_caller(
            "Training did not improve on PCA, which is kept: of the variance of "
            f"{len(pca)} held-out rows PCA explains {explained}{by}, the best weights "
            f"{ours_explained}, which is no more or may be luck, by a paired t test. "
            f"More rows, a larger validation_fraction than {self.validation_fraction}, "
            f"or another n_components than {self.n_components} may help; "
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
