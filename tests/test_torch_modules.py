"""Modules of torch compute what estimators compute, also as graphs."""

import copy
import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from skae import (
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

N, WIDTH = 260, 12
QUICK = {"max_iter": 2, "early_stopping": False, "random_state": 0}
IMAGES = {"image_shape": (3, 4), "channels": (2,), "hidden_layer_sizes": ()}


def make_rows():
    """Rows near a curved surface, whose features have means of different size."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(N, 3))
    waves = np.sin(places @ rng.normal(size=(3, WIDTH)))
    return 3 * waves + places @ rng.normal(size=(3, WIDTH)) + np.arange(WIDTH)


X = make_rows()
SHARES = 1 / (1 + np.exp(-X + X.mean(0)))
COUNTS = np.exp(SHARES).round()
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
SEQUENCES = X.reshape(N, 6, 2).copy()
SEQUENCES[::3, 4:] = np.nan
TABLE = np.c_[GAPS[:, :4], (3 * SHARES[:, 4:6]).round(), SHARES[:, 6] > 0.5, X[:, 7:8]]
TABLE[:, 7] = 1.0
CASES = {
    "improved": (UndercompleteAE(3, **QUICK), X),
    "ordered": (UndercompleteAE(3, ordered=True, **QUICK), X),
    "bernoulli": (UndercompleteAE(3, loss="bernoulli", clip=True, **QUICK), SHARES),
    "poisson": (UndercompleteAE(3, loss="poisson", **QUICK), COUNTS),
    "tied": (
        UndercompleteAE(3, tied_weights=True, transform_max_iter=0, **QUICK),
        X.astype(np.float32),
    ),
    "far": (UndercompleteAE(3, transform_max_iter=0, **QUICK), X + 1e7),
    "l1": (SparseAE(20, **QUICK), X),
    "kl": (SparseAE(20, sparsity="kl", **QUICK), X),
    "top_k": (SparseAE(20, sparsity="top_k", **QUICK), X),
    "batch_top_k": (SparseAE(20, sparsity="batch_top_k", **QUICK), X),
    "jump_relu": (SparseAE(20, sparsity="jump_relu", **QUICK), X),
    "denoising": (DenoisingAE(3, **QUICK), GAPS),
    "contractive": (ContractiveAE(3, **QUICK), X),
    "stacked": (StackedAE(3, pretraining_max_iter=1, **QUICK), X),
    "variational": (VariationalAE(3, **QUICK), X),
    "images": (ConvAE(3, transform_max_iter=1, **IMAGES, **QUICK), X.reshape(N, 3, 4)),
    "upsampled": (
        ConvAE(3, upsampling="linear", normalization="layer", **IMAGES, **QUICK),
        X,
    ),
    "signals": (ConvAE(3, transform_max_iter=0, channels=(2,), **QUICK), GAPS),
    "volumes": (
        ConvAE(3, spatial_dims=3, transform_max_iter=0, channels=(2,), **QUICK),
        X.reshape(N, 3, 2, 2),
    ),
    "masked": (MaskedAE(4, hidden_layer_sizes=(8,), **QUICK), GAPS),
    "patches": (MaskedAE(8, **QUICK), X.reshape(N, 3, 4)),
    "gru": (RecurrentAE(3, hidden_layer_sizes=(8,), **QUICK), SEQUENCES),
    "lstm": (
        RecurrentAE(3, cell="lstm", n_ahead=2, hidden_layer_sizes=(8,), **QUICK),
        SEQUENCES,
    ),
    "table": (
        TableAE(3, categorical_features=[4, 5, 6], transform_max_iter=1, **QUICK),
        TABLE,
    ),
}


@pytest.fixture(autouse=True)
def _without_log():
    """Keep pytest from formatting each line of torch's own log."""
    log = logging.getLogger("torch.__trace")
    log.disabled = True
    yield
    log.disabled = False


@pytest.fixture(scope="module")
def fits():
    """Return fitted estimators with their modules, each made once."""
    made = {}

    def fit(name):
        if name not in made:
            estimator, rows = CASES[name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.fit(rows[:200])
            made[name] = estimator, estimator.to_torch(), rows
        return made[name]

    return fit


def close(found, wanted):
    """Whether rows are equal up to rounding, relative to the deviation of all."""
    assert tuple(found.shape) == wanted.shape
    found = np.asarray(found, dtype=np.float64).reshape(len(wanted), -1)
    wanted = np.asarray(wanted, dtype=np.float64).reshape(len(wanted), -1)
    unit = np.nanstd(wanted)
    return np.allclose(found, wanted, rtol=1e-5, atol=1e-5 * unit, equal_nan=True)


@pytest.mark.parametrize("name", CASES)
def test_modules_compute_what_estimators_do(fits, name):
    estimator, module, rows = fits(name)
    x, codes = torch.from_numpy(rows), estimator.transform(rows)
    assert isinstance(module, nn.Module)
    assert module.encode(x).dtype == torch.float32
    assert close(module.encode(x), codes)
    wanted = estimator.reconstruct(rows)
    assert close(module(x), wanted)
    assert str(module(x).dtype) == f"torch.{wanted.dtype}"
    if hasattr(estimator, "inverse_transform"):
        decoded = module.decode(torch.from_numpy(codes))
        assert close(decoded, estimator.inverse_transform(codes))
    if name != "variational":
        assert close(module.score_samples(x), estimator.score_samples(rows))


def test_default_codes_are_improved_ones(fits):
    estimator, module, rows = fits("improved")
    assert estimator.transform_max_iter_ == 3
    encoder = copy.deepcopy(estimator).set_params(transform_max_iter=0)
    assert not close(module.encode(torch.from_numpy(rows)), encoder.transform(rows))
    codes = encoder.to_torch().encode(torch.from_numpy(rows))
    assert close(codes, encoder.transform(rows))


def test_truncated_codes(fits):
    estimator, _, rows = fits("ordered")
    short = estimator.truncate(2)
    module = short.to_torch()
    assert close(module.encode(torch.from_numpy(rows)), short.transform(rows))
    assert close(module(torch.from_numpy(rows)), short.reconstruct(rows))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
# Layers of torch compare sizes, which are constants.
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning:torch")
@pytest.mark.parametrize(
    "name",
    ["improved", "tied", "batch_top_k", "upsampled", "masked", "patches", "gru"],
)
def test_traces_take_any_number_of_rows(fits, name):
    _, module, rows = fits(name)
    x = torch.from_numpy(rows)
    methods = {"forward": (x[:3],), "encode": (x[:3],)}
    traced = torch.jit.trace_module(module, methods)
    for n_rows in (N, 1):
        part = x[:n_rows]
        assert close(traced(part), module(part).numpy())
        assert close(traced.encode(part), module.encode(part).numpy())


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")
@pytest.mark.parametrize("name", ["images", "jump_relu", "gru"])
def test_exported_programs_take_any_number_of_rows(fits, name):
    _, module, rows = fits(name)
    x = torch.from_numpy(rows)
    any_length = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (x[:3],), dynamic_shapes=any_length).module()
    assert close(program(x), module(x).numpy())
    assert close(program(x[:1]), module(x[:1]).numpy())


@pytest.mark.parametrize("name", ["improved", "ordered", "patches"])
def test_networks_are_exported(fits, name):
    estimator, _, rows = fits(name)
    x = torch.from_numpy((rows.reshape(N, -1) - estimator.mean_) / estimator.scale_)
    x, any_length = x.float(), ({0: torch.export.Dim.DYNAMIC},)
    network = estimator.network_
    program = torch.export.export(network, (x[:3],), dynamic_shapes=any_length).module()
    with torch.no_grad():
        assert close(program(x), network(x).numpy())


def test_modules_are_copies(fits):
    estimator, module, rows = fits("improved")
    codes = module.encode(torch.from_numpy(rows))
    changed = copy.deepcopy(module)
    for weights in changed.parameters():
        weights.zero_()
    assert not torch.equal(changed.encode(torch.from_numpy(rows)), codes)
    assert torch.equal(module.encode(torch.from_numpy(rows)), codes)
    assert not any(weights.requires_grad for weights in module.parameters())
    assert close(codes, estimator.transform(rows))


def test_what_tensors_cannot_do():
    pictured = UndercompleteAE(2, neighbor_weight=1.0, **QUICK).fit(X)
    with pytest.raises(ValueError, match="transform_n_neighbors=0"):
        pictured.to_torch()
    pictured.set_params(transform_n_neighbors=0)
    codes = pictured.to_torch().encode(torch.from_numpy(X))
    assert close(codes, pictured.transform(X))
    text = TableAE(2, **QUICK).fit(
        np.c_[X[:, :2].astype(object), ["a", "b"] * (N // 2)]
    )
    with pytest.raises(ValueError, match=r"holds 'a'.*OrdinalEncoder"):
        text.to_torch()
    ranks = TableAE(2, scaling="quantiles", **QUICK).fit(X)
    with pytest.raises(ValueError, match="QuantileTransformer"):
        ranks.to_torch()


def test_methods_that_do_not_exist(fits):
    with pytest.raises(NotImplementedError, match="codes of MaskedAE"):
        fits("masked")[1].decode(torch.zeros(2, 4))
    with pytest.raises(NotImplementedError, match="score_samples of VariationalAE"):
        fits("variational")[1].score_samples(torch.from_numpy(X))


class Branching(nn.Linear):
    """A layer whose way depends on its values."""

    def forward(self, x):
        answer = super().forward(x)
        return answer if answer.sum() > 0 else 2 * answer


def test_networks_that_cannot_be_recorded():
    ae = UndercompleteAE(2, decoder=Branching, **QUICK).fit(X)
    ae.set_params(transform_max_iter=1)
    with pytest.raises(ValueError, match="transform_max_iter=0"):
        ae.to_torch()
    ae.set_params(transform_max_iter=0)
    x = torch.from_numpy(X)
    assert close(ae.to_torch().encode(x), ae.transform(X))
