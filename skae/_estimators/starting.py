"""Starting: the initial weights of a network, or those to continue from."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .._machine.memory import check_memory
from .._networks.activations import try_out
from .._networks.linear_skip import LinearSkip
from .._networks.network import Network
from .._objectives.losses import Loss, check_resolved
from .._objectives.neighbors import NeighborMap
from .._rows.checks import DOMAINS
from .._rows.chunks import Rows, sample, take
from .._rows.pca import LinearCode, fit_pca
from .._rows.standardise import standardise
from .._training.state import EngineState
from .._training.validation import NEGLIGIBLE
from .data import Data
from .model import FittedModel
from .slots import Slots
from .state import Baseline, TrainingState

# Number of rows that estimate PCA's error.
N_SAMPLE = 4096
# With at least ENOUGH rows for each feature, held-out rows do not turn PCA's axes by
# chance. They do turn them if PCA of the other rows has TURNED times the error of PCA
# of all.
ENOUGH, TURNED = 10, 1.5
# With more rows a tenth of them does not change PCA.
MOST_CROSSED, N_FOLDS = 1000, 5


class Starting(Slots):
    """Builds networks, and sets their weights before training."""

    def _start(self, data: Data) -> tuple[Network, TrainingState]:
        """Return a network with its initial weights, and the state of training."""
        width = self._choose_width(data)
        schedule = self._schedule(data, width)
        options = self._network_options(schedule, width)
        fixed = self._fixed_parameters()
        network = self._build_network(fixed, options, data.mean, data.scale)
        own = {n: getattr(self, n) for n in ("activation", "code_activation")}
        inner = network.network if isinstance(network, LinearSkip) else network
        try_out(inner, len(data.mean), own)
        generator = torch.Generator("cpu").manual_seed(data.seed)
        loss = self._make_loss(self.loss, data.mean, data.scale)
        self._check_resolved(loss, data)
        network.reset_parameters(generator, loss.first_output())
        engine = EngineState(generator.get_state().numpy(), data.seed)
        state = TrainingState(fixed, options, schedule, engine)
        if isinstance(network, LinearSkip):
            state = state.with_baseline(self._become_first_pca(network, data))
        self.loss_curve_: list[float] = []
        self.history_: dict[str, list[float]] = {}
        return network, state

    def _build_network(
        self, fixed: dict[str, Any], options: dict[str, Any], mean: Any, scale: float
    ) -> Network:
        """Build a network without setting its weights."""
        self._check_size(options)
        network = self._network_class(**options)
        network.link = self._make_loss(fixed["loss"], mean, scale).link
        if fixed["init"] != "pca":
            return network
        return self._skip_class(network, network.widths[-1], len(mean))

    def _check_resolved(self, loss: Loss, data: Data) -> None:
        """Raise if the loss cannot tell rows apart."""
        if self.loss not in DOMAINS:
            return
        rows = take(data.X, sample(np.arange(data.n_rows), N_SAMPLE))
        check_resolved(self.loss, loss, standardise(rows, data.mean, data.scale))

    def _check_size(self, options: dict[str, Any]) -> None:
        """Raise if the network would not fit in memory."""
        parameters = self.get_params(deep=False)
        sizes = ("n_components", "hidden_layer_sizes", "channels")
        asked = [f"{n}={parameters[n]!r}" for n in sizes if n in parameters]
        check_memory(self._network_class.count(**options), ", ".join(asked))

    def _become_first_pca(self, network: Any, data: Data) -> Baseline:
        """Turn the network into the PCA that training starts from.

        It is fitted to the rows that are not held out. But if held-out rows turn an
        axis, it is PCA of all rows, whose advantage training could not make up for.
        """
        chosen, width = data.pca_rows, network.widths[-1]
        pca = self._fit_pca(data, width, chosen)
        judges = data.split[1] is not None
        if judges and data.n_rows >= ENOUGH * self._n_inputs:
            of_all = self._fit_pca(data, width, slice(None))
            missed, by_all = (1 - data.explained(p)[-1] for p in (pca, of_all))
            if missed > TURNED * by_all + NEGLIGIBLE:
                chosen, pca = slice(None), of_all
        return self._become_linear(network, data, chosen, pca)

    def _become_pca(self, network: Any, data: Data, chosen: Rows) -> Baseline:
        """Turn the network into the PCA of all rows or some."""
        pca = self._fit_pca(data, network.widths[-1], chosen)
        return self._become_linear(network, data, chosen, pca)

    def _fit_pca(self, data: Data, width: int, chosen: Rows) -> LinearCode:
        pca = fit_pca(data.X, data.mean, data.scale, width, data.seed, chosen)
        return pca.first(width)

    def _become_linear(
        self, network: Any, data: Data, chosen: Rows, pca: LinearCode
    ) -> Baseline:
        """Turn the network into a PCA of the chosen rows."""
        index = np.arange(data.n_rows)[chosen]
        pca = pca.for_rows_to_come() if data.is_part else pca
        baseline = Baseline(len(index), pca.unexplained[-1])
        rows = take(data.X, sample(data.near(index), N_SAMPLE))
        if data.n_far:
            standardised = standardise(rows, data.mean, data.scale).nan_to_num()
            pca = pca.scaled_by(standardised.double().numpy())
        least = self._least_unexplained(pca, rows, data)
        unexplained = np.maximum(pca.unexplained, least)
        network.become_linear(**vars(replace(pca, unexplained=unexplained)))
        network.reach.fill_(data.reach if data.n_far else np.inf)
        return baseline

    def _pcas_of_most(
        self, network: Any, data: Data, baseline: Baseline | None
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield PCAs of most rows, each with the places of the held-out rows left out.

        If PCA is kept, it is fitted to all rows. With few rows the held-out ones
        improve it much, so they are left out one fold at a time. It is one network,
        which the next fold changes.
        """
        held_out = data.split[1]
        if held_out is None or baseline is None:
            return
        if not baseline.n_rows < data.n_rows <= MOST_CROSSED:
            return
        places, pca = np.arange(len(held_out)), copy.deepcopy(network)
        for fold in np.array_split(places, min(N_FOLDS, len(places))):
            others = np.delete(np.arange(data.n_rows), held_out[fold])
            self._become_pca(pca, data, others)
            yield pca, fold

    def _go_on(self, data: Data) -> tuple[Network, TrainingState]:
        """Take the last weights, but fit PCA again without the held-out rows."""
        network, state = copy.deepcopy(self._model.network), self._state
        pca, judges = state.kept_pca, data.validation_fraction > 0
        if pca and judges and data.n_rows >= pca.n_rows:
            pca = self._become_first_pca(network, data)
            state = replace(state, baseline=pca)
        return network, state

    def _check_unchanged(self) -> None:
        """Raise if the parameters now describe another network or loss."""
        model, state = self._model, self._state
        # Without warm_start it is partial_fit that continues.
        how = "Fit with warm_start=False", "Call fit in place of partial_fit"
        anew = how[0] if self.warm_start else how[1]
        if model.is_cut:
            raise ValueError(
                f"Cannot continue training: of {model.whole.widths[-1]} components "
                f"only {model.n_components} are kept. {anew} to start again, or fit a "
                f"clone with n_components={model.n_components}."
            )
        now = self._network_options(state.schedule, model.n_components)
        now, fitted = now | self._fixed_parameters(), state.network | state.parameters
        changed = {k: (fitted[k], now[k]) for k in now if fitted[k] != now[k]}
        if changed:
            labels = {"sizes": "sizes of layers", "hidden": "hidden_layer_sizes"}
            changes = (
                f"{labels.get(k, k)} from {a} to {b}" for k, (a, b) in changed.items()
            )
            raise ValueError(
                "Cannot continue training: the parameters change "
                f"{', '.join(changes)}. {anew} to start again."
            )

    def _set_model(
        self,
        network: Network,
        state: TrainingState,
        mean: np.ndarray,
        scale: float,
        layout: tuple[int, ...],
        seen: tuple[np.ndarray, np.ndarray],
        neighbor_map: NeighborMap | None,
    ) -> None:
        """Keep the fitted model, and the state that later training needs."""
        domain, name = DOMAINS.get(state.parameters["loss"]), type(self).__name__
        self._state: TrainingState = state
        unit = mean, scale, layout, seen, domain
        self._model: FittedModel = FittedModel(
            network, *unit, self._allows_nan(), name, neighbor_map
        )

    def _allows_nan(self) -> bool:
        return bool(self.__sklearn_tags__().input_tags.allow_nan)
