"""What figures share."""

from typing import Any

import numpy as np


def pyplot() -> Any:
    """Return matplotlib's interface, of a backend that needs no screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def show_strip(ax: Any, label: str, pictures: np.ndarray) -> None:
    """Show square images of grey values from 0 to 255 side by side, with a label."""
    side = round(pictures.shape[1] ** 0.5)
    strip = pictures.reshape(-1, side, side).transpose(1, 0, 2).reshape(side, -1)
    ax.imshow(strip, cmap="gray_r", vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(label, rotation=0, ha="right", va="center")
