"""The parameters that all autoencoders share: fields, constraints, documentation."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from os import PathLike
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from .._files.saving import Saved
from .._machine.precision import PRECISIONS
from .._networks.activations import ACTIVATIONS
from .._objectives.losses import LOSSES
from .._rows.checks import FRACTION, NONNEGATIVE, POSITIVE, POSITIVE_INTEGER, names
from .._training.solvers import SOLVERS
from .documentation import DOCUMENTATION

T = TypeVar("T", bound=type)


@dataclass(eq=False, repr=False)
class SharedParameters(Saved, BaseEstimator):
    """Fields here are parameters of every autoencoder."""

    n_components: int | float | None = 2
    _: KW_ONLY
    hidden_layer_sizes: int | Sequence[int] | str = "auto"
    activation: str | Callable[[], nn.Module] = "gelu"
    code_activation: str | Callable[[], nn.Module] = "identity"
    loss: str | Callable[[Tensor, Tensor], Tensor] = "squared_error"
    tied_weights: bool = False
    init: str = "pca"
    solver: str | Callable[..., torch.optim.Optimizer] = "adamw"
    learning_rate_init: float = 0.01
    learning_rate: str = "averaged"
    weight_decay: float | str = "auto"
    batch_size: int | str = "auto"
    max_iter: int | str = "auto"
    tol: float = 3e-3
    n_iter_no_change: int | str = "auto"
    early_stopping: bool = True
    validation_fraction: float = 0.1
    clip: bool = False
    warm_start: bool = False
    callbacks: list[Any] | None = None
    checkpoint: str | PathLike[str] | None = None
    device: str = "cpu"
    precision: str = "float32"
    verbose: bool | int = False
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [POSITIVE_INTEGER, None],
        "hidden_layer_sizes": [names({"auto"}), "array-like", POSITIVE_INTEGER],
        "activation": [names(ACTIVATIONS), callable],
        "code_activation": [names(ACTIVATIONS), callable],
        "loss": [names(LOSSES), callable],
        "tied_weights": ["boolean"],
        "init": [names({"pca", "random"})],
        "solver": [names(SOLVERS), callable],
        "learning_rate_init": [POSITIVE],
        "learning_rate": [names({"averaged", "constant", "cosine"})],
        "weight_decay": [names({"auto"}), NONNEGATIVE],
        "batch_size": [names({"auto"}), POSITIVE_INTEGER],
        "max_iter": [names({"auto"}), POSITIVE_INTEGER],
        "tol": [NONNEGATIVE],
        "n_iter_no_change": [names({"auto"}), POSITIVE_INTEGER],
        "early_stopping": ["boolean"],
        "validation_fraction": [FRACTION],
        "clip": ["boolean"],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "device": [str],
        "precision": [names(PRECISIONS)],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }


@dataclass_transform(kw_only_default=True)
def autoencoder(cls: T) -> T:
    """Make fields parameters, and insert the shared documentation at its markers."""
    return documented(cls, DOCUMENTATION)


def documented(cls: T, sections: Mapping[str, str]) -> T:
    """Make fields parameters; insert sections at their markers, and the defaults."""
    make: Callable[[T], Any] = dataclass(eq=False, repr=False, kw_only=True)
    cls, doc = make(cls), cls.__doc__ or ""
    for marker, text in sections.items():
        doc = doc.replace(marker, text.strip())
    for field in fields(cls):
        shown = (
            f'"{field.default}"' if isinstance(field.default, str) else field.default
        )
        doc = re.sub(rf"(\n    {field.name} : .*, default=).*", rf"\g<1>{shown}", doc)
    cls.__doc__ = doc
    # Pickles and reprs use the public path, which stays when files move.
    cls.__module__ = __name__.partition(".")[0]
    return cls
