"""Problems of training."""

import math
from collections.abc import Sequence
from numbers import Integral

import numpy as np

from .cures import either, lower_rate, more_epochs, more_held_out, scaled
from .findings import Finding
from .subject import Subject

# Share of the variance that counts as zero.
NOTHING = 1e-6
# Share of the variance below which next to nothing is explained.
LITTLE = 0.01
# Overfitting: unexplained variance of other rows, as a multiple of that of training
# rows, and its least excess.
TIMES_OF_OTHERS, MISSED = 3.0, 0.02
# Share of the largest step size below which training was about to end anyway.
NO_RATE = 0.05
# Number of held-out rows that is enough to compare weights.
ENOUGH_HELD_OUT = 20


def find_pca_kept(subject: Subject) -> Finding | None:
    """Find that training did not improve on PCA, and say why."""
    if not subject.fitted("is_pca_"):
        return None
    scores, pca = subject.fitted("validation_scores_"), subject.fitted("pca_score_")
    if not scores or pca is None:
        return Finding(
            "PCA kept", "Training did not change PCA.", _cure_of_pca(subject)
        )
    if 1 - pca <= NOTHING:
        message = (
            "PCA explains all of the held-out rows: training cannot improve on it."
        )
        fewer = scaled(subject, "n_components", 1 / 2) or ["PCA, which is faster"]
        return Finding("PCA kept", message, either(fewer))
    verdict = "is no better" if max(scores) <= pca else "may be chance on so few rows"
    message = (
        f"PCA explains {pca:.4g} of the variance of the held-out rows, and the best "
        f"epoch {max(scores):.4g}, which {verdict}."
    )
    return Finding("PCA kept", message, _cure_of_pca(subject))


def _cure_of_pca(subject: Subject) -> str:
    """Return what may let training improve on PCA."""
    reason, cures = subject.fitted("stop_reason_"), []
    if reason == "divergence":
        cures += lower_rate(subject)
    if reason == "max_iter":
        cures += more_epochs(subject)
    if _is_linear(subject):
        cures.append("hidden_layer_sizes='auto'")
    return either(cures, more_held_out(subject), ["early_stopping=False"])


def _is_linear(subject: Subject) -> bool:
    """Whether there are no hidden layers."""
    # Convolutions have no "sizes"; their "hidden" layers follow.
    sizes = subject.parameter("sizes")
    hidden = sizes[1:-1] if sizes else subject.parameter("hidden", "auto")
    return not len(hidden)


def find_bad_end(subject: Subject) -> Finding | None:
    """Find training that diverged, or was interrupted."""
    found = {
        "divergence": ("The loss grew without bound.", lower_rate(subject)),
        "interrupt": ("Training was interrupted.", ["warm_start=True and another fit"]),
    }
    reason = subject.fitted("stop_reason_")
    if reason not in found:
        return None
    message, cures = found[reason]
    return Finding("not converged", message, either(cures))


def find_early_end(subject: Subject) -> Finding | None:
    """Find training that ended at ``max_iter`` while it still improved."""
    if subject.fitted("stop_reason_") is None:
        return _find_iterations_used_up(subject)
    ended = subject.fitted("stop_reason_") == "max_iter"
    if not ended or subject.fitted("is_pca_") or _ends_by_plan(subject):
        return None
    scores = subject.fitted("validation_scores_")
    errors = [1 - s for s in scores] if scores else subject.fitted("loss_curve_")
    if not _still_gains(errors, subject.parameter("tol", 0.0)):
        return None
    n_epochs = subject.fitted("n_iter_")
    unit = "epoch" if n_epochs == 1 else "epochs"
    message = f"Training ended after {n_epochs} {unit}, still improving."
    return Finding("not converged", message, either(more_epochs(subject)))


def _ends_by_plan(subject: Subject) -> bool:
    """Whether training should end at the last epoch, or errors cannot show it."""
    has_map = bool(subject.fitted("transform_n_neighbors_"))
    return _rate_fell(subject) or has_map or subject.adapted_penalty


def _rate_fell(subject: Subject) -> bool:
    """Whether the step size fell to almost nothing, as with "cosine"."""
    rates = (subject.fitted("history_") or {}).get("learning_rate", [])
    if len(rates) < 2:
        return bool(subject.parameter("learning_rate") == "cosine")
    return bool(rates[-1] < NO_RATE * max(rates))


def _still_gains(errors: Sequence[float], tol: float) -> bool:
    """Whether the last error improved by the rule of ``tol``."""
    reference, is_gain = float("inf"), True
    for error in errors:
        is_gain = reference == float("inf") or error < reference - tol * abs(reference)
        reference = error if is_gain else reference
    return is_gain


