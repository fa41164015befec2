"""
Colour a grey photograph
========================

``noise`` may be a function. Here it takes the colours away: it replaces the three
channels of an image by their mean. To undo this, :class:`~skae.ConvAE` has to learn
which colours belong to which grey shapes. It is trained on the left half of a
photograph, and colours the right half.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.feature_extraction.image import (
    extract_patches_2d,
    reconstruct_from_patches_2d,
)
from sklearn.linear_model import LinearRegression

from skae import ConvAE

photo = load_sample_image("flower.jpg")[:425] / 255
photo = photo.reshape(85, 5, 128, 5, 3).mean(axis=(1, 3))
left, right = photo[:, :64], photo[:, 64:]
colour = left.mean(axis=(0, 1))


def patches(half):
    """Return all patches of 8 x 8 pixels, as deviations from the mean colour."""
    return extract_patches_2d(half - colour, (8, 8)).transpose(0, 3, 1, 2)


def without_colour(x, generator):
    """Replace the channels of a tensor of images by their mean."""
    return x.mean(1, keepdim=True).expand_as(x)


train, test = patches(left), patches(right)
ae = ConvAE(
    16,
    channels=(16, 32),
    noise=without_colour,
    tol=0.05,
    n_iter_no_change=2,
    random_state=0,
).fit(train)

# %%
# Linear regression is given the same task: the colours of a patch, from its grey
# values. PCA itself has no answer here, because it is not told that the colours are
# lost.


def grey(images):
    """Return images whose channels are all the mean of the three."""
    return np.repeat(images.mean(axis=1, keepdims=True), 3, axis=1)


def flat(images):
    """Return images as rows."""
    return images.reshape(len(images), -1)


linear = LinearRegression().fit(flat(grey(train)), flat(train))
answers = {
    "Grey": grey(test + colour[:, None, None]) - colour[:, None, None],
    "Linear regression": linear.predict(flat(grey(test))).reshape(test.shape),
    "ConvAE": ae.reconstruct(grey(test)),
}

# %%
# Each pixel lies in up to 64 patches. The picture is the mean of their answers. The
# grey values are known, so only the colours are taken from the answers. The error is
# the mean squared error, for channels from 0 to 1.

figure, axes = plt.subplots(1, 4, figsize=(8, 3.2), layout="constrained")
shades = right.mean(axis=2, keepdims=True)
for ax, (name, answer) in zip(axes, answers.items(), strict=False):
    picture = reconstruct_from_patches_2d(answer.transpose(0, 2, 3, 1), right.shape)
    picture += colour
    picture += shades - picture.mean(axis=2, keepdims=True)
    error = np.square(picture - right).mean()
    ax.imshow(picture.clip(0, 1))
    ax.set_title(f"{name}\nerror {error:.4f}", fontsize="medium")
axes[3].imshow(right)
axes[3].set_title("Photograph\n", fontsize="medium")
for ax in axes:
    ax.axis("off")
plt.show()

# %%
# Linear regression makes light places orange and dark places green, and does little
# else. The autoencoder also finds the red in the middle of the flower, and the green of
# lighter leaves. Both have seen the other half of this photograph, and nothing else:
# they cannot colour other photographs.
