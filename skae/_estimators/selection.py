"""Model selection: keeps trained weights or PCA, by held-out rows, and warns users."""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from .._machine.callers import is_called_by_scikit_learn, warn_caller
from .._machine.threads import is_worker
from .._training.divergence import has_grown
from .._training.engine import Engine
from .._training.validation import NEGLIGIBLE, geometric_mean, is_better
from .blame import why_diverged, why_far, why_nan
from .data import Data
from .state import Baseline

# Excess over the mean's loss, in shares of the variance, above which partial_fit warns.
MUCH_WORSE = 0.1
# Factor by which reconstructions may exceed the deviation of the rows.
LARGE = 10.0
# Share of PCA's error above which a single row is named.
HEAVY = 0.2


@dataclass(frozen=True, eq=False)
class Selection:
    """Scores of the held-out rows, and whether the trained weights are kept.

    Scores are explained variances; None if they were not computed.
    """

    keeps_training: bool = True
    #: Whether training, now or before, was better than PCA on held-out rows.
    beats_pca: bool = False
    validation_scores: list[float] | None = None
    best_score: float | None = None
    pca_score: float | None = None
    #: What was compared, for each row and width, of PCA and of ours: unexplained shares
    #: plus penalties, or another loss.
    aims: tuple[Tensor, Tensor] | None = None


#: PCAs as networks, and the held-out rows that each has not seen.
PCAs = Iterable[tuple[Any, np.ndarray]]


def select(engine: Engine, baseline: Baseline | None, pcas: PCAs) -> Selection:
    """Score training on the held-out rows, and PCA if training started there."""
    if not engine.settings.validation_fraction:
        return Selection(keeps_training=bool(engine.epochs()) or baseline is None)
    network, scores = engine.module_, [1 - e["unexplained"] for e in engine.epochs()]
    ours = engine.ask(lambda rows: rows.all_unexplained(*engine.maps))
    penalty = engine.ask(lambda rows: rows.penalty(network))
    is_own = penalty or engine.criterion_.judges
    best = 1 - (geometric_mean(ours).item() if is_own else engine.stopping.best)
    if baseline is None:
        return Selection(validation_scores=scores, best_score=best)
    linear = network.project, network.expand, engine.maps[2]
    pca = engine.ask(lambda rows: rows.all_unexplained(*linear))
    pca_score = 1 - geometric_mean(pca).item()
    if engine.neighbor_map and not engine.ended_at_once:
        # The aim is a map, not the reconstruction.
        return Selection(True, False, scores, best, pca_score)
    if engine.ended_at_once:
        return Selection(False, False, scores, pca_score, pca_score)
    ours, start, pca = _aims(engine, pcas, penalty)
    # A model that was better than PCA before may be kept, whatever the new rows are.
    wins = baseline.is_beaten or (is_better(ours, start) and is_better(ours, pca))
    kept_score = best if wins else pca_score
    return Selection(wins, wins, scores, kept_score, pca_score, (pca, ours))


def _start_of(network: Any) -> Any:
    """Return the PCA that training started from, as a network."""
    linear = copy.deepcopy(network)
    linear.zero_last_layers()
    return linear


def _aims(engine: Engine, pcas: PCAs, penalty: float) -> tuple[Tensor, ...]:
    """Return the aim for each row: squared errors, or another loss.

    First of training, then of PCA as training started, then of PCA of most rows.
    """
    objective, first = engine.criterion_, _start_of(engine.module_)
    is_squared = objective.loss.falls_with_squares

    def judge(network: Any) -> Tensor:
        if objective.judges:
            return engine.ask(lambda rows: rows.all_errors(network))
        return engine.ask(
            lambda rows: (rows.all_unexplained if is_squared else rows.all_losses)(
                *network.maps
            )
        )

    ours, start, of_pca = judge(engine.module_), judge(first), 0.0
    if is_squared and penalty and not objective.judges:
        of_pca = engine.ask(lambda rows: rows.penalty(first))
        ours, start = ours + penalty, start + of_pca
    most = start.clone()
    # Only a gain is worth the time of the harder comparison.
    if is_better(ours, start):
        for pca, places in pcas:
            most[places] = judge(pca)[places] + of_pca
    return ours, start, most


