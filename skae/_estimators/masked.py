"""The masked autoencoder: a transformer that answers for hidden patches."""

from dataclasses import field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import Tags
from sklearn.utils._param_validation import Options

from .._networks.conditional import ConditionalSkip
from .._networks.network import Network
from .._networks.tokens import n_tokens
from .._networks.transformer import MaskedTransformer
from .._objectives.corruption import Corruption
from .._objectives.losses import make_loss
from .._objectives.masked import MaskedObjective, hide_tokens
from .._objectives.objective import Objective
from .._rows.checks import FRACTION, POSITIVE_INTEGER, check_layer_sizes, names
from .._rows.chunks import sample, take
from .._rows.standardise import standardise
from .._rows.statistics import column_extremes
from .._training.schedule import Schedule
from .._training.solvers import is_full_batch
from .availability import available_unless
from .base import BaseAutoencoder
from .data import Data
from .layouts import ImageAutoencoder
from .parameters import autoencoder
from .starting import N_SAMPLE
from .state import Baseline

# Maximum number of tokens with patch_size="auto": of images, and of tables.
MOST_PATCHES, MOST_COLUMNS = 16, 64
# Least width of a head with n_heads="auto".
HEAD_WIDTH = 32


def _why_not_inverted(estimator: Any) -> str | None:
    return (
        "its code is a mean over patches, which does not determine a row. Use "
        "reconstruct(X), which fills in NaN."
    )