def _find_iterations_used_up(subject: Subject) -> Finding | None:
    """Find other transformers that used all their iterations."""
    n_iter, most = subject.fitted("n_iter_"), subject.parameter("max_iter")
    if not (isinstance(n_iter, Integral) and isinstance(most, Integral)):
        return None
    # It is above after max_iter was lowered.
    if n_iter != most:
        return None
    message = f"Fitting used all of its {most} iterations."
    return Finding("not converged", message, f"max_iter={2 * most}")


def find_nothing_explained(subject: Subject) -> Finding | None:
    """Find that reconstructions are hardly better than the mean."""
    explained = _explained(subject)
    if explained is None or explained >= LITTLE:
        return None
    message = f"Reconstructions explain {explained:.2g} of the variance."
    cures = [*scaled(subject, "alpha", 1e-3), *lower_rate(subject)]
    if subject.fitted("stop_reason_") == "max_iter":
        cures += more_epochs(subject)
    if (subject.width or 0) < (subject.n_features or np.inf):
        cures += scaled(subject, "n_components", 2) or ["more components"]
    return Finding("under-fitted", message, either(cures))


def _explained(subject: Subject) -> float | None:
    """Return the share of the variance explained in fit, or of rows like those."""
    if subject.is_of_training:
        return 1 - subject.unexplained
    shares = subject.fitted("explained_variance_ratio_")
    if subject.fitted("validation_scores_") or shares is not None:
        known = _missed_in_fit(subject)
        return None if known is None else 1 - known
    is_known = subject.has_rows and not subject.is_elsewhere
    return 1 - subject.unexplained if is_known else None


def find_gap_of_held_out(subject: Subject) -> Finding | None:
    """Find held-out rows with far more unexplained variance than training rows."""
    scores = subject.fitted("validation_scores_")
    if not scores or subject.fitted("is_pca_") or not _has_comparable_loss(subject):
        return None
    best = max(scores)
    # The loss curve may start in an earlier fit.
    known = subject.fitted("loss_curve_")[scores.index(best) - len(scores)]
    return _gap(subject, known, 1 - best, "the held-out rows")


def find_gap_of_rows(subject: Subject) -> Finding | None:
    """Find rows with far more unexplained variance than in fit."""
    known = _missed_in_fit(subject)
    if not subject.has_rows or known is None:
        return None
    if subject.is_of_training or subject.is_elsewhere or subject.fitted("is_pca_"):
        return None
    return _gap(subject, known, subject.unexplained, "X")


def _missed_in_fit(subject: Subject) -> float | None:
    """Return the unexplained variance in fit, of held-out rows if there were any."""
    missed = np.nan
    if (best := subject.fitted("best_score_")) is not None:
        missed = 1 - best
    elif subject.fitted("loss_curve_") and _has_comparable_loss(subject):
        missed = subject.fitted("loss_curve_")[-1]
    elif (shares := subject.fitted("explained_variance_ratio_")) is not None:
        missed = 1 - np.sum(shares)
    # Equal rows have no variance to explain.
    return float(missed) if np.isfinite(missed) else None


def _has_comparable_loss(subject: Subject) -> bool:
    """Whether the loss is the unexplained variance, perhaps plus a penalty."""
    return subject.parameter("loss") == "squared_error" and not subject.is_ordered


def _gap(subject: Subject, known: float, missed: float, where: str) -> Finding | None:
    """Report a gap of unexplained variance between rows, if there is one."""
    if missed < max(TIMES_OF_OTHERS * known, known + MISSED):
        return None
    message = (
        f"The unexplained share of the variance is {missed:.2g} for {where}, but "
        f"{known:.2g} in fit."
    )
    return Finding("over-fitted", message, _cure_of_over_fitting(subject))


def _cure_of_over_fitting(subject: Subject) -> str:
    """Return what prevents overfitting."""
    fewer = scaled(subject, "n_components", 1 / 2)
    never = subject.parameter("early_stopping") is False
    held_out = subject.fitted("validation_scores_")
    stops = ["early_stopping=True"] if never and not held_out else []
    return either(stops, scaled(subject, "weight_decay", 4), fewer, ["more rows"])


def find_few_held_out(subject: Subject) -> Finding | None:
    """Find that few rows were held out."""
    n_few = subject.n_held_out if subject.is_of_training else None
    if n_few is None or n_few >= ENOUGH_HELD_OUT:
        return None
    n_rows = len(subject.rows)
    asked = subject.parameter("validation_fraction")
    message = (
        f"{n_few} of {n_rows} rows are held out with validation_fraction={asked}. They "
        "choose the epoch, and decide between training and PCA, but so few are "
        "unreliable."
    )
    fraction = math.ceil(100 * ENOUGH_HELD_OUT / n_rows) / 100
    more = [f"validation_fraction={fraction:.2g}"] if fraction <= 0.5 else []
    return Finding("held-out rows too few", message, either(more, ["more rows"]))
