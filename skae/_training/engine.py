"""The training loop: skorch's, over batches of tensors held in memory."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar, cast

import numpy as np
import torch
from skorch.callbacks import Callback, EpochTimer
from skorch.utils import TeeGenerator
from torch import Tensor

from .._machine.devices import place, seeded
from .._machine.interrupts import Interrupts
from .._machine.threads import limited_threads, threads_of_step
from .._networks.network import Map
from .._objectives.neighbors import NeighborMap, draw_map, find_rows
from .._rows.batches import Batches
from .averaging import Average
from .divergence import has_diverged
from .history import RecordedNet
from .log import Log
from .replay import Replay, can_replay
from .settings import Settings
from .solvers import make_solver, unfit_solver, why_unfit
from .state import EngineState, load_state
from .steps import CosineRates, WarmRates, gradient_step, line_search_step
from .stopping import Stopping
from .tasks import EpochTasks
from .validation import Validation, geometric_mean

VALIDATION_ELEMENTS = 2**20

T = TypeVar("T")
#: Indices of rows to train on, and of rows that are held out.
Split = tuple[np.ndarray, np.ndarray | None]


class Engine(RecordedNet):
    """Minimises an objective by minibatches of rows held in memory."""

    #: Sets the learning rate of each step; None if it is constant.
    rates: CosineRates | WarmRates | None = None
    #: Averages of the weights; None if the weights themselves are kept.
    average: Average | None = None
    #: Map of neighbours, from this run or an earlier one.
    neighbor_map: NeighborMap | None = None
    #: Notifies scikit-learn's callbacks of epochs; None if there are none.
    tasks: EpochTasks | None = None
    #: Places of rows on the map.
    places: Tensor | None = None

    def __init__(
        self, network: Any, objective: Any, settings: Settings, **kwargs: Any
    ) -> None:
        self.settings, self.diverged = settings, False
        objective.precision = settings.precision
        optimizer, options = make_solver(
            settings.solver, settings.learning_rate_init, settings.weight_decay
        )
        self.generator = torch.Generator("cpu")
        self.monitor = "valid_loss" if settings.validation_fraction else "train_loss"
        self.stopping = Stopping(settings.tol, settings.n_iter_no_change)
        self.interrupts = Interrupts()
        is_full = settings.is_full_batch
        self.take_step = line_search_step if is_full else gradient_step
        super().__init__(
            network,
            objective,
            optimizer,
            batch_size=settings.batch_size,
            max_epochs=settings.max_epochs,
            train_split=None,
            **{f"optimizer__{name}": value for name, value in options.items()},
            **kwargs,
        )

    def run(
        self, rows: Any, split: Split, state: EngineState, interrupts: Interrupts
    ) -> None:
        """Train on some rows and validate on others, starting from a given state."""
        self.interrupts, self.split = interrupts, split
        self.initialize()
        load_state(self, state)
        device = torch.device(self.device)
        draws = self.settings.draws_globally
        seeds = seeded(self.generator, device) if draws else nullcontext()
        with limited_threads(self.n_threads), seeds:
            self.partial_fit(place(rows, device))

    def initialize_optimizer(self, triggered_directly: Any = None) -> Any:
        """Build the optimizer; an error names the parameter at fault."""
        try:
            super().initialize_optimizer(triggered_directly)
        except (TypeError, ValueError) as error:
            raise unfit_solver(self.settings.solver, error) from error
        reason = "" if self.settings.is_full_batch else why_unfit(self.optimizer_)
        if reason:
            raise unfit_solver(self.settings.solver, reason)
        return self

    @property
    def n_threads(self) -> int | None:
        """Number of threads for training; None for all."""
        if self.settings.is_full_batch:
            return 1
        return threads_of_step(self.batch_size, self.module_.n_products)

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        log = [("print_log", Log())] if self.verbose else []
        tasks = [("epoch_tasks", self.tasks)] if self.tasks else []
        return [("epoch_timer", EpochTimer()), *log, *tasks]

    def tell_gradients(self, batch: Tensor) -> None:
        """Notify the callbacks, if there are any, that gradients are computed."""
        if self.callbacks:
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Go back to the best weights unless the last ones are kept."""
        self.interrupts.n_held = 1
        if self.ended_at_once:
            return
        self.diverged = has_diverged(self)
        if self.average is not None:
            self.average.show()
        keep_last = not (self.is_stationary and self.settings.validation_fraction)
        if not keep_last or self.diverged or self.interrupted:
            self.stopping.restore(self)
        self.losses_after = self.training_rows.first_losses(self.module_)
        # The loss is computed before a step, and may be infinite after it.
        if not math.isfinite(self.losses_after[1]):
            self.diverged, self.stopping.weights = True, None

    def begin_stage(self) -> bool:
        """Continue from the best weights in the next stage; False if there is none."""
        if self.average is None or not cast(WarmRates, self.rates).begin_stage():
            return False
        self.average.hide()
        self.stopping.restore(self)
        self.average.restart()
        return True

    @property
    def is_stationary(self) -> bool:
        """Whether errors of different epochs can be compared."""
        return bool(self.criterion_.is_stationary)

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Return training and validation rows as indices into ``X``."""
        self.rows, settings = X, self.settings
        training = torch.tensor(self.split[0], device="cpu")
        held_out = None
        if self.split[1] is not None:
            held_out = torch.tensor(self.split[1], device="cpu")
        self._set_training(False)
        if settings.n_neighbors:
            self.places = self._find_places(training, held_out)
        self.training_rows = self.validation = self._validation(training)
        self.losses_before = self.training_rows.first_losses(self.module_)
        if held_out is not None:
            self.validation = self._validation(held_out)
        self._set_rates(len(training))
        is_judged = settings.keeps_start or self.max_epochs == 0
        if is_judged and held_out is not None:
            error = self.validation.error_of_first(self.module_)
            self.stopping.consider(self, error)
        if self.checkpoint is not None:
            self.checkpoint.resume(self)
        if can_replay(self):
            self.take_step = Replay()
        return training, held_out

    def _set_rates(self, n_rows: int) -> None:
        """Set what changes the learning rates, and what averages the weights."""
        if self.settings.decays_rate:
            n_steps = self.max_epochs * math.ceil(n_rows / self.batch_size)
            self.rates = CosineRates(self.optimizer_, n_steps)
        elif self.settings.averages:
            self.rates = WarmRates(self.optimizer_, self.settings.stages)
            self.average = Average([self.module_, self.criterion_])

    def _find_places(self, training: Tensor, held_out: Tensor | None) -> Tensor:
        """Return the places of rows on the map, which is drawn if there is none."""
        network, n_neighbors = self.module_, self.settings.n_neighbors
        width, device = network.widths[-1], torch.device(self.device)
        places = np.zeros((len(self.rows), width), np.float32)
        indices = [index for index in (training, held_out) if index is not None]
        if self.neighbor_map is None:
            settings = width, network.spread, n_neighbors, self.split_seed, device
            drawn = draw_map(self.rows, indices.pop(0), *settings)
            self.neighbor_map, places[training] = drawn
        for index in indices:
            places[index] = find_rows(self.neighbor_map, self.rows, index, device)
        return torch.from_numpy(places)

    @property
    def is_cut_short(self) -> bool:
        """Whether the last epoch still improved, if the reconstruction is the aim."""
        return super().is_cut_short and self.neighbor_map is None

    @property
    def maps(self) -> tuple[Map | None, Map, list[int]]:
        """Return the maps for validation; None if the codes are those of a map."""
        encode, decode, widths = self.module_.maps
        return None if self.neighbor_map else encode, decode, widths

    def _validation(self, index: Tensor) -> Validation:
        return Validation(self.get_iterator(index), self.criterion_, self.split_seed)

    def get_iterator(self, dataset: Tensor, training: bool = False) -> Batches:
        """Return batches of the rows that ``dataset`` names."""
        device = torch.device(self.device)
        if not training:
            n_rows = max(1, VALIDATION_ELEMENTS // self.module_.n_values)
            return Batches(self.rows, dataset, n_rows, device, None, self.places)
        is_full = self.settings.is_full_batch
        n_rows = len(dataset) if is_full else self.batch_size
        generator = None if is_full else self.generator
        part = None if self.leader is None else self.leader.part
        return Batches(self.rows, dataset, n_rows, device, generator, self.places, part)

    def train_step(self, batch: Tensor, **_: Any) -> dict[str, Any]:
        """Take one step of the solver."""
        return {"loss": self.take_step(self, batch), "y_pred": None}

    @torch.no_grad()
    def validation_step(self, batch: Tensor, **_: Any) -> dict[str, Any]:
        """Return the unexplained share of the variance."""
        shares = self.validation.unexplained(batch, *self.maps)
        return {"loss": geometric_mean(shares), "y_pred": None}

    def ask(self, question: Callable[[Validation], T]) -> T:
        """Compute something on the validation rows, with the threads of training."""
        self._set_training(False)
        with limited_threads(self.n_threads):
            return question(self.validation)
