"""Training of a classifier with labels, from an encoder that was learnt without."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


@dataclass(frozen=True)
class Recipe:
    """How labels train the classifier.

    ``radius`` is how far rows are moved, in pixels' units, to where the loss rises. The
    last layer, which starts at zero, takes steps ``head_rate`` times as large.
    ``averaging`` is the decay of the average of the weights over steps.
    """

    n_epochs: int
    learning_rate: float
    head_rate: float = 1.0
    radius: float = 0.0
    batch_size: int = 250
    averaging: float = 0.998


def loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy; products are rounded, which takes half the time."""
    with torch.autocast("cpu", torch.bfloat16):
        return F.cross_entropy(network(x), y)


def moved(network: nn.Module, x: Tensor, y: Tensor, distance: float) -> Tensor:
    """Move each row so far to where the loss rises most steeply."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(network, x, y), x)
    return x.detach() + distance * F.normalize(slope, eps=1e-20)


def fine_tune(
    network: nn.Sequential, x: Tensor, y: Tensor, recipe: Recipe, distance: float
) -> nn.Module:
    """Train all weights with labels by Adam along a cosine; return their average."""
    rate = recipe.learning_rate
    head = {"params": network[-1].parameters(), "lr": recipe.head_rate * rate}
    groups = [{"params": network[:-1].parameters()}, head]
    optimizer = torch.optim.Adam(groups, lr=rate, fused=True)
    n_steps = recipe.n_epochs * -(-len(x) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    averaging = get_ema_multi_avg_fn(recipe.averaging)
    average = AveragedModel(network, multi_avg_fn=averaging)
    for _ in range(recipe.n_epochs):
        for batch in torch.randperm(len(x)).split(recipe.batch_size):
            rows, labels = x[batch], y[batch]
            if distance:
                rows = moved(network, rows, labels, distance)
            optimizer.zero_grad()
            loss(network, rows, labels).backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
    return average


@torch.no_grad()
def error(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of images that are told wrongly, in per cent."""
    return 100 * (network(x).argmax(1) != y).double().mean().item()
