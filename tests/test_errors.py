"""Errors that teach: they quote what is wrong, and say what would do."""

import re
from functools import partial
from numbers import Real

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, Freezer

from skae import (
    AutoencoderClassifier,
    AutoencoderImputer,
    AutoencoderOutlier,
    AutoencoderRegressor,
    ContractiveAE,
    ConvAE,
    DenoisingAE,
    MaskedAE,
    RecurrentAE,
    SparseAE,
    StackedAE,
    TableAE,
    UndercompleteAE,
    VariationalAE,
)
from skae.metrics import explained_variance, neg_mean_squared_error

ESTIMATORS = [
    UndercompleteAE,
    SparseAE,
    DenoisingAE,
    ContractiveAE,
    ConvAE,
    VariationalAE,
    MaskedAE,
    RecurrentAE,
    StackedAE,
    TableAE,
]
# A code of masked entries has no inverse.
INVERTIBLE = [cls for cls in ESTIMATORS if cls is not MaskedAE]
X = np.random.default_rng(0).normal(size=(40, 4))
FEW = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1}
FEW |= {"early_stopping": False, "learning_rate": "constant", "random_state": 0}


# Methods that are not there -------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_partial_fit_says_why_it_is_not_there(cls):
    ae = cls(solver="lbfgs")
    with pytest.raises(AttributeError, match=r"'partial_fit': .*Use solver='adam'"):
        ae.partial_fit(X)
    with pytest.raises(AttributeError, match="Use solver='adam'"):
        cls.partial_fit(ae, X)
    assert not hasattr(ae, "partial_fit")
    assert hasattr(cls(), "partial_fit")


def test_truncate_says_why_it_is_not_there():
    with pytest.raises(AttributeError, match=r"'truncate': .*Use ordered=True"):
        UndercompleteAE(**FEW).fit(X).truncate(1)
    with pytest.raises(AttributeError, match=r"'partial_fit': .*Use an integer"):
        UndercompleteAE(0.5).partial_fit(X)


@pytest.mark.filterwarnings("ignore:After 1 epochs the reconstruction is worse")
@pytest.mark.parametrize("cls", INVERTIBLE)
@pytest.mark.parametrize("init", ["random", "pca"])
def test_networks_can_be_called(cls, init):
    options = {} if cls is SparseAE else {"init": init}
    network = cls(**FEW, **options).fit(X).network_
    rows = torch.tensor(X[:3], dtype=torch.float32)
    expected = network.decode(network.encode(rows))
    torch.testing.assert_close(network(rows), expected)


def test_prefixes_of_networks_can_be_called():
    network = UndercompleteAE(**FEW | {"n_components": 3}, ordered=True).fit(X)
    network = network.truncate(2).network_
    rows = torch.tensor(X[:3], dtype=torch.float32)
    torch.testing.assert_close(network(rows), network.decode(network.encode(rows)))


# Text -----------------------------------------------------------------------------

WORDS = {"age": [39.0, 50.0], "work": ["State-gov", "Private"], "city": ["A", "B"]}
AS_ARRAY = np.array([[39.0, "State-gov", "A"], [50.0, "Private", "B"]], dtype=object)


@pytest.mark.parametrize("cls", [cls for cls in ESTIMATORS if cls is not TableAE])
@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame(WORDS),
        pd.DataFrame(WORDS).astype({"work": "category"}),
        pd.DataFrame(WORDS).convert_dtypes(),
        pl.DataFrame(WORDS),
    ],
    ids=["objects", "categories", "strings", "polars"],
)
def test_columns_of_text_are_named(cls, rows):
    message = (
        r"'work' of X holds 'State-gov', .* so do 'city': .*OneHotEncoder.*TableAE"
    )
    with pytest.raises(ValueError, match=message):
        cls().fit(rows)


@pytest.mark.parametrize("rows", [AS_ARRAY, AS_ARRAY.astype(str), AS_ARRAY.tolist()])
def test_columns_without_a_name_are_numbered(rows):
    with pytest.raises(ValueError, match=r"Column 1 of X holds 'State-gov', .* do 2: "):
        UndercompleteAE().fit(rows)


@pytest.mark.parametrize("scorer", [explained_variance, neg_mean_squared_error])
def test_scorers_name_columns_of_text(scorer):
    ae = UndercompleteAE(**FEW).fit(X)
    rows = pd.DataFrame(X).astype({2: object})
    rows.iloc[0, 2] = "seven"
    with pytest.raises(ValueError, match="Column 2 of X holds 'seven'"):
        scorer(ae, rows)
    with pytest.raises(ValueError, match="Column 2 of X holds 'seven'"):
        ae.transform(rows)


