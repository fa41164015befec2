"""The parameters of ``SparseAE`` taken together, and how sparse the code became."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._machine.callers import warn_caller
from .._networks.sparse import COUNTED, SPARSITIES
from .._objectives.losses import Loss
from .._objectives.objective import Penalty
from .._objectives.sparsity import KL, KL_WINDOW, SparseObjective, active_share, l1
from .._rows.checks import check_count
from .model import FittedModel

# Default share of active entries.
TARGET = 0.05


@dataclass(frozen=True)
class Sparsity:
    """A kind of sparsity with its weight and its target."""

    kind: str
    alpha: float
    #: Share of active entries, or mean activation; None if it is not given.
    wanted: float | None
    k: int | None
    is_full_batch: bool

    @property
    def target(self) -> float:
        """Return the target share of active entries."""
        return TARGET if self.wanted is None else self.wanted

    @property
    def is_counted(self) -> bool:
        """Whether a fixed number of entries is kept, without a penalty."""
        return self.kind in COUNTED

    @property
    def adapts(self) -> bool:
        """Whether the penalty's weight follows the target."""
        return self.kind in ("l1", "jump_relu") and self.wanted is not None

    def n_kept(self, width: int) -> int:
        """Return how many entries are kept; 0 if there is no fixed number."""
        if not self.is_counted:
            return 0
        k = max(1, round(self.target * width)) if self.k is None else self.k
        check_count("k", k, width)
        return int(k)

    def penalty(self, width: int) -> Penalty | None:
        """Return the penalty of codes, if there is one."""
        if not self.alpha:
            return None
        if self.kind == "kl":
            # A line search needs the same value for the same weights.
            return KL(width, self.target, 0 if self.is_full_batch else KL_WINDOW)
        return {"l1": l1, "jump_relu": active_share}.get(self.kind)

    def objective(self, loss: Loss, width: int) -> SparseObjective:
        """Return what is minimised."""
        penalty = self.penalty(width)
        is_sparse = penalty is not None or self.is_counted
        return SparseObjective(
            loss,
            penalty,
            self.alpha,
            width,
            target=self.wanted if self.adapts else None,
            revives=is_sparse and self.kind != "kl" and not self.is_full_batch,
        )


def check_sparsity(sparsity: Sparsity, code_activation: Any, solver: Any) -> None:
    """Raise if parameters contradict each other."""
    kind, wanted, suits = sparsity.kind, sparsity.wanted, SPARSITIES[sparsity.kind]
    # Top-k accepts any activation, and so does L1 unless zeros are counted.
    is_free = kind == "top_k" or (kind == "l1" and not sparsity.adapts)
    if not is_free and code_activation not in ("auto", suits):
        raise ValueError(
            f"code_activation={code_activation!r} does not work with sparsity={kind!r} "
            f"and target_sparsity={wanted}: use 'auto' or {suits!r}."
        )
    _check_target(sparsity)
    moves = sparsity.adapts or kind in ("batch_top_k", "jump_relu")
    if sparsity.is_full_batch and moves:
        raise ValueError(
            f"solver={solver!r} needs a fixed objective with exact gradients, unlike "
            f"sparsity={kind!r} with target_sparsity={wanted}: use solver='adamw'."
        )


def _check_target(sparsity: Sparsity) -> None:
    """Raise unless at most one parameter sets the sparsity."""
    kind, wanted = sparsity.kind, sparsity.wanted
    if sparsity.k is not None and not sparsity.is_counted:
        counted = " or ".join(map(repr, sorted(COUNTED)))
        raise ValueError(
            f"k={sparsity.k} has no effect with sparsity={kind!r}: use "
            f"sparsity={counted} to keep k entries, or k=None."
        )
    if sparsity.is_counted and None not in (sparsity.k, wanted):
        raise ValueError(
            f"k={sparsity.k} and target_sparsity={wanted} both set the number of "
            "entries to keep: set one of them to None."
        )
    if sparsity.adapts and not sparsity.alpha:
        raise ValueError(
            f"target_sparsity={wanted} is reached by adapting alpha, which cannot grow "
            "from 0.0: use alpha=0.1."
        )


def count_active(
    model: FittedModel, X: Any, sparsity: Sparsity
) -> tuple[float, np.ndarray]:
    """Return the mean number of active entries of a row, and the dead units.

    Entries of "kl" are rates: their sum counts, and a unit is active above the target.
    """
    is_rate = sparsity.kind == "kl"
    is_dead = np.ones(model.n_components, dtype=bool)

    def activity(x: np.ndarray) -> np.ndarray:
        code = model.encode(x).cpu().numpy()
        active = code > sparsity.target if is_rate else code != 0
        np.logical_and(is_dead, ~active.any(axis=0), out=is_dead)
        return (code if is_rate else active).sum(axis=1, dtype=np.float64)

    mean_active = float(model.map(activity, X).mean())
    return mean_active, np.flatnonzero(is_dead)


def report_activity(estimator: Any, sparsity: Sparsity, is_whole: bool) -> None:
    """Warn if most units are dead, or a whole fit has not reached its target."""
    n_dead, n_units = len(estimator.dead_units_), estimator.n_components_
    if 2 * n_dead > n_units:
        remedy = "raise k" if sparsity.is_counted else "lower alpha"
        warn_caller(
            f"{n_dead} of {n_units} units are active in no training row with "
            f"sparsity={sparsity.kind!r}: {remedy}, or lower learning_rate_init.",
            ConvergenceWarning,
        )
    share = estimator.mean_active_ / n_units
    if is_whole and sparsity.adapts and abs(share / sparsity.target - 1) > 0.2:
        warn_caller(
            f"target_sparsity={sparsity.wanted} is not reached: {share:.3g} of the "
            f"entries are active after {estimator.n_iter_} epochs. Raise max_iter, or "
            f"move alpha={sparsity.alpha:g} towards its last value, "
            f"{estimator.alpha_:.3g}.",
            ConvergenceWarning,
        )
