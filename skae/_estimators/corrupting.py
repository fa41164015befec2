"""Base of autoencoders that see corrupted rows, or rows with missing values."""

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import Tags

from .._networks.network import Network
from .._objectives.corruption import NOISES, SHARES, Corruption, make_corruption
from .._objectives.denoising import DenoisingObjective
from .._objectives.objective import Objective
from .._rows.checks import NONNEGATIVE, SHARE, names
from .._rows.pca import LinearCode
from .._rows.standardise import standardise
from .._rows.statistics import has_gaps
from .._training.solvers import is_full_batch
from .base import BaseAutoencoder
from .data import Data
from .parameters import SharedParameters, autoencoder

# In units of scale_; squares of larger noise may overflow float32.
MOST_NOISE = 1e15


def check_level(noise: str, level: float) -> None:
    """Raise if the level of a noise of this name is not valid."""
    if noise in SHARES and level > 1:
        raise ValueError(
            f"noise_level={level} must be a share from 0 to 1 with noise={noise!r}."
        )
    if level > MOST_NOISE:
        raise ValueError(
            f"noise_level={level} with noise={noise!r} hides the rows: it is in units "
            "of scale_, the deviation of the rows. Lower it to 1.0 or less."
        )


@autoencoder
class CorruptingAutoencoder(BaseAutoencoder):
    """Adds ``corrupt`` to the objective; the loss leaves NaN out."""

    noise: str | Corruption = "gaussian"
    noise_level: float = 0.0
    emphasis: float = 0.0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "noise": [names(NOISES), callable],
        "noise_level": [NONNEGATIVE],
        "emphasis": [SHARE],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(self.noise, str):
            check_level(self.noise, self.noise_level)
        if self.emphasis == 1 and not self._hides():
            raise ValueError(
                f"emphasis={self.emphasis} counts corrupted entries only, but "
                f"noise_level={self.noise_level} corrupts none: raise noise_level, or "
                "lower emphasis."
            )
        if is_full_batch(self.solver) and self._corrupts():
            raise ValueError(
                f"solver={self.solver!r} needs a deterministic objective, but "
                f"noise={self.noise!r} is random in each step: use solver='adamw', or "
                "noise_level=0.0."
            )

    def _corrupts(self) -> bool:
        return not isinstance(self.noise, str) or self.noise_level > 0

    def _hides(self) -> bool:
        """Whether entries are hidden from the network, by noise or otherwise."""
        return self._corrupts()

    def _corruption(self, data: Data) -> Corruption | None:
        zeros = np.zeros_like(data.mean)[np.newaxis]
        standardised = standardise(zeros, data.mean, data.scale)[0]
        return make_corruption(self.noise, self.noise_level, standardised)

    def _objective(self, network: Network, data: Data) -> Objective:
        loss = self._make_loss(self.loss, data.mean, data.scale)
        corrupt = self._corruption(data)
        return DenoisingObjective(loss, corrupt, self.emphasis, has_gaps(data.X))

    def _least_unexplained(self, pca: LinearCode, rows: Any, data: Data) -> float:
        corrupt = self._corruption(data)
        if corrupt is None and not has_gaps(rows):
            return 0.0
        generator = torch.Generator("cpu").manual_seed(data.seed)
        x = standardise(rows, data.mean, data.scale)
        seen = x.nan_to_num()
        seen = seen if corrupt is None else corrupt(seen, generator)
        deviations = seen.double().numpy() - pca.centre
        answer = deviations @ pca.axes.T @ pca.axes + pca.centre
        return float(np.nanmean(np.square(answer - x.numpy())))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
