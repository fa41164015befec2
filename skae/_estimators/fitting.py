"""Fitting: from parameters and rows to a model and its attributes."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_random_state

from .._machine.callers import Held, held_warnings, warn_held
from .._machine.devices import check_precision, own_settings, resolve_device
from .._machine.interrupts import Interrupts, noted_interrupts
from .._machine.memory import told_of_memory
from .._machine.processes import Processes, busy, sharing_processes
from .._networks.network import Network
from .._objectives.losses import Gaussian, try_out
from .._rows.batches import read_rows
from .._rows.checks import check_domain, check_finite
from .._training.callbacks import check_callbacks
from .._training.checkpoint import Checkpoint
from .._training.engine import Engine
from .._training.history import tabulated
from .._training.leading import Follower, Leader, leading
from .._training.settings import Settings
from .._training.state import state_of
from .callback_support import CallbackSupport
from .data import Data, measure, widened
from .selection import (
    Selection,
    check_learnt,
    is_worse_than_mean,
    report,
    report_interrupt,
    select,
)
from .sharing import Shareable, agreed
from .state import Baseline, TrainingState


def _go_back(attributes: dict[str, Any], before: dict[str, Any]) -> None:
    """Undo every change to an estimator's attributes."""
    attributes.update(before)
    for name in attributes.keys() - before.keys():
        del attributes[name]


def _nan_allowed() -> AbstractContextManager[Any]:
    """Let torch's anomaly detection ignore NaN, which fits report themselves."""
    if not torch.is_anomaly_enabled():
        return nullcontext()
    return torch.autograd.set_detect_anomaly(True, check_nan=False)


def _cure_of_memory(engine: Engine) -> str:
    return (
        f"use a batch_size below {engine.settings.batch_size}, fewer or narrower "
        f"layers, or another device than {engine.device!r}"
    )


