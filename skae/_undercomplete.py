"""The plain autoencoder: nothing but a code narrower than the data."""

from typing import Any

from ._base import BaseAutoencoder
from ._parameters import autoencoder
from ._validation import warn_caller


@autoencoder
class UndercompleteAE(BaseAutoencoder):
    """Autoencoder whose code is narrower than its input.

    Minimises ``mean_i loss(x_i, decode(encode(x_i)))`` over the weights of two
    mirrored networks. With ``hidden_layer_sizes=()`` and the squared error the
    solution is PCA's subspace [2]_; with hidden layers the code follows curved
    surfaces too [1]_.

    Rows are centred and divided by one number, so that neither the unit of the data
    nor its origin matters. Computation is in float32.

    Parameters
    ----------
    n_components : int, default=2
        Width of the code. A warning is given if it is not smaller than the number of
        features.

    <network parameters>

    <training parameters>

    Attributes
    ----------
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
    >>> 0 < ae.score(X) < 1
    True
    """

    def _start(self, X: Any) -> None:
        super()._start(X)
        if self.n_components >= self.n_features_in_:
            warn_caller(
                f"n_components={self.n_components} is not smaller than n_features="
                f"{self.n_features_in_}: the code is not narrower than the input, "
                "which the network may simply copy."
            )
