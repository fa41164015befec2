"""What autoencoders share whose codes may keep neighbours, and may be refined."""

from dataclasses import replace
from typing import Any, ClassVar

from .._networks.network import Network
from .._objectives.objective import Objective
from .._rows.checks import COUNT, NONNEGATIVE, POSITIVE_INTEGER, names
from .._training.engine import Engine
from .._training.schedule import WIDE, Schedule
from .._training.solvers import is_full_batch
from .base import BaseAutoencoder
from .data import Data
from .parameters import SharedParameters, autoencoder

# Gradient steps that find most of what is to be found.
N_REFINEMENTS = 3


@autoencoder
class EmbeddingAutoencoder(BaseAutoencoder):
    """Adds an attraction of neighbours to any objective."""

    neighbor_weight: float = 0.0
    n_neighbors: int = 15
    transform_max_iter: int | str = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "neighbor_weight": [NONNEGATIVE],
        "n_neighbors": [POSITIVE_INTEGER],
        "transform_max_iter": [names({"auto"}), COUNT],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if is_full_batch(self.solver) and self.neighbor_weight:
            raise ValueError(
                f"solver={self.solver!r} needs an objective without chance, but "
                f"neighbor_weight={self.neighbor_weight} draws neighbours anew at each "
                "step: use solver='adamw', or neighbor_weight=0.0."
            )

    def _objective(self, network: Network, data: Data) -> Objective:
        objective = super()._objective(network, data)
        objective.neighbor_weight = self.neighbor_weight
        # The error of the reconstruction does not tell what neighbours gain.
        objective.is_stationary = not self.neighbor_weight
        return objective

    def _n_neighbors(self) -> int:
        return self.n_neighbors if self.neighbor_weight else 0

    def _n_refinements(self) -> int:
        asked = self._parameter("transform_max_iter")
        return int(self.transform_max_iter_ if asked == "auto" else asked)

    def _refines(self) -> bool:
        """Whether the best code is the one whose answer is nearest to the row."""
        return self.loss == "squared_error" and self.code_activation == "identity"

    def _needs_fewer_steps(self) -> bool:
        """Whether codes that are refined gain what more steps of training would."""
        is_asked = self.transform_max_iter != 0
        return is_asked and self._refines() and not self.neighbor_weight

    def _schedule(self, data: Data, width: int) -> Schedule:
        schedule = super()._schedule(data, width)
        if self.n_features_in_ < WIDE or not self._needs_fewer_steps():
            return schedule
        return replace(schedule, n_steps=schedule.n_steps * 3 // 10)

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        gains = self._refines() and not self.is_pca_
        self.transform_max_iter_ = N_REFINEMENTS if gains else 0