def check_learnt(
    estimator: Any, engine: Engine, pca: Baseline | None, data: Data
) -> None:
    """Raise if training left no usable weights."""
    if engine.interrupted and not engine.epochs():
        raise KeyboardInterrupt
    if any(map(math.isnan, engine.losses_before)):
        raise ValueError(why_far(data) or why_nan(estimator, engine))
    if engine.ended_at_once and pca is None:
        raise ValueError(
            f"{_who_ended(estimator)}, and there is no PCA to keep: stop training "
            "after an epoch, in on_epoch_end."
        )
    is_lost = engine.diverged and engine.stopping.weights is None
    if is_lost or _overflows(engine, data):
        raise ValueError(f"{why_diverged(estimator, engine, data)}.")


def _overflows(engine: Engine, data: Data) -> bool:
    """Whether reconstructions may be infinite in the unit of the data."""
    if engine.ended_at_once:
        return False
    of_mean, ours = engine.losses_after
    if ours <= LARGE**2 * abs(of_mean):
        return False
    largest = LARGE * math.sqrt(ours) * data.scale
    return largest > float(np.finfo(data.mean.dtype).max)


def report(
    estimator: Any, engine: Engine, selection: Selection, data: Data, is_worse: bool
) -> None:
    """Warn if something went wrong in training."""
    if engine.ended_at_once:
        message = f"{_who_ended(estimator)}: PCA is kept."
        warn_caller(message, ConvergenceWarning)
    elif engine.diverged:
        _report_divergence(estimator, engine, selection, data)
    elif not selection.keeps_training:
        _report_no_gain(estimator, engine, selection)
    elif is_worse:
        _report_worse_than_mean(estimator, engine, data)
    elif engine.is_cut_short and not data.is_part and not is_worker():
        # In a parallel search each candidate and fold would repeat the warning.
        warn_caller(
            f"Training ended at max_iter={engine.max_epochs} epochs while it still "
            "improved: a larger max_iter gives a better code.",
            ConvergenceWarning,
        )


def is_worse_than_mean(engine: Engine, is_part: bool, was_worse: bool) -> bool:
    """Whether the mean of the rows would reconstruct better than the trained network.

    In ``partial_fit`` training may have just begun, and rows may be few: then it must
    be much worse, and either the loss has not fallen, or the last call warned too.
    """
    if engine.ended_at_once:
        return False
    of_mean, ours = engine.losses_after
    if not is_part:
        return ours > of_mean + 0.01 * abs(of_mean)
    is_much = ours > of_mean + MUCH_WORSE * max(1.0, abs(of_mean))
    return is_much and (was_worse or not ours < engine.losses_before[1])


def _who_ended(estimator: Any) -> str:
    return (
        f"One of callbacks={estimator.callbacks!r} stopped training before its first "
        "epoch ended"
    )


def _report_divergence(
    estimator: Any, engine: Engine, selection: Selection, data: Data
) -> None:
    """Warn that training diverged, and say which weights are kept."""
    left = "the best weights are kept"
    if not selection.keeps_training:
        left = "PCA is kept"
    elif has_grown(engine, engine.losses_after[1]):
        left = "the weights that are kept reconstruct worse than the mean of the rows"
    message = f"{why_diverged(estimator, engine, data)}; {left}."
    warn_caller(message, ConvergenceWarning)


