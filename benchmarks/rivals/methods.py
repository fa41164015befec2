"""Ours and its rivals: how each is fitted, with the settings that it comes with.

What is not told, the package decides. Packages are imported where they are needed, for
this module is read in environments that have one of them each.
"""

import itertools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import MagicMock

import numpy as np

Rows = np.ndarray
#: Epochs of the loop, which nobody else decides: as many as pythae and ClustPy have.
LOOP_EPOCHS, LOOP_BATCH = 100, 128


@dataclass(frozen=True)
class Settings:
    """What a fit is told; None is the package's own."""

    n_components: int
    seed: int
    batch_size: int | None = None
    n_epochs: int | None = None

    def named(self, batch_size: str, n_epochs: str) -> dict[str, int]:
        """Return what is to be told, by the names that a package has for it."""
        told = {batch_size: self.batch_size, n_epochs: self.n_epochs}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Coder:
    """What a fit gives: codes of rows, and rows of codes."""

    encode: Callable[[Rows], Rows]
    decode: Callable[[Rows], Rows]


def by_layers(encoder: Any, decoder: Any) -> Coder:
    """Return the coder of two parts of a network of torch."""
    return Coder(by_part(encoder), by_part(decoder))


def by_part(part: Any, answer: str | None = None) -> Callable[[Rows], Rows]:
    """Return what calls a part of a network; its answer may be one of many, by name."""
    import torch

    part.eval()

    def call(X: Rows) -> Rows:
        with torch.no_grad():
            found = part(torch.from_numpy(X))
        return (found[answer] if answer else found).numpy()

    return call


def pca(X: Rows, settings: Settings) -> Coder:
    """Fit PCA, which knows neither batches nor epochs."""
    from sklearn.decomposition import PCA

    model = PCA(settings.n_components, random_state=settings.seed).fit(X)
    return Coder(model.transform, model.inverse_transform)


def ours(X: Rows, settings: Settings) -> Coder:
    """Fit UndercompleteAE."""
    from skae import UndercompleteAE

    told = settings.named("batch_size", "max_iter")
    model = UndercompleteAE(settings.n_components, random_state=settings.seed, **told)
    model.fit(X)
    return Coder(model.transform, model.inverse_transform)


def do_without_torchvision() -> None:
    """Let ClustPy import a mock, of which its autoencoder needs nothing.

    PyPI has torchvision for the torch with CUDA only, and another cannot load it.
    """
    for name in ("torchvision", "torchvision.models", "torchvision.models._api"):
        sys.modules.setdefault(name, MagicMock())


def clustpy(X: Rows, settings: Settings) -> Coder:
    """Fit ClustPy's, with the layers that its documentation names."""
    do_without_torchvision()
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    layers = [X.shape[1], 512, 256, settings.n_components]
    model = FeedforwardAutoencoder(layers, random_state=settings.seed)
    model.fit(data=X, **settings.named("batch_size", "n_epochs"))
    return Coder(model.transform, by_part(model.decoder))


def pythae(X: Rows, settings: Settings) -> Coder:
    """Fit pythae's AE to values between 0 and 1, which its answers cannot leave."""
    from pythae.models import AE, AEConfig
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    low, spread = X.min(), np.ptp(X)
    config = AEConfig(input_dim=(X.shape[1],), latent_dim=settings.n_components)
    told = settings.named("per_device_train_batch_size", "num_epochs")
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(output_dir=folder, seed=settings.seed, **told)
        pipeline = TrainingPipeline(model=AE(config), training_config=training)
        pipeline((X - low) / spread)
    encode = by_part(pipeline.model.encoder, "embedding")
    decode = by_part(pipeline.model.decoder, "reconstruction")
    return Coder(
        lambda X: encode((X - low) / spread),
        lambda codes: decode(codes) * spread + low,
    )


def pyod(X: Rows, settings: Settings) -> Coder:
    """Fit PyOD's detector, its code as wide as the others' are."""
    from pyod.models.auto_encoder import AutoEncoder

    # The first number is that of its defaults.
    model = AutoEncoder(
        hidden_neuron_list=[64, settings.n_components],
        random_state=settings.seed,
        verbose=0,
        **settings.named("batch_size", "epoch_num"),
    ).fit(X)
    coder = by_layers(model.model.encoder, model.model.decoder)
    # A feature that is constant in training tells nothing of test rows.
    spread = np.where(model.X_std > 0, model.X_std, np.inf)
    return Coder(
        lambda X: coder.encode(((X - model.X_mean) / spread).astype(np.float32)),
        lambda codes: coder.decode(codes) * model.X_std + model.X_mean,
    )


def mlp(X: Rows, settings: Settings) -> Coder:
    """Fit MLPRegressor from rows to themselves; its code is bent."""
    from sklearn.neural_network import MLPRegressor

    sizes = 100, settings.n_components, 100
    told = settings.named("batch_size", "max_iter")
    model = MLPRegressor(
        hidden_layer_sizes=sizes, random_state=settings.seed, **told
    ).fit(X, X)
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))

    def encode(X: Rows) -> Rows:
        for weights, bias in layers[:2]:
            X = np.maximum(X @ weights + bias, 0)
        return X

    def decode(codes: Rows) -> Rows:
        (weights, bias), (last_weights, last_bias) = layers[2:]
        return np.maximum(codes @ weights + bias, 0) @ last_weights + last_bias

    return Coder(encode, decode)


def plain_network(X: Rows, settings: Settings) -> Any:
    """Return the network of skorch and the loop, its weights drawn."""
    import torch

    from ..speed.rivals import Widths, sequential

    torch.manual_seed(settings.seed)
    hidden = int(np.clip(4 * X.shape[1], 128, 512))
    return sequential(X.shape[1], Widths(hidden, settings.n_components))


def with_skorch(X: Rows, settings: Settings) -> Coder:
    """Train the plain network by skorch, with its rate, its epochs and its split."""
    from ..speed.rivals import regressor

    told = settings.named("batch_size", "max_epochs")
    network = regressor(plain_network(X, settings), **told).fit(X, X).module_
    return by_layers(network[:3], network[3:])


def loop(X: Rows, settings: Settings) -> Coder:
    """Train the plain network by the loop of torch's tutorials."""
    from ..speed.rivals import epochs

    network = plain_network(X, settings)
    training = epochs(network, X, settings.batch_size or LOOP_BATCH)
    for _ in itertools.islice(training, settings.n_epochs or LOOP_EPOCHS):
        pass
    return by_layers(network[:3], network[3:])


@dataclass(frozen=True)
class Method:
    """What fits, and whose version is recorded.

    ``requirements`` are what an environment of its own gets, if it needs one.
    """

    fit: Callable[[Rows, Settings], Coder]
    package: str
    requirements: tuple[str, ...] = ()
    has_batches: bool = True


OURS = "UndercompleteAE"
METHODS = {
    "PCA": Method(pca, "scikit-learn", has_batches=False),
    OURS: Method(ours, "skae"),
    "ClustPy": Method(clustpy, "clustpy", ("clustpy==0.0.3",)),
    "pythae": Method(pythae, "pythae", ("pythae==0.1.2",)),
    # PyOD needs tqdm, and does not say so.
    "PyOD": Method(pyod, "pyod", ("pyod==3.6.7", "tqdm")),
    "MLPRegressor": Method(mlp, "scikit-learn"),
    "skorch": Method(with_skorch, "skorch"),
    "loop": Method(loop, "torch"),
}
