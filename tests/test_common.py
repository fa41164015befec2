"""What holds for every estimator: scikit-learn's checks, and our own contract."""

import dataclasses
import inspect
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version
from skorch.callbacks import Callback
from test_custom import Convolutions, Residual

import skae
from skae.metrics import explained_variance, neg_mean_squared_error

ESTIMATORS = [getattr(skae, name) for name in skae.__all__ if name.endswith("AE")]
# The plain autoencoder also trains as long as by default.
FEW = {"max_iter": 3}
# Enough for averages of the weights to be judged and kept.
SOME = {"max_iter": 12}


@dataclass(frozen=True)
class AddNoise:
    """A function whose name holds no address: workers must agree on names of tests."""

    def __call__(self, x, generator):
        return x + torch.randn(x.shape, generator=generator)


OWN = {
    skae.UndercompleteAE: [
        {},
        {"hidden_layer_sizes": (), "loss": "gaussian"} | FEW,
        {"tied_weights": True, "learning_rate": "constant", "weight_decay": 0.1} | FEW,
        {"init": "random", "solver": "lbfgs"} | FEW,
        {"early_stopping": False, "loss": "poisson"} | FEW,
        {"ordered": True} | FEW,
        {"n_components": 0.9} | FEW,
        {"n_components": None, "n_iter_no_change": 5} | FEW,
        {"neighbor_weight": 1.0} | FEW,
        {"encoder": Convolutions, "decoder": Residual} | FEW,
    ],
    skae.DenoisingAE: [
        SOME,
        *({"noise": noise} | FEW for noise in ("masking", "swap")),
        {"noise": AddNoise(), "n_components": None, "init": "random"} | FEW,
        {"emphasis": 1.0, "noise": "masking"} | FEW,
        {"noise_level": 0.0, "solver": "lbfgs"} | FEW,
    ],
    skae.ConvAE: [
        SOME,
        {"channels": 4, "kernel_size": 3, "stride": 1, "tied_weights": True} | FEW,
        {"upsampling": "nearest", "normalization": "batch", "noise": "block"}
        | {"noise_level": 0.2}
        | FEW,
        {"upsampling": "linear", "normalization": "layer", "init": "random"}
        | {"solver": "lbfgs"}
        | FEW,
        {"neighbor_weight": 1.0, "channels": 4} | FEW,
    ],
    skae.VariationalAE: [
        SOME,
        {"n_components": None, "beta": 2.0, "free_bits": 0.1, "init": "random"} | FEW,
        {"loss": "poisson", "hidden_layer_sizes": (), "n_importance": 3} | FEW,
    ],
    skae.RecurrentAE: [
        {"hidden_layer_sizes": 16, "max_iter": 10},
        {"cell": "lstm", "hidden_layer_sizes": (8, 6), "frame_length": 2} | FEW,
        {"hidden_layer_sizes": 8, "noise": "swap", "noise_level": 0.2} | FEW,
        {"hidden_layer_sizes": 8, "n_ahead": 1, "n_components": 1} | FEW,
        {"hidden_layer_sizes": 8, "reverse": False, "init": "random"}
        | {"solver": "lbfgs"}
        | FEW,
    ],
    skae.MaskedAE: [
        FEW,
        {"init": "random", "mask_ratio": 0.3, "hidden_layer_sizes": ()} | FEW,
        {"spatial_dims": 1, "patch_size": 1, "loss": "absolute_error"} | FEW,
        {"early_stopping": False, "hidden_layer_sizes": 5, "loss": "gaussian"} | FEW,
    ],
    skae.TableAE: [
        SOME,
        {"scaling": "quantiles", "noise": "gaps"} | FEW,
        {"noise": AddNoise(), "init": "random", "n_components": None} | FEW,
        {"noise_level": 0.0, "solver": "lbfgs", "tied_weights": True} | FEW,
    ],
    skae.SparseAE: [
        SOME,
        {"sparsity": "l1", "target_sparsity": 0.5} | FEW,
        {"sparsity": "kl", "solver": "lbfgs"} | FEW,
        {"sparsity": "top_k", "k": 1, "support": 2.0} | FEW,
        *({"sparsity": name} | FEW for name in ("batch_top_k", "jump_relu")),
    ],
    skae.ContractiveAE: [
        SOME,
        {"jacobian_norm": "exact"} | FEW,
        {"jacobian_norm": "hutchinson", "n_components": None, "init": "random"} | FEW,
        {"init": "random", "solver": "lbfgs"} | FEW,
    ],
    skae.StackedAE: [
        {"pretraining_max_iter": 5} | FEW,
        {"pretraining": "plain", "init": "random", "pretraining_max_iter": 5} | FEW,
        {"pretraining": ["sparse", "contractive"], "pretraining_max_iter": 3} | FEW,
        {"pretraining": "contractive", "pretraining_max_iter": 3, "init": "random"}
        | {"solver": "lbfgs", "tied_weights": True}
        | FEW,
    ],
}
VARIANTS = [cls(**options) for cls in ESTIMATORS for options in OWN[cls]]
if torch.cuda.is_available():
    VARIANTS += [clone(variant).set_params(device="cuda") for variant in VARIANTS]


