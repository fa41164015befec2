"""Base of autoencoders whose codes may keep neighbours, and may be refined."""

from dataclasses import replace
from typing import Any, ClassVar

from .._networks.network import Network
from .._objectives.neighbors import N_ROWS, NeighborMap
from .._objectives.objective import Objective
from .._rows.checks import COUNT, NONNEGATIVE, POSITIVE_INTEGER, names
from .._training.engine import Engine
from .._training.schedule import WIDE, Schedule
from .base import BaseAutoencoder
from .data import Data
from .model import Coding
from .parameters import SharedParameters, autoencoder

# Gradient steps after which further ones gain little: codes on a map may move less.
N_REFINEMENTS, N_ON_MAP = 3, 1


@autoencoder
class EmbeddingAutoencoder(BaseAutoencoder):
    """Adds a map of neighbours for the codes, and steps that improve codes."""

    neighbor_weight: float = 0.0
    n_neighbors: int = 15
    transform_n_neighbors: int | str = "auto"
    transform_max_iter: int | str = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "neighbor_weight": [NONNEGATIVE],
        "n_neighbors": [POSITIVE_INTEGER],
        "transform_n_neighbors": [names({"auto"}), COUNT],
        "transform_max_iter": [names({"auto"}), COUNT],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.neighbor_weight and self.code_activation != "identity":
            raise ValueError(
                f"neighbor_weight={self.neighbor_weight} needs codes of any size and "
                f"sign, which code_activation={self.code_activation!r} may not give: "
                "use code_activation='identity', or neighbor_weight=0.0."
            )

    def _map_so_far(self, data: Data, goes_on: bool) -> NeighborMap | None:
        if not self.neighbor_weight:
            return None
        drawn = self._model.neighbor_map if goes_on else None
        if drawn and drawn.n_neighbors != self.n_neighbors:
            raise ValueError(
                f"Cannot continue training: n_neighbors={self.n_neighbors}, but the "
                f"map was drawn with {drawn.n_neighbors}. Fit a clone to draw another."
            )
        if not drawn and data.n_training < 2:
            cure = "pass more rows"
            if data.validation_fraction:
                cure += ", or use early_stopping=False, which holds none out"
            raise ValueError(
                f"neighbor_weight={self.neighbor_weight} needs at least two training "
                f"rows for its map, but n_samples={data.n_rows} leaves "
                f"{data.n_training}: {cure}."
            )
        return drawn

    def _objective(self, network: Network, data: Data) -> Objective:
        objective = super()._objective(network, data)
        if self.neighbor_weight:
            objective.n_given = network.widths[-1]
            objective.spread = network.spread
        return objective

    def _n_neighbors(self) -> int:
        return self.n_neighbors if self.neighbor_weight else 0

    def _most_rows(self) -> int | None:
        return N_ROWS if self.neighbor_weight else None

    def _coding(self) -> Coding:
        weight = self._parameter("neighbor_weight")
        if weight and self._model.neighbor_map is None and not self.is_pca_:
            raise ValueError(
                f"neighbor_weight={weight} needs a map of the training rows, which fit "
                "did not draw: fit again with this weight, or set it to 0.0."
            )
        n_steps = self._count("transform_max_iter")
        return Coding(n_steps, self._count("transform_n_neighbors"), weight)

    def _count(self, name: str) -> int:
        """Return a parameter, with "auto" replaced by its value."""
        asked = self._parameter(name)
        return int(getattr(self, f"{name}_") if asked == "auto" else asked)

    def _refines(self) -> bool:
        """Whether the best code is the one with the smallest squared error."""
        return self.loss == "squared_error" and self.code_activation == "identity"

    def _needs_fewer_steps(self) -> bool:
        """Whether refined codes make up for fewer training steps."""
        return self.transform_max_iter != 0 and self._refines()

    def _schedule(self, data: Data, width: int) -> Schedule:
        schedule = super()._schedule(data, width)
        if self.neighbor_weight:
            # The map gives the codes: learning to invert them is easier than finding
            # them.
            n_steps = schedule.n_steps // 4
            return replace(schedule, n_steps=n_steps, least_epochs=15, widest=256)
        if self.n_features_in_ < WIDE or not self._needs_fewer_steps():
            return schedule
        return replace(schedule, n_steps=schedule.n_steps * 3 // 10)

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        neighbor_map = self._model.neighbor_map
        gains = self._refines() and not self.is_pca_
        n_steps = N_REFINEMENTS if gains else 0
        self.transform_max_iter_ = N_ON_MAP if neighbor_map else n_steps
        self.transform_n_neighbors_ = neighbor_map.n_neighbors if neighbor_map else 0
