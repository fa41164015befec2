"""The variational autoencoder: a probabilistic model of rows."""

from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Options
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._machine.callers import warn_caller
from .._machine.devices import own_settings
from .._networks.network import Network
from .._networks.variational import Variational, VariationalSkip
from .._objectives.bound import Bound, even_normal, importance_weighted
from .._objectives.losses import Loss, SquaredError, make_loss
from .._objectives.objective import Objective
from .._rows.checks import (
    NONNEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    check_answers,
    check_count,
    check_domain,
    names,
)
from .._rows.chunks import Rows, sample
from .._rows.containers import as_array
from .._rows.layout import Shape
from .._rows.pca import LinearCode
from .._rows.stored import opened
from .._training.engine import Engine
from .._training.schedule import Schedule
from .._training.solvers import is_full_batch
from .base import BaseAutoencoder
from .blockwise import blockwise
from .convolving import ConvolvingAutoencoder
from .data import Data
from .parameters import autoencoder
from .state import Baseline

# A component is active if the variance of its mean over rows exceeds this (Burda,
# Grosse and Salakhutdinov, 2016), estimated on so many rows.
ACTIVE, N_SAMPLE = 0.01, 4096
# Draws from each posterior: with fewer, their mean would be uncertain.
LEAST_DRAWS = 32
# With larger rates numpy's counts vary too much, and at last exceed 64 bits.
MOST_RATE = 1e12
# Sums of larger divergences may overflow float32.
MOST_NATS = 1e30