def test_numbers_as_text_are_numbers():
    ae = UndercompleteAE(**FEW).fit(X)
    rows = np.round(X, 3)
    np.testing.assert_array_equal(ae.transform(rows.astype(str)), ae.transform(rows))


# Sizes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        *((cls, {"hidden_layer_sizes": 10**9}, r"sizes=10{9}\b") for cls in ESTIMATORS),
        (UndercompleteAE, {"ordered": True, "hidden_layer_sizes": (10**9, 8)}, "10{9}"),
        (
            UndercompleteAE,
            {"tied_weights": True, "hidden_layer_sizes": 10**11},
            r"sizes=10{11}\b",
        ),
        (SparseAE, {"n_components": 10**12}, "n_components=1000000000000"),
        (DenoisingAE, {"n_components": 10**12}, "n_components=1000000000000"),
        (ConvAE, {"channels": 10**11}, "channels=100000000000"),
        (ConvAE, {"channels": (8, 10**11)}, r"channels=\(8, 100000000000\)"),
    ],
)
def test_networks_too_large_are_refused(cls, options, message, monkeypatch):
    monkeypatch.setattr("skae._machine.memory.total_memory", lambda: 64 * 2**30)
    with pytest.raises(ValueError, match=rf"{message}.* weights, .* bytes to train"):
        cls(**options).fit(X)


@pytest.mark.parametrize(
    "ae",
    [
        UndercompleteAE(**FEW),
        UndercompleteAE(**FEW, tied_weights=True),
        UndercompleteAE(**FEW, init="random", ordered=True),
        SparseAE(**FEW, sparsity="jump_relu"),
        ConvAE(**FEW, image_shape=(2, 2), channels=(3, 5)),
        ConvAE(**FEW, image_shape=(1, 2, 2, 1), channels=2, tied_weights=True),
    ],
)
def test_weights_are_counted_before_there_are_any(ae):
    """All but biases, and what little the prefixes of an ordered code save."""
    ae.fit(X)
    weights = (w for w in ae.network_.parameters() if w.ndim > 1)
    counted = ae.network_.network if hasattr(ae.network_, "network") else ae.network_
    n_weights = sum(map(torch.numel, weights))
    n_counted = type(counted).count(**ae._state.network)
    assert n_weights <= n_counted <= 1.3 * n_weights


# What would do --------------------------------------------------------------------

IMAGES = np.random.default_rng(0).random((20, 6, 6))
COLOURS = np.random.default_rng(0).random((20, 3, 6, 6))
DENSE = [UndercompleteAE, SparseAE, DenoisingAE, ContractiveAE, StackedAE]
REFUSE_GAPS = [UndercompleteAE, SparseAE, ContractiveAE, VariationalAE, StackedAE]


@pytest.mark.parametrize("cls", REFUSE_GAPS)
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, csr_matrix])
def test_errors_about_nan_name_estimators_that_take_it(cls, container):
    rows, ae = np.where(X > 1, np.nan, X), cls(**FEW).fit(X)
    takers = "DenoisingAE, ConvAE, RecurrentAE, MaskedAE and TableAE"
    said = rf"contains NaN(.|\n)*\n{takers} take"
    for method in (cls(**FEW).fit, ae.partial_fit, ae.transform, ae.score):
        with pytest.raises(ValueError, match=said):
            method(container(rows))
        with pytest.raises(ValueError, match="contains infinity") as raised:
            method(container(np.where(X > 1, np.inf, X)))
        assert "ConvAE" not in str(raised.value)


@pytest.mark.parametrize("cls", DENSE)
@pytest.mark.parametrize("images", [IMAGES, COLOURS, torch.tensor(IMAGES)])
def test_dense_estimators_name_the_one_that_takes_images(cls, images):
    ae = cls(**FEW).fit(np.asarray(images).reshape(20, -1))
    said = rf"dim {images.ndim}, of shape \(20, .*but {cls.__name__} .* use ConvAE"
    for method in (cls(**FEW).fit, ae.transform, ae.score):
        with pytest.raises(ValueError, match=said):
            method(images)


@pytest.mark.parametrize(
    ("images", "options"),
    [
        (IMAGES, {}),
        (COLOURS, {}),
        (COLOURS, {"spatial_dims": 3}),
        (COLOURS[:, :, :, 0], {"spatial_dims": 1}),
    ],
)
def test_a_single_image_is_told_from_several(images, options):
    ae = ConvAE(**FEW, **options).fit(images)
    said = f"X has the shape {images[0].shape} of a single image: pass X[None]"
    for image in (images[0], torch.tensor(images[0]), images[0].tolist()):
        with pytest.raises(ValueError, match=re.escape(said)):
            ae.transform(image)
    assert ae.transform(images[0][None]).shape == (1, 2)