class Trainable(Shareable, CallbackSupport):
    """What ``fit`` does: read rows, start or continue, train, select, publish."""

    def _train(self, X: Any, y: Any = None, *, is_part: bool) -> Self:
        before, processes = vars(self).copy(), sharing_processes()
        if processes is None:
            self._check_before(is_part)
        with noted_interrupts() as interrupts:
            try:
                if processes is None:
                    told = self._run((X, y), is_part, interrupts)
                else:
                    told = self._run_with(processes, (X, y), is_part, interrupts)
                if not is_part:
                    self._end_task(X, y)
            except BaseException as error:
                # Before any call, since another interrupt might end it.
                interrupts.n_held = math.inf
                _go_back(self.__dict__, before)
                if interrupts.count and isinstance(error, Exception):
                    raise KeyboardInterrupt from error
                raise
            if not interrupts.count:
                warn_held(told)
        if interrupts.count:
            self.interrupted_, self.stop_reason_ = True, "interrupt"
            report_interrupt(self)
            warn_held(told)
        return self

    def _check_before(self, is_part: bool) -> None:
        """Raise if parameters are at odds, whatever the rows are."""
        self._check_parameters()
        rate = "constant" if is_part else self.learning_rate
        validates = self.early_stopping and not is_part
        check_callbacks(self.callbacks, rate, validates)
        check_precision(self.precision, self.device)

    def _run(
        self, given: tuple[Any, Any], is_part: bool, interrupts: Interrupts
    ) -> Held:
        """Train and publish; return the warnings to give afterwards."""
        device = resolve_device(self.device)
        with own_settings(device, grad=True), _nan_allowed():
            return self._learn(*self._read(given[0], is_part), given, interrupts)

    def _learn(
        self,
        data: Data,
        parameters: str,
        given: tuple[Any, Any],
        interrupts: Interrupts,
        leader: Leader | None = None,
    ) -> Held:
        """Train on the rows that were read, and with other processes if they wait."""
        data, checkpoint = self._opened(data, parameters)
        if checkpoint is not None and checkpoint.fitted is not None:
            return self._take(checkpoint)
        engine, state = self._prepare(data, checkpoint)
        engine.leader = leader
        rows = read_rows(data.X, data.mean, data.scale)
        if not self._goes_on(data.is_part):
            state = self._pretrain(engine, state, data, rows, interrupts)
        if not data.is_part:
            self._follow(engine, state, data, given)
        with told_of_memory(lambda: _cure_of_memory(engine)):
            engine.run(rows, data.split, state.engine, interrupts)
        with held_warnings() as held:
            self._publish(engine, state, data)
        if checkpoint is not None and not engine.interrupted:
            self._close_checkpoint(checkpoint, held)
        return held

    def _run_with(
        self,
        processes: Processes,
        given: tuple[Any, Any],
        is_part: bool,
        interrupts: Interrupts,
    ) -> Held:
        """Train together with other processes, of which the first one decides."""

        def read() -> tuple[dict[str, str], tuple[Data, str]]:
            self._check_before(is_part)
            with own_settings(resolve_device(self.device), grad=True):
                alike = self._what_is_alike(is_part)
                data, parameters = self._read(given[0], is_part)
                return alike | {"X": self._hash_rows(data)}, (data, parameters)

        with busy():
            data, parameters = agreed(processes, read)
            device = resolve_device(self.device)
            with own_settings(device, grad=True), _nan_allowed():
                if not processes.is_first:
                    follower = Follower(processes, data.X, device, interrupts)
                    return self._take_result(follower.follow(), interrupts)
                leader = Leader(processes, (data.mean, data.scale))
                with leading(leader, self._fitted_values, interrupts):
                    return self._learn(data, parameters, given, interrupts, leader)

    def _goes_on(self, is_part: bool) -> bool:
        """Whether training continues from an earlier fit."""
        return (is_part or self.warm_start) and hasattr(self, "_model")

    def _read(self, X: Any, is_part: bool) -> tuple[Data, str]:
        """Return the rows, and a hash of the parameters if a checkpoint needs it."""
        goes_on = self._goes_on(is_part)
        if is_part or self.checkpoint is None:
            return self._measure(X, is_part, goes_on), ""
        # Reading draws a seed from the random state.
        parameters = self._hash_parameters(goes_on)
        return self._measure(X, is_part, goes_on), parameters

    def _opened(self, data: Data, parameters: str) -> tuple[Data, Checkpoint | None]:
        """Return the rows with the seed of the checkpoint, and it; None without one."""
        if not parameters:
            return data, None
        checkpoint = self._open_checkpoint(data, parameters)
        return replace(data, seed=checkpoint.seed), checkpoint

    def _prepare(
        self, data: Data, checkpoint: Checkpoint | None
    ) -> tuple[Engine, TrainingState]:
        """Return the engine, and the state to start from."""
        goes_on = self._goes_on(data.is_part)
        network, state = self._go_on(data) if goes_on else self._start(data)
        engine = self._engine(network, state, data)
        engine.neighbor_map = self._map_so_far(data, goes_on)
        engine.checkpoint = checkpoint
        return engine, state

    def _measure(self, X: Any, is_part: bool, goes_on: bool) -> Data:
        """Check rows and compute their statistics, or use those of the first fit."""
        validates = self.early_stopping and not is_part
        fraction = self.validation_fraction if validates else 0.0
        min_samples = 1 if goes_on and not validates else 2
        X, layout = self._check_rows(X, reset=not goes_on, min_samples=min_samples)
        is_complete = check_finite(X, self._allows_nan(), type(self).__name__)
        check_domain(X, self.loss)
        X = self._training_rows(X)
        if goes_on:
            self._check_unchanged()
            model, seed = self._model, self._state.engine.split_seed
            seen = widened(self._extremes(X), model.seen)
            unit = model.layout, model.mean, model.scale, seen
            return Data(X, *unit, fraction, seed, is_part, self._most_rows())
        try_out(self.loss, self.n_features_in_)
        unit = layout, *measure(X, is_complete), self._extremes(X)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        return Data(X, *unit, fraction, seed, is_part, self._most_rows())

    def _engine(self, network: Network, state: TrainingState, data: Data) -> Engine:
        """Return the engine that minimises the objective."""
        settings = Settings(
            solver=self.solver,
            learning_rate_init=self.learning_rate_init,
            # partial_fit has no last epoch for a schedule.
            learning_rate="constant" if data.is_part else self.learning_rate,
            tol=self.tol,
            precision=self.precision,
            validation_fraction=data.validation_fraction,
            # The initial weights do not keep neighbours.
            keeps_start=state.baseline is not None and not self._n_neighbors(),
            n_neighbors=self._n_neighbors(),
            # A user's activation may draw from the global generator.
            draws_globally=any(map(callable, state.network.values())),
            **state.schedule.fill_in(self, data.n_training, data.is_part),
        )
        return Engine(
            network,
            self._objective(network, data),
            settings,
            callbacks=list(self.callbacks or []),
            device=str(resolve_device(self.device)),
            verbose=int(self.verbose),
        )

    def _publish(self, engine: Engine, state: TrainingState, data: Data) -> None:
        """Keep the trained weights or PCA's, and set the fitted attributes."""
        check_learnt(self, engine, state.kept_pca, data)
        pcas = self._pcas_of_most(engine.module_, data, state.baseline)
        selection = select(engine, state.baseline, pcas)
        is_worse = bool(selection.keeps_training) and is_worse_than_mean(
            engine, data.is_part, state.is_worse
        )
        report(self, engine, selection, data, is_worse)
        prefixes = self._score_prefixes(engine, selection)
        pca = self._kept_baseline(engine.module_, state.baseline, selection, data)
        state = replace(state, baseline=pca, prefixes=prefixes, is_worse=is_worse)
        # Moments from a diverging loss would make it diverge again, and those of
        # discarded weights are not valid.
        may_go_on = data.is_part or self.warm_start
        is_sound = not (engine.diverged or state.kept_pca)
        state = replace(state, engine=state_of(engine, may_go_on, is_sound))
        kept = state.kept_pca
        state = state.with_baseline(kept) if kept else state
        network = engine.module_.to("cpu").eval()
        network.zero_grad()
        unit = data.mean, data.scale, data.layout, data.seen
        # The map is not valid for PCA's codes.
        neighbor_map = None if kept else engine.neighbor_map
        self._set_model(network, state, *unit, neighbor_map)
        self._tell(engine, selection, data)
        self._finish(engine, data)

    def _kept_baseline(
        self, network: Any, pca: Baseline | None, selection: Selection, data: Data
    ) -> Baseline | None:
        """Go back to PCA of these rows, or of more rows before, if it is better."""
        if pca is None or selection.keeps_training:
            beaten = {"is_kept": False, "is_beaten": selection.beats_pca}
            return pca and replace(pca, **beaten)
        # In partial_fit PCA stays that of the first call.
        if data.n_rows >= pca.n_rows and not data.is_part:
            return self._become_pca(network, data, slice(None))
        network.zero_last_layers()
        return replace(pca, is_kept=True)

    def _tell(self, engine: Engine, selection: Selection, data: Data) -> None:
        """Set the attributes that describe training."""
        settings = engine.settings
        self.batch_size_, self.max_iter_ = settings.batch_size, settings.max_epochs
        self.n_iter_no_change_ = settings.n_iter_no_change
        self.weight_decay_ = settings.weight_decay
        self.device_, self.interrupted_ = engine.device, engine.interrupted
        self.stop_reason_ = engine.stop_reason
        self.is_pca_ = self._state.kept_pca is not None
        self.n_far_rows_ = data.n_far
        self.validation_scores_ = selection.validation_scores
        self.best_score_ = selection.best_score
        self.pca_score_ = selection.pca_score
        epochs = tabulated(engine.epochs(), len(self.loss_curve_))
        self.history_ = {
            name: [*self.history_.get(name, []), *values]
            for name, values in epochs.items()
        }
        self.loss_curve_ = list(self.history_["loss"])
        self.n_iter_ = len(self.loss_curve_)
        self.__dict__.pop("noise_variance_", None)
        if isinstance(loss := engine.criterion_.loss, Gaussian):
            pca = self._state.kept_pca
            variance = pca.residual_variance if pca else loss.variance().item()
            # A power of the scale would raise an error if it overflows.
            self.noise_variance_ = variance * data.scale * data.scale
