"""How many known rows are as rare as a row: tails, p-values, thresholds."""

import numpy as np

#: Share of the values that are the tail.
TAIL = 0.1


def surprise(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of the share of ``known`` values above each value.

    ``known`` is sorted. Beyond its highest tenth the share is that of a Pareto
    distribution, with the index of Hill (1975), so that it is never 0.
    """
    ranks = (np.arange(len(known)) + 0.5) / len(known)
    start = np.quantile(known, 1 - TAIL)
    # All known values may be 0.
    least = 1e-12 * known[-1] or 1.0
    excess = np.log((known[known > start] + least) / (start + least))
    inverse_index = max(excess.mean(), 1e-3) if len(excess) else 1.0
    within = -np.log1p(-np.interp(values, known, ranks))
    beyond = np.log((np.maximum(values, start) + least) / (start + least))
    return np.where(
        values > start,
        beyond / inverse_index - np.log(TAIL),
        np.minimum(within, -np.log(TAIL)),
    )


def conformal_p_values(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return ``(1 + #{known <= score}) / (1 + n_known)``; ``known`` is sorted."""
    n_rarer = np.searchsorted(known, scores, side="right")
    return (1 + n_rarer) / (1 + len(known))


def threshold(known: np.ndarray, level: float) -> float:
    """Return the score below which the p-value is at most ``level``.

    If there are too few known scores for that, it is the lowest of them.
    """
    # 0.05 * 20 must be 1 whatever the last bit.
    n_rarer = int(level * (1 + len(known)) + 1e-9) - 1
    return float(known[max(n_rarer, 0)])
