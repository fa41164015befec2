"""What the classifier and the regressor share: an autoencoder, then a linear head."""

import copy
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._estimators.denoising import DenoisingAE
from .._estimators.parameters import documented
from .._files.saving import Saved
from .._machine.callers import warn_caller
from .._machine.devices import own_settings, resolve_device, seeded
from .._machine.threads import limited_threads, threads_of_step
from .._rows.batches import read_rows
from .._rows.checks import FRACTION, NONNEGATIVE, POSITIVE, POSITIVE_INTEGER, names
from .._rows.frozen import thawed
from .clones import seeded_clone
from .fine_tuning import FineTuning, Headed, Labelled, Recipe
from .targets import Kind, Linear
from .tunable import check_tunable, encoded, own_objective, with_network

T = TypeVar("T", bound=type)

PARAMETERS = """
    estimator : object, default=None
        Autoencoder of this package. A clone is trained on all rows. None is
        ``DenoisingAE(64, noise_level=1.0, init="random")``. A fitted one inside a
        :class:`~sklearn.frozen.FrozenEstimator` is not trained again, and a copy of its
        network is tuned. With ``fine_tune=False`` any transformer does.

    fine_tune : bool, default=True
        Whether labels train the encoder too. If False, only the head is trained.

    alpha : float, default=1.0
        Weight of the squared coefficients of the first head, for standardised codes.

    reconstruction_weight : float, default=0.0
        Weight of the objective of ``estimator`` in fine-tuning, on all rows. With 0.0
        the decoder is not trained further, and no longer fits the encoder. Only 0.0 is
        possible if ``estimator`` has a ``neighbor_weight``.

    consistency : {"noise", "virtual_adversarial"} or None, default="noise"
        How rows are disturbed, whose outputs should stay as they are: by the noise of
        ``estimator``, which the labelled rows have too, or to where the output changes
        most [1]_. With None there is no such term, and no noise.

    consistency_weight : float, default=1.0
        Weight of that term.

    epsilon : float, default=0.1
        Size of "virtual_adversarial" disturbances: their root mean square over
        features, in units of the autoencoder's ``scale_``.

    learning_rate_init : float, default=0.002
        Initial learning rate of fine-tuning. It falls along half a cosine.

    batch_size : int, default=256
        Number of rows in a step. Up to 64 labelled rows are added to it, if rows
        without labels count.

    max_iter : int, default=1500
        Maximum number of steps of fine-tuning.

    early_stopping : bool or "auto", default="auto"
        Whether a share of the labels is held out. The weights are then the best for
        these labels. If fine-tuning does not show a gain on them, the result is that of
        ``fine_tune=False``; for numbers, a t test at the level 0.05 has to show it.
        "auto" holds some out of 500 labels or more if they are classes, and of two or
        more if they are numbers. Otherwise the weights are averages of the last steps.

    validation_fraction : float, default=0.1
        Share of the labels that is held out. Of numbers, 20 or a quarter are the least.

    n_iter_no_change : int, default=10
        Training ends after so many evaluations, one every 50 steps, without a lower
        loss of held-out labels.

    verbose : bool or int, default=False
        Whether the loss is printed every 50 steps.

    random_state : int, RandomState instance or None, default=None
        Seeds ``estimator`` if its ``random_state`` is None, chooses held-out labels and
        batches, and draws noise. Use an int to get the same result in each call.
"""
ATTRIBUTES = """
    estimator_ : object
        The autoencoder, with the tuned encoder.

    n_iter_ : int
        Number of steps of fine-tuning, or of the solver of the first head without it.

    n_features_in_ : int
        Number of features, if ``estimator_`` has it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if ``X`` had names that are all strings.
"""


@dataclass_transform(kw_only_default=True)
def semi_supervised(cls: T) -> T:
    """Make fields parameters, and insert the shared documentation at its markers."""
    sections = {"<shared parameters>": PARAMETERS, "<shared attributes>": ATTRIBUTES}
    return documented(cls, sections)


