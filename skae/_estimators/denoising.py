"""The denoising autoencoder: it reconstructs clean rows from corrupted ones."""

from typing import Any, ClassVar

from .corrupting import CorruptingAutoencoder
from .custom import CustomAutoencoder
from .parameters import autoencoder


@autoencoder
class DenoisingAE(CustomAutoencoder, CorruptingAutoencoder):
    """Autoencoder trained to undo a corruption of its input.

    Minimises ``mean_i loss(x_i, decode(encode(corrupt(x_i))))`` with a new corruption
    in every batch [1]_. ``transform`` and ``reconstruct`` corrupt nothing.
    ``reconstruct(X)`` is ``X`` denoised, and ``reconstruct(X) - X`` points to regions
    where rows are dense [3]_. Training starts from PCA. If it does not improve on PCA
    on held-out rows, which are corrupted too, PCA is kept.

    Missing values, NaN in ``X``, are masked: the network sees the mean of the feature,
    and the loss leaves them out. ``reconstruct`` fills them in.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code; it may exceed ``n_features``. None is ``n_features``.

    <corruption parameters>

    <network parameters>

    <custom parameters>

    <training parameters>

    Attributes
    ----------
    <shared attributes>

    See Also
    --------
    UndercompleteAE : The same without corruption.
    sklearn.impute.KNNImputer : Fills in missing values by similar rows.

    Notes
    -----
    ``score`` and ``score_samples`` leave missing values out. ``score_samples`` scales
    the error of the known values up to the whole row, so that gaps do not make a row
    look normal. ``solver="lbfgs"`` needs ``noise_level=0.0``, because its line search
    fails on a random objective. Sparse matrices cannot have missing values.

    References
    ----------
    .. [1] P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and
       composing robust features with denoising autoencoders", ICML 2008.
    .. [2] P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked
       denoising autoencoders", JMLR 11, 2010.
    .. [3] G. Alain and Y. Bengio, "What regularized auto-encoders learn from the
       data-generating distribution", JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skae import DenoisingAE
    >>> X = load_digits().data
    >>> noisy = X + np.random.default_rng(0).normal(scale=4, size=X.shape)
    >>> ae = DenoisingAE(16, noise_level=0.8, max_iter=20, random_state=0).fit(X)
    >>> bool(np.square(ae.reconstruct(noisy) - X).mean() < np.square(noisy - X).mean())
    True
    """

    noise_level: float = 0.1

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CustomAutoencoder._parameter_constraints,
        **CorruptingAutoencoder._parameter_constraints,
    }
