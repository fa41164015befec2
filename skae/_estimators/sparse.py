"""The sparse autoencoder: few entries of its code are active for each row."""

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, ClassVar, cast

from torch import nn

from .._networks.network import Network
from .._networks.sparse import HOMOGENEOUS, SPARSITIES, SparseDense
from .._objectives.losses import make_loss
from .._objectives.objective import Objective
from .._objectives.sparsity import SparseObjective
from .._rows.checks import AT_LEAST_ONE, FRACTION, NONNEGATIVE, POSITIVE_INTEGER, names
from .._training.engine import Engine
from .._training.schedule import Schedule
from .._training.solvers import is_full_batch
from .base import BaseAutoencoder
from .data import Data
from .parameters import SharedParameters, autoencoder
from .sparsity import Sparsity, check_sparsity, count_active, report_activity


@autoencoder
class SparseAE(BaseAutoencoder):
    """Autoencoder with few active entries in the code of each row.

    Minimises ``mean_i loss(x_i, decode(z_i)) + alpha penalty(z_i)`` with ``z_i =
    encode(x_i)``, or without the penalty where a layer keeps only the largest entries.
    The code may be wider than the rows: each unit then stands for a part that some rows
    have.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=None
        Width of the code. None is ``n_features``.

    sparsity : {"l1", "kl", "top_k", "batch_top_k", "jump_relu"}, default="l1"
        What makes the code sparse, and its activation if ``code_activation="auto"``:

        - "l1" ("relu"): the penalty ``sum_j |z_j| ||d_j|| / sqrt(n_features)``, where
          ``d_j`` is the decoder's column for entry ``j``. The code is the most probable
          one under a Laplace prior [1]_. After ``fit`` the columns have unit norm if
          weights are not tied and the activation is "relu", "leaky_relu" or "identity";
        - "kl" ("logistic"): the mean over units of the divergence ``t log(t / r_j) + (1
          - t) log((1 - t) / (1 - r_j))`` between ``t = target_sparsity`` and the unit's
          mean activation ``r_j`` [2]_;
        - "top_k" ("identity"): the ``k`` largest entries of each row are kept [3]_;
        - "batch_top_k" ("relu"): the ``k n_rows`` largest entries of each batch are
          kept; ``transform`` keeps entries above a threshold that is learnt from them
          [4]_;
        - "jump_relu" ("identity"): entries above a learnt threshold of their unit are
          kept; the penalty is the share of entries kept [5]_.

    alpha : float, default=0.1
        Weight of the penalty; "kl" needs a larger one than "l1" to come near its
        target. Not used by "top_k" and "batch_top_k".

    target_sparsity : float or None, default=None
        Target for the share of active entries, in (0, 1). "l1" and "jump_relu" adapt
        the weight of the penalty in each step, starting at ``alpha``; this takes many
        epochs. A warning is given if the result is off by more than a fifth. "top_k"
        and "batch_top_k" round ``k`` from it. "kl" uses it as the target mean
        activation. None is 0.05, but for "l1" and "jump_relu" it keeps ``alpha`` fixed.

    k : int or None, default=None
        Number of entries to keep, for "top_k" and "batch_top_k". None uses
        ``target_sparsity``. With any other ``sparsity`` a number is an error.

    support : float, default=1.0
        "top_k" keeps ``support * k`` entries in ``transform``: more than in training
        often separate classes better [3]_. It is read in ``fit``.

    <network parameters>

    <training parameters>

    Attributes
    ----------
    dead_units_ : ndarray of int
        Units that are active in no training row: zero in all rows, or with "kl" never
        above ``target_sparsity``. A warning is given if more than half are dead.

    mean_active_ : float
        Mean number of nonzero entries in the code of a training row; with "kl", whose
        entries are rates, the mean of their sum.

    alpha_ : float
        Weight of the penalty at the end of training; 0.0 if there is none.

    <shared attributes>

    See Also
    --------
    sklearn.decomposition.DictionaryLearning : Sparse codes by optimisation, row by row.

    Notes
    -----
    Units that are silent for 100 steps are revived: a second loss, in which the silent
    units with the largest activations are switched on, is added with weight 1/32 [6]_.
    Units of "kl" are never silent.

    There is no PCA to start from: ``init`` must be "random".

    ``solver="lbfgs"`` works with "l1", "kl" and "top_k", without revival. It does not
    work with "jump_relu", whose gradients are estimates, nor with "batch_top_k", whose
    threshold moves.

    References
    ----------
    .. [1] B. Olshausen and D. Field, "Sparse coding with an overcomplete basis set: a
       strategy employed by V1?", Vision Research 37, 1997.
    .. [2] A. Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
    .. [3] A. Makhzani and B. Frey, "k-sparse autoencoders", arXiv:1312.5663, 2013.
    .. [4] B. Bussmann, P. Leask and N. Nanda, "BatchTopK sparse autoencoders",
       arXiv:2412.06410, 2024.
    .. [5] S. Rajamanoharan et al., "Jumping ahead: improving reconstruction fidelity
       with JumpReLU sparse autoencoders", arXiv:2407.14435, 2024.
    .. [6] L. Gao et al., "Scaling and evaluating sparse autoencoders",
       arXiv:2406.04093, 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import SparseAE
    >>> X = load_digits().data
    >>> ae = SparseAE(128, sparsity="top_k", k=10, max_iter=20, random_state=0).fit(X)
    >>> (ae.transform(X) != 0).sum(axis=1)[:3]
    array([10, 10, 10])
    """

    n_components: int | None = field(default=None, kw_only=False)
    hidden_layer_sizes: int | Sequence[int] | str = ()
    code_activation: str | Callable[[], nn.Module] = "auto"
    init: str = "random"
    sparsity: str = "l1"
    alpha: float = 0.1
    target_sparsity: float | None = None
    k: int | None = None
    support: float = 1.0

    _network_class = SparseDense

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "code_activation": [
            names({"auto"}),
            *SharedParameters._parameter_constraints["code_activation"],
        ],
        "init": [names({"random"})],
        "sparsity": [names(SPARSITIES)],
        "alpha": [NONNEGATIVE],
        "target_sparsity": [FRACTION, None],
        "k": [POSITIVE_INTEGER, None],
        "support": [AT_LEAST_ONE],
    }

    def _sparsity(self) -> Sparsity:
        solves_all = is_full_batch(self.solver)
        return Sparsity(
            self.sparsity, self.alpha, self.target_sparsity, self.k, solves_all
        )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_sparsity(self._sparsity(), self.code_activation, self.solver)

    def _activation(self) -> Any:
        if self.code_activation == "auto":
            return SPARSITIES[self.sparsity]
        return self.code_activation

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        return super()._network_options(schedule, width) | {
            "code_activation": self._activation(),
            "sparsity": self.sparsity,
            "k": self._sparsity().n_kept(width),
            "support": self.support,
        }

    def _objective(self, network: Network, data: Data) -> Objective:
        loss = make_loss(self.loss, data.mean, data.scale)
        return self._sparsity().objective(loss, network.widths[-1])

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        network = cast(SparseDense, self._model.network)
        network.support(self.support)
        sparsity, objective = self._sparsity(), cast(SparseObjective, engine.criterion_)
        self.alpha_ = objective.last_alpha()
        is_free = self._activation() in HOMOGENEOUS and not self.tied_weights
        if self.sparsity == "l1" and self.alpha_ and is_free:
            network.normalise()
        activity = count_active(self._here(), data.X, sparsity)
        self.mean_active_, self.dead_units_ = activity
        # With partial_fit it takes many calls to reach the target.
        report_activity(self, sparsity, is_whole=engine.max_epochs > 1)