@pytest.mark.parametrize(
    "shape", [(9, 6, 6), (6, 6, 6), (1, 6, 6), (6, 36), (1, 1, 6, 6)]
)
def test_several_images_are_no_single_one(shape):
    ae = ConvAE(**FEW).fit(IMAGES)
    n_rows = np.prod(shape) // 36
    assert len(ae.transform(np.zeros(shape))) == n_rows
    # A row of one signal has the shape of the signal with its channel.
    signal = ConvAE(**FEW).fit(IMAGES.reshape(20, 36))
    assert len(signal.transform(np.zeros((1, 36)))) == 1


@pytest.mark.parametrize("sparsity", ["l1", "kl", "jump_relu"])
def test_a_number_of_entries_that_nothing_counts_is_refused(sparsity):
    said = rf"k=10 has no effect with sparsity='{sparsity}': .*'batch_top_k' or 'top_k'"
    with pytest.raises(ValueError, match=said):
        SparseAE(8, sparsity=sparsity, k=10).fit(X)


def test_what_starts_anew_is_told_by_what_goes_on():
    ordered = UndercompleteAE(**FEW | {"n_components": 3}, ordered=True).fit(X)
    narrow = ordered.truncate(2)
    changed = UndercompleteAE(**FEW).fit(X).set_params(hidden_layer_sizes=5)
    for ae in (narrow, changed):
        with pytest.raises(ValueError, match="Call fit in place of partial_fit to"):
            ae.partial_fit(X)
        ae.set_params(warm_start=True)
        for method in (ae.fit, ae.partial_fit):
            with pytest.raises(ValueError, match="Fit with warm_start=False to"):
                method(X)
        ae.set_params(warm_start=False).fit(X).partial_fit(X)


@pytest.mark.parametrize(
    ("cls", "options", "given"),
    [
        (DenoisingAE, {"noise": lambda x, generator: x.numpy()}, "numpy.ndarray"),
        (UndercompleteAE, {"loss": lambda a, b: b.numpy()}, "numpy.ndarray"),
        (UndercompleteAE, {"loss": lambda a, b: b}, "a tensor without a gradient"),
    ],
)
def test_arrays_that_functions_gave_are_named_by_their_type(cls, options, given):
    with pytest.raises(TypeError, match=rf"it gave .*{given}") as raised:
        cls(**FEW, **options).fit(np.tile(X, (20, 20)))
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("name", ["activation", "loss", "solver", "learning_rate"])
def test_choices_are_in_order(cls, name):
    with pytest.raises(ValueError, match="must be a str among") as raised:
        cls(**{name: "nothing"}).fit(X)
    choices = re.search(r"\{(.*)\}", str(raised.value))[1].split(", ")
    assert choices == sorted(choices)


# What others would say ------------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("unit", [1e-322, 1e-310, 1e-160, 1e300])
def test_no_warning_of_numpy_in_any_unit(cls, unit):
    rows, ae = X * unit, cls(**FEW)
    ae.fit(rows).score(rows)
    for method in ("transform", "reconstruct", "score_samples"):
        getattr(ae, method)(rows)
    if hasattr(ae, "jacobian"):
        ae.jacobian(rows)
    if cls in INVERTIBLE:
        explained_variance(ae, rows)
        neg_mean_squared_error(ae, rows)


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.parametrize("cls", [*DENSE, ConvAE, RecurrentAE])
@pytest.mark.parametrize("loss", ["squared_error", "gaussian", "poisson"])
def test_no_warning_of_numpy_at_the_ends_of_float32(cls, loss):
    """What is too large is infinite; a sum of many means is no reason to be so."""
    rows = (3e38 * abs(X) / abs(X).max()).astype(np.float32)
    rows[:, :2] = rows.max() / 2 * (1 + np.arange(80).reshape(40, 2) % 3 / 3)
    ae = cls(**FEW, loss=loss).fit(rows)
    assert np.isfinite(ae.reconstruct(rows)).all()
    ae.score(rows)
    for code in (1e38, -1e38):
        assert ae.inverse_transform(np.full((2, 2), code)).dtype == np.float32


@pytest.mark.parametrize("unit", [1e-310, 1e300])
def test_sparse_rows_in_any_unit(unit):
    rows = np.where(X > 0, X, 0.0)
    score = UndercompleteAE(**FEW).fit(csr_matrix(rows)).score(rows)
    sparse = csr_matrix(rows * unit)
    ae = UndercompleteAE(**FEW).fit(sparse)
    assert ae.score(sparse) == pytest.approx(score, rel=1e-4)


