"""Scores of the first 1, 2, ... components of an ordered code."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .._networks.linear_skip import LinearSkip
from .._training.engine import Engine


@dataclass(frozen=True, eq=False)
class PrefixScores:
    """Explained variance of the validation rows by each prefix."""

    explained: np.ndarray
    #: The same by PCA; None if it was not scored.
    pca: np.ndarray | None
    #: Mean variance of a standardised feature.
    variance: float

    def ratio(self, n_components: int) -> np.ndarray:
        """Return what each of the first components adds."""
        return np.diff(self.explained, prepend=0.0)[:n_components]


def score_prefixes(engine: Engine, scores_pca: bool, keeps_pca: bool) -> PrefixScores:
    """Score each prefix, and choose how the network decodes it."""
    network, pca = engine.module_, None
    explained = _explained_by_prefixes(engine, network)
    if scores_pca:
        pca = _explained(engine, network.project, network.expand)
        explained = pca if keeps_pca else explained
    variance = engine.validation.variance / len(network.link.mean)
    return PrefixScores(explained, pca, variance)


def _explained_by_prefixes(engine: Engine, network: Any) -> np.ndarray:
    """Return the explained variance of each prefix, decoded in the better way."""
    if not isinstance(network, LinearSkip):
        return _explained(engine, engine.maps[0], network.decode_prefix)
    network.is_linear.fill_(False)
    network.is_corrected.zero_()
    guessed = _explained(engine, engine.maps[0], network.decode_prefix)
    corrected = _explained(engine, engine.maps[0], network.correct_prefix)
    network.is_corrected.copy_(torch.from_numpy(corrected > guessed))
    return np.maximum(guessed, corrected)


def _explained(engine: Engine, encode: Any, decode: Any) -> np.ndarray:
    widths = range(1, engine.module_.widths[-1] + 1)
    shares = engine.ask(lambda rows: rows.all_unexplained(encode, decode, widths))
    return 1 - shares.mean(0).double().numpy()


def n_enough(explained: np.ndarray, share: Any) -> int:
    """Return how many components reach a share of the variance; 0 if none do."""
    enough = np.flatnonzero(explained >= share)
    return int(enough[0]) + 1 if len(enough) else 0
