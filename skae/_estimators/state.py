"""State of a fitted estimator that further training needs, besides its model."""

from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Self

import numpy as np

from .._training.schedule import Schedule
from .._training.state import EngineState
from .prefixes import PrefixScores


@dataclass(frozen=True, eq=False)
class Baseline:
    """PCA, which training starts from and has to improve on."""

    #: Number of rows that it was fitted to.
    n_rows: int
    #: Unexplained variance, a mean over features of standardised rows.
    residual_variance: float
    #: Whether the weights are PCA's.
    is_kept: bool = True
    #: Whether trained weights were better on held-out rows.
    is_beaten: bool = False

    def objective(self) -> dict[str, np.ndarray]:
        """Return the weight of a "gaussian" loss: the variance of PCA's residual."""
        log_variance = np.float32(np.log(max(self.residual_variance, 1e-6)))
        return {"loss.log_variance": np.array(log_variance)}


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What the next run needs; it does not change with the parameters."""

    #: Parameters that cannot change in further training.
    parameters: dict[str, Any]
    #: Arguments of the network class.
    network: dict[str, Any]
    schedule: Schedule
    engine: EngineState
    #: None if training started from random weights.
    baseline: Baseline | None = None
    #: None unless the code is ordered.
    prefixes: PrefixScores | None = None
    #: Whether the last rows were reconstructed worse than their mean does.
    is_worse: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values only, for pickles."""
        return {
            name: dict(vars(value)) if is_dataclass(value) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Undo ``to_dict``."""
        kinds = {
            "schedule": Schedule,
            "engine": EngineState,
            "baseline": Baseline,
            "prefixes": PrefixScores,
        }
        made = {
            name: kinds[name](**value) if name in kinds and value is not None else value
            for name, value in values.items()
        }
        return cls(**made)

    @property
    def kept_pca(self) -> Baseline | None:
        """PCA, if the weights are PCA's."""
        return self.baseline if self.baseline and self.baseline.is_kept else None

    def with_baseline(self, baseline: Baseline) -> Self:
        """Return the state after a start from this PCA."""
        engine = replace(self.engine, objective=baseline.objective())
        return replace(self, baseline=baseline, engine=engine)
