"""What an estimator fills in: the terms of what is minimised, and their sizes."""

from typing import Any, ClassVar

import numpy as np

from .._networks.dense import Dense
from .._networks.network import Network
from .._objectives.losses import make_loss
from .._objectives.neighbors import NeighborMap
from .._objectives.objective import Objective
from .._rows.checks import check_float, check_layer_sizes, check_rows
from .._rows.pca import LinearCode
from .._rows.statistics import column_extremes
from .._training.engine import Engine
from .._training.schedule import WIDE, Schedule
from .data import Data
from .parameters import SharedParameters
from .prefixes import PrefixScores
from .selection import Selection

# Of fewer a second layer learns by heart.
FEW_ROWS = 300
# A second layer narrower than wide rows holds back a code of so many components.
MANY_COMPONENTS = 16


class Slots(SharedParameters):
    """What a subclass overrides: slots, never the fit."""

    _network_class: ClassVar[type[Network]] = Dense

    def _check_parameters(self) -> None:
        """Raise where parameters contradict each other, or are no numbers for us."""
        for name, value in self.get_params(deep=False).items():
            check_float(name, value)
        if self.init == "pca" and self.code_activation != "identity":
            raise ValueError(
                f"init='pca' starts with a linear code, which code_activation="
                f"{self.code_activation!r} would bend: use init='random'."
            )

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, tuple[int, ...]]:
        """Return flat rows that the network can take, and their layout, or raise."""
        X = check_rows(self, X, reset=reset, min_samples=min_samples)
        return X, X.shape[1:]

    def _extremes(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return between which values of each feature answers are clipped."""
        return column_extremes(X)

    def _fixed_parameters(self) -> dict[str, Any]:
        """Return parameters that cannot change when training goes on."""
        return {name: getattr(self, name) for name in ("n_components", "loss", "init")}

    def _choose_width(self, data: Data) -> int:
        """Return how many components to train."""
        if self.n_components is None:
            return self.n_features_in_
        return int(self.n_components)

    def _schedule(self, data: Data, width: int) -> Schedule:
        """Return what the user may leave open."""
        # Two layers unfold more than one, but learn few rows by heart. To partial_fit
        # more rows may come.
        is_small = data.n_rows < FEW_ROWS and not data.is_part
        is_held_back = self.n_features_in_ >= WIDE and width >= MANY_COMPONENTS
        if is_small or is_held_back:
            return Schedule()
        return Schedule(n_layers=2, widest=self._widest_of_two())

    def _widest_of_two(self) -> int:
        """Return how wide the first of two layers is at most."""
        return 512 if self.n_features_in_ >= WIDE else 256

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        """Return arguments of the network class, by the parameters and the rows."""
        if isinstance(self.hidden_layer_sizes, str):
            hidden = schedule.hidden_layer_sizes(self.n_features_in_)
        else:
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "sizes": [self.n_features_in_, *hidden, width],
            "activation": self.activation,
            "code_activation": self.code_activation,
            "tied_weights": self.tied_weights,
        }

    def _objective(self, network: Network, data: Data) -> Objective:
        """Return what is minimised."""
        return Objective(make_loss(self.loss, data.mean, data.scale))

    def _n_neighbors(self) -> int:
        """Return with how many neighbours a map of rows is drawn; 0 for no map."""
        return 0

    def _map_so_far(self, data: Data, goes_on: bool) -> NeighborMap | None:
        """Return the map to go on with; None where there is none yet, or shall be."""
        return None

    def _most_rows(self) -> int | None:
        """Return how many rows may train, and as many may judge; None for all."""
        return None

    def _least_unexplained(self, pca: LinearCode, rows: Any, data: Data) -> float:
        """Return what PCA leaves of the objective, though it may explain all rows."""
        return 0.0

    def _score_prefixes(
        self, engine: Engine, selection: Selection
    ) -> PrefixScores | None:
        """Return the scores of the first components; None unless codes are ordered."""
        return None

    def _finish(self, engine: Engine, data: Data) -> None:
        """Do what is due when there is a model."""
