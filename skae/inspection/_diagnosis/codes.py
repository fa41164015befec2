"""Problems of components, and of hidden units."""

import math

import numpy as np

from .cures import either, lower_rate, scaled
from .findings import Finding
from .subject import Subject
from .units import RANGES, are_dead, are_saturated, share_of_hidden

# Share of the components, or of hidden units, that may be lost.
FEW, FEW_HIDDEN = 0.1, 0.25
# Variances below this share of the largest count as zero. Eigenvalues of a correlation
# matrix below SAME show that components repeat others.
NO_VARIANCE, SAME = 1e-6, 1e-3


def find_dead_components(subject: Subject) -> Finding | None:
    """Find components that are zero in every row."""
    dead, width = subject.fitted("dead_units_"), subject.width
    if dead is None and subject.has_rows:
        dead = np.flatnonzero(are_dead(subject.codes))
    if dead is None or width is None or len(dead) <= FEW * width:
        return None
    message = f"{len(dead)} of {width} components are active in no row."
    fewer = [f"n_components={width - len(dead)}"] if len(dead) < width else []
    return Finding("dead units", message, either(_more_active(subject), fewer))


def _more_active(subject: Subject) -> list[str]:
    """Return what lets more components be active."""
    counted = subject.parameter("sparsity") in ("top_k", "batch_top_k")
    if counted and (n_active := subject.fitted("mean_active_")):
        k = min(math.ceil(2 * n_active), subject.width or 1)
        return [*([f"k={k}"] if k > n_active else []), *lower_rate(subject)]
    return [*scaled(subject, "alpha", 1 / 3), *lower_rate(subject)]


def find_dead_hidden(subject: Subject) -> Finding | None:
    """Find hidden units of ReLU that are zero in every row."""
    share = share_of_hidden(subject, are_dead) if _has_hidden(subject) else 0.0
    if share <= FEW_HIDDEN:
        return None
    message = f"{share:.0%} of the hidden units are zero in every row."
    cure = either(lower_rate(subject), ["activation='gelu'"])
    return Finding("dead units", message, cure)


def find_saturated_components(subject: Subject) -> Finding | None:
    """Find components that lie at a bound of their activation in most rows."""
    bounds = RANGES.get(str(subject.parameter("code_activation")))
    # "kl" aims at rates near zero.
    if bounds is None or not subject.has_rows or subject.parameter("sparsity") == "kl":
        return None
    ill, width = are_saturated(subject.codes, *bounds), subject.codes.shape[1]
    if ill.sum() <= FEW * width:
        return None
    message = (
        f"{ill.sum()} of {width} components lie at a bound of {list(bounds)}, the range"
        f" of code_activation={subject.parameter('code_activation')!r}."
    )
    cure = either(["code_activation='identity'"], lower_rate(subject))
    return Finding("saturated units", message, cure)


def find_saturated_hidden(subject: Subject) -> Finding | None:
    """Find hidden units that lie at a bound of their activation in most rows."""
    share = share_of_hidden(subject, are_saturated) if _has_hidden(subject) else 0.0
    if share <= FEW_HIDDEN:
        return None
    message = f"{share:.0%} of the hidden units lie at a bound of their activation."
    cure = either(lower_rate(subject), ["activation='gelu'"])
    return Finding("saturated units", message, cure)


def _has_hidden(subject: Subject) -> bool:
    """Whether hidden units matter, and can be computed."""
    has_network = hasattr(subject.fitted("network_"), "encode")
    return has_network and subject.has_rows and not subject.fitted("is_pca_")


def find_collapsed_axes(subject: Subject) -> Finding | None:
    """Find components that do not vary, or repeat others."""
    # Components of few rows are correlated by chance.
    if not subject.has_rows or len(subject.codes) < 2 * subject.codes.shape[1]:
        return None
    codes = subject.codes[:, ~are_dead(subject.codes)]
    rank, width = _effective_rank(codes), subject.codes.shape[1]
    # There are no more directions than features.
    if min(codes.shape[1], subject.rows.shape[1]) - rank <= FEW * width:
        return None
    message = (
        f"{width} components vary in {rank} direction{'s' if rank != 1 else ''} only: "
        "others are constant, or repeat them."
    )
    fewer = [f"n_components={rank}"] if rank else lower_rate(subject)
    cure = either(fewer, scaled(subject, "alpha", 1 / 3))
    return Finding("collapsed axes", message, cure)


def _effective_rank(codes: np.ndarray) -> int:
    """Return the number of directions in which components vary, for any unit."""
    variances = codes.var(axis=0)
    codes = codes[:, variances > NO_VARIANCE * variances.max(initial=0.0)]
    if not codes.shape[1]:
        return 0
    correlations = np.atleast_2d(np.corrcoef(codes.T))
    return int((np.linalg.eigvalsh(correlations) > SAME).sum())


def find_copying(subject: Subject) -> Finding | None:
    """Find a code that is wide enough to copy rows, with nothing to prevent it."""
    width, n_features = subject.width, subject.n_features
    if width is None or n_features is None or width < n_features:
        return None
    if _is_held_back(subject, n_features):
        return None
    message = (
        f"A code of {width} components can copy rows of {n_features} features, and the "
        "parameters have no penalty, corruption or sparsity that prevents it."
    )
    penalty = scaled(subject, "alpha", 10)
    if subject.penalty == 0:
        penalty = ["alpha=0.001"]
    noise = ["noise_level=0.1"] if subject.parameter("noise") is not None else []
    fewer = [f"n_components={n_features // 2}"] if n_features > 1 else ["more features"]
    return Finding("code wide enough to copy", message, either(fewer, penalty, noise))


def _is_held_back(subject: Subject, n_features: int) -> bool:
    """Whether a wide code cannot copy, or its first components need not."""
    if subject.corrupts or subject.is_ordered:
        return True
    if (n_active := subject.fitted("mean_active_")) is not None:
        return bool(n_active < n_features)
    return bool(subject.penalty)