def _report_worse_than_mean(estimator: Any, engine: Engine, data: Data) -> None:
    of_mean, ours = engine.losses_after
    cures = [f"lower learning_rate_init={estimator.learning_rate_init}"]
    if engine.stop_reason == "max_iter" and not data.is_part:
        cures.insert(0, f"raise max_iter={engine.max_epochs}")
    if engine.criterion_.penalty is not None:
        cures.append(f"lower alpha={estimator.alpha}")
    elif not data.is_part:
        cures.append("pass more rows")
    cure = ", or ".join(cures).capitalize()
    warn_caller(
        f"After {len(engine.epochs())} epochs the reconstruction is worse than the "
        f"mean of the rows: its loss is {ours:.4g}, that of the mean {of_mean:.4g}. "
        f"{why_far(data) or cure}.",
        ConvergenceWarning,
    )


def _report_no_gain(estimator: Any, engine: Engine, selection: Selection) -> None:
    """Warn that PCA is kept, unless there is another reason."""
    # PCA may be exact, or another warning may give the reason.
    is_exact = selection.pca_score is not None and 1 - selection.pca_score <= NEGLIGIBLE
    is_untrained = engine.interrupted or engine.max_epochs == 0
    if selection.aims is None or is_exact or is_untrained:
        return
    more = "More rows"
    if engine.stop_reason == "max_iter":
        more = f"A larger max_iter than {engine.max_epochs}, more rows"
    warn_caller(
        "Training did not improve on PCA, which is kept. "
        f"{_compared(estimator, engine, selection.aims)}"
        f"{_heaviest(engine, selection.aims[0])} "
        f"{more}, a larger validation_fraction than {estimator.validation_fraction}, "
        f"or another n_components than {estimator.n_components} may help. "
        "early_stopping=False trains on all rows and keeps the result in any case.",
        ConvergenceWarning,
    )


def _compared(estimator: Any, engine: Engine, aims: tuple[Tensor, Tensor]) -> str:
    """Compare PCA and training on the held-out rows, in words."""
    pca, ours = (aim.mean(0) for aim in aims)
    verdict = "no significant improvement (paired t test)"
    if bool((ours >= pca).any()):
        verdict = "no improvement"
    widths: Sequence[int] = engine.module_.widths
    by = f" with {_listed(widths)} components" if len(widths) > 1 else ""
    n_rows = len(aims[0])
    if engine.criterion_.judges:
        offset = engine.criterion_.offset
        return (
            f"The objective on {n_rows} held-out rows is {_shown(pca - offset)} with "
            f"PCA, and {_shown(ours - offset)} with the best weights, which is "
            f"{verdict}."
        )
    if engine.criterion_.loss.falls_with_squares:
        return (
            f"PCA explains {_shown(1 - pca)} of the variance of {n_rows} held-out "
            f"rows{by}, and the best weights explain {_shown(1 - ours)}, which is "
            f"{verdict}."
        )
    return (
        f"loss={estimator.loss!r} on {n_rows} held-out rows{by} is {_shown(pca)} with "
        f"PCA, and {_shown(ours)} with the best weights, which is {verdict}."
    )


def _heaviest(engine: Engine, errors: Tensor) -> str:
    """Name the row that outweighs the others, if there is one."""
    each = errors.sum(1)
    share = float(each.max() / each.sum().clamp(min=NEGLIGIBLE))
    if share < max(HEAVY, 3 / len(each)):
        return ""
    row = cast(np.ndarray, engine.split[1])[int(each.argmax())]
    return f" Row {row} of X alone makes {share:.0%} of PCA's error."


def _shown(shares: Tensor) -> str:
    return _listed(f"{share:.4g}" for share in shares.tolist())


def _listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))


def report_interrupt(estimator: Any) -> None:
    """Warn that training was interrupted, or interrupt the caller as well."""
    n_epochs = estimator.n_iter_
    message = f"Interrupted: the weights are the best of {n_epochs} epochs."
    if estimator.is_pca_:
        message = f"Interrupted after {n_epochs} epochs: PCA is kept."
    if is_called_by_scikit_learn() or is_worker():
        raise KeyboardInterrupt(message)
    warn_caller(message, ConvergenceWarning)
