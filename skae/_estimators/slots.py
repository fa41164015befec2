"""What subclasses override: terms of the objective, and sizes of the network."""

from typing import Any, ClassVar

import numpy as np

from .._machine.interrupts import Interrupts
from .._networks.dense import Dense
from .._networks.linear_skip import LinearSkip
from .._networks.network import Network
from .._objectives.losses import Loss, make_loss
from .._objectives.neighbors import NeighborMap
from .._objectives.objective import Objective
from .._rows.checks import check_float, check_layer_sizes, check_rows
from .._rows.pca import LinearCode
from .._rows.statistics import column_extremes
from .._rows.stored import Stored, check_stored, opened
from .._training.engine import Engine
from .._training.schedule import WIDE, Schedule
from .data import Data
from .parameters import SharedParameters
from .prefixes import PrefixScores
from .selection import Selection
from .state import TrainingState

# With fewer rows a second layer overfits.
FEW_ROWS = 300
# With so many components a narrow second layer limits the code of wide rows.
MANY_COMPONENTS = 16


class Slots(SharedParameters):
    """Methods that a subclass overrides; it never overrides the fit."""

    _network_class: ClassVar[type[Network]] = Dense
    #: PCA plus such a network, for ``init="pca"``.
    _skip_class: ClassVar[type[LinearSkip]] = LinearSkip

    def _check_parameters(self) -> None:
        """Raise if parameters contradict each other, or are too large for a float."""
        for name, value in self.get_params(deep=False).items():
            check_float(name, value)
        if self.init == "pca" and self.code_activation != "identity":
            raise ValueError(
                "init='pca' needs a linear code, which "
                f"code_activation={self.code_activation!r} does not give: use "
                "init='random'."
            )

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, tuple[int, ...]]:
        """Return flat rows for the network, and their layout, or raise."""
        X = opened(X)
        check = check_stored if isinstance(X, Stored) else check_rows
        X = check(self, X, reset=reset, min_samples=min_samples)
        return X, X.shape[1:]

    @property
    def _n_inputs(self) -> int:
        """Return the length of the rows that the network sees."""
        return self.n_features_in_

    def _training_rows(self, X: Any) -> Any:
        """Return checked rows in the order of features that training uses."""
        return X

    def _without_padding(self, answers: np.ndarray, X: Any) -> np.ndarray:
        """Return reconstructions of flat rows, with NaN where ``X`` has no place."""
        return answers

    def _extremes(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and largest value of each feature, for ``clip``."""
        return column_extremes(X)

    def _fixed_parameters(self) -> dict[str, Any]:
        """Return parameters that must stay the same in further training."""
        return {name: getattr(self, name) for name in ("n_components", "loss", "init")}

    def _choose_width(self, data: Data) -> int:
        """Return how many components to train."""
        if self.n_components is None:
            return self._n_inputs
        return int(self.n_components)

    def _schedule(self, data: Data, width: int) -> Schedule:
        """Return the values of "auto" parameters."""
        # Two layers unfold more than one, but overfit few rows. More rows may follow in
        # partial_fit.
        is_small = data.n_rows < FEW_ROWS and not data.is_part
        is_held_back = self._n_inputs >= WIDE and width >= MANY_COMPONENTS
        if is_small or is_held_back:
            return Schedule()
        return Schedule(n_layers=2, widest=self._widest_of_two())

    def _widest_of_two(self) -> int:
        """Return the maximum width of the first of two layers."""
        return 512 if self._n_inputs >= WIDE else 256

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        """Return the arguments of the network class."""
        if isinstance(self.hidden_layer_sizes, str):
            hidden = schedule.hidden_layer_sizes(self._n_inputs)
        else:
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "sizes": [self._n_inputs, *hidden, width],
            "activation": self.activation,
            "code_activation": self.code_activation,
            "tied_weights": self.tied_weights,
        }

    def _make_loss(self, loss: Any, mean: np.ndarray, scale: float) -> Loss:
        """Build the loss of rows that are standardised so."""
        return make_loss(loss, mean, scale)

    def _objective(self, network: Network, data: Data) -> Objective:
        """Return what is minimised."""
        return Objective(self._make_loss(self.loss, data.mean, data.scale))

    def _pretrain(
        self,
        engine: Engine,
        state: TrainingState,
        data: Data,
        rows: Any,
        interrupts: Interrupts,
    ) -> TrainingState:
        """Improve the initial weights of the engine's network before its first fit."""
        return state

    def _n_neighbors(self) -> int:
        """Return the number of neighbours for the map; 0 for no map."""
        return 0

    def _map_so_far(self, data: Data, goes_on: bool) -> NeighborMap | None:
        """Return the map to continue with; None if there is none, or will be none."""
        return None

    def _most_rows(self) -> int | None:
        """Return the maximum number of training and of held-out rows; None for all."""
        return None

    def _least_unexplained(self, pca: LinearCode, rows: Any, data: Data) -> float:
        """Return a lower bound of PCA's objective, which may be above zero."""
        return 0.0

    def _score_prefixes(
        self, engine: Engine, selection: Selection
    ) -> PrefixScores | None:
        """Return the scores of the first components; None unless codes are ordered."""
        return None

    def _finish(self, engine: Engine, data: Data) -> None:
        """Set attributes that need the fitted model."""
