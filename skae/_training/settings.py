"""Settings of the engine."""

from dataclasses import dataclass
from typing import Any

from .solvers import is_full_batch
from .steps import STAGES, Stage


@dataclass(frozen=True)
class Settings:
    """Parameters of a run, with all "auto" values resolved."""

    solver: Any
    learning_rate_init: float
    learning_rate: str
    weight_decay: float
    batch_size: int
    #: 0 keeps the initial weights.
    max_epochs: int
    tol: float
    n_iter_no_change: int
    #: How products are rounded.
    precision: str = "float32"
    #: Whether the weight decay was "auto", so that training may change it.
    decay_is_open: bool = False
    #: Share of the rows to hold out; 0 for none.
    validation_fraction: float = 0.0
    #: Whether training may go back to the initial weights.
    keeps_start: bool = False
    #: Number of neighbours for the map of codes; 0 for no map.
    n_neighbors: int = 0
    #: Whether modules draw from torch's global generator.
    draws_globally: bool = False

    @property
    def is_full_batch(self) -> bool:
        """Whether a step sees all rows."""
        return is_full_batch(self.solver)

    @property
    def decays_rate(self) -> bool:
        """Whether the rate falls from step to step."""
        return self.learning_rate == "cosine" and not self.is_full_batch

    @property
    def stages(self) -> list[Stage]:
        """Stages to try when averages improve no more."""
        if self.decay_is_open:
            return list(STAGES)
        return [stage._replace(decay=1.0) for stage in STAGES if stage.rate < 1]

    @property
    def averages(self) -> bool:
        """Whether averages of the weights over the steps are evaluated and kept."""
        return self.learning_rate == "averaged" and not self.is_full_batch