@autoencoder
class VariationalAE(ConvolvingAutoencoder):
    """Variational autoencoder: a probabilistic model of rows, which can be sampled.

    A row is generated from a code ``z`` with the distribution ``N(0, I)``, by ``p(x |
    z)`` about ``decode(z)``. The encoder gives the mean and the deviation of an
    approximate posterior ``q(z | x)``. Minimises minus the evidence lower bound,
    ``mean_i E_q[-log p(x_i | z)] + beta KL(q(z | x_i) || N(0, I))``, with one draw from
    ``q`` for each row and step [1]_. ``transform`` gives the means of ``q``.

    Training starts from probabilistic PCA, a variational autoencoder with linear maps
    whose posterior is exact [2]_ [3]_. So with ``loss="gaussian"`` the bound starts at
    the log-likelihood that ``PCA.score`` gives. If training does not improve on it on
    held-out rows, probabilistic PCA is kept.

    Unlike in the other estimators, ``score`` and ``score_samples`` are bounds on the
    log-likelihood, as those of PCA are log-likelihoods. The explained variance is
    :func:`skae.metrics.explained_variance`; ``best_score_``, ``pca_score_`` and
    ``validation_scores_`` are explained variances too.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code. None is ``n_features``.

    beta : float, default=1.0
        Weight of the divergence. Above 1 components are closer to independent normal
        numbers [4]_, below 1 rows are reconstructed better. Only with 1 the objective
        is a bound. ``score`` always uses 1.

    free_bits : float, default=0.0
        In nats: the divergence of a component, averaged over a batch, counts as at
        least this in training [5]_. Above 0 it keeps components active that would
        collapse to the prior.

    n_importance : int, default=1
        Number of draws from ``q`` for each row and step. With ``k`` of them, training
        maximises the importance-weighted bound, ``E log mean_k p(x | z_k) p(z_k) /
        q(z_k | x)``, which is tighter [6]_. A step then decodes ``k`` codes of each
        row. ``score`` and ``score_samples`` give this bound too. For a tighter one
        there, it may be raised after ``fit``.

    loss : {"gaussian", "bernoulli", "poisson"}, default="gaussian"
        Distribution of a feature about the decoded code: normal with one learnt
        variance, ``noise_variance_``; Bernoulli, for data in [0, 1]; Poisson, for
        counts.

    image_shape : int or tuple of int, default=None
        Shape of one image, channels first if there are any, as in :class:`ConvAE`. The
        networks then have convolutions. None uses the shape of the array; for flat rows
        the networks are dense.

    spatial_dims : {1, 2, 3} or "auto", default="auto"
        Number of dimensions of the convolutions, as in :class:`ConvAE`. Not used for
        flat rows without ``image_shape``; nor are the next five parameters.

    <convolution parameters>

    <layer parameters>

    code_activation : {"identity"}, default="identity"
        Means of codes may have any value.

    tied_weights : {False}, default=False
        The encoder has more outputs than the decoder has inputs, so that they cannot
        share weights.

    <start parameter>

    <training parameters>

    Attributes
    ----------
    active_units_ : ndarray of bool of shape (`n_components_`,)
        Which components are used: the variance of their means, over at most 4096
        training rows, is above 0.01 [6]_.

    image_shape_ : tuple of int or None
        Shape of one row: the channels, then the sizes. None if the networks are dense.

    <shared attributes>

    See Also
    --------
    sklearn.decomposition.PCA : The same with linear maps.
    sklearn.mixture.GaussianMixture : Another model of rows that can be sampled.

    Notes
    -----
    Training is kept if minus the bound, with weight ``beta``, is lower on the held-out
    rows than that of probabilistic PCA. ``history_["validation_loss"]`` is minus this
    bound divided by the number of features, ``b``, for "bernoulli" and "poisson", and
    ``exp(2 b)`` for "gaussian", which grows as a variance does. ``solver="lbfgs"`` is
    not available, because its line search fails on a random objective.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
    .. [2] M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis",
       Journal of the Royal Statistical Society B 61, 1999.
    .. [3] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
    .. [4] I. Higgins et al., "beta-VAE: Learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
    .. [5] D. P. Kingma et al., "Improved variational inference with inverse
       autoregressive flow", NeurIPS 2016.
    .. [6] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted autoencoders",
       ICLR 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import VariationalAE
    >>> X = load_digits().data
    >>> vae = VariationalAE(8, max_iter=20, random_state=0).fit(X[:1500])
    >>> vae.score(X[1500:]) > PCA(8).fit(X[:1500]).score(X[1500:])
    True
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    """

    beta: float = 1.0
    free_bits: float = 0.0
    n_importance: int = 1
    loss: str = "gaussian"
    learning_rate_init: float = 0.005

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ConvolvingAutoencoder._parameter_constraints,
        "beta": [POSITIVE],
        "free_bits": [NONNEGATIVE],
        "n_importance": [POSITIVE_INTEGER],
        "loss": [names({"gaussian", "bernoulli", "poisson"})],
        "code_activation": [names({"identity"})],
        "tied_weights": [Options(bool, {False})],
    }

    _network_class = Variational
    _skip_class = VariationalSkip

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the approximate posterior of each row's code.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        means : ndarray of shape (n_samples, n_components), float32
            Means of the codes, as ``transform`` gives them.
        deviations : ndarray of shape (n_samples, n_components), float32
            Standard deviations of the codes; 1 is that of the prior.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.
        """
        X, model = self._checked(X), self._here()
        both = model.map(partial(model.apply, _moments), X)
        means, deviations = np.split(both, 2, axis=1)
        return means, deviations

    @blockwise
    def score_samples(self, X: Any) -> np.ndarray:
        """Return a lower bound on the log-likelihood of each row.

        ``log mean_k p(x | z_k) p(z_k) / q(z_k | x)``, where ``z_k`` are
        ``n_importance`` draws from ``q(z | x)`` [1]_. With fewer than 32 it is the mean
        over several groups of draws. The draws are the same in each call, and for each
        row, up to its posterior's mean and deviation.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float32
            Bounds in nats, in the unit of ``PCA.score_samples``: of densities for
            ``loss="gaussian"``, which depend on the unit of the data, and of
            probabilities for the others. Higher is more like the training data.
            ``-inf`` for rows so far off that float32 cannot hold their bound.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``.

        References
        ----------
        .. [1] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted
           autoencoders", ICLR 2016.
        """
        return self._bounds(self._checked(X)).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of ``score_samples``, as ``PCA.score`` is one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows in the unit of the training data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            Mean lower bound on the log-likelihood of a row, in nats.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``X`` has NaN or infinite values, or other features than in ``fit``. If
            the bound of a row is not finite.
        """
        bounds = self._bounds(self._checked(X))
        if n_lost := int(np.isinf(bounds).sum()):
            answers = np.asarray(self.reconstruct(X)).reshape(len(bounds), -1)
            is_lost = ~np.isfinite(answers).all(axis=1)
            check_answers(np.where(is_lost, np.inf, 0.0), self)
            raise ValueError(
                f"The bound of {n_lost} of {len(bounds)} rows is not finite, so there "
                "is no score. They are too far from the rows of fit for float32: "
                "convert X to the unit of these."
            )
        return float(bounds.mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw rows from the model.

        Codes are drawn from ``N(0, I)``, and rows from ``p(x | z)``. For rows without
        this noise decode the codes:
        ``inverse_transform(rng.normal(size=(n_samples, n_components)))``.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Determines the rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in the unit of the training data, with the dtype of
            ``inverse_transform``.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If ``n_samples`` is not a positive integer.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        rng = check_random_state(random_state)
        codes = rng.standard_normal((n_samples, self.n_components_))
        rows = self.inverse_transform(codes)
        loss, model = self._state.parameters["loss"], self._model
        if loss == "gaussian":
            network: Any = model.network
            # noise_variance_ may overflow, or be 0, where its root is neither.
            deviation = network.variance().item() ** 0.5 * model.scale
            drawn = rows + deviation * rng.standard_normal(rows.shape)
        elif loss == "bernoulli":
            drawn = rng.binomial(1, rows)
        else:
            drawn = _draw_counts(rows.astype(np.float64), rng)
        return drawn.astype(rows.dtype)

    def _bounds(self, X: Any) -> np.ndarray:
        """Return the bounds of checked rows, in float64."""
        name, model = self._state.parameters["loss"], self._here()
        check_domain(X, name)
        loss = _make_loss(name, model.mean, model.scale)
        loss.to(model.device)
        n_draws = self._parameter("n_importance")
        with own_settings(torch.device("cpu"), grad=False):
            # The same for all rows, so that a score does not depend on other rows.
            noise = even_normal(-(-LEAST_DRAWS // n_draws), n_draws, self.n_components_)
        bounds = partial(importance_weighted, loss, noise.to(model.device))
        found = model.map(partial(model.apply, bounds), X)
        found[np.isnan(found)] = -np.inf
        # A density is per unit of the data.
        is_density = isinstance(loss, SquaredError)
        return found - is_density * self.n_features_in_ * np.log(self.scale_)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if is_full_batch(self.solver):
            raise ValueError(
                f"solver={self.solver!r} needs a deterministic objective, but codes "
                "are drawn at random in each step: use solver='adamw'."
            )
        if self.free_bits > MOST_NATS:
            raise ValueError(
                f"free_bits={self.free_bits} is too large for the objective in "
                "float32: it is in nats, lower it to 1.0 or less."
            )
        if self.free_bits and self.n_importance > 1:
            raise ValueError(
                f"free_bits={self.free_bits} needs the divergence, which the bound of "
                f"n_importance={self.n_importance} draws does not have: use "
                "n_importance=1 in fit, or free_bits=0.0."
            )

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, Shape]:
        X = as_array(opened(X), self._allows_nan(), type(self).__name__)
        is_dense = not reset and self.image_shape_ is None
        if reset and self.image_shape is None:
            is_dense = getattr(X, "ndim", 2) < 3
        if not is_dense:
            return super()._check_rows(X, reset=reset, min_samples=min_samples)
        self.image_shape_ = None
        return BaseAutoencoder._check_rows(
            self, X, reset=reset, min_samples=min_samples
        )

    def _extremes(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.image_shape_ is None:
            return BaseAutoencoder._extremes(self, X)
        return super()._extremes(X)

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        if self.image_shape_ is None:
            return BaseAutoencoder._network_options(self, schedule, width)
        return super()._network_options(schedule, width)

    def _become_linear(
        self, network: Any, data: Data, chosen: Rows, pca: LinearCode
    ) -> Baseline:
        baseline = super()._become_linear(network, data, chosen, pca)
        # The likelihood of rows that are far out counts too.
        pca = pca.for_rows_to_come() if data.is_part else pca
        n_features, width = len(pca.centre), len(pca.variances)
        # As in PCA, whose rows may have fewer variances than features.
        n_others = max(1, min(baseline.n_rows, n_features) - width)
        noise = float(pca.unexplained[-1]) * n_features / n_others
        network.become_probabilistic(pca.variances, noise)
        return baseline

    def _objective(self, network: Network, data: Data) -> Objective:
        loss = _make_loss(self.loss, data.mean, data.scale)
        return Bound(loss, self.beta, self.free_bits, self.n_importance)

    def _torch_parts(self) -> dict[str, Any]:
        return {"scores_errors": False}

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        model = self._model
        if self._state.parameters["loss"] == "gaussian":
            network: Any = model.network
            variance = network.variance().item()
            self.noise_variance_ = variance * data.scale * data.scale
        codes = model.map(lambda x: model.encode(x).numpy(), sample(data.X, N_SAMPLE))
        self.active_units_ = codes.var(axis=0) > ACTIVE
        n_inactive = int(np.sum(~self.active_units_))
        if n_inactive and not self.is_pca_:
            warn_caller(
                f"{n_inactive} of {len(self.active_units_)} components are not used: "
                "their means are almost the same for all rows. Use fewer components, "
                f"a lower beta than {self.beta}, or higher free_bits than "
                f"{self.free_bits}, such as 0.1.",
                ConvergenceWarning,
            )


def _make_loss(name: str, mean: np.ndarray, scale: float) -> Loss:
    """Return what links outputs to rows; networks hold the variance of "gaussian"."""
    return make_loss("squared_error" if name == "gaussian" else name, mean, scale)


def _draw_counts(rates: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw from Poisson's distribution; large counts are normal, up to rounding."""
    counts = rng.poisson(np.minimum(rates, MOST_RATE)).astype(np.float64)
    if not (is_large := rates > MOST_RATE).any():
        return counts
    normal = np.rint(rates + np.sqrt(rates) * rng.standard_normal(rates.shape))
    return np.where(is_large, normal, counts)


def _moments(network: Any, rows: Tensor) -> Tensor:
    """Return means and deviations of codes, side by side."""
    mean, log_variance = network.posterior(rows)
    return torch.cat([mean, (log_variance / 2).exp()], dim=1)