# The checks' data have two columns at times, or are noise, and the warnings are due.
@pytest.mark.filterwarnings("ignore:n_components=. is not smaller than n_features")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(VARIANTS)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_annotation_is_a_parameter(cls):
    """A subclass with new fields but without the decorator would lose them."""
    fields = {
        name
        for base in cls.__mro__
        for name, kind in vars(base).get("__annotations__", {}).items()
        if "ClassVar" not in str(kind) and name != "_"
    }
    assert fields == set(cls().get_params())


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_parameter_is_documented_with_its_default(cls):
    for name, value in cls().get_params().items():
        shown = f'"{value}"' if isinstance(value, str) else str(value)
        (line,) = [
            d for d in cls.__doc__.splitlines() if d.startswith(f"    {name} : ")
        ]
        assert line.endswith(f", default={shown}")


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_fitted_attribute_is_documented(cls, digits):
    own = {
        skae.UndercompleteAE: {"ordered": True},
        skae.MaskedAE: {"early_stopping": False},
        skae.TableAE: {"loss": "squared_error"},
    }
    options = {"loss": "gaussian"} | own.get(cls, {})
    estimator = cls(8, max_iter=9, **options).fit(digits[:900])
    documented = {d.split(" : ")[0].strip() for d in cls.__doc__.splitlines()}
    fitted = {n for n in vars(estimator) if n.endswith("_") and not n.startswith("_")}
    assert fitted <= documented


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_integers_larger_than_any_float_are_told(cls, digits):
    for name, value in cls().get_params().items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            with pytest.raises(ValueError, match=name):
                cls(**{name: 10**400}).fit(digits[:30])


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_n_components_is_first_and_alone_positional(cls):
    kinds = [p.kind for p in inspect.signature(cls).parameters.values()]
    assert cls(7).n_components == 7
    assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) == 1


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_private_attributes_are_two_values(cls, digits):
    """One between rows and codes, and one that a later run goes on from."""
    options = {"max_iter": 2, "early_stopping": False, "warm_start": True}
    estimator = cls(4, **options).fit(digits[:200])
    private = {name for name in vars(estimator) if name.startswith("_")}
    assert private == {"_model", "_state"}
    for value in (estimator._model, estimator._state, estimator._state.engine):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.scale = 1.0


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_training_on_leaves_the_model_before_as_it_was(cls, digits):
    estimator = cls(4, max_iter=2, early_stopping=False).fit(digits[:200])
    model, codes = estimator._model, estimator.transform(digits)
    estimator.partial_fit(digits[:200])
    assert not np.array_equal(estimator.transform(digits), codes)
    estimator._model = model
    np.testing.assert_array_equal(estimator.transform(digits), codes)


