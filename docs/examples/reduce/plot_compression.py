"""
Compress images to bytes
========================

A code is a compressed image, once its numbers are rounded and stored in few bits. The
library constriction does the second part: an entropy coder stores frequent numbers in
fewer bits than rare ones. Here PCA and autoencoders compress digits that they were not
trained on, beside JPEG.
"""

import io

import constriction
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import UndercompleteAE

train, test = train_test_split(load_digits().data, test_size=400, random_state=0)

# %%
# A code is divided by a step and rounded to integers. A larger step makes fewer bytes
# and worse images. The coder needs to know how likely each integer is. It is given a
# normal distribution for each component, with the deviation of the training codes.

Normal = constriction.stream.model.QuantizedGaussian(-1000, 1000)


def to_bytes(integers, deviations):
    """Return integers as bytes; ``deviations`` are those of the columns."""
    spread = np.tile(deviations, len(integers))
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(integers.ravel(), Normal, np.zeros_like(spread), spread)
    return coder.get_compressed().tobytes()


def from_bytes(stored, deviations, n_rows):
    """Return the integers."""
    spread = np.tile(deviations, n_rows)
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(stored, np.uint32))
    integers = coder.decode(Normal, np.zeros_like(spread), spread)
    return integers.reshape(n_rows, -1)


def bits(stored):
    """Return the bits per pixel of the test images."""
    return 8 * len(stored) / test.size


def quality(images):
    """Return the peak signal-to-noise ratio of decoded test images, in decibels."""
    return 10 * np.log10(16**2 / np.square(images - test).mean())


def compress(model, share):
    """Return bits per pixel and quality for a step, a share of the codes' deviation."""
    known = model.transform(train)
    centre, step = known.mean(axis=0), share * known.std()
    deviations = known.std(axis=0) / step
    integers = np.rint((model.transform(test) - centre) / step).astype(np.int32)
    stored = to_bytes(integers, deviations)
    decoded = from_bytes(stored, deviations, len(test))
    assert (decoded == integers).all()
    return bits(stored), quality(model.inverse_transform(decoded * step + centre))


# %%
# JPEG gets all test images as one picture, so that there is only one header. Each image
# is one of its blocks of 8 x 8 pixels. The header is not counted. Neither are the
# networks and the axes of PCA, which the receiver has to know.


def compress_as_jpeg(level):
    """Return bits per pixel and quality of JPEG."""
    sheet = test.reshape(20, 20, 8, 8).swapaxes(1, 2).reshape(160, 160)
    file = io.BytesIO()
    picture = Image.fromarray(np.rint(sheet * 255 / 16).astype(np.uint8))
    picture.save(file, "JPEG", quality=level, optimize=True)
    stored = file.getvalue()
    start_of_scan = stored.index(b"\xff\xda")
    decoded = np.asarray(Image.open(file), dtype=float) * 16 / 255
    images = decoded.reshape(20, 8, 20, 8).swapaxes(1, 2).reshape(test.shape)
    return bits(stored[start_of_scan:]), quality(images)


# %%
# Each line is a width of the code, and each marker on it a size of the step.

shares = np.geomspace(1.4, 0.3, 5)
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for width, marker in ((8, "o"), (16, "s"), (32, "^"), (48, "D")):
    models = {
        "PCA": PCA(width),
        "UndercompleteAE": UndercompleteAE(width, tol=0.05, random_state=0),
    }
    for (name, model), color in zip(models.items(), ("C0", "C1"), strict=True):
        model.fit(train)
        points = zip(*(compress(model, share) for share in shares), strict=True)
        ax.plot(*points, marker + "-", color=color, label=f"{name}({width})")
points = zip(*map(compress_as_jpeg, (2, 10, 20, 35)), strict=True)
ax.plot(*points, "x--", color="gray", label="JPEG")
ax.set(xlabel="Bits per pixel", ylabel="Peak signal-to-noise ratio (dB)")
ax.legend()
plt.show()

# %%
# With few bits the autoencoders are far ahead of PCA. With many bits the codes have to
# be wide, and then PCA is nearly as good. JPEG needs the most bits here. But the
# comparison is not fair to JPEG: it is made for large photographs of all kinds. The
# others are trained on digits, and are of no use for other images.
