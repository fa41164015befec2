"""The loss of tables: one for each kind of column, so weighted that none drowns."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .._networks.table import TableLink
from .losses import Loss


class TableLoss(Loss):
    """Mean over columns of a loss, divided by that of the column's best constant.

    Numbers have a squared error. Columns of two levels have the log-loss of a logit,
    and columns of more levels the cross-entropy of their softmax. ``priors`` are the
    losses of the constants, one for each column.
    """

    falls_with_squares = False
    link: TableLink
    weights: Tensor

    def __init__(
        self,
        mean: np.ndarray,
        scale: float,
        sizes: Sequence[int],
        units: np.ndarray,
        priors: Sequence[float],
    ) -> None:
        super().__init__(mean, scale)
        self.link = TableLink(mean, scale, sizes, units)
        # The loss is a mean over entries.
        weights = sum(sizes) / len(sizes) / np.array(priors)
        each = torch.tensor(np.repeat(weights, sizes), device="cpu")
        self.register_buffer("weights", each.float(), persistent=False)

    def distance(self, output: Tensor, x: Tensor, reduction: str) -> Tensor:
        numbers, pairs, groups = self.link.parts(output)
        value, _, _ = self.link.parts(x)
        _, second, levels = self.link.parts(self.link.probabilities(x))
        distances = self.link.joined(
            F.mse_loss(numbers, value, reduction="none") * self.link.scale**2,
            F.binary_cross_entropy_with_logits(pairs, second, reduction="none"),
            # Those of fillers are minus infinity.
            -levels * self.link.log_shares(groups).clamp(min=-1e4),
        )
        distances = self.weights * distances
        return distances if reduction == "none" else distances.mean()