@pytest.mark.parametrize("name", ["n_components_", "network_", "mean_", "scale_"])
def test_attributes_of_the_model_are_read_only(name, digits):
    estimator = skae.UndercompleteAE(max_iter=1, early_stopping=False)
    assert not hasattr(estimator, name)
    with pytest.raises(AttributeError, match=f"has no attribute '{name}' before fit"):
        getattr(estimator, name)
    estimator.fit(digits[:50])
    if parse_version(sklearn.__version__) >= parse_version("1.9"):
        # Older ones show parameters alone.
        assert f">{name}<" in estimator._repr_html_()
    with pytest.raises(AttributeError, match=name):
        setattr(estimator, name, None)


def test_a_copy_on_a_device_is_made_once_and_follows_the_weights(digits):
    estimator = skae.UndercompleteAE(max_iter=1, early_stopping=False).fit(digits[:50])
    model, meta = estimator._model, torch.device("meta")
    assert model.on(torch.device("cpu")) is model
    there = model.on(meta)
    assert there.device == meta
    assert model.device.type == "cpu"
    assert model.on(meta) is there
    with torch.no_grad():
        next(estimator.network_.parameters()).add_(1)
    assert model.on(meta) is not there


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_what_auto_became_gives_the_same_fit(cls, digits):
    options = {"early_stopping": False, "random_state": 0, "tol": 0.0}
    first = cls(3, **options | {"max_iter": 3}).fit(digits[:200])
    given = {
        name: getattr(first, f"{name}_")
        for name in ("batch_size", "max_iter", "n_iter_no_change", "weight_decay")
    }
    assert given["max_iter"] == first.n_iter_ == 3
    again = cls(3, **options | given).fit(digits[:200])
    np.testing.assert_array_equal(again.transform(digits), first.transform(digits))


class Enough(Callback):
    """Ends training after two epochs."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("max_iter", {"max_iter": 3}),
        ("no_change", {"tol": 10.0, "n_iter_no_change": 2}),
        ("callback", {"callbacks": [Enough()]}),
    ],
)
def test_the_reason_why_training_stopped_is_told(reason, options, digits):
    ae = skae.UndercompleteAE(4, early_stopping=False, random_state=0, **options)
    assert ae.fit(digits[:200]).stop_reason_ == reason
    assert not ae.is_pca_


@pytest.mark.filterwarnings("ignore:Training did not improve on PCA")
def test_pca_that_stays_is_told(digits):
    ae = skae.UndercompleteAE(4, max_iter=1, learning_rate_init=1e-9).fit(digits[:200])
    assert ae.is_pca_
    assert ae.best_score_ == ae.pca_score_


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_not_finite_have_the_worst_score_or_none(cls, digits, value):
    estimator = cls(4, max_iter=1, early_stopping=False).fit(digits[:50])
    with torch.no_grad():
        for weight in estimator.network_.parameters():
            weight.fill_(value)
    assert (estimator.score_samples(digits[:9]) == -np.inf).all()
    scores = [estimator.score]
    if hasattr(estimator, "inverse_transform"):
        scores.append(partial(explained_variance, estimator))
    for score in scores:
        with pytest.raises(ValueError, match="reconstructs 9 of 9 rows by NaN"):
            score(digits[:9])


class Broken(skae.UndercompleteAE):
    """Answers NaN."""

    def fit(self, X, y=None):
        super().fit(X)
        with torch.no_grad():
            next(self.network_.parameters()).fill_(torch.nan)
        return self


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("scoring", [None, explained_variance, neg_mean_squared_error])
def test_a_search_takes_no_model_that_answers_nan(digits, scoring):
    options = {"n_components": 4, "max_iter": 1, "early_stopping": False}
    candidates = [Broken(**options), skae.UndercompleteAE(**options)]
    search = GridSearchCV(
        Pipeline([("reduce", candidates[1])]),
        {"reduce": candidates},
        scoring=scoring,
        cv=2,
    )
    with pytest.warns(UserWarning, match="reconstructs 30 of 30 rows by NaN"):
        search.fit(digits[:60])
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert search.best_index_ == 1
