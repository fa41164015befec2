"""Whether training has beaten PCA, judged by rows that neither has seen.

Shares are squared errors of rows over the rows' mean squared deviation: one column for
each width of the code at which it is judged.
"""

import numpy as np
from scipy.stats import t as student
from torch import Tensor

# Chance at most with which a gain is taken for real that is none.
LEVEL = 0.025
# Share of the variance that is below the rounding of float32.
NEGLIGIBLE = 1e-9


def overall(shares: Tensor) -> Tensor:
    """Mean over rows, and geometric mean over widths: each counts by its own size."""
    return shares.mean(0).clamp(min=1e-12).log().mean().exp()


def is_better(ours: Tensor, others: Tensor) -> bool:
    """Whether our mean share is less, by Student's paired test, and at no width more.

    The best of many epochs on few rows is below PCA's by luck alone.
    """
    means = others.mean(0)
    worse = ours.mean(0) > means + NEGLIGIBLE
    gains = ((others - ours) / means.clamp(min=NEGLIGIBLE)).mean(1).double().numpy()
    if len(gains) < 2 or worse.any():
        return False
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(gains.mean() > student.ppf(1 - LEVEL, len(gains) - 1) * error)
