"""Features of images, learnt without labels: by a ConvAE that undoes deformations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .data_sets import Rows

#: How convolutions are trained where settings were chosen with it.
TRAINING: dict[str, Any] = {
    "batch_size": 64,
    "learning_rate_init": 0.003,
    "tol": 1e-4,
}
RECIPE: dict[str, Any] = TRAINING | {
    "n_components": 32,
    "channels": (16, 32),
    "hidden_layer_sizes": (256,),
    "normalization": "batch",
    "init": "random",
    "validation_fraction": 0.02,
}
MAX_ITER, QUICK_ITER = 10, 20
#: What leaves digits and clothes in their class.
DEFORMATIONS: dict[str, dict[str, Any]] = {
    "MNIST": {
        "shift": 0.14,
        "turn": 0.35,
        "scale": 0.2,
        "shear": 0.3,
        "bend": 0.085,
        "brightness": 0.3,
        "noise": 0.3,
    },
    "Fashion-MNIST": {
        "shift": 0.07,
        "turn": 0.09,
        "scale": 0.15,
        "shear": 0.05,
        "bend": 0.015,
        "brightness": 0.6,
        "noise": 0.2,
        "mirrors": True,
    },
}
DEFORMATIONS["digits"] = DEFORMATIONS["MNIST"]
#: What a copy may differ in, for networks that learn images by heart.
MOVES = {"shift": 0.07, "turn": 0.15, "scale": 0.1, "shear": 0.15}


@dataclass
class Deformation:
    """Random shift, rotation, scale, shear, bend, brightness and noise of images.

    ``ConvAE`` shows images less their mean, in units of ``scale_``: ``mean`` is the
    mean in that unit. Without it the mean would be deformed too, and tell how.
    """

    mean: Tensor
    shift: float = 0.0
    turn: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    bend: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    mirrors: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return deformed images."""
        images = x + self.mean
        seen = F.grid_sample(images, self.places(x, generator), align_corners=False)
        factor = 1 + self.brightness * even(generator, len(x), 1, 1, 1)
        noise = torch.randn(x.shape, generator=generator)
        return factor * seen - self.mean + self.noise * noise

    def places(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw where each pixel comes from; an image reaches from -1 to 1."""
        n = len(x)
        turn = self.turn * even(generator, n)
        shear = self.shear * even(generator, n)
        width, height = 1 + self.scale * even(generator, 2, n)
        if self.mirrors:
            width = width * even(generator, n).sign()
        cos, sin = turn.cos(), turn.sin()
        maps = [width * cos, height * (shear * cos - sin)]
        maps += [width * sin, height * (shear * sin + cos)]
        shift = self.shift * even(generator, n, 2, 1)
        affine = torch.cat([torch.stack(maps, dim=-1).view(n, 2, 2), shift], dim=-1)
        grid = F.affine_grid(affine, list(x.shape), align_corners=False)
        bends = self.bend * torch.randn(n, 2, 5, 5, generator=generator)
        bends = F.interpolate(bends, x.shape[2:], mode="bicubic", align_corners=True)
        return grid + bends.movedim(1, -1)


def even(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw numbers evenly from -1 to 1."""
    return 2 * torch.rand(shape, generator=generator) - 1


def deformation(data: str, X: Rows) -> Deformation:
    """Return what leaves an image in its class."""
    mean = X.mean(axis=0)
    scale = np.sqrt(np.square(X - mean).mean())
    side = round(len(mean) ** 0.5)
    image = torch.tensor(mean / scale, dtype=torch.float32).view(1, 1, side, side)
    return Deformation(image, **DEFORMATIONS[data])


def with_copies(X: Rows, n_copies: int, seed: int) -> Rows:
    """Return images, and copies of all of them that are moved a little."""
    side = round(X.shape[1] ** 0.5)
    images = torch.from_numpy(X).view(-1, 1, side, side)
    move = Deformation(torch.zeros(()), **MOVES)
    generator = torch.Generator().manual_seed(seed)
    copies = (move(images, generator).flatten(1).numpy() for _ in range(n_copies))
    return np.concatenate([X, *copies])
