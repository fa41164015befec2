"""The training loop: skorch's, over batches of tensors held in memory."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.utils import TeeGenerator
from torch import Tensor

from .._machine.devices import place, seeded, to_arrays, to_tensors
from .._machine.threads import limited_threads, reproducible_threads
from .._objectives.neighbors import PairedBatches, nearest
from .._rows.batches import Batches
from .._rows.split import hold_out
from .solvers import LBFGS_SCALE, is_decayed, is_full_batch, make_solver
from .stopping import Stopping, is_deliberate
from .validation import Judge, Map, is_worse, overall

VALIDATION_ELEMENTS = 2**20


class Engine(NeuralNet):
    """Minimise an objective of a network and rows by minibatches held in memory."""

    def __init__(
        self,
        network: Any,
        objective: Any,
        *,
        solver: Any,
        learning_rate_init: float,
        learning_rate: str,
        weight_decay: float,
        validation_fraction: float,
        keeps_start: bool,
        tol: float,
        n_iter_no_change: int,
        draws_globally: bool,
        n_neighbors: int,
        **kwargs: Any,
    ) -> None:
        optimizer, options = make_solver(solver, learning_rate_init, weight_decay)
        self.solver, self.full_batch = solver, is_full_batch(solver)
        # Where the optimizer knows no weight decay, the term enters the objective.
        self.ridge = weight_decay if self.full_batch else 0.0
        self.generator = torch.Generator("cpu")
        self.draws_globally = draws_globally
        # Of each row, one in a step; 0 for none.
        self.n_neighbors = n_neighbors
        self.validation_fraction = validation_fraction
        self.monitor = "valid_loss" if validation_fraction else "train_loss"
        # Whether the first weights are good enough to go back to.
        self.keeps_start = keeps_start and bool(validation_fraction)
        self.stopping = Stopping(tol, n_iter_no_change)
        self.decays = learning_rate == "cosine" and not self.full_batch
        self.interrupted = False
        super().__init__(
            network,
            objective,
            optimizer,
            train_split=None,
            **{f"optimizer__{name}": value for name, value in options.items()},
            **kwargs,
        )

    def run(self, rows: Any, state: dict[str, Any]) -> None:
        """Train on rows, from the state that an earlier run left."""
        self.initialize()
        self._load_state(state)
        device = torch.device(self.device)
        with limited_threads(self.n_threads(len(rows))):
            if not self.draws_globally:
                self.partial_fit(place(rows, device))
                return
            with seeded(self.generator, device):
                self.partial_fit(place(rows, device))

    def initialize_optimizer(self, triggered_directly: Any = None) -> Any:
        """Build the optimizer, and say which parameter is at fault if that fails."""
        try:
            super().initialize_optimizer(triggered_directly)
            is_optimizer = isinstance(self.optimizer_, torch.optim.Optimizer)
            reason = None if is_optimizer else f"it made {self.optimizer_!r}"
        except (TypeError, ValueError) as error:
            reason = str(error)
        if reason:
            raise ValueError(
                f"solver={self.solver!r} does not work as an optimizer here: {reason}. "
                "Use 'adam' or another name, or a class of torch.optim."
            )
        return self

    def n_threads(self, n_rows: int) -> int | None:
        """Return how many threads this training shall use; None for all."""
        if self.full_batch:
            return 1
        network = self.module_
        n_training = len(self._split(n_rows)[0])
        batches = {self.batch_size, n_training % self.batch_size}
        widths = {n for w in network.parameters() for n in w.shape}
        if self.n_neighbors:
            # All pairs of a batch meet.
            widths, batches = widths | batches, {2 * n for n in batches}
        convolves = any(w.ndim > 2 for w in network.parameters())
        return reproducible_threads(widths, batches, network.n_products, convolves)

    def _load_state(self, state: dict[str, Any]) -> None:
        self.generator.set_state(torch.tensor(state["generator"], device="cpu"))
        self.split_seed = state["split_seed"]
        self.criterion_.load_state_dict(to_tensors(state.get("objective", {})), False)
        if state.get("optimizer") == type(self.optimizer_).__name__:
            groups = self.optimizer_.state_dict()["param_groups"]
            slots = {k: to_tensors(slot) for k, slot in state["slots"].items()}
            self.optimizer_.load_state_dict({"state": slots, "param_groups": groups})

    def state(self, keep_optimizer: bool) -> dict[str, Any]:
        """Return, as arrays, what the next run needs to go on as if never stopped."""
        state = {
            "generator": self.generator.get_state().numpy(),
            "split_seed": self.split_seed,
            "objective": to_arrays(self.criterion_.state_dict()),
        }
        # The curvature that L-BFGS has seen means nothing on other rows.
        if keep_optimizer and not self.full_batch:
            slots = self.optimizer_.state_dict()["state"]
            state["optimizer"] = type(self.optimizer_).__name__
            state["slots"] = {k: to_arrays(slot) for k, slot in slots.items()}
        return state

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        log = [("print_log", PrintLog())] if self.verbose else []
        return [("epoch_timer", EpochTimer()), *log]

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Tell the callbacks; the one that may end training hears it last."""
        super().notify(method_name, **cb_kwargs)
        getattr(self.stopping, method_name)(self, **cb_kwargs)

    def fit_loop(
        self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any
    ) -> Any:
        """Train until the end, or until Ctrl-C, which skorch takes for a callback's."""
        try:
            return super().fit_loop(X, y, epochs, **kwargs)
        except KeyboardInterrupt as interrupt:
            self.interrupted = not is_deliberate(interrupt)
            raise

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
        """Go back to the best weights where the last are not meant to stay."""
        self.diverged = not self.stopping.is_finite or self._has_grown()
        keep_last = self.is_moving or not self.validation_fraction
        keep_last &= not (self.diverged or self.interrupted)
        if self.stopping.weights is not None and not keep_last:
            for module, weights in zip(
                (self.module_, self.criterion_), self.stopping.weights, strict=True
            ):
                module.load_state_dict(weights)

    def _has_grown(self) -> bool:
        """Whether the last loss is far above what it was without training."""
        priced = self.criterion_.penalty is not None or self.criterion_.neighbor_weight
        if priced or not self.epochs():
            return False
        last = self.epochs()[-1]["train_loss"]
        return bool(last > self.loss_before + max(1.0, abs(self.loss_before)))

    @torch.no_grad()
    def _loss_before(self) -> float:
        """Return the loss of the first rows by the mean or by the first weights.

        A linear start may leave the domain of the loss, and do worse than the mean.
        """
        self._set_training(False)
        objective, network = self.criterion_, self.module_
        x = next(self.judge.batches_again())
        seen = objective.see(x, self.judge.generator)
        filled = x.nan_to_num()
        of_mean = objective.loss(objective.loss.first_output().expand_as(x), filled)
        of_first = objective.compare(network, network.encode(seen), x, seen)
        return float(max(of_mean, of_first))

    def _split(self, n_rows: int) -> tuple[Tensor, Tensor | None]:
        """Return indices of training and of held-out rows."""
        if not self.validation_fraction:
            return torch.arange(n_rows, device="cpu"), None
        return hold_out(n_rows, self.validation_fraction, self.split_seed)

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Return training and validation rows as indices into ``X``."""
        self.rows = X
        training, held_out = self._split(len(X))
        self.judge = self._judge(training)
        self.loss_before = self._loss_before()
        if held_out is not None:
            self.judge = self._judge(held_out)
        if self.n_neighbors:
            seed = self.split_seed
            self.neighbors = nearest(X, training, self.n_neighbors, seed)
        self.n_steps = 0
        self.last_step = self.max_epochs * math.ceil(len(training) / self.batch_size)
        if self.decays:
            self.rates = [group["lr"] for group in self.optimizer_.param_groups]
        self.floor: Tensor | None = None
        if self.keeps_start:
            floor = self._all_shares()
            price = self.judge.price(self.module_)
            self.stopping.consider(self, overall(floor).item() + price)
            self.floor = floor
        return training, held_out

    def _judge(self, index: Tensor) -> Judge:
        return Judge(self.get_iterator(index), self.criterion_, self.split_seed)

    @property
    def is_moving(self) -> bool:
        """Whether errors of this epoch and of others cannot be compared."""
        return self.criterion_.is_moving

    def is_above_floor(self) -> bool:
        """Whether no width does worse than it did at the start."""
        # One width is told by the mean over widths already.
        if self.floor is None or len(self.module_.widths) == 1:
            return True
        return not is_worse(self._all_shares(), self.floor).any()

    @torch.no_grad()
    def _all_shares(self) -> Tensor:
        self._set_training(False)
        network = self.module_
        return self.judge.all_shares(network.encode, network.decode, network.widths)

    def get_iterator(self, dataset: Tensor, training: bool = False) -> Batches:
        """Return batches of the rows that ``dataset`` names."""
        device = torch.device(self.device)
        if not training:
            n_rows = max(1, VALIDATION_ELEMENTS // self.module_.n_values)
            return Batches(self.rows, dataset, n_rows, device)
        if self.full_batch:
            return Batches(self.rows, dataset, len(dataset), device)
        settings = self.rows, dataset, self.batch_size, device, self.generator
        if self.n_neighbors:
            return PairedBatches(*settings, neighbors=self.neighbors)
        return Batches(*settings)

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Take a step for each batch and record the mean loss."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            self.criterion_.advance(self.module_, self._share_done())
        # skorch's own loop reads every loss back and books every batch, which takes up
        # to a tenth of a small network's time: it runs only where callbacks listen.
        loop = self._booked_steps if self.callbacks else self._steps
        iterator = iterator if training else self.judge
        name, loss = f"{prefix}_loss", loop(iterator, training, prefix, step_fn)
        if not training:
            self.history.record("unexplained", loss)
            loss += self.judge.price(self.module_)
        best = all(loss < epoch[name] for epoch in self.history[:-1])
        self.history.record(name, loss)
        self.history.record(f"{name}_best", best)

    def _share_done(self) -> float:
        """Return the share of the epochs that are over; all, if there is no end."""
        if self.full_batch or self.max_epochs == 1:
            return 1.0
        return (len(self.history) - 1) / self.max_epochs

    def _booked_steps(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any
    ) -> float:
        super().run_single_epoch(iterator, training, prefix, step_fn)
        keys = f"{prefix}_loss", f"{prefix}_batch_size"
        batches = [b for b in self.history[-1]["batches"] if keys[0] in b]
        losses, sizes = ([b[key] for b in batches] for key in keys)
        return float(np.average(losses, weights=sizes))

    def _steps(self, iterator: Any, training: bool, prefix: str, step_fn: Any) -> float:
        # A list of losses, small as they are, would keep freed batches from the system.
        device = torch.device(self.device)
        dtype = torch.float32 if device.type == "mps" else torch.float64
        total, n_rows = torch.zeros((), dtype=dtype, device=device), 0
        for batch in iterator:
            total.add_(step_fn(batch)["loss"], alpha=len(batch))
            n_rows += len(batch)
        return total.item() / n_rows

    def train_step(self, batch: Tensor, **_: Any) -> dict[str, Any]:
        """Take one step of the solver."""
        if self.full_batch:
            return {"loss": self._search_line(batch), "y_pred": None}
        # The optimizer's own way takes as long as a small layer.
        for group in self.optimizer_.param_groups:
            for weight in group["params"]:
                weight.grad = None
        loss = self.criterion_.forward(self.module_, batch, self.generator)
        loss.backward()
        self._tell_gradients(batch)
        if self.decays:
            self._set_rates()
        self.optimizer_.step()
        return {"loss": loss.detach(), "y_pred": None}

    def _set_rates(self) -> None:
        """Lower the rates along half a cosine that ends with the last epoch."""
        share = (1 + math.cos(math.pi * self.n_steps / self.last_step)) / 2
        self.n_steps += 1
        for group, rate in zip(self.optimizer_.param_groups, self.rates, strict=True):
            group["lr"] = share * rate

    def _search_line(self, batch: Tensor) -> Tensor:
        """Take one step of L-BFGS; return the loss before it."""
        losses = []

        def closure() -> Tensor:
            self.optimizer_.zero_grad()
            loss = self.criterion_(self.module_, batch, self.generator)
            losses.append(loss.detach())
            total = LBFGS_SCALE * (loss + self.ridge / 2 * self._squared_weights())
            total.backward()
            for weight in self.module_.parameters():
                # L-BFGS views gradients as flat, which channels that lie last are not.
                if weight.grad is not None:
                    weight.grad = weight.grad.contiguous()
            self._tell_gradients(batch)
            return total

        self.optimizer_.step(closure)
        return losses[0]

    def _squared_weights(self) -> Any:
        if not self.ridge:
            return 0.0
        named = self.module_.named_parameters()
        return sum(w.square().sum() for name, w in named if is_decayed(name))

    def _tell_gradients(self, batch: Tensor) -> None:
        if self.callbacks:
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )

    @torch.no_grad()
    def validation_step(self, batch: Tensor, **_: Any) -> dict[str, Any]:
        """Return the share of the variance that is left unexplained."""
        network = self.module_
        maps = network.encode, network.decode, network.widths
        return {"loss": overall(self.judge.shares(batch, *maps)), "y_pred": None}

    @torch.no_grad()
    def unexplained(self, encode: Map, decode: Map, widths: Sequence[int]) -> Tensor:
        """Return the unexplained share of each row that judges, by each width."""
        self._set_training(False)
        with limited_threads(self.n_threads(len(self.rows))):
            return self.judge.all_shares(encode, decode, widths).cpu()

    def price(self, network: Any) -> float:
        """Return the weighted penalty of the rows that judge, in their variance."""
        self._set_training(False)
        with limited_threads(self.n_threads(len(self.rows))):
            return self.judge.price(network)

    def epochs(self) -> list[dict[str, Any]]:
        """Return the records of the epochs that ended well."""
        epochs = [epoch for epoch in self.history if self.monitor in epoch]
        return epochs if self.stopping.is_finite else epochs[:-1]

    def weights(self) -> list[dict[str, Tensor]]:
        """Copy what is learnt: the network's weights and the objective's."""
        return [
            {name: value.clone() for name, value in module.state_dict().items()}
            for module in (self.module_, self.criterion_)
        ]

    def is_finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        parameters = self.module_.parameters()
        return all(bool(torch.isfinite(w).all()) for w in parameters)
