"""The sparse autoencoder: few entries of its code are active in each row."""

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, ClassVar, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from .._machine.callers import warn_caller
from .._networks.sparse import COUNTED, SPARSITIES, SparseDense
from .._objectives.losses import make_loss
from .._objectives.objective import Objective, Penalty
from .._objectives.sparsity import KL, KL_WINDOW, SparseObjective, active_share, l1
from .._rows.checks import (
    AT_LEAST_ONE,
    FRACTION,
    NONNEGATIVE,
    POSITIVE_INTEGER,
    check_count,
    names,
)
from .._training.engine import Engine
from .._training.solvers import is_full_batch
from .base import BaseAutoencoder
from .parameters import SharedParameters, autoencoder

# Share of the entries that are active where nothing else is said.
TARGET = 0.05


@autoencoder
class SparseAE(BaseAutoencoder):
    """Autoencoder of whose code few entries are active in each row.

    Minimises ``mean_i loss(x_i, decode(z_i)) + alpha penalty(z_i)`` with ``z_i =
    encode(x_i)``, or leaves the penalty out where a layer keeps the largest entries
    only. The code may be wider than the rows: each unit then stands for a part that
    some rows have.

    Rows are centred and divided by one number, so that neither the unit of the data
    nor its origin matters. Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=None
        Width of the code. None is as wide as the rows.

    sparsity : {"l1", "kl", "top_k", "batch_top_k", "jump_relu"}, default="l1"
        What makes the code sparse, and its activation if ``code_activation="auto"``:

        - "l1" ("relu"): the penalty ``sum_j |z_j| ||d_j|| / sqrt(n_features)``, where
          ``d_j`` is the column of the decoder that an entry is multiplied by; it is the
          most probable code under a Laplace prior [1]_. After ``fit`` the columns have
          unit norm, unless weights are tied, or the activation is another than "relu",
          "leaky_relu" or "identity";
        - "kl" ("logistic"): the mean over units of the divergence ``t log(t / r_j) +
          (1 - t) log((1 - t) / (1 - r_j))`` of the unit's mean activation ``r_j`` from
          ``t = target_sparsity`` [2]_;
        - "top_k" ("identity"): of each row the ``k`` largest entries are kept [3]_;
        - "batch_top_k" ("relu"): of each batch the ``k`` times as many largest entries
          as rows; ``transform`` keeps entries above a threshold that follows from
          them [4]_;
        - "jump_relu" ("identity"): entries above a learnt threshold of their unit are
          kept; the penalty is the share of entries kept [5]_.

    alpha : float, default=0.1
        Weight of the penalty; "kl" takes a larger one than "l1" to come near its
        target. Not used by "top_k" and "batch_top_k".

    target_sparsity : float or None, default=None
        Wanted share of active entries, in (0, 1). "l1" and "jump_relu" then adapt the
        weight of the penalty, from ``alpha`` on, in each step: give them the epochs; a
        warning tells if they end more than a fifth off. "top_k" and "batch_top_k" round
        ``k`` from it. "kl" takes it as the wanted mean activation. None is 0.05, save
        for "l1" and "jump_relu", which keep to ``alpha``.

    k : int or None, default=None
        Number of entries to keep, for "top_k" and "batch_top_k". None takes
        ``target_sparsity``.

    support : float, default=1.0
        How many times ``k`` entries "top_k" keeps in ``transform``: a wider code than
        was trained often tells classes apart better [3]_.

    <network parameters>

    <training parameters>

    Attributes
    ----------
    dead_units_ : ndarray of int
        Units that are active in no training row: zero in all, or with "kl" never above
        ``target_sparsity``. A warning is given if they are more than half.

    mean_active_ : float
        Mean number of entries of a training row that are not zero; with "kl", whose
        entries are rates, their mean sum.

    alpha_ : float
        Weight of the penalty at the end; 0.0 where there is none.

    <shared attributes>

    See Also
    --------
    sklearn.decomposition.DictionaryLearning : Sparse codes by optimisation, row by row.

    Notes
    -----
    Units that stay silent for 100 steps are revived: beside the loss counts, by 1/32,
    the loss with the silent units switched on that say most [6]_. Units of "kl" are
    never silent.

    There is no PCA to start from: ``init`` can be nothing but "random".

    ``solver="lbfgs"`` works with "l1", "kl" and "top_k", without revival; the slopes of
    "jump_relu" are estimates, and the threshold of "batch_top_k" moves.

    References
    ----------
    .. [1] B. Olshausen and D. Field, "Sparse coding with an overcomplete basis set: a
       strategy employed by V1?", Vision Research 37, 1997.
    .. [2] A. Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
    .. [3] A. Makhzani and B. Frey, "k-sparse autoencoders", arXiv:1312.5663, 2013.
    .. [4] B. Bussmann, P. Leask and N. Nanda, "BatchTopK sparse autoencoders",
       arXiv:2412.06410, 2024.
    .. [5] S. Rajamanoharan et al., "Jumping ahead: improving reconstruction fidelity
       with JumpReLU sparse autoencoders", arXiv:2407.14435, 2024.
    .. [6] L. Gao et al., "Scaling and evaluating sparse autoencoders",
       arXiv:2406.04093, 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import SparseAE
    >>> X = load_digits().data
    >>> ae = SparseAE(128, sparsity="top_k", k=10, max_iter=20, random_state=0).fit(X)
    >>> (ae.transform(X) != 0).sum(axis=1)[:3]
    array([10, 10, 10])
    """

    n_components: int | None = field(default=None, kw_only=False)
    hidden_layer_sizes: int | Sequence[int] | str = ()
    code_activation: str | Callable[[], nn.Module] = "auto"
    init: str = "random"
    sparsity: str = "l1"
    alpha: float = 0.1
    target_sparsity: float | None = None
    k: int | None = None
    support: float = 1.0

    _network_class = SparseDense

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "code_activation": [
            names({"auto"}),
            *SharedParameters._parameter_constraints["code_activation"],
        ],
        "init": [names({"random"})],
        "sparsity": [names(SPARSITIES)],
        "alpha": [NONNEGATIVE],
        "target_sparsity": [FRACTION, None],
        "k": [POSITIVE_INTEGER, None],
        "support": [AT_LEAST_ONE],
    }

    def _train(self, X: Any, partial: bool) -> Any:
        self._check_sparsity()
        return super()._train(X, partial)

    def _check_sparsity(self) -> None:
        """Raise where parameters contradict each other."""
        given = f"sparsity={self.sparsity!r}"
        suits = SPARSITIES[self.sparsity]
        # Top-k takes any, and so does L1 unless zeros are counted.
        is_free = self.sparsity == "top_k" or (
            self.sparsity == "l1" and not self._adapts()
        )
        if not is_free and self.code_activation not in ("auto", suits):
            raise ValueError(
                f"code_activation={self.code_activation!r} does not go with {given} "
                f"and target_sparsity={self.target_sparsity}: use 'auto' or {suits!r}."
            )
        if self._is_counted() and None not in (self.k, self.target_sparsity):
            raise ValueError(
                f"k={self.k} and target_sparsity={self.target_sparsity} both say how "
                "many entries to keep: leave one of them None."
            )
        if self._adapts() and not self.alpha:
            raise ValueError(
                f"target_sparsity={self.target_sparsity} is reached by adapting alpha, "
                "which cannot grow from 0.0: start with 0.1."
            )
        moves = self._adapts() or self.sparsity in ("batch_top_k", "jump_relu")
        if is_full_batch(self.solver) and moves:
            raise ValueError(
                f"solver={self.solver!r} needs an objective that stays as it is, with "
                f"exact slopes, unlike {given} with target_sparsity="
                f"{self.target_sparsity}: use solver='adamw'."
            )

    def _is_counted(self) -> bool:
        return self.sparsity in COUNTED

    def _adapts(self) -> bool:
        can = self.sparsity in ("l1", "jump_relu")
        return can and self.target_sparsity is not None

    def _target(self) -> float:
        return TARGET if self.target_sparsity is None else self.target_sparsity

    def _n_kept(self) -> int:
        """Return how many entries a counted code keeps; 0 where none are counted."""
        if not self._is_counted():
            return 0
        k = max(1, round(self._target() * self._width)) if self.k is None else self.k
        check_count("k", k, self._width)
        return int(k)

    def _activation(self) -> Any:
        is_open = self.code_activation == "auto"
        return SPARSITIES[self.sparsity] if is_open else self.code_activation

    def _network_options(self) -> dict[str, Any]:
        return super()._network_options() | {
            "code_activation": self._activation(),
            "sparsity": self.sparsity,
            "k": self._n_kept(),
            "support": self.support,
        }

    def _objective(self) -> Objective:
        penalty = self._penalty() if self.alpha else None
        sparse = penalty is not None or self._is_counted()
        return SparseObjective(
            make_loss(self.loss, self.mean_, self.scale_),
            penalty,
            self.alpha,
            self._width,
            target=self.target_sparsity if self._adapts() else None,
            revives=sparse and self.sparsity != "kl" and not is_full_batch(self.solver),
        )

    def _engine(self, X: Any, *args: Any) -> Engine:
        engine = super()._engine(X, *args)
        # What is trained is judged, and widened when it is done.
        engine.module.support(1.0)
        return engine

    def _penalty(self) -> Penalty | None:
        if self.sparsity == "kl":
            # A line search needs the same value for the same weights.
            window = 0 if is_full_batch(self.solver) else KL_WINDOW
            return KL(self._width, self._target(), window)
        return {"l1": l1, "jump_relu": active_share}.get(self.sparsity)

    def _finish(self, engine: Engine, X: Any, keep_optimizer: bool) -> None:
        super()._finish(engine, X, keep_optimizer)
        cast(SparseDense, self.network_).support(self.support)
        has_penalty = engine.criterion_.penalty is not None
        objective = cast(SparseObjective, engine.criterion_)
        self.alpha_ = float(objective.penalty_weight()) if has_penalty else 0.0
        if self.sparsity == "l1" and has_penalty and self._scales_freely():
            cast(SparseDense, self.network_).normalise()
        self._measure(X)
        self._report_dead_units()
        # In parts it takes many to reach the target.
        if self._adapts() and engine.max_epochs > 1:
            self._report_target()

    def _scales_freely(self) -> bool:
        """Whether the code can be scaled and the decoder's columns by the inverse."""
        homogeneous = self._activation() in ("relu", "leaky_relu", "identity")
        return homogeneous and not self.tied_weights

    def _measure(self, X: Any) -> None:
        """Count the active entries of the training rows."""
        codec, are_rates = self._codec(), self.sparsity == "kl"
        is_dead = np.ones(self.n_components_, dtype=bool)

        def activity(x: np.ndarray) -> np.ndarray:
            code = codec.encode(x).cpu().numpy()
            active = code > self._target() if are_rates else code != 0
            np.logical_and(is_dead, ~active.any(axis=0), out=is_dead)
            return (code if are_rates else active).sum(axis=1, dtype=np.float64)

        self.mean_active_ = float(codec.map(activity, X).mean())
        self.dead_units_ = np.flatnonzero(is_dead)

    def _report_dead_units(self) -> None:
        """Warn if most are dead."""
        n_dead, n_units = len(self.dead_units_), self.n_components_
        if 2 * n_dead > n_units:
            remedy = "raise k" if self._is_counted() else "lower alpha"
            warn_caller(
                f"{n_dead} of {n_units} units are active in no training row with "
                f"sparsity={self.sparsity!r}: {remedy}, or lower learning_rate_init.",
                ConvergenceWarning,
            )

    def _report_target(self) -> None:
        """Warn if it is not reached."""
        share = self.mean_active_ / self.n_components_
        if abs(share / self._target() - 1) > 0.2:
            warn_caller(
                f"target_sparsity={self.target_sparsity} is not reached: {share:.3g} "
                f"of the entries are active after {self.n_iter_} epochs. Raise "
                f"max_iter, or start nearer than alpha={self.alpha:g}; it ended at "
                f"{self.alpha_:.3g}.",
                ConvergenceWarning,
            )
