"""The training loop: skorch's, over batches of tensors held in memory."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.utils import TeeGenerator
from threadpoolctl import threadpool_limits
from torch import Tensor

from ._devices import place, to_arrays, to_tensors
from ._rows import Batches
from ._solvers import LBFGS_SCALE, is_full_batch, make_solver

VALIDATION_BATCH = 4096
# Operations of a step from which the speed of several threads is worth last bits.
LARGE_STEP = 5e7


def splits_unevenly(size: int) -> bool:
    """Whether a matrix product of this size has other bits with two threads than one.

    The halves of these few sizes meet other kernels of MKL than the whole. Of 400
    random trainings, 125 of the 151 with such a size differed, and none of the others.
    """
    return 4 < size < 12 and size % 4 != 0


class Stopping(Callback):
    """Ends training that stands still or blows up, and remembers weights worth having.

    Those are the best on the validation rows, or the latest that were finite.
    """

    def __init__(self, tol: float, n_iter_no_change: int) -> None:
        self.tol, self.n_iter_no_change = tol, n_iter_no_change

    def on_train_begin(self, net: "Engine", **kwargs: Any) -> None:
        self.weights: list[dict[str, Tensor]] | None = None
        self.reference: float | None = None
        self.best = np.inf
        self.n_stale = 0
        self.diverged = False

    def on_epoch_end(self, net: "Engine", **kwargs: Any) -> None:
        error = net.history[-1, net.monitor]
        if not (np.isfinite(error) and net.is_finite()):
            self.diverged = True
            raise KeyboardInterrupt  # skorch's way to end training early
        if not net.validation_fraction or error < self.best:
            self.best, self.weights = error, net.weights()
        self.n_stale += 1
        if self._has_improved(error):
            self.reference, self.n_stale = error, 0
        if self.n_stale >= self.n_iter_no_change:
            raise KeyboardInterrupt

    def _has_improved(self, error: float) -> bool:
        # By a share of its size, not of 1: losses may be tiny, and may be negative.
        return self.reference is None or (
            error < self.reference - self.tol * abs(self.reference)
        )

    def on_train_end(self, net: "Engine", **kwargs: Any) -> None:
        if self.weights is not None and (self.diverged or net.validation_fraction):
            net.load_weights(self.weights)


class Engine(NeuralNet):
    """Minimise an objective of a network and rows by minibatches held in memory."""

    def __init__(
        self,
        network: torch.nn.Module,
        objective: torch.nn.Module,
        *,
        solver: Any,
        learning_rate: float,
        weight_decay: float,
        centre: Tensor,
        validation_fraction: float,
        tol: float,
        n_iter_no_change: int,
        **kwargs: Any,
    ) -> None:
        optimizer, options = make_solver(solver, learning_rate, weight_decay)
        self.full_batch = is_full_batch(solver)
        # Where the optimizer knows no weight decay, the term enters the objective.
        self.ridge = weight_decay if self.full_batch else 0.0
        self.generator, self.centre = torch.Generator("cpu"), centre
        self.solver, self.validation_fraction = solver, validation_fraction
        self.monitor = "valid_loss" if validation_fraction else "train_loss"
        self.stopping = Stopping(tol, n_iter_no_change)
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
        self.generator.set_state(torch.tensor(state["generator"]))
        if "objective" in state:
            self.criterion_.load_state_dict(to_tensors(state["objective"]))
        if state.get("solver") == self.solver:
            groups = self.optimizer_.state_dict()["param_groups"]
            slots = {k: to_tensors(slot) for k, slot in state["slots"].items()}
            self.optimizer_.load_state_dict({"state": slots, "param_groups": groups})
        with self.limited_threads(len(rows)):
            self.partial_fit(place(rows, torch.device(self.device)))

    def limited_threads(self, n_rows: int) -> AbstractContextManager[Any]:
        """Choose as many threads as give the same bits in any worker of a search.

        Sums are shared among threads, so their last bits depend on how many there are.
        Only large steps, which would wait too long, take all threads come what may.
        """
        n_training = n_rows - self._n_validation(n_rows)
        weights = list(self.module_.parameters())
        sizes = {n for w in weights for n in w.shape}
        sizes |= {self.batch_size, n_training % self.batch_size}
        n_operations = 6 * self.batch_size * sum(w.numel() for w in weights)
        if n_operations >= LARGE_STEP and not self.full_batch:
            return nullcontext()
        alone = self.full_batch or any(map(splits_unevenly, sizes))
        n_threads = 1 if alone else min(2, torch.get_num_threads())
        return threadpool_limits(n_threads, user_api="openmp")

    def _n_validation(self, n_rows: int) -> int:
        if not self.validation_fraction:
            return 0
        return max(1, int(self.validation_fraction * n_rows))

    def state(self, keep_optimizer: bool) -> dict[str, Any]:
        """Return, as arrays, what the next run needs to go on as if never stopped."""
        state = {
            "generator": self.generator.get_state().numpy(),
            "objective": to_arrays(self.criterion_.state_dict()),
        }
        # The curvature that L-BFGS has seen means nothing on other rows.
        if keep_optimizer and not self.full_batch:
            slots = self.optimizer_.state_dict()["state"]
            state["solver"] = self.solver
            state["slots"] = {k: to_arrays(slot) for k, slot in slots.items()}
        return state

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        log = [("print_log", PrintLog())] if self.verbose else []
        return [("stopping", self.stopping), ("epoch_timer", EpochTimer()), *log]

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Return training and validation rows as indices into ``X``."""
        self.rows = X
        order = torch.arange(len(X), device="cpu")
        n_validation = self._n_validation(len(X))
        if not n_validation:
            return order, None
        order = torch.randperm(len(X), generator=self.generator, device="cpu")
        return order[n_validation:], order[:n_validation]

    def get_iterator(self, dataset: Tensor, training: bool = False) -> Batches:
        """Return batches of the rows that ``dataset`` names."""
        device = torch.device(self.device)
        if not training:
            batches = Batches(self.rows, dataset, VALIDATION_BATCH, device)
            self.spread = self._mean_squared_distance(batches)
            return batches
        if self.full_batch:
            return Batches(self.rows, dataset, len(dataset), device)
        return Batches(self.rows, dataset, self.batch_size, device, self.generator)

    def _mean_squared_distance(self, batches: Batches) -> float:
        """Mean over rows of their squared distance from the training mean."""
        centre = self.centre.to(batches.device)
        total = sum(float((x - centre).square().sum()) for x in batches)
        return total / len(batches.index) or 1.0

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Take a step for each batch and record the mean loss."""
        if iterator is None:
            return
        self._set_training(training)
        loop = self._booked_steps if self.callbacks else self._steps
        try:
            losses, sizes = loop(iterator, training, prefix, step_fn)
        except KeyboardInterrupt:
            self.interrupted = True
            raise
        self.history.record(f"{prefix}_loss", float(np.average(losses, weights=sizes)))

    # skorch's own loop reads every loss back and books every batch, which took
    # as long as the step of a small network: it runs only where callbacks listen.
    def _booked_steps(
        self, iterator: Batches, training: bool, prefix: str, step_fn: Any
    ) -> tuple[Any, Any]:
        super().run_single_epoch(iterator, training, prefix, step_fn)
        keys = f"{prefix}_loss", f"{prefix}_batch_size"
        batches = [b for b in self.history[-1]["batches"] if keys[0] in b]
        losses, sizes = ([b[key] for b in batches] for key in keys)
        return losses, sizes

    def _steps(
        self, iterator: Batches, training: bool, prefix: str, step_fn: Any
    ) -> tuple[Any, Any]:
        pairs = [(step_fn(batch)["loss"], len(batch)) for batch in iterator]
        losses, sizes = zip(*pairs, strict=True)
        return torch.stack(losses).cpu().numpy(), sizes

    def train_step(self, batch: Tensor, **_: Any) -> dict[str, Any]:
        """Take one step of the solver."""
        if self.full_batch:
            closure = partial(self._backward, batch, LBFGS_SCALE)
            loss = self.optimizer_.step(closure) / LBFGS_SCALE
        else:
            loss = self._backward(batch)
            self.optimizer_.step()
        return {"loss": loss.detach(), "y_pred": None}

    def _backward(self, batch: Tensor, scale: float = 1.0) -> Tensor:
        self.optimizer_.zero_grad()
        loss = self.criterion_(self.module_, batch)
        if self.ridge:
            squares = (w.square().sum() for w in self.module_.parameters())
            loss = loss + self.ridge / 2 * sum(squares)
        if scale != 1.0:
            loss = loss * scale
        loss.backward()
        if self.callbacks:
            parameters = TeeGenerator(self.get_all_learnable_params())
            self.notify(
                "on_grad_computed",
                named_parameters=parameters,
                batch=batch,
                training=True,
            )
        return loss

    @torch.no_grad()
    def validation_step(self, batch: Tensor, **_: Any) -> dict[str, Any]:
        """Return the share of the variance that is left unexplained."""
        output = self.module_.decode(self.module_.encode(batch))
        residual = self.criterion_.loss.inverse_link(output) - batch
        error = residual.square().sum(1).mean() / self.spread
        return {"loss": error, "y_pred": output}

    def weights(self) -> list[dict[str, Tensor]]:
        """Copy what is learnt: the network's weights and the objective's."""
        return [
            {name: value.clone() for name, value in module.state_dict().items()}
            for module in (self.module_, self.criterion_)
        ]

    def load_weights(self, weights: list[dict[str, Tensor]]) -> None:
        """Go back to copied weights."""
        for module, state in zip((self.module_, self.criterion_), weights, strict=True):
            module.load_state_dict(state)

    def is_finite(self) -> bool:
        """Whether no weight is infinite or NaN."""
        parameters = self.module_.parameters()
        return all(bool(torch.isfinite(w).all()) for w in parameters)
