"""Fitting: from parameters and rows to a model, and what is told of training."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils import check_random_state

from .._machine.devices import own_settings, resolve_device
from .._networks.dense import Dense
from .._networks.linear_skip import LinearSkip
from .._networks.network import Network
from .._objectives.losses import Gaussian, make_loss, try_out
from .._objectives.objective import Objective
from .._rows.batches import read_rows
from .._rows.checks import (
    DOMAINS,
    check_callbacks,
    check_domain,
    check_finite,
    check_layer_sizes,
    check_rows,
)
from .._rows.chunks import sample, take
from .._rows.pca import LinearCode, fit_pca
from .._training.engine import Engine
from .._training.schedule import Schedule
from .._training.settings import Settings
from .._training.state import EngineState, state_of
from .data import Data, measure
from .model import FittedModel
from .parameters import SharedParameters
from .state import Baseline, PrefixScores, TrainingState
from .verdict import Verdict, check_learnt, judge, report_interrupt, report_no_gain

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


class Slots(SharedParameters):
    """What an estimator fills in: a subclass overrides slots, never the fit."""

    _network_class: ClassVar[Callable[..., Network]] = Dense

    def _check_parameters(self) -> None:
        """Raise where parameters contradict each other."""
        if self.init == "pca" and self.code_activation != "identity":
            raise ValueError(
                f"init='pca' starts with a linear code, which code_activation="
                f"{self.code_activation!r} would bend: use init='random'."
            )

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, tuple[int, ...]]:
        """Return flat rows that the network can take, and their layout, or raise."""
        X = check_rows(self, X, reset=reset, min_samples=min_samples)
        return X, X.shape[1:]

    def _fixed_parameters(self) -> dict[str, Any]:
        """Return parameters that cannot change when training goes on."""
        return {name: getattr(self, name) for name in ("n_components", "loss", "init")}

    def _choose_width(self, data: Data) -> int:
        """Return how many components to train."""
        if self.n_components is None:
            return self.n_features_in_
        return int(self.n_components)

    def _schedule(self, data: Data) -> Schedule:
        """Return what the user may leave open."""
        return Schedule()

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        """Return arguments of the network class, by the parameters and the rows."""
        if isinstance(self.hidden_layer_sizes, str):
            hidden = schedule.hidden_layer_sizes(self.n_features_in_)
        else:
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "sizes": [self.n_features_in_, *hidden, width],
            "activation": self.activation,
            "code_activation": self.code_activation,
            "tied_weights": self.tied_weights,
        }

    def _objective(self, network: Network, data: Data) -> Objective:
        """Return what is minimised."""
        return Objective(make_loss(self.loss, data.mean, data.scale))

    def _n_neighbors(self) -> int:
        """Return how many neighbours of a row it may be trained with; 0 for none."""
        return 0

    def _least_unexplained(self, pca: LinearCode, rows: Any, data: Data) -> float:
        """Return what PCA leaves of the objective, though it may explain all rows."""
        return 0.0

    def _score_prefixes(self, engine: Engine, verdict: Verdict) -> PrefixScores | None:
        """Return the scores of the first components; None unless codes are ordered."""
        return None

    def _finish(self, engine: Engine, data: Data) -> None:
        """Do what is due when there is a model."""


class Trainable(Slots):
    """What ``fit`` does: read rows, start or go on, train, judge, publish."""

    _model: FittedModel
    _state: TrainingState

    def _train(self, X: Any, is_part: bool) -> Self:
        self._check_parameters()
        goes_on = (is_part or self.warm_start) and hasattr(self, "_model")
        device = resolve_device(self.device)
        with all_or_nothing(self), own_settings(device, grad=True):
            data = self._read(X, is_part, goes_on)
            network, state = self._go_on(data) if goes_on else self._start(data)
            engine = self._engine(network, state, data, device)
            engine.run(read_rows(data.X, data.mean, data.scale), state.engine)
            self._publish(engine, state, data)
        if engine.interrupted:
            report_interrupt(self)
        return self

    def _read(self, X: Any, is_part: bool, goes_on: bool) -> Data:
        """Check rows and measure them, or take what was measured before."""
        validates = self.early_stopping and not is_part
        fraction = self.validation_fraction if validates else 0.0
        min_samples = 1 if goes_on and not validates else 2
        X, layout = self._check_rows(X, reset=not goes_on, min_samples=min_samples)
        check_finite(X, self._allows_nan(), type(self).__name__)
        check_domain(X, self.loss)
        if goes_on:
            self._check_unchanged()
            model, seed = self._model, self._state.engine.split_seed
            unit = model.layout, model.mean, model.scale
            return Data(X, *unit, fraction, seed, is_part)
        try_out(self.loss, self.n_features_in_)
        unit = layout, *measure(X)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        return Data(X, *unit, fraction, seed, is_part)

    def _allows_nan(self) -> bool:
        return bool(self.__sklearn_tags__().input_tags.allow_nan)

    def _check_unchanged(self) -> None:
        """Raise if the parameters now describe another network or loss."""
        model, state = self._model, self._state
        if model.is_cut:
            raise ValueError(
                f"Cannot go on training: of {model.whole.widths[-1]} components only "
                f"{model.n_components} are kept. Fit with warm_start=False, or fit a "
                f"clone with n_components={model.n_components}."
            )
        now = self._network_options(state.schedule, model.n_components)
        now, fitted = now | self._fixed_parameters(), state.network | state.parameters
        changed = {k: (fitted[k], now[k]) for k in now if fitted[k] != now[k]}
        if changed:
            changes = ", ".join(f"{k} from {a} to {b}" for k, (a, b) in changed.items())
            changes = changes.replace("sizes from", "sizes of layers from")
            raise ValueError(
                f"Cannot go on training: the parameters change {changes}. Fit with "
                "warm_start=False to start anew."
            )

    def _start(self, data: Data) -> tuple[Network, TrainingState]:
        """Set the first weights."""
        width, schedule = self._choose_width(data), self._schedule(data)
        options = self._network_options(schedule, width)
        fixed = self._fixed_parameters()
        network = self._build_network(fixed, options, data.mean, data.scale)
        generator = torch.Generator("cpu").manual_seed(data.seed)
        loss = make_loss(self.loss, data.mean, data.scale)
        network.reset_parameters(generator, loss.first_output())
        engine = EngineState(generator.get_state().numpy(), data.seed)
        state = TrainingState(fixed, options, schedule, engine)
        if isinstance(network, LinearSkip):
            state = state.with_baseline(self._become_pca(network, data, data.training))
        self.loss_curve_: list[float] = []
        return network, state

    def _build_network(
        self, fixed: dict[str, Any], options: dict[str, Any], mean: Any, scale: float
    ) -> Network:
        """Build a network, its weights not yet set."""
        network = self._network_class(**options)
        network.link = make_loss(fixed["loss"], mean, scale).link
        if fixed["init"] != "pca":
            return network
        return LinearSkip(network, network.widths[-1], len(mean))

    def _become_pca(self, network: Any, data: Data, chosen: Any) -> Baseline:
        """Turn the network into the PCA of all rows or some."""
        index, width = np.arange(data.n_rows)[chosen], network.widths[-1]
        pca = fit_pca(data.X, data.mean, data.scale, width, data.seed, chosen)
        pca = pca.first(width)
        pca = pca.for_rows_to_come() if data.is_part else pca
        rows = take(data.X, sample(index, N_SAMPLE))
        least = self._least_unexplained(pca, rows, data)
        unexplained = np.maximum(pca.unexplained, least)
        network.become_linear(**vars(replace(pca, unexplained=unexplained)))
        return Baseline(len(index), pca.unexplained[-1])

    def _go_on(self, data: Data) -> tuple[Network, TrainingState]:
        """Take the last weights, but forget what PCA knows of the rows that judge."""
        network, state = copy.deepcopy(self._model.network), self._state
        pca, judges = state.kept_pca, data.validation_fraction > 0
        if pca and judges and data.n_rows >= pca.n_rows:
            pca = self._become_pca(network, data, data.training)
            state = replace(state, baseline=pca)
        return network, state

    def _engine(
        self, network: Network, state: TrainingState, data: Data, device: torch.device
    ) -> Engine:
        """Return what minimises the objective."""
        settings = Settings(
            solver=self.solver,
            learning_rate_init=self.learning_rate_init,
            # An epoch at a time there is no last one to slow down to.
            learning_rate="constant" if data.is_part else self.learning_rate,
            tol=self.tol,
            validation_fraction=data.validation_fraction,
            keeps_start=state.baseline is not None,
            n_neighbors=self._n_neighbors(),
            # A user's activation may draw from the only generator that it knows.
            draws_globally=callable(self.activation) or callable(self.code_activation),
            **state.schedule.fill_in(self, data.n_training, data.is_part),
        )
        return Engine(
            network,
            self._objective(network, data),
            settings,
            callbacks=check_callbacks(self.callbacks),
            device=str(device),
            verbose=int(self.verbose),
        )

    def _publish(self, engine: Engine, state: TrainingState, data: Data) -> None:
        """Keep the trained weights or PCA's, and say what was learnt."""
        check_learnt(self, engine, data.scale)
        verdict = judge(engine, state.baseline)
        if not verdict.keeps_training:
            report_no_gain(self, engine, verdict)
        prefixes = self._score_prefixes(engine, verdict)
        pca = self._kept_baseline(engine.module_, state.baseline, verdict, data)
        state = replace(state, baseline=pca, prefixes=prefixes)
        # Moments that saw the loss explode would make it explode again, and those of
        # weights that are gone mean nothing.
        may_go_on = data.is_part or self.warm_start
        is_sound = not (engine.diverged or state.kept_pca)
        state = replace(state, engine=state_of(engine, may_go_on and is_sound))
        kept = state.kept_pca
        self._state = state.with_baseline(kept) if kept else state
        network = engine.module_.to("cpu").eval()
        network.zero_grad()
        self._model = self._make_model(network, data.mean, data.scale, data.layout)
        self._tell(engine, verdict, data.scale)
        self._finish(engine, data)

    def _kept_baseline(
        self, network: Any, pca: Baseline | None, verdict: Verdict, data: Data
    ) -> Baseline | None:
        """Go back to the PCA of these rows, or of more before, if it is better."""
        if pca is None or verdict.keeps_training:
            beaten = {"is_kept": False, "is_beaten": verdict.beats_pca}
            return pca and replace(pca, **beaten)
        if data.n_rows >= pca.n_rows:
            return self._become_pca(network, data, slice(None))
        network.zero_last_layers()
        return replace(pca, is_kept=True)

    def _make_model(
        self, network: Network, mean: Any, scale: float, layout: tuple[int, ...]
    ) -> FittedModel:
        domain = DOMAINS.get(self._state.parameters["loss"])
        name = type(self).__name__
        return FittedModel(
            network, mean, scale, layout, domain, self._allows_nan(), name
        )

    def _tell(self, engine: Engine, verdict: Verdict, scale: float) -> None:
        """Publish how training went."""
        self.device_ = engine.device
        self.interrupted_ = engine.interrupted
        self.validation_scores_ = verdict.validation_scores
        self.best_score_ = verdict.best_score
        self.pca_score_ = verdict.pca_score
        losses = [epoch["train_loss"] for epoch in engine.epochs()]
        self.loss_curve_ = [*self.loss_curve_, *losses]
        self.n_iter_ = len(self.loss_curve_)
        self.__dict__.pop("noise_variance_", None)
        if isinstance(loss := engine.criterion_.loss, Gaussian):
            pca = self._state.kept_pca
            variance = pca.residual_variance if pca else loss.variance().item()
            # A power of the scale would raise where a product is infinite.
            self.noise_variance_ = variance * scale * scale
