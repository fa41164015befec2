"""Base of autoencoders whose code may be ordered: every prefix is a code."""

import copy
from typing import Any, ClassVar, Self, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .._machine.callers import warn_caller
from .._networks.network import Network
from .._objectives.objective import Objective
from .._objectives.ordered import OrderedObjective, prefix_weights
from .._rows.checks import FRACTION, check_count, is_share
from .._rows.pca import fit_pca
from .._training.engine import Engine
from .._training.schedule import Schedule
from .availability import available_unless
from .base import BaseAutoencoder
from .data import Data
from .parameters import SharedParameters, autoencoder
from .prefixes import PrefixScores, n_enough, score_prefixes
from .selection import Selection


def _why_not_shorter(estimator: Any) -> str | None:
    if estimator._is_ordered():
        return None
    return (
        f"it needs an ordered code, but ordered={estimator.ordered} and "
        f"n_components={estimator.n_components} do not give one. Use ordered=True."
    )


@autoencoder
class OrderedAutoencoder(BaseAutoencoder):
    """Adds a decoder for each of some prefixes, and keeps the components asked for."""

    ordered: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "n_components": [
            *SharedParameters._parameter_constraints["n_components"],
            FRACTION,
        ],
        "ordered": ["boolean"],
    }

    def _wants_order(self) -> bool:
        return self.ordered or is_share(self.n_components)

    def _is_ordered(self) -> bool:
        """Whether the fitted code is ordered; before a fit, whether it would be."""
        if hasattr(self, "_model"):
            return bool(self._state.network["ordered"])
        return self._wants_order()

    def _choose_width(self, data: Data) -> int:
        if not is_share(self.n_components):
            return super()._choose_width(data)
        # The number that PCA needs is enough: a code of that width is no worse. A PCA
        # of all axes is not randomized.
        pca = fit_pca(data.X, data.mean, data.scale, None, 0, data.pca_rows)
        explained = data.explained(pca)
        return n_enough(explained, self.n_components) or len(explained)

    def _schedule(self, data: Data, width: int) -> Schedule:
        if not self._wants_order():
            return super()._schedule(data, width)
        # An encoder shared by several widths needs more layers, more steps and larger
        # batches; and several decoders overfit sooner than one.
        widest = self._widest_of_two()
        return Schedule(n_steps=6000, n_batches=5, decay=8.0, n_layers=2, widest=widest)

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        options = super()._network_options(schedule, width)
        return options | {"ordered": self._wants_order()}

    def _objective(self, network: Network, data: Data) -> Objective:
        objective = super()._objective(network, data)
        if not self._wants_order():
            return objective
        return OrderedObjective(objective.loss, prefix_weights(network))

    def _score_prefixes(
        self, engine: Engine, selection: Selection
    ) -> PrefixScores | None:
        if not self._wants_order():
            return None
        started_from_pca = selection.pca_score is not None
        return score_prefixes(engine, started_from_pca, not selection.keeps_training)

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        self.__dict__.pop("explained_variance_ratio_", None)
        if (prefixes := self._state.prefixes) is None:
            return
        width = len(prefixes.explained)
        if not is_share(self.n_components):
            self._keep(width)
            return
        n_kept = n_enough(prefixes.explained, self.n_components)
        if not n_kept:
            warn_caller(
                f"n_components={self.n_components} is not reached: all {width} "
                f"components explain {prefixes.explained[-1]:.4g} of the variance of "
                "the validation rows, and all are kept. More rows may help.",
                ConvergenceWarning,
            )
        self._keep(n_kept or width)

    def _keep(self, n_components: int) -> None:
        """Keep the first components only, and publish their scores."""
        self._model = self._model.first(n_components)
        prefixes = cast(PrefixScores, self._state.prefixes)
        ratio = prefixes.ratio(n_components)
        self.explained_variance_ratio_ = ratio
        if self.best_score_ is not None:
            self.best_score_ = float(ratio.sum())
        if self.pca_score_ is not None:
            self.pca_score_ = float(cast(np.ndarray, prefixes.pca)[n_components - 1])
        if hasattr(self, "noise_variance_"):
            variance = float((1 - ratio.sum()) * prefixes.variance)
            self.noise_variance_ = variance * self.scale_ * self.scale_

    @available_unless(_why_not_shorter)
    def truncate(self, n_components: int) -> Self:
        """Return a fitted copy that keeps the first components of the code.

        Parameters
        ----------
        n_components : int
            Number of components to keep, at most ``n_components_``.

        Returns
        -------
        truncated : UndercompleteAE
            With ``transform_max_iter=0`` in both, its ``transform`` gives exactly the
            first columns of this one's; refinement steps use its width only. Its
            ``inverse_transform`` was trained for this width, or combines trained ones.
            It keeps the whole network, but a narrower copy cannot be trained further.
            Its ``n_components`` is the given one, so a clone has this width.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``n_components`` is not an integer from 1 to ``n_components_``.
        AttributeError
            If the codes are not ordered: without ``ordered=True`` and with an integer
            ``n_components``.
        """
        check_is_fitted(self)
        check_count("n_components", n_components, self.n_components_)
        truncated = copy.deepcopy(self)
        truncated.n_components, truncated.ordered = int(n_components), True
        truncated._keep(int(n_components))
        return truncated
