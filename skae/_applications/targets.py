"""What labels are: classes or numbers, the loss of each, and a linear start."""

from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_1samp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from .._objectives.corruption import standard_normal

#: Beliefs are sharpened by this power, so that they become certain.
SHARPNESS = 2.0
#: Less certain beliefs teach nothing.
CERTAIN = 0.8
#: Decay of the mean of beliefs over steps.
KEPT = 0.98
#: Least number of numbers that judge, if there are four times as many.
LEAST_JUDGES = 20
#: Significance level of a gain.
LEVEL = 0.05
#: Rounds of LogisticRegression.
MOST_ROUNDS = 1000

#: Coefficients (n_outputs, n_components) and intercepts of a linear map.
Linear = tuple[np.ndarray, np.ndarray]


class Classes:
    """Outputs are logits of classes, and labels are their places.

    Fewer than ``enough_labels`` are all needed to train.

    If the shares of classes among all rows are given as ``priors``, beliefs are
    changed so that their mean has these shares (Berthelot et al., 2020).
    """

    enough_labels = 500

    def __init__(self, priors: np.ndarray | None = None) -> None:
        self.priors = (
            None
            if priors is None
            else torch.tensor(priors, dtype=torch.float32, device="cpu")
        )
        self.mean_belief = self.priors

    def start(
        self, codes: np.ndarray, labels: np.ndarray, alpha: float
    ) -> tuple[Linear, int]:
        """Return logistic regression, with a row for each of two classes too."""
        head = LogisticRegression(C=1 / alpha, max_iter=MOST_ROUNDS)
        (coef, intercept), n_iter = _in_unit(head, codes, labels)
        if len(coef) == 1:
            coef = np.vstack([-coef, coef]) / 2
            intercept = np.hstack([-intercept, intercept]) / 2
        return (coef, intercept), n_iter

    def hold_out(
        self, labels: np.ndarray, fraction: float, rng: np.random.RandomState
    ) -> np.ndarray:
        """Return which labels judge: a share of each class."""
        held_out = np.zeros(len(labels), bool)
        for label in np.unique(labels):
            places = rng.permutation(np.flatnonzero(labels == label))
            held_out[places[: _n_held_out(len(places), fraction)]] = True
        return held_out

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean log-loss."""
        return self.losses(outputs, labels).mean()

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the log-loss of each row."""
        return F.cross_entropy(outputs, labels, reduction="none")

    def is_gain(self, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether losses of held-out rows are lower."""
        return bool(after.mean() < before.mean())

    def belief(self, outputs: Tensor) -> Tensor:
        """Return probabilities."""
        return outputs.softmax(1)

    def distance(self, outputs: Tensor, belief: Tensor) -> Tensor:
        """Return the divergence from what is believed, up to a constant."""
        return -(belief * outputs.log_softmax(1)).sum(1).mean()

    def disagreement(self, outputs: Tensor, belief: Tensor) -> Tensor:
        """Return the distance from aligned, sharpened beliefs that are certain."""
        aligned = F.normalize(self.aligned(belief), p=1, dim=1)
        is_certain = aligned.max(1, keepdim=True).values > CERTAIN
        sharp = F.normalize(aligned**SHARPNESS, p=1, dim=1)
        return self.distance(outputs, is_certain * sharp)

    def aligned(self, belief: Tensor) -> Tensor:
        """Return beliefs, not normalised, whose mean has the shares of the priors."""
        if self.priors is None or self.mean_belief is None:
            return belief
        mean = self.mean_belief.to(belief)
        self.mean_belief = KEPT * mean + (1 - KEPT) * belief.mean(0)
        return belief * (self.priors.to(belief) / self.mean_belief)


class Numbers:
    """Outputs and labels are numbers, standardised.

    A network learns a few numbers by heart, so that some have to judge it always.
    """

    enough_labels = 2

    def start(
        self, codes: np.ndarray, labels: np.ndarray, alpha: float
    ) -> tuple[Linear, int]:
        """Return ridge regression."""
        return _in_unit(Ridge(alpha), codes, labels)

    def hold_out(
        self, labels: np.ndarray, fraction: float, rng: np.random.RandomState
    ) -> np.ndarray:
        """Return which labels judge."""
        n_held_out = max(
            _n_held_out(len(labels), fraction), min(LEAST_JUDGES, len(labels) // 4)
        )
        return rng.permutation(len(labels)) < n_held_out

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared error."""
        return F.mse_loss(outputs, labels)

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean squared error of each row."""
        return (outputs - labels).square().mean(1)

    def is_gain(self, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether losses of held-out rows are lower, by a paired t test.

        The best of many weights is better than the first by chance, on a few rows.
        """
        gains = before.astype(np.float64) - after
        if len(gains) < 2 or not gains.any():
            return False
        return bool(ttest_1samp(gains, 0, alternative="greater").pvalue < LEVEL)

    def belief(self, outputs: Tensor) -> Tensor:
        """Return the numbers themselves."""
        return outputs

    distance = disagreement = loss


def _n_held_out(n_labels: int, fraction: float) -> int:
    """Return how many labels judge: one at least, but not all."""
    return min(max(1, int(fraction * n_labels)), n_labels - 1)


def _in_unit(head: Any, codes: np.ndarray, labels: np.ndarray) -> tuple[Linear, int]:
    """Fit a linear model to standardised codes; return it for codes in their unit.

    The second value is the number of steps of its solver.
    """
    codes = codes.astype(np.float64)
    scaler = StandardScaler().fit(codes)
    head.fit(scaler.transform(codes), labels)
    coef = np.atleast_2d(head.coef_) / scaler.scale_
    intercept = np.atleast_1d(head.intercept_) - coef @ scaler.mean_
    # A closed form has no number of steps.
    return (coef, intercept), int(np.max(head.n_iter_ or 1))


#: The kinds of labels of a classifier and of a regressor.
Kind = Classes | Numbers


def adversarial(
    model: Any,
    x: Tensor,
    belief: Tensor,
    kind: Kind,
    epsilon: float,
    generator: torch.Generator,
) -> Tensor:
    """Move rows to where the belief changes most (Miyato et al., 2018).

    The move has a root mean square of ``epsilon``.
    """
    drawn = standard_normal(x, generator)
    length = epsilon * x.shape[1] ** 0.5
    step = (0.1 * length * F.normalize(drawn, dim=1)).requires_grad_()
    distance = kind.distance(model(x + step), belief)
    (slope,) = torch.autograd.grad(distance, step)
    # Missing values have no slope.
    return x + length * F.normalize(slope.nan_to_num(), eps=1e-30, dim=1)
