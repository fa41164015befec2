"""The undercomplete autoencoder: its code is narrower than the data."""

from numbers import Integral
from typing import Any, ClassVar

from .._machine.callers import warn_caller
from .custom import CustomAutoencoder
from .data import Data
from .embedding import EmbeddingAutoencoder
from .ordering import OrderedAutoencoder
from .parameters import autoencoder


@autoencoder
class UndercompleteAE(CustomAutoencoder, EmbeddingAutoencoder, OrderedAutoencoder):
    """Autoencoder whose code is narrower than its input.

    Minimises ``mean_i loss(x_i, decode(encode(x_i)))`` over the weights of two mirrored
    networks. With ``hidden_layer_sizes=()`` and the squared error the solution is PCA's
    subspace [2]_. With hidden layers the code can follow curved surfaces [1]_. Training
    starts from PCA. If it does not improve on PCA on held-out rows, PCA is kept.

    With ``ordered=True`` it minimises ``sum_k w_k mean_i loss(x_i, decode_k(the first k
    components of encode(x_i)))`` over ``k`` = 1, 2, 4, ... and the whole width, with a
    decoder for each. The first components are then a code themselves, as in PCA. This
    is nested dropout [3]_ with fixed weights ``w_k`` in place of random widths. ``w_k``
    is larger where PCA misses less at ``k``. A width between two of these has no
    decoder. The narrower decoder then either estimates the missing components for the
    wider one, or is corrected along PCA's axes, whichever explains more of the held-out
    rows.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Width of the code. A warning is given if it is not smaller than the number of
        features. A float between 0 and 1 orders the code, and keeps as many components
        as explain that share of the variance of the held-out rows; such a code cannot
        be trained further. None is ``min(n_samples, n_features)``.

    ordered : bool, default=False
        Whether the first ``k`` components are a good code for every ``k``. Training
        takes four to six times as long.

    <embedding parameters>

    <network parameters>

    <custom parameters>

    <training parameters>

    Attributes
    ----------
    explained_variance_ratio_ : ndarray of shape (`n_components_`,)
        What each component adds to the explained variance of the held-out rows, or of
        the training rows without ``early_stopping`` and after ``partial_fit``. It may
        be negative between the trained widths. Only for ordered codes. Their
        ``validation_scores_`` are 1 minus the geometric mean of the unexplained
        variance over the trained widths.

    <embedding attributes>

    <shared attributes>

    See Also
    --------
    sklearn.decomposition.PCA : The best linear code.
    skae.metrics : Scorers that compare both.

    References
    ----------
    .. [1] G. E. Hinton and R. R. Salakhutdinov, "Reducing the dimensionality of data
       with neural networks", Science 313, 2006.
    .. [2] H. Bourlard and Y. Kamp, "Auto-association by multilayer perceptrons and
       singular value decomposition", Biological Cybernetics 59, 1988.
    .. [3] O. Rippel, M. Gelbart and R. Adams, "Learning ordered representations with
       nested dropout", ICML 2014.
    <embedding references>

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import UndercompleteAE
    >>> X = load_digits().data
    >>> ae = UndercompleteAE(8, max_iter=20, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (1797, 8)
    >>> ae.reconstruct(X).shape
    (1797, 64)
    >>> ae.jacobian(X[:2]).shape
    (2, 8, 64)
    >>> ae.best_score_ > ae.pca_score_
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CustomAutoencoder._parameter_constraints,
        **EmbeddingAutoencoder._parameter_constraints,
        **OrderedAutoencoder._parameter_constraints,
    }

    def _choose_width(self, data: Data) -> int:
        if self.n_components is None:
            return min(data.X.shape)
        width = super()._choose_width(data)
        is_chosen = isinstance(self.n_components, Integral)
        if is_chosen and width >= self.n_features_in_:
            warn_caller(
                f"n_components={self.n_components} is not smaller than "
                f"n_features={self.n_features_in_}: the code is not narrower than the "
                "input, and the network may copy it. Use fewer components."
            )
        return width