@autoencoder
class MaskedAE(ImageAutoencoder):
    """Transformer that predicts hidden patches of images, or columns of a table.

    A row is cut into tokens: patches of an image, or columns of a table. In training a
    share ``mask_ratio`` of the tokens is hidden, others in each step. The encoder sees
    the visible tokens only. A light decoder predicts all, and the loss ``mean_ij
    loss(x_ij, decode(encode(visible(x_i)))_j)`` counts the hidden entries ``j`` [1]_.
    ``transform`` returns the mean of the encoder's tokens, where nothing is hidden.
    Such a code describes a row for a classifier. It does not determine the row, so
    there is no ``inverse_transform``.

    ``reconstruct`` predicts every entry from others. It fills in NaN by all values that
    are known. It predicts known values too, each by passes that hide its token: their
    error shows how unusual a value is, given the others.

    ``X`` has flat rows, or is an array of images (n, height, width) or (n, channels,
    height, width), or of signals or volumes, as in :class:`ConvAE`. Flat rows without
    ``image_shape`` and ``spatial_dims`` are a table: each column has weights of its
    own. Columns of different kinds should be scaled first.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=64
        Width of the code and of the encoder's tokens. None is ``n_features``. Narrow
        tokens predict little: for two numbers, reduce a wide code by PCA.

    image_shape : int or tuple of int, default=None
        Shape of one row, channels first if there are any: (28, 28) or (3, 32, 32) for
        images, (1, 16, 16, 16) for volumes, 140 or (3, 140) (with ``spatial_dims=1``)
        for signals. None uses the shape of the array; flat rows are then a table.

    spatial_dims : {1, 2, 3} or "auto", default="auto"
        Number of dimensions of the patches. With "auto" a shape of one number is a
        signal, of two or three an image, of four a volume. "auto" raises an error if
        the shape is ambiguous, as in :class:`ConvAE`.

    patch_size : int or "auto", default="auto"
        Side of the patches, with all channels; in a table the number of adjacent
        columns that make a token. Patches at the end of an axis may be smaller. "auto"
        is the smallest size, at least 2, that makes at most 16 patches; in a table the
        smallest that makes at most 64 tokens. Smaller patches cost more, and need
        longer training.

    mask_ratio : float, default=0.75
        Share of the tokens that is hidden; at least one is hidden, and one visible. A
        high share makes codes that describe the whole row. To fill in missing values, a
        share nearer to that of the missing ones is better.

    n_heads : int or "auto", default="auto"
        Number of attention heads of each block, a divisor of ``n_components``. "auto"
        makes heads of at least 32 numbers.

    hidden_layer_sizes : int, array-like of int or "auto", default="auto"
        Widths of the hidden layers of the encoder's blocks, one for each block. A block
        is self-attention followed by a hidden layer for each token [2]_. With ``()``
        tokens are linear maps of their patches. "auto" is two blocks with ``2
        n_components`` units.

    <activation parameter>

    code_activation : str or callable, default="identity"
        Only "identity": the code is a mean of tokens.

    <loss parameter>

    tied_weights : bool, default=False
        Only False: encoder and decoder have different layers.

    init : {"auto", "pca", "random"}, default="auto"
        How training starts:

        - "pca": the prediction is the sum of a linear one, which stays fixed, and of
          the network's, which starts at zero. The linear one is the conditional mean
          ``c + W (W_v^T W_v + s I)^-1 W_v^T (x - c)_v`` of probabilistic PCA [3]_,
          where ``v`` are the visible entries. ``W`` are at most 32 principal axes,
          times their deviations. ``s`` is chosen by the error of hidden entries. With
          ``early_stopping`` training is kept only if it predicts hidden entries of the
          held-out rows better than that, by a paired t test. If not, the code is that
          of PCA.
        - "random": the network alone.
        - "auto": "pca" for tables, where it predicts better, above all with few rows.
          "random" for images, signals and volumes, where it makes better codes.

    <training parameters>

    Attributes
    ----------
    image_shape_ : tuple of int
        Shape of one row: the channels, then the sizes. Of a table it is (1,
        `n_features_in_`).

    <shared attributes>

    See Also
    --------
    DenoisingAE : Fills in missing values from a code.
    ConvAE : Codes of images that can be decoded.

    Notes
    -----
    The decoder is one block with tokens of 32 numbers. It has a question for each
    token, which attends to the encoder's tokens, but not to other questions as in [1]_:
    this costs less, and learnt as well [4]_.

    Known pixels of a patch help to predict its missing ones, but training has only
    hidden whole patches: for scattered missing pixels :class:`ConvAE` or
    :class:`DenoisingAE` with ``noise="gaps"`` are better.

    ``score`` and ``score_samples`` are the errors of ``reconstruct``. Which tokens it
    hides together depends on ``random_state`` alone. ``validation_scores_`` count
    random hidden tokens, in one pass. ``loss`` sees hidden entries only.

    References
    ----------
    .. [1] K. He, X. Chen, S. Xie, Y. Li, P. Dollar and R. Girshick, "Masked
       autoencoders are scalable vision learners", CVPR 2022.
    .. [2] A. Vaswani, N. Shazeer, N. Parmar, J. Uszkoreit, L. Jones, A. N. Gomez, L.
       Kaiser and I. Polosukhin, "Attention is all you need", NeurIPS 2017.
    .. [3] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis",
       Journal of the Royal Statistical Society B 61, 1999.
    .. [4] L. Fu, L. Lian, R. Wang, B. Shi, X. Wang, A. Yala, T. Darrell, A. A. Efros
       and K. Goldberg, "Rethinking patch dependence for masked autoencoders",
       arXiv:2401.14391, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skae import MaskedAE
    >>> images = load_digits().images
    >>> ae = MaskedAE(32, max_iter=3, random_state=0).fit(images[:1500])
    >>> ae.transform(images[1500:]).shape
    (297, 32)
    >>> seen = images[1500:].copy()
    >>> seen[:, 4:] = np.nan
    >>> bool(np.isfinite(ae.reconstruct(seen)).all())
    True
    """

    n_components: int | None = field(default=64, kw_only=False)
    patch_size: int | str = "auto"
    mask_ratio: float = 0.75
    n_heads: int | str = "auto"
    init: str = "auto"
    learning_rate_init: float = 0.003

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ImageAutoencoder._parameter_constraints,
        "patch_size": [names({"auto"}), POSITIVE_INTEGER],
        "mask_ratio": [FRACTION],
        "n_heads": [names({"auto"}), POSITIVE_INTEGER],
        "init": [names({"auto", "pca", "random"})],
        "code_activation": [names({"identity"})],
        "tied_weights": [Options(bool, {False})],
    }

    _network_class = MaskedTransformer
    _skip_class = ConditionalSkip

    inverse_transform = available_unless(_why_not_inverted)(
        BaseAutoencoder.inverse_transform
    )

    def reconstruct(self, X: Any) -> np.ndarray:
        """Predict each entry of rows from others.

        Missing values, NaN, are predicted from all that are known. Known ones are the
        mean over passes that hide them, each together with other tokens, as many as in
        training. To keep known values, use ``np.where(np.isnan(X), reconstruct(X),
        X)``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            Predicted rows in the same unit; float32 if the training data were float32
            or uint8, else float64.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has infinite values, or other features than in ``fit``.
        """
        return super().reconstruct(X)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if is_full_batch(self.solver):
            raise ValueError(
                f"solver={self.solver!r} needs a deterministic objective, but each "
                "step hides other tokens: use solver='adamw'."
            )

    def _is_table(self) -> bool:
        """Whether rows are flat, and nothing tells which features are neighbours."""
        is_told = self.image_shape is not None or self.spatial_dims != "auto"
        return not is_told and len(self.image_shape_) == 2

    def _extremes(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        return column_extremes(X) if self._is_table() else super()._extremes(X)

    def _fixed_parameters(self) -> dict[str, Any]:
        init = self.init
        if init == "auto":
            init = "pca" if self._is_table() else "random"
        return super()._fixed_parameters() | {"init": init}

    def _patch_size(self) -> int:
        """Return the parameter, with "auto" replaced by its value."""
        size, most = (1, MOST_COLUMNS) if self._is_table() else (2, MOST_PATCHES)
        if not isinstance(self.patch_size, str):
            return int(self.patch_size)
        while n_tokens(self.image_shape_, size) > most:
            size += 1
        return size

    def _n_heads(self, width: int) -> int:
        """Return the parameter, with "auto" replaced by its value."""
        if isinstance(self.n_heads, str):
            most = max(1, width // HEAD_WIDTH)
            return next(n for n in range(most, 0, -1) if width % n == 0)
        if width % self.n_heads:
            raise ValueError(
                f"n_heads={self.n_heads} does not divide n_components={width}: use a "
                "divisor, or n_heads='auto'."
            )
        return int(self.n_heads)

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        patch_size = self._patch_size()
        if n_tokens(self.image_shape_, patch_size) < 2:
            raise ValueError(
                f"patch_size={self.patch_size!r} makes one token of rows with "
                f"n_features={self.n_features_in_}, and no other to predict it from: "
                "use smaller patches, more columns, or UndercompleteAE."
            )
        hidden = [2 * width, 2 * width]
        if not isinstance(self.hidden_layer_sizes, str):
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "shape": self.image_shape_,
            "patch_size": patch_size,
            "shares_weights": not self._is_table(),
            "mask_ratio": float(self.mask_ratio),
            "n_components": width,
            "hidden": hidden,
            "n_heads": self._n_heads(width),
            "activation": self.activation,
        }

    def _schedule(self, data: Data, width: int) -> Schedule:
        # Attention is learnt late, after a time of little gain.
        n_steps = int(np.clip(data.n_training // 2, 1000, 20_000))
        return Schedule(
            n_steps=n_steps,
            n_stale_steps=500,
            n_stale_epochs=50,
            largest_batch=256,
            decay=1.0,
        )

    def _corruption(self, network: Any) -> Corruption:
        """Return what hides tokens of rows of the network."""
        inner = network.network if isinstance(network, ConditionalSkip) else network
        return partial(hide_tokens, token_of=inner.token_of, n_visible=inner.n_visible)

    def _objective(self, network: Network, data: Data) -> Objective:
        loss = make_loss(self.loss, data.mean, data.scale)
        return MaskedObjective(loss, self._corruption(network))

    def _become_first_pca(self, network: Any, data: Data) -> Baseline:
        baseline = super()._become_first_pca(network, data)
        index = sample(np.arange(data.n_rows)[data.validation], N_SAMPLE)
        x = standardise(take(data.X, index), data.mean, data.scale)
        generator = torch.Generator("cpu").manual_seed(data.seed)
        error = network.choose_noise(x, self._corruption(network)(x, generator))
        return replace(baseline, residual_variance=error)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