def test_settings_of_numpy_change_nothing():
    rows = X * 1e-160
    codes = UndercompleteAE(**FEW).fit(rows).transform(rows)
    with np.errstate(all="raise"):
        ae = UndercompleteAE(**FEW).fit(rows)
        assert np.isfinite(ae.score(rows))
        assert not ae.score_samples(rows).any()
        np.testing.assert_array_equal(ae.transform(rows), codes)


# Functions of the user's ----------------------------------------------------------


class Cut(torch.nn.Module):
    """Answers with fewer columns."""

    def forward(self, x):
        return x[:, :-1]


class Pair(torch.nn.Module):
    """Answers with two tensors."""

    def forward(self, x):
        return x, x


class Detached(torch.nn.Module):
    """Has no slope."""

    def forward(self, x):
        return x.detach()


class Failing(torch.optim.SGD):
    """Cannot step."""

    def step(self, closure=None):
        raise IndexError("no such group")


@pytest.mark.parametrize("module", [torch.nn.GLU, Cut, Pair, Detached])
@pytest.mark.parametrize("cls", [*DENSE, ConvAE, RecurrentAE])
def test_activations_that_do_not_suit_are_refused(cls, module):
    state = torch.get_rng_state()
    for name in ("activation", "code_activation"):
        ae = cls(**FEW | {"init": "random"}, **{name: module})
        said = rf"{name}=<class .*keep the shape of a tensor; .*torch\.nn\.Mish"
        with pytest.raises(TypeError, match=said):
            ae.fit(X)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "make", [torch.nn.RReLU, torch.nn.Dropout, lambda: torch.nn.PReLU(4)]
)
@pytest.mark.filterwarnings("ignore:After 1 epochs the reconstruction is worse")
def test_activations_that_suit_are_taken(make):
    state = torch.get_rng_state()
    UndercompleteAE(**FEW, activation=make).fit(X)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("solver", "reason"),
    [
        (torch.optim.SparseAdam, "does not support dense gradients"),
        (lambda weights, **kw: torch.optim.LBFGS(weights), "need a closure"),
        (Failing, "no such group"),
        (lambda weights, **kw: 3, "it made 3"),
    ],
)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_solvers_that_cannot_step_are_named(cls, solver, reason):
    said = rf"solver=<.* does not work as an optimizer here: .*{reason}.*Use 'adam'"
    for method in (
        cls(**FEW, solver=solver).fit,
        cls(**FEW, solver=solver).partial_fit,
    ):
        with pytest.raises(ValueError, match=said):
            method(X)


class Lbfgs(torch.optim.LBFGS):
    """A class of the user's."""


@pytest.mark.parametrize(
    "solver", [partial(torch.optim.LBFGS, max_iter=5), Lbfgs, partial(Lbfgs)]
)
def test_lbfgs_in_any_guise_works_on_all_rows(solver):
    ae = UndercompleteAE(**FEW, solver=solver).fit(X)
    assert ae.batch_size_ == len(X)
    assert not hasattr(ae, "partial_fit")
    with pytest.raises(ValueError, match="needs a deterministic objective"):
        DenoisingAE(**FEW, solver=solver).fit(X)
    one, five = (
        UndercompleteAE(**FEW, solver=s).fit(X).score(X)
        for s in ("lbfgs", partial(torch.optim.LBFGS, max_iter=5))
    )
    assert five > one


@pytest.mark.parametrize("cls", [DenoisingAE, ConvAE])
@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_noise_beyond_float32_is_refused(cls, noise):
    with pytest.raises(ValueError, match=r"noise_level=1e\+39 .*scale_.*Lower it"):
        cls(**FEW, noise=noise, noise_level=1e39).fit(X)


@pytest.mark.parametrize(
    "noise",
    [
        lambda x, generator: x.requires_grad_(),
        lambda x, generator: x * torch.nn.Parameter(torch.ones(())),
    ],
)
@pytest.mark.parametrize("cls", [DenoisingAE, ConvAE])
def test_noise_may_have_a_gradient(cls, noise):
    assert cls(**FEW, noise=noise).fit(X).score(X) > 0


@pytest.mark.parametrize(
    "noise",
    [lambda x, generator: x + 0j, lambda x, generator: x.to_sparse()],
)
def test_noise_of_another_kind_is_refused(noise):
    with pytest.raises(TypeError, match="it gave one that is complex or sparse"):
        DenoisingAE(**FEW, noise=noise).fit(X)


