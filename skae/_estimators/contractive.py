"""The contractive autoencoder: its code changes little with the input."""

from typing import Any, ClassVar

import torch

from .._machine.devices import own_settings
from .._networks.network import Network
from .._objectives.contraction import (
    exact,
    hutchinson,
    is_closed,
    is_layered,
    squared_norms,
)
from .._objectives.losses import make_loss
from .._objectives.objective import Objective, Penalty
from .._rows.checks import NONNEGATIVE, names
from .._rows.chunks import sample
from .._rows.pca import LinearCode
from .._rows.standardise import standardise
from .._training.engine import Engine
from .._training.solvers import is_full_batch
from .custom import CustomAutoencoder
from .data import Data
from .parameters import autoencoder

# Number of rows that estimate the mean norm, and where that is slow.
N_SAMPLE, N_COSTLY = 1000, 200


@autoencoder
class ContractiveAE(CustomAutoencoder):
    """Autoencoder whose code changes little with its input.

    Minimises ``mean_i loss(x_i, decode(encode(x_i))) + alpha ||d encode(x_i) / d
    x_i||_F^2`` [1]_, where ``x_i`` are standardised, ``(x - mean_) / scale_``. The code
    then follows the directions in which the data vary, and ignores the others.

    The decoder and the encoder share their weights by default. Otherwise a small code,
    scaled up again by a large decoder, would avoid the penalty.

    With piecewise linear activations such as "relu" the derivative is that of the piece
    that contains the row. The penalty shrinks these slopes, but does not see where a
    piece ends.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code; it may exceed ``n_features``. None is ``n_features``.

    alpha : float, default=0.001
        Weight of the penalty. With 0.0 it is ``UndercompleteAE`` with
        ``transform_max_iter=0``, and otherwise the same parameters and width.

    jacobian_norm : {"auto", "exact", "hutchinson"}, default="auto"
        How the norm is computed:

        - "exact": in closed form, layer by layer, with ``init="random"`` and
          activations given by name; else row by row, which is slow;
        - "hutchinson": by the derivative along one random direction of the code for
          each row, an unbiased estimate [2]_;
        - "auto": "exact" where that is cheap, with one layer or with one hidden and one
          linear layer, and for "lbfgs", which needs it; else "hutchinson".

    <network parameters>

    <custom parameters>

    <training parameters>

    Attributes
    ----------
    contraction_ : float
        Mean of ``||d encode(x) / d x||_F`` over at most 1000 standardised training
        rows, or 200 without a closed form.

    <shared attributes>

    See Also
    --------
    UndercompleteAE : The same without a penalty.

    Notes
    -----
    With a penalty, training is kept if the unexplained share of the variance of the
    held-out rows plus the penalty, in the same unit, is lower than PCA's. PCA's
    ``||J||_F^2`` is its number of components.

    References
    ----------
    .. [1] S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive
       auto-encoders: explicit invariance during feature extraction", ICML 2011.
    .. [2] M. F. Hutchinson, "A stochastic estimator of the trace of the influence
       matrix", Communications in Statistics 18, 1989.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import ContractiveAE
    >>> X = load_digits().data
    >>> loose = ContractiveAE(8, alpha=0.0, max_iter=20, random_state=0).fit(X)
    >>> tight = ContractiveAE(8, alpha=0.1, max_iter=20, random_state=0).fit(X)
    >>> tight.contraction_ < loose.contraction_
    True
    """

    tied_weights: bool = True
    alpha: float = 0.001
    jacobian_norm: str = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CustomAutoencoder._parameter_constraints,
        "alpha": [NONNEGATIVE],
        "jacobian_norm": [names({"auto", "exact", "hutchinson"})],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if is_full_batch(self.solver) and self.jacobian_norm == "hutchinson":
            raise ValueError(
                f"solver={self.solver!r} needs a deterministic objective, but "
                "jacobian_norm='hutchinson' draws random directions: use 'exact' or "
                "'auto'."
            )

    def _objective(self, network: Network, data: Data) -> Objective:
        loss = make_loss(self.loss, data.mean, data.scale)
        if not self.alpha:
            return Objective(loss)
        return Objective(loss, penalty=self._penalty(network), alpha=self.alpha)

    def _penalty(self, network: Network) -> Penalty:
        if self.jacobian_norm != "auto":
            return {"exact": exact, "hutchinson": hutchinson}[self.jacobian_norm]
        is_exact = is_closed(network) or is_full_batch(self.solver)
        return exact if is_exact else hutchinson

    def _least_unexplained(self, pca: LinearCode, rows: Any, data: Data) -> float:
        # The penalty of PCA's code.
        return min(1.0, self.alpha * len(pca.axes))

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        network = self._model.network
        n_rows = N_SAMPLE if is_layered(network) else N_COSTLY
        x = standardise(sample(data.X, n_rows), data.mean, data.scale)
        with own_settings(torch.device("cpu"), grad=False):
            self.contraction_ = squared_norms(network, x)[1].sqrt().mean().item()
