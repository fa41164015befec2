"""The denoising autoencoder: it sees corrupted rows, and answers with clean ones."""

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import Tags

from ._base import BaseAutoencoder
from ._corruption import NOISES, SHARES, Corruption, make_corruption
from ._engine import Engine
from ._objectives import DenoisingObjective, Objective, make_loss
from ._parameters import SharedParameters, autoencoder
from ._pca import LinearCode
from ._rows import has_gaps, sample, standardise
from ._solvers import is_full_batch
from ._validation import NONNEGATIVE, SHARE, names

# Rows that show well enough what PCA misses.
N_SAMPLE = 4096


@autoencoder
class DenoisingAE(BaseAutoencoder):
    """Autoencoder trained to undo a corruption of its input.

    Minimises ``mean_i loss(x_i, decode(encode(corrupt(x_i))))`` with a new corruption
    in every batch [1]_. ``transform`` and ``reconstruct`` corrupt nothing:
    ``reconstruct(X)`` is ``X`` denoised, and ``reconstruct(X) - X`` points to where
    rows are dense [3]_. Training starts from PCA, and held-out rows, corrupted too,
    decide whether it has improved on it.

    Missing values, NaN in ``X``, are masked: the network sees the mean of the feature
    there, and the loss leaves them out. ``reconstruct`` has a value for them.

    Rows are centred and divided by one number, so that neither the unit of the data
    nor its origin matters. Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code, which may be wider than the rows. None is as wide as them.

    noise : str or callable, default="gaussian"
        Corruption of rows less ``mean_`` and divided by ``scale_``:

        - "gaussian": adds normal noise of the deviation ``noise_level``;
        - "uniform": adds noise drawn evenly from ``-noise_level`` to ``noise_level``;
        - "masking": sets entries to the mean, with the chance ``noise_level``;
        - "salt_and_pepper": sets them to the least or largest value in the batch;
        - "block": sets a share ``noise_level`` of neighbouring features, one at least,
          to the mean;
        - "swap": replaces entries by the feature's value in another row, with the
          chance ``noise_level``: for tables;
        - a function ``(x, generator) -> x`` of a tensor of rows, which should draw
          from the ``torch.Generator`` alone. It may change ``x``.

    noise_level : float, default=0.1
        How much: in units of ``scale_`` for "gaussian" and "uniform", else a share in
        [0, 1]. With 0.0 nothing is corrupted. Not used by a function.

    emphasis : float, default=0.0
        By how much less entries count in the loss that were not corrupted [2]_: 0.0
        counts all alike, 1.0 the corrupted ones alone. It makes no difference with
        "gaussian" and "uniform", which corrupt every entry.

    <network parameters>

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
    ``score`` and ``score_samples`` leave missing values out. ``solver="lbfgs"`` needs
    ``noise_level=0.0``, for chance would spoil its line search. Sparse matrices cannot
    have missing values.

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

    noise: str | Corruption = "gaussian"
    noise_level: float = 0.1
    emphasis: float = 0.0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "noise": [names(NOISES), callable],
        "noise_level": [NONNEGATIVE],
        "emphasis": [SHARE],
    }

    def _train(self, X: Any, partial: bool) -> Any:
        by_name = isinstance(self.noise, str)
        if by_name and self.noise in SHARES and self.noise_level > 1:
            raise ValueError(
                f"noise_level={self.noise_level} must be a share from 0 to 1 with "
                f"noise={self.noise!r}."
            )
        if self.emphasis == 1 and self._corruption() is None:
            raise ValueError(
                f"emphasis={self.emphasis} learns from corrupted entries alone, and "
                f"noise_level={self.noise_level} makes none: raise it, or lower "
                "emphasis."
            )
        if is_full_batch(self.solver) and self._corruption() is not None:
            raise ValueError(
                f"solver={self.solver!r} needs an objective without chance, but noise="
                f"{self.noise!r} is drawn anew at each step: use solver='adamw', or "
                "noise_level=0.0."
            )
        return super()._train(X, partial)

    def _engine(self, X: Any, *args: Any) -> Engine:
        self._has_gaps = has_gaps(X)
        return super()._engine(X, *args)

    def _corruption(self) -> Corruption | None:
        return make_corruption(self.noise, self.noise_level)

    def _objective(self) -> Objective:
        loss = make_loss(self.loss, self.mean_, self.scale_)
        corrupt = self._corruption()
        return DenoisingObjective(loss, corrupt, self.emphasis, self._has_gaps)

    def _least_missed(self, pca: LinearCode, X: Any) -> float:
        corrupt = self._corruption()
        if corrupt is None and not has_gaps(X):
            return 0.0
        generator = torch.Generator("cpu").manual_seed(self._state["split_seed"])
        x = standardise(sample(X, N_SAMPLE), self.mean_, self.scale_)
        seen = x.nan_to_num()
        seen = seen if corrupt is None else corrupt(seen, generator)
        deviations = seen.double().numpy() - pca.centre
        answer = deviations @ pca.axes.T @ pca.axes + pca.centre
        return float(np.nanmean(np.square(answer - x.numpy())))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
