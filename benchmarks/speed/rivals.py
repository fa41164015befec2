"""Autoencoders that others train, each with its own settings.

Each trains without end, and shows its reconstruction after every epoch to a watch,
which raises when it has seen enough.
"""

import contextlib
import importlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Rows = np.ndarray
Watch = Callable[[Callable[[Rows], Rows]], None]
ENDLESS = 10**6


@dataclass(frozen=True)
class Widths:
    """Units of the one hidden layer on each side, and of the code."""

    hidden: int
    code: int


def sequential(n_features: int, widths: Widths) -> nn.Module:
    """Return the network as a user of torch writes it."""
    return nn.Sequential(
        nn.Linear(n_features, widths.hidden),
        nn.ReLU(),
        nn.Linear(widths.hidden, widths.code),
        nn.Linear(widths.code, widths.hidden),
        nn.ReLU(),
        nn.Linear(widths.hidden, n_features),
    )


def by_network(network: nn.Module) -> Callable[[Rows], Rows]:
    """Return what reconstructs rows by a network that is being trained."""

    def reconstruct(X: Rows) -> Rows:
        was_training = network.training
        network.eval()
        with torch.no_grad():
            answer = network(torch.from_numpy(X)).numpy()
        network.train(was_training)
        return answer

    return reconstruct


class Hook(Callback):
    """Shows skorch's epochs to a watch."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.watch(by_network(net.module_))


def mlp(X: Rows, widths: Widths, batch_size: int, seed: int, watch: Watch) -> None:
    """Train MLPRegressor from rows to themselves; its code is bent."""
    sizes = widths.hidden, widths.code, widths.hidden
    model = MLPRegressor(
        hidden_layer_sizes=sizes, batch_size=batch_size, random_state=seed
    )
    while True:
        model.partial_fit(X, X)
        watch(model.predict)


def with_skorch(
    X: Rows, widths: Widths, batch_size: int, seed: int, watch: Watch
) -> None:
    """Train by skorch, with its rate and its split."""
    torch.manual_seed(seed)
    settings = {"batch_size": batch_size, "callbacks": [Hook(watch)]}
    network = sequential(X.shape[1], widths)
    regressor(network, max_epochs=ENDLESS, **settings).fit(X, X)


def regressor(network: nn.Module, **settings: Any) -> NeuralNetRegressor:
    """Return what trains a network by skorch, and by Adam."""
    return NeuralNetRegressor(
        network, optimizer=torch.optim.Adam, verbose=0, **settings
    )


def loop(X: Rows, widths: Widths, batch_size: int, seed: int, watch: Watch) -> None:
    """Train by the loop of torch's tutorials."""
    torch.manual_seed(seed)
    network = sequential(X.shape[1], widths)
    for _ in epochs(network, X, batch_size):
        watch(by_network(network))


def epochs(network: nn.Module, X: Rows, batch_size: int) -> Iterator[None]:
    """Train a network for an epoch each time, without end."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    dataset = TensorDataset(torch.from_numpy(X))
    batches = DataLoader(dataset, batch_size, shuffle=True)
    while True:
        total = 0.0
        for (x,) in batches:
            optimizer.zero_grad()
            loss = F.mse_loss(network(x), x)
            loss.backward()
            optimizer.step()
            total += loss.item()
        yield


def pyod(X: Rows, widths: Widths, batch_size: int, seed: int, watch: Watch) -> None:
    """Train PyOD's detector, with its batch norm, dropout and standardised features."""
    from pyod.models.auto_encoder import AutoEncoder

    class Watched(AutoEncoder):
        def epoch_update(self) -> None:
            # A feature that is constant in training tells nothing of test rows.
            spread = np.where(self.X_std > 0, self.X_std, np.inf)
            answer = by_network(self.model)

            def reconstruct(X: Rows) -> Rows:
                rows = ((X - self.X_mean) / spread).astype(np.float32)
                return answer(rows) * self.X_std + self.X_mean

            watch(reconstruct)

    Watched(
        hidden_neuron_list=[widths.hidden, widths.code],
        batch_size=batch_size,
        epoch_num=ENDLESS,
        random_state=seed,
        verbose=0,
    ).fit(X)


def pythae(X: Rows, widths: Widths, batch_size: int, seed: int, watch: Watch) -> None:
    """Train pythae's network of 512 units, whose answers lie in [0, 1]."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, AEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    low, spread = X.min(), np.ptp(X)
    torch.manual_seed(seed)
    model = AE(AEConfig(input_dim=(X.shape[1],), latent_dim=widths.code))

    def reconstruct(rows: Rows) -> Rows:
        def network(x: torch.Tensor) -> torch.Tensor:
            return model({"data": x}).recon_x

        with torch.no_grad():
            x = torch.from_numpy((rows - low) / spread)
            return network(x).numpy() * spread + low

    class Watched(TrainingCallback):
        def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
            watch(reconstruct)

    rows = torch.from_numpy((X - low) / spread)
    with tempfile.TemporaryDirectory() as folder, silence():
        config = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_epochs=ENDLESS,
            seed=seed,
        )
        dataset = BaseDataset(rows, torch.zeros(len(rows)))
        BaseTrainer(
            model, dataset, training_config=config, callbacks=[Watched()]
        ).train()


@contextlib.contextmanager
def silence() -> Any:
    """Keep bars and logs to themselves."""
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@dataclass(frozen=True)
class Rival:
    """What trains, the sizes of batches it may choose from, and what it needs."""

    train: Callable[[Rows, Widths, int, int, Watch], None]
    batch_sizes: tuple[int, ...]
    module: str

    def is_installed(self) -> bool:
        """Whether it can be imported."""
        try:
            importlib.import_module(self.module)
        except ImportError:
            return False
        return True


RIVALS = {
    "MLPRegressor": Rival(mlp, (64, 200, 500), "sklearn"),
    "skorch": Rival(with_skorch, (32, 128, 512), "skorch"),
    "DataLoader loop": Rival(loop, (32, 128, 512), "torch"),
    "PyOD": Rival(pyod, (32, 128), "pyod.models.auto_encoder"),
    "pythae": Rival(pythae, (64, 256), "pythae.models"),
}
