"""The convolutional autoencoder, for signals, images and volumes."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from torch import nn

from .._networks.convolutional import Convolutional
from .._objectives.corruption import Corruption, of_images
from .._training.schedule import Schedule
from .convolving import ConvolvingAutoencoder
from .corrupting import CorruptingAutoencoder
from .data import Data
from .embedding import EmbeddingAutoencoder
from .parameters import autoencoder


@autoencoder
class ConvAE(EmbeddingAutoencoder, ConvolvingAutoencoder, CorruptingAutoencoder):
    """Convolutional autoencoder of signals, images and volumes.

    Minimises ``mean_i loss(x_i, decode(encode(corrupt(x_i))))`` where ``encode`` has
    convolutions in 1, 2 or 3 dimensions followed by dense layers, and ``decode``
    mirrors it. All positions share the same kernels, so few weights are needed [1]_.
    The code is a vector. By default nothing is corrupted; with ``noise_level`` it is a
    denoising autoencoder [2]_. Training starts from PCA. If it does not improve on PCA
    on held-out rows, PCA is kept.

    ``X`` has flat rows, of ``image_shape``, or is an array of images (n, height, width)
    or (n, channels, height, width), or of volumes (n, channels, depth, height, width).
    With ``spatial_dims=1`` it may hold signals (n, channels, length), and with
    ``spatial_dims=3`` volumes (n, depth, height, width). Without ``spatial_dims``, an
    array that may be either these or images raises an error. ``inverse_transform``,
    ``reconstruct``, ``jacobian`` and ``tangent_space`` return the layout of the
    training data in place of ``n_features``. Methods accept rows in either layout.
    Missing values, NaN, are replaced by the mean for the network, and left out of the
    loss.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code. None is ``n_features``.

    image_shape : int or tuple of int, default=None
        Shape of one row, channels first if there are any: 140 or (3, 140) (with
        ``spatial_dims=1``) for signals, (28, 28) or (3, 32, 32) for images, (1, 16, 16,
        16) for volumes. None uses the shape of the array; flat rows are then signals of
        one channel.

    spatial_dims : {1, 2, 3} or "auto", default="auto"
        Number of dimensions of the convolutions. With "auto" a shape of one number is a
        signal, of two or three an image, of four a volume. "auto" raises an error if
        the shape is ambiguous: if one side of an image is at least eight times the
        other, such as (2, 64), it may be a signal of two channels; if an image has
        eight channels or more and none of its three sizes is more than twice another,
        such as (16, 16, 16), it may be a volume.

    <convolution parameters>

    <embedding parameters>

    <corruption parameters>

    <network parameters>

    <training parameters>

    Attributes
    ----------
    image_shape_ : tuple of int
        Shape of one row: the channels, then the sizes.

    <embedding attributes>

    <shared attributes>

    See Also
    --------
    UndercompleteAE : The same with dense layers, for tables.
    skae.inspection : Walks through the codes, decoded.

    Notes
    -----
    A callable ``noise`` gets images of shape (n, channels, ...), a callable ``loss``
    flat rows. ``solver="lbfgs"`` needs ``noise_level=0.0``, because its line search
    fails on a random objective.

    References
    ----------
    .. [1] J. Masci, U. Meier, D. Ciresan and J. Schmidhuber, "Stacked convolutional
       auto-encoders for hierarchical feature extraction", ICANN 2011.
    .. [2] P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked
       denoising autoencoders", JMLR 11, 2010.
    <embedding references>

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import ConvAE
    >>> images = load_digits().images
    >>> images.shape
    (1797, 8, 8)
    >>> ae = ConvAE(8, max_iter=5, random_state=0).fit(images)
    >>> ae.transform(images).shape
    (1797, 8)
    >>> ae.reconstruct(images).shape
    (1797, 8, 8)
    >>> ae.best_score_ > ae.pca_score_
    True
    """

    activation: str | Callable[[], nn.Module] = "silu"
    learning_rate_init: float = 0.006

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CorruptingAutoencoder._parameter_constraints,
        **ConvolvingAutoencoder._parameter_constraints,
        **EmbeddingAutoencoder._parameter_constraints,
    }

    _network_class = Convolutional

    def _schedule(self, data: Data, width: int) -> Schedule:
        # Without weight decay, the many weights overfit few rows.
        n_steps = 700 if self.neighbor_weight or self._needs_fewer_steps() else 1400
        if self._corrupts() and not self.neighbor_weight:
            # Each epoch has new noise, and no steps of codes make up for what it lacks.
            n_steps = 4000
        return Schedule(n_steps=n_steps, largest_batch=128, decay=80.0, most_decay=0.5)

    def _refines(self) -> bool:
        return super()._refines() and not self._corrupts()

    def _corruption(self, data: Data) -> Corruption | None:
        corrupt = super()._corruption(data)
        if corrupt is None:
            return None
        return partial(of_images, corrupt=corrupt, shape=self.image_shape_)
