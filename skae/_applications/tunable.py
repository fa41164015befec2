"""What fine-tuning needs of a fitted autoencoder, and what it gives back."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from .._estimators.base import BaseAutoencoder
from .._estimators.corrupting import CorruptingAutoencoder
from .._estimators.data import Data
from .._estimators.masked import MaskedAE
from .._estimators.model import ENCODER
from .._machine.devices import to_tensors
from .._objectives.objective import Objective
from .._rows.transformers import flat_answer


def check_tunable(
    estimator: Any, consistency: str | None, reconstruction_weight: float
) -> None:
    """Raise if an estimator has no network, noise or objective that is asked for."""
    if not isinstance(estimator, BaseAutoencoder):
        hint = "use an autoencoder of this package, or fine_tune=False"
        if isinstance(estimator, Pipeline):
            hint = "put its other steps before this estimator, or use fine_tune=False"
        raise TypeError(
            f"estimator={estimator!r} has no network that can be tuned: {hint}."
        )
    if consistency == "noise" and not _corrupts(estimator):
        raise ValueError(
            f"consistency='noise' needs rows with noise, but estimator={estimator!r} "
            "has none: use DenoisingAE(noise_level=0.5), ConvAE(noise_level=0.5), or "
            "consistency='virtual_adversarial'."
        )
    neighbors = getattr(estimator, "neighbor_weight", 0.0)
    if reconstruction_weight and neighbors:
        raise ValueError(
            f"reconstruction_weight={reconstruction_weight} would hold codes at a map "
            f"of neighbors, since estimator has neighbor_weight={neighbors}, while "
            "labels move them: use one of both only."
        )


def _corrupts(estimator: Any) -> bool:
    if isinstance(estimator, CorruptingAutoencoder):
        return estimator._corrupts()
    return isinstance(estimator, MaskedAE)


def encoded(estimator: Any, X: Any, places: Any = slice(None)) -> np.ndarray:
    """Return the encoder's codes of rows, or what another transformer makes of them."""
    if not isinstance(estimator, BaseAutoencoder):
        codes = estimator.transform(X)
        wanted = np.shape(codes)[0], "n_components"
        return flat_answer(estimator, "transform", codes, wanted)[places]
    rows, model = estimator._checked(X)[places], estimator._here()
    return model.map(lambda x: model.encode(x, ENCODER).cpu().numpy(), rows)


def own_objective(estimator: Any, network: Any, X: Any, seed: int) -> Objective:
    """Return what an autoencoder minimised, for checked rows and another network."""
    model = estimator._model
    unit = model.layout, model.mean, model.scale, model.seen
    data = Data(X, *unit, validation_fraction=0.0, seed=seed, is_part=False)
    objective: Objective = estimator._objective(network, data)
    objective.precision = estimator.precision
    learnt = to_tensors(estimator._state.engine.objective)
    objective.load_state_dict(learnt, strict=False)
    return objective


def with_network(estimator: Any, network: Any) -> Any:
    """Return a fitted autoencoder that has another network."""
    tuned = copy.copy(estimator)
    network = network.to("cpu").eval()
    network.zero_grad()
    # The map and PCA belong to the network before.
    tuned._model = replace(estimator._model, network=network, neighbor_map=None)
    tuned._state = replace(estimator._state, baseline=None)
    tuned.is_pca_ = False
    return tuned
