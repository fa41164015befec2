"""The training loop: skorch's, over batches of tensors held in memory."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.utils import TeeGenerator
from threadpoolctl import threadpool_limits
from torch import Tensor

SOLVERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    # One iteration is one epoch; the line search replaces the learning rate.
    "lbfgs": (
        torch.optim.LBFGS,
        {"lr": 1.0, "max_iter": 1, "max_eval": 25, "line_search_fn": "strong_wolfe"},
    ),
}
# torch's L-BFGS forgets curvature and stops at absolute sizes meant for losses near 1;
# ours may be much smaller, and a power of two costs no bits.
LBFGS_SCALE = 2.0**20

VALIDATION_BATCH = 4096


def is_full_batch(solver: Any) -> bool:
    """Whether the solver needs the objective of all rows at once."""
    return solver in ("lbfgs", torch.optim.LBFGS)


def resolve_device(device: str) -> torch.device:
    """Turn a device's name into a device that this machine has."""
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    available[:0] = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if device == "auto":
        return torch.device(available[0])
    name = "cuda:0" if device == "cuda" else device
    if name not in available:
        raise ValueError(
            f"device={device!r} is not available: this machine has {available}; "
            "device='auto' takes the first."
        )
    return torch.device(name)


def place(rows: Any, device: torch.device) -> Any:
    """Move a tensor of rows to the device for good, if it takes half the free memory.

    What stays behind is sent batch by batch.
    """
    if not isinstance(rows, Tensor) or device.type == "cpu":
        return rows
    if device.type == "cuda" and rows.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return rows
    return rows.to(device)


class Batches:
    """Minibatches of the rows named by ``index``; shuffled if there is a generator."""

    def __init__(
        self,
        rows: Any,
        index: Tensor,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> None:
        self.rows, self.index, self.batch_size = rows, index, batch_size
        self.device, self.generator = device, generator

    def __iter__(self) -> Iterator[Tensor]:
        index = self.index
        if self.generator is not None:
            index = index[torch.randperm(len(index), generator=self.generator)]
        index = index.to(getattr(self.rows, "device", "cpu"))
        for chosen in index.split(self.batch_size):
            yield self._send(self.rows[chosen])

    def _send(self, batch: Tensor) -> Tensor:
        if self.device.type == "cuda" and batch.device.type == "cpu":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)


def to_arrays(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Turn named tensors into arrays; what is no tensor stays as it is."""
    return {
        name: value.cpu().numpy().copy() if isinstance(value, Tensor) else value
        for name, value in tensors.items()
    }


def to_tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Undo ``to_arrays``."""
    return {
        name: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }


class Stopping(Callback):
    """Ends training that stands still or blows up, and remembers weights worth having.

    Those are the best on the validation rows, or the latest that were finite.
    """

    def __init__(self, tol: float, n_iter_no_change: int) -> None:
        self.tol, self.n_iter_no_change = tol, n_iter_no_change

    def on_train_begin(self, net: "Engine", **kwargs: Any) -> None:
        self.weights: list[dict[str, Tensor]] | None = None
        self.best = self.reference = np.inf
        self.n_stale = 0
        self.diverged = False

    def on_epoch_end(self, net: "Engine", **kwargs: Any) -> None:
        epoch = net.history[-1]
        error = epoch.get("valid_loss", epoch["train_loss"])
        if not (np.isfinite(error) and net.is_finite()):
            self.diverged = True
            raise KeyboardInterrupt  # skorch's way to end training early
        if "valid_loss" not in epoch or error < self.best:
            self.best = error
            self.weights = net.weights()
        # A share of its size, not of 1: losses may be tiny, and may be negative.
        if self.n_stale == 0 == len(net.history) - 1 or self._improved(error):
            self.reference, self.n_stale = error, 0
        else:
            self.n_stale += 1
        if self.n_stale >= self.n_iter_no_change:
            raise KeyboardInterrupt

    def _improved(self, error: float) -> bool:
        return error < self.reference - self.tol * abs(self.reference)

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
        optimizer, options = SOLVERS.get(solver, (solver, {}))
        options = {"lr": learning_rate} | options
        self.full_batch = is_full_batch(solver)
        # L-BFGS knows no weight decay: the same term enters its objective.
        self.ridge = weight_decay if self.full_batch else 0.0
        if weight_decay and not self.full_batch:
            options["weight_decay"] = weight_decay
        self.generator, self.centre = torch.Generator("cpu"), centre
        self.solver, self.validation_fraction = solver, validation_fraction
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
        # L-BFGS takes sums over all rows and weights, whose order, and so whose last
        # bits, depend on the number of threads; this limit is the calling thread's own.
        limits = {"limits": 1, "user_api": "openmp"} if self.full_batch else {}
        with threadpool_limits(**limits):
            self.partial_fit(place(rows, torch.device(self.device)))

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
        if not self.validation_fraction:
            return order, None
        order = torch.randperm(
            len(X), generator=self.generator, device="cpu"
        )
        n_validation = max(1, int(self.validation_fraction * len(X)))
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
        """Return the share of the variance that the reconstruction leaves unexplained."""
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
