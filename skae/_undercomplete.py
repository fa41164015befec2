"""The plain autoencoder: nothing but a code narrower than the data."""

import copy
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._base import BaseAutoencoder
from ._engine import Engine
from ._networks import Prefix
from ._objectives import Objective, OrderedObjective, make_loss
from ._parameters import SharedParameters, autoencoder
from ._pca import fit_pca
from ._rows import standardise
from ._validation import FRACTION, warn_caller


def _has_order(estimator: Any) -> bool:
    if not estimator._is_ordered():
        raise AttributeError(
            f"truncate needs an ordered code, which ordered={estimator.ordered} and "
            f"n_components={estimator.n_components} do not make: use ordered=True."
        )
    return True


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

    ordered: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "n_components": [
            *SharedParameters._parameter_constraints["n_components"],
            FRACTION,
        ],
        "ordered": ["boolean"],
    }

    def _start(self, X: Any, validate: bool) -> None:
        super()._start(X, validate)
        if self.n_components is not None and self._width >= self.n_features_in_:
            warn_caller(
                f"n_components={self.n_components} is not smaller than n_features="
                f"{self.n_features_in_}: the code is not narrower than the input, "
                "which the network may simply copy."
            )

    def _is_share(self) -> bool:
        return self.n_components is not None and self.n_components < 1

    def _choose_width(self, X: Any, training: Any, judges: Any) -> int:
        if not self._is_share():
            return super()._choose_width(X, training, judges)
        # What PCA needs is enough: the code of the same width is no worse.
        pca = fit_pca(training, self.mean_, self.scale_, None, seed=0)
        explained = pca.explained(standardise(judges, self.mean_, self.scale_).numpy())
        enough = np.flatnonzero(explained >= self.n_components)
        return int(enough[0]) + 1 if len(enough) else len(explained)

    def _network_options(self) -> dict[str, Any]:
        return super()._network_options() | {"ordered": self._is_ordered()}

    def _is_ordered(self) -> bool:
        return self.ordered or self._is_share()

    def _objective(self) -> Objective:
        if not self._is_ordered():
            return super()._objective()
        loss = make_loss(self.loss, self.mean_, self.scale_)
        return OrderedObjective(loss, self._prefix_weights())

    def _prefix_weights(self) -> np.ndarray:
        """Weigh the loss of each width by what PCA misses there, up to a limit."""
        if self._fitted_init != "pca":
            return np.ones(self._width)
        missed = self.network_.output_scale.numpy().astype(np.float64)
        return 1 / np.square(np.maximum(missed, missed[0] / 100 or 1.0))

    def _judge(self, engine: Engine, X: Any) -> None:
        super()._judge(engine, X)
        self.__dict__.pop("explained_variance_ratio_", None)
        if self._is_ordered():
            widths = range(1, self._width + 1)
            shares = engine.unexplained(engine.module_.reconstruct, widths).mean(0)
            explained = 1 - shares.double().numpy()
            self.explained_variance_ratio_ = np.diff(explained, prepend=0.0)

    def _finish(self, engine: Engine, X: Any, keep_optimizer: bool) -> None:
        super()._finish(engine, X, keep_optimizer)
        if self._is_share():
            explained = self.explained_variance_ratio_.cumsum()
            enough = np.flatnonzero(explained >= self.n_components)
            if not len(enough):
                warn_caller(
                    f"n_components={self.n_components} is not reached: all "
                    f"{self._width} components explain {explained[-1]:.4g} of the "
                    "variance of the held-out rows, and all are kept. More rows may "
                    "help.",
                    ConvergenceWarning,
                )
            self._keep(int(enough[0]) + 1 if len(enough) else self._width)

    def _keep(self, n_components: int) -> None:
        """Use the first components only."""
        whole = self.network_.network if self._is_cut() else self.network_
        self.n_components_ = n_components
        self.network_ = Prefix(whole, n_components) if self._is_cut() else whole
        ratio = self.explained_variance_ratio_[:n_components]
        self.explained_variance_ratio_ = ratio

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
            Its ``transform`` gives the first columns of this one's, bit by bit, and
            its ``inverse_transform`` is what training made of so many. It cannot go on
            training; its ``n_components`` is that given, so that a clone is of this
            width.

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
        is_integer = isinstance(n_components, Integral)
        if not is_integer or not 1 <= n_components <= self.n_components_:
            raise ValueError(
                f"n_components={n_components!r} must be an integer from 1 to "
                f"{self.n_components_}, the width of the fitted code."
            )
        truncated = copy.copy(self)
        truncated.n_components, truncated.ordered = int(n_components), True
        truncated._keep(int(n_components))
        return truncated