def numbers(cls):
    """Return names of parameters that are real numbers."""
    constraints = cls()._parameter_constraints.items()
    return [
        name
        for name, kinds in constraints
        if any(getattr(kind, "type", None) is Real for kind in kinds)
        # 1.0 would be no width.
        and name != "n_components"
    ]


def codes_or_error(ae):
    try:
        return ae.fit(X).transform(X)
    except ValueError as error:
        return str(error).replace("True", "1.0")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls in ESTIMATORS for name in numbers(cls)]
)
def test_true_is_one_where_a_number_is_asked_for(cls, name):
    """As in scikit-learn, where a boolean is a number."""
    found = [codes_or_error(cls(**FEW | {name: one})) for one in (True, 1.0)]
    np.testing.assert_array_equal(*found)


class SquareRoot(torch.nn.Module):
    """Has slopes of NaN, though its answers are finite."""

    def forward(self, x):
        return torch.where(x > 0, torch.sqrt(x), x)


def test_activations_with_slopes_of_nan_are_named():
    ae = UndercompleteAE(activation=SquareRoot, **FEW | {"init": "random"})
    with pytest.raises(
        ValueError, match=r"activation=<class '.*SquareRoot'>, which may"
    ):
        ae.set_params(n_components=2).fit(np.tile(X, (5, 1)))


@pytest.mark.parametrize("name", ["activation", "code_activation"])
def test_activations_that_need_arguments_are_told(name):
    with pytest.raises(TypeError, match=r"needs no arguments.*'num_features'\.$"):
        UndercompleteAE(2, init="random", **{name: torch.nn.BatchNorm1d}).fit(X)


class OutOfMemory(Callback):
    """Needs more memory than there is."""

    def on_epoch_end(self, net, **kwargs):
        raise MemoryError("my buffer of 3 TB")


def test_what_was_too_large_for_memory_is_quoted():
    with pytest.raises(MemoryError, match=r"train \(my buffer of 3 TB\): use a batch"):
        UndercompleteAE(2, callbacks=[OutOfMemory()]).fit(X)


@pytest.mark.parametrize("solver", ["adamw", "lbfgs"])
def test_networks_that_are_frozen_as_a_whole_are_told(solver):
    ae = UndercompleteAE(2, solver=solver, callbacks=[Freezer("*")])
    with pytest.raises(ValueError, match="a callback has frozen all of them"):
        ae.fit(X)
    assert not hasattr(ae, "network_")


def test_complex_losses_are_refused():
    with pytest.raises(TypeError, match="it gave a complex tensor"):
        UndercompleteAE(**FEW, loss=lambda a, b: (a - b) ** 2 + 0j).fit(X)


# Fits of meta-estimators that fail ------------------------------------------------

META_ESTIMATORS = [
    AutoencoderImputer(PCA(2), add_indicator=True, random_state=0),
    AutoencoderOutlier(PCA(2), cv=2, random_state=0),
    AutoencoderClassifier(PCA(2), fine_tune=False, random_state=0),
    AutoencoderRegressor(PCA(2), fine_tune=False, random_state=0),
]
WIDE = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 6)), columns=[*"abcdef"])


class Interrupted(PCA):
    """Is interrupted by Ctrl-C at the end of its fit."""

    def fit(self, X, y=None):
        super().fit(X)
        raise KeyboardInterrupt


def answer(meta, rows):
    return meta.predict(rows) if hasattr(meta, "predict") else meta.transform(rows)


@pytest.mark.parametrize("meta", META_ESTIMATORS, ids=lambda meta: type(meta).__name__)
@pytest.mark.parametrize(
    ("inner", "rows"),
    [
        (PCA(9), WIDE),
        (Interrupted(2), WIDE),
        (PCA(2), WIDE.where(WIDE < 2, np.inf)),
    ],
    ids=["error", "interrupt", "infinite"],
)
@pytest.mark.parametrize("is_fitted", [False, True])
def test_a_fit_that_fails_changes_nothing(meta, inner, rows, is_fitted):
    meta, y, seen = clone(meta), np.arange(60) % 2, np.vstack([X, X[:20]])
    if meta.__class__ is AutoencoderImputer:
        seen[::7, 0] = np.nan
    before = answer(meta.fit(seen, y), seen) if is_fitted else None
    kept = meta.estimator
    with pytest.raises((ValueError, KeyboardInterrupt)):
        meta.set_params(estimator=inner).fit(rows, y)
    meta.set_params(estimator=kept)
    if is_fitted:
        np.testing.assert_array_equal(answer(meta, seen), before)
    else:
        assert vars(meta) == vars(clone(meta)) | {"estimator": kept}
        with pytest.raises(NotFittedError):
            answer(meta, seen)