@dataclass(eq=False, repr=False)
class SemiSupervised(Saved, BaseEstimator):
    """Trains an autoencoder on all rows, then a linear head on labelled ones."""

    estimator: Any = None
    _: KW_ONLY
    fine_tune: bool = True
    alpha: float = 1.0
    reconstruction_weight: float = 0.0
    consistency: str | None = "noise"
    consistency_weight: float = 1.0
    epsilon: float = 0.1
    learning_rate_init: float = 0.002
    batch_size: int = 256
    max_iter: int = 1500
    early_stopping: bool | str = "auto"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    verbose: bool | int = False
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "fine_tune": ["boolean"],
        "alpha": [POSITIVE],
        "reconstruction_weight": [NONNEGATIVE],
        "consistency": [names({"noise", "virtual_adversarial"}), None],
        "consistency_weight": [NONNEGATIVE],
        "epsilon": [POSITIVE],
        "learning_rate_init": [POSITIVE],
        "batch_size": [POSITIVE_INTEGER],
        "max_iter": [POSITIVE_INTEGER],
        "early_stopping": [names({"auto"}), "boolean"],
        "validation_fraction": [FRACTION],
        "n_iter_no_change": [POSITIVE_INTEGER],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def _learn(
        self, X: Any, labels: np.ndarray, known: np.ndarray, kind: Kind
    ) -> Linear:
        """Train on all rows, then on those at ``known``; return the linear head."""
        check_consistent_length(X, known)
        rng = check_random_state(self.random_state)
        estimator = self._trained(X, rng)
        seed, held_out = rng.randint(2**31 - 1), self._held_out(labels, kind, rng)
        train, places = ~held_out, np.flatnonzero(known)
        codes = encoded(estimator, X, places)
        linear, n_iter = kind.start(codes, labels, self.alpha)
        if self.fine_tune:
            first, _ = kind.start(codes[train], labels[train], self.alpha)
            parts = [(places[part], labels[part]) for part in (train, held_out)]
            tuning = _tune(estimator, first, self._recipe(kind), X, parts, seed)
            n_iter = tuning.n_iter
            if tuning.has_gained:
                linear = tuning.model.linear
                estimator = with_network(estimator, tuning.model.network)
        self.estimator_, self.n_iter_ = estimator, n_iter
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return linear

    def _trained(self, X: Any, rng: np.random.RandomState) -> Any:
        """Return the autoencoder, trained without labels."""
        estimator = self._autoencoder()
        if isinstance(estimator, type):
            raise TypeError(
                f"estimator={estimator!r} is a class: pass an object, such as "
                "DenoisingAE(32)."
            )
        inner = thawed(estimator)
        if self.fine_tune:
            check_tunable(inner, self.consistency, self.reconstruction_weight)
        if inner is not estimator:
            check_is_fitted(inner)
            return inner
        return seeded_clone(estimator, rng).fit(X)

    def _autoencoder(self) -> Any:
        if self.estimator is None:
            return DenoisingAE(64, noise_level=1.0, init="random")
        return self.estimator

    def _held_out(
        self, labels: np.ndarray, kind: Kind, rng: np.random.RandomState
    ) -> np.ndarray:
        """Return which labels judge; none if training does not stop early."""
        stops = self.early_stopping
        if stops == "auto":
            stops = len(labels) >= kind.enough_labels
        if not (stops and self.fine_tune):
            return np.zeros(len(labels), bool)
        held_out = kind.hold_out(labels, self.validation_fraction, rng)
        if not held_out.any():
            raise ValueError(
                f"early_stopping={self.early_stopping} needs two labels, of one class "
                f"if they are classes, but y has {len(labels)} in all: use "
                "early_stopping=False."
            )
        return held_out

    def _recipe(self, kind: Kind) -> Recipe:
        names = [field.name for field in fields(Recipe)]
        given = {name: value for name, value in vars(self).items() if name in names}
        return Recipe(kind=kind, **given)

    def _outputs(self, X: Any) -> np.ndarray:
        """Return what the head makes of rows, in float64."""
        check_is_fitted(self)
        codes = encoded(self.estimator_, X).astype(np.float64)
        return codes @ self.coef_.T + self.intercept_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._autoencoder()).input_tags
        return tags


def _tune(
    estimator: Any,
    linear: Linear,
    recipe: Recipe,
    X: Any,
    parts: list[tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> FineTuning:
    """Tune a copy of the network, and the head."""
    device = resolve_device(estimator.device)
    X, _ = estimator._check_rows(X, reset=False)
    rows = read_rows(X, estimator.mean_, estimator.scale_)
    generator = torch.Generator("cpu").manual_seed(seed)
    with own_settings(device, grad=True), seeded(generator, device):
        network = copy.deepcopy(estimator.network_)
        objective = own_objective(estimator, network, X, seed).to(device)
        model = Headed(network, linear).to(device)
        known, held_out = (_labelled(rows, *part, device) for part in parts)
        tuning = FineTuning(model, objective, recipe, rows, generator)
        with limited_threads(threads_of_step(recipe.batch_size, network.n_products)):
            tuning.run(known, held_out if len(held_out) else None)
    if not tuning.is_finite:
        _warn_of_divergence(recipe)
    return tuning


def _warn_of_divergence(recipe: Recipe) -> None:
    warn_caller(
        "The loss of fine-tuning became infinite or NaN, so the weights before are "
        f"kept. Lower learning_rate_init={recipe.learning_rate_init}.",
        ConvergenceWarning,
    )


def check_given(y: Any, owner: str, mark: Any) -> None:
    """Raise if there are no labels, or if some are masked and not marked."""
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None."
        )
    if np.ma.is_masked(y):
        raise ValueError(
            f"y is masked in {np.ma.getmaskarray(y).sum()} of {y.size} entries, but "
            f"{mark} marks rows without a label: pass an array that has {mark} there."
        )


def _labelled(
    rows: Any, places: np.ndarray, labels: np.ndarray, device: torch.device
) -> Labelled:
    """Return labelled rows on the device."""
    chosen = rows.index_select(0, torch.from_numpy(places))
    kind = torch.int64 if labels.dtype.kind == "i" else torch.float32
    return Labelled(chosen.to(device), torch.tensor(labels, dtype=kind).to(device))
