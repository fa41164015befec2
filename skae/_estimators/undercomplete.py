"""The plain autoencoder: nothing but a code narrower than the data."""

import copy
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._machine.callers import warn_caller
from .._networks.linear_part import Residual
from .._networks.prefix import prefix_widths
from .._objectives.objective import Objective
from .._objectives.ordered import OrderedObjective
from .._rows.checks import FRACTION, check_count, is_share
from .._rows.chunks import Rows, parts
from .._rows.pca import fit_pca
from .._rows.standardise import standardise
from .._training.engine import Engine
from .._training.schedule import MOST_UNITS, Schedule
from .embedding import EmbeddingAutoencoder
from .parameters import SharedParameters, autoencoder

FEW_ROWS = 300


def _has_order(estimator: Any) -> bool:
    if not estimator._is_ordered():
        raise AttributeError(
            f"truncate needs an ordered code, which ordered={estimator.ordered} and "
            f"n_components={estimator.n_components} do not make: use ordered=True."
        )
    return True


@autoencoder
class UndercompleteAE(EmbeddingAutoencoder):
    """Autoencoder whose code is narrower than its input.

    Minimises ``mean_i loss(x_i, decode(encode(x_i)))`` over the weights of two
    mirrored networks. With ``hidden_layer_sizes=()`` and the squared error the
    solution is PCA's subspace [2]_; with hidden layers the code follows curved
    surfaces too [1]_. Training starts from PCA, and rows held out decide whether it
    has improved on it: if not, the answer is PCA.

    With ``ordered=True`` it minimises ``sum_k w_k mean_i loss(x_i, decode_k(the first
    k components of encode(x_i)))`` over ``k`` = 1, 2, 4, ... and the whole width, with
    a decoder for each: every prefix of the code is then a code, as in PCA. It is nested
    dropout [3]_ without chance. The weight ``w_k`` grows as what PCA misses at ``k``
    falls. Between two of these widths the narrower decoder guesses what the wider needs
    more, or is corrected along PCA's axes: whichever explains more of the held-out
    rows.

    Rows are centred and divided by one number, so that neither the unit of the data
    nor its origin matters. Computation is in float32.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Width of the code. A warning is given if it is not smaller than the number of
        features. A number between 0 and 1 orders the code, and keeps as many components
        as explain that share of the variance of the held-out rows; such a code cannot
        go on training. None keeps as many as there are rows or features, whichever are
        fewer.

    ordered : bool, default=False
        Whether every prefix of the code shall be a good code. Takes ten times as
        long and more.

    <embedding parameters>

    <network parameters>

    <training parameters>

    Attributes
    ----------
    explained_variance_ratio_ : ndarray of shape (`n_components_`,)
        What each component adds to the explained variance of the held-out rows, or of
        the training rows without ``early_stopping`` and after ``partial_fit``. It may
        be less than zero between the widths that are trained. Only of ordered codes,
        whose ``validation_scores_`` are one less the geometric mean, over the widths
        that are trained, of what they leave unexplained.

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

    ordered: bool = False

    _n_layers = 1

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **EmbeddingAutoencoder._parameter_constraints,
        "n_components": [
            *SharedParameters._parameter_constraints["n_components"],
            FRACTION,
        ],
        "ordered": ["boolean"],
    }

    def _start(self, X: Any, validate: bool, partial: bool) -> None:
        # Two layers unfold more than one, but learn few rows by heart; narrower than
        # rows they only cost more. To partial_fit more rows may come.
        is_small = X.shape[0] < FEW_ROWS and not partial
        self._n_layers = 1 if is_small or X.shape[1] >= MOST_UNITS else 2
        super()._start(X, validate, partial)
        chosen = isinstance(self.n_components, Integral)
        if chosen and self._width >= self.n_features_in_:
            warn_caller(
                f"n_components={self.n_components} is not smaller than n_features="
                f"{self.n_features_in_}: the code is not narrower than the input, "
                "which the network may simply copy."
            )

    def _choose_width(self, X: Any, training: Rows, judges: Rows) -> int:
        if self.n_components is None:
            return min(X.shape)
        if not is_share(self.n_components):
            return super()._choose_width(X, training, judges)
        # What PCA needs is enough: the code of the same width is no worse. A PCA of all
        # axes leaves nothing to chance.
        pca = fit_pca(X, self.mean_, self.scale_, None, 0, training)
        explained = pca.explained(
            standardise(part, self.mean_, self.scale_).numpy()
            for part in parts(X, judges)
        )
        enough = np.flatnonzero(explained >= self.n_components)
        return int(enough[0]) + 1 if len(enough) else len(explained)

    def _network_options(self) -> dict[str, Any]:
        return super()._network_options() | {"ordered": self._wants_order()}

    def _schedule(self) -> Schedule:
        if not self._wants_order():
            return Schedule(n_layers=self._n_layers)
        # Where widths pull at one encoder, it needs more layers and steps, and a step
        # more rows, to find a way; and several decoders learn noise sooner than one.
        return Schedule(n_steps=6000, n_batches=5, decay=8.0, n_layers=2)

    def _is_ordered(self) -> bool:
        """Whether the fitted code is ordered, or else that of a fit would be."""
        if hasattr(self, "_architecture"):
            return self._architecture["ordered"]
        return self._wants_order()

    def _wants_order(self) -> bool:
        return self.ordered or is_share(self.n_components)

    def _objective(self) -> Objective:
        objective = super()._objective()
        if not self._is_ordered():
            return objective
        ordered = OrderedObjective(objective.loss, self._prefix_weights())
        return self._attracting(ordered)

    def _prefix_weights(self) -> np.ndarray:
        """Weigh losses so that each width counts for a share of what PCA misses there.

        A code of one component counts little: it stands in the way of the second.
        """
        widths = np.array(prefix_widths(self._width))
        weights = np.ones(len(widths))
        if isinstance(network := self._whole_network(), Residual):
            missed = network.output_scale.numpy().astype(np.float64)[widths - 1]
            # Where PCA is all but exact a weight without end would drown the others.
            least = missed[0] / 100 or 1.0
            weights = 1 / np.square(np.maximum(missed, least))
        if len(widths) > 1:
            weights[0] *= 0.1
        return weights

    def _judge(self, engine: Engine) -> bool:
        keeps = super()._judge(engine)
        for name in ("explained_variance_ratio_", "_pca_scores"):
            self.__dict__.pop(name, None)
        if self._is_ordered():
            network = engine.module_
            scores = self._explained_by_prefixes(engine, network)
            if self.pca_score_ is not None:
                pca = self._explained(engine, network.project, network.expand)
                self._pca_scores, scores = pca, scores if keeps else pca
            self.explained_variance_ratio_ = np.diff(scores, prepend=0.0)
            self._spread = engine.judge.spread / self.n_features_in_
        return keeps

    def _score_prefix(self) -> None:
        """Publish the scores of as many components as are kept."""
        ratio = self.explained_variance_ratio_[: self.n_components_]
        self.explained_variance_ratio_ = ratio
        if self.best_score_ is not None:
            self.best_score_ = float(ratio.sum())
        if self.pca_score_ is not None:
            self.pca_score_ = float(self._pca_scores[self.n_components_ - 1])
        if hasattr(self, "noise_variance_"):
            variance = float((1 - ratio.sum()) * self._spread)
            self.noise_variance_ = variance * self.scale_ * self.scale_

    def _explained_by_prefixes(self, engine: Engine, network: Any) -> np.ndarray:
        """Return what each explains, decoded in the way that explains more."""
        if not isinstance(network, Residual):
            return self._explained(engine, network.encode, network.decode_prefix)
        network.is_linear.fill_(False)
        network.is_corrected.zero_()
        guessed = self._explained(engine, network.encode, network.decode_prefix)
        corrected = self._explained(engine, network.encode, network.correct_prefix)
        network.is_corrected.copy_(torch.from_numpy(corrected > guessed))
        return np.maximum(guessed, corrected)

    def _explained(self, engine: Engine, encode: Any, decode: Any) -> np.ndarray:
        """Return the explained variance of the held-out rows by each prefix."""
        shares = engine.unexplained(encode, decode, range(1, self._width + 1))
        return 1 - shares.mean(0).double().numpy()

    def _finish(self, engine: Engine, X: Any, keep_optimizer: bool) -> None:
        super()._finish(engine, X, keep_optimizer)
        if self._is_ordered():
            self._score_prefix()
        if is_share(self.n_components):
            explained = self.explained_variance_ratio_.cumsum()
            enough = np.flatnonzero(explained >= self.n_components)
            if not len(enough):
                warn_caller(
                    f"n_components={self.n_components} is not reached: all "
                    f"{self._width} components explain {explained[-1]:.4g} of the "
                    "variance of the rows that judge, and all are kept. More rows may "
                    "help.",
                    ConvergenceWarning,
                )
            self._keep(int(enough[0]) + 1 if len(enough) else self._width)

    def _keep(self, n_components: int) -> None:
        """Use the first components only."""
        whole = self._whole_network()
        self.n_components_ = n_components
        self._use(whole)
        self._score_prefix()

    @available_if(_has_order)
    def truncate(self, n_components: int) -> Self:
        """Return a fitted copy that keeps the first components of the code.

        Parameters
        ----------
        n_components : int
            Number of components to keep, at most ``n_components_``.

        Returns
        -------
        truncated : UndercompleteAE
            Its ``transform`` gives the first columns of this one's, bit by bit (not of
            codes that ``transform_max_iter`` refines for all columns together), and
            its ``inverse_transform`` is what training made of so many. It holds the
            whole network, but cannot go on training once narrower; its
            ``n_components`` is that given, so that a clone is of this width.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``n_components`` is not an integer from 1 to ``n_components_``.
        AttributeError
            If the codes have no order: without ``ordered=True``, and with an integer
            ``n_components``.
        """
        check_is_fitted(self)
        check_count("n_components", n_components, self.n_components_)
        truncated = copy.deepcopy(self)
        truncated.n_components, truncated.ordered = int(n_components), True
        truncated._keep(int(n_components))
        return truncated
