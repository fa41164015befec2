"""
Forecast the next frames of clips
=================================

:class:`~skae.RecurrentAE` with ``n_ahead`` reads the first frames of a clip, and learns
to reconstruct them and to continue them. Here each clip shows a ball that bounces off
the walls of a box.
"""

import matplotlib.pyplot as plt
import numpy as np

from skae import RecurrentAE

N_FRAMES, SIDE = 12, 10


def clips(n, rng):
    """Return clips (n, length, height, width) of one ball each."""
    start, speed = rng.uniform(0, 2, (n, 1, 2)), rng.uniform(-0.2, 0.2, (n, 1, 2))
    # A triangle wave: the ball turns at 0 and at 1.
    way = start + speed * np.arange(N_FRAMES)[:, None]
    place = 1 + (SIDE - 3) * abs((way + 1) % 2 - 1)
    x, y = (np.exp(-np.square(np.arange(SIDE) - p[..., None]) / 1.5) for p in place.T)
    return (y[..., :, None] * x[..., None, :]).swapaxes(0, 1)


rng = np.random.default_rng(0)
train, test = clips(1000, rng), clips(200, rng)
ae = RecurrentAE(8, n_ahead=4, learning_rate="cosine", max_iter=30, random_state=0)
ae.fit(train)

# %%
# ``forecast`` continues clips that end earlier than those in ``fit``. The last frame,
# repeated, is a simple forecast to compare with.

given, truth = test[:, :-4], test[:, -4:]
future = ae.forecast(given)
for name, answer in {"last frame": given[:, -1:], "RecurrentAE": future}.items():
    print(f"Mean squared error, {name}: {np.square(answer - truth).mean():.4f}")

# %%
# The first row shows a clip, the second what the network makes of its first eight
# frames: it reconstructs these, and forecasts the four on the right of the line.

figure, axes = plt.subplots(2, N_FRAMES, figsize=(10, 2.2), layout="constrained")
for axis_row, frames in zip(axes, (test[0], ae.reconstruct(test[:1])[0]), strict=True):
    for ax, frame in zip(axis_row, frames, strict=True):
        ax.imshow(frame, cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
for ax, name in zip(axes[:, 0], ("clip", "decoded"), strict=True):
    ax.set_ylabel(name)
for ax in axes[:, -4:].flat:
    ax.spines[:].set_color("tab:orange")
plt.show()
