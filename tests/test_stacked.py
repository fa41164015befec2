"""StackedAE: layers by other roads, their composition, and when they are pretrained."""

import copy
import pickle
import signal

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from torch import nn

from skae import ContractiveAE, DenoisingAE, StackedAE, UndercompleteAE
from skae._estimators.pretraining import Stack
from skae._networks.dense import Dense
from skae._networks.layers import layer, n_layers
from skae._objectives.layerwise import ActivationError, LayerObjective, layer_penalty
from skae.metrics import explained_variance

KINDS = ("plain", "denoising", "sparse", "contractive")
RANDOM = {"init": "random", "random_state": 0}
ONE = {"hidden_layer_sizes": (), "code_activation": "tanh"} | RANDOM
TWO = {"hidden_layer_sizes": (24, 12), "pretraining_max_iter": 3} | RANDOM


@pytest.fixture(scope="module")
def rows(digits):
    return digits[:300]


@pytest.fixture
def parts(monkeypatch):
    """The layers as they were when each had been trained: inputs, codes and back."""
    found, run = [], Stack.run

    def spy(stack, part, *args):
        engine = run(stack, part, *args)
        found.append(copy.deepcopy((engine.module_.eval(), part.layer.activation)))
        return engine

    monkeypatch.setattr(Stack, "run", spy)
    return found


@pytest.mark.parametrize("loss", ["squared_error", "gaussian", "poisson"])
@pytest.mark.parametrize(
    ("other", "options"),
    [
        (UndercompleteAE(8, transform_max_iter=0), {"pretraining": "plain"}),
        (
            DenoisingAE(8, noise="masking", noise_level=0.3),
            {"pretraining": "denoising"},
        ),
        (
            DenoisingAE(8, noise="gaussian", noise_level=0.3),
            {"pretraining": "denoising"},
        ),
        (
            ContractiveAE(8, alpha=0.02, jacobian_norm="exact"),
            {"pretraining": "contractive", "alpha": 0.02, "tied_weights": True},
        ),
    ],
)
def test_one_layer_is_the_autoencoder_of_that_kind(rows, other, options, loss):
    """Pretrained alone, with the same bits."""
    kept = {name: getattr(other, name, None) for name in ("noise", "noise_level")}
    options = options | {name: v for name, v in kept.items() if v is not None}
    stacked = StackedAE(8, pretraining_max_iter=4, max_iter=0, loss=loss, **ONE)
    stacked.set_params(**options).fit(rows)
    other.set_params(max_iter=4, loss=loss, **ONE).fit(rows)
    np.testing.assert_array_equal(stacked.transform(rows), other.transform(rows))
    np.testing.assert_array_equal(stacked.reconstruct(rows), other.reconstruct(rows))
    assert stacked.pretraining_loss_curves_ == [other.loss_curve_]
    assert stacked.n_iter_ == 0
    if stacked.pretraining != "denoising":
        # Ours is that of clean rows.
        assert stacked.best_score_ == pytest.approx(other.best_score_, rel=1e-6)


@pytest.mark.parametrize("tied_weights", [False, True])
@pytest.mark.parametrize("kind", ["plain", "denoising", "sparse", "contractive"])
def test_without_fine_tuning_it_is_the_composition_of_its_layers(
    rows, parts, kind, tied_weights
):
    """Encoders one after another, and decoders in reverse."""
    options = TWO | {"pretraining": kind, "tied_weights": tied_weights}
    ae = StackedAE(5, max_iter=0, code_activation="tanh", **options).fit(rows)
    assert len(parts) == 3
    x = torch.tensor((rows - ae.mean_) / ae.scale_, dtype=torch.float32)
    with torch.no_grad():
        for network, _ in parts:
            x = network.encode(x)
        codes = x.numpy()
        for network, activation in reversed(parts):
            x = activation(network.decode(x))
    np.testing.assert_allclose(ae.transform(rows), codes, atol=1e-5)
    answers = x.numpy() * ae.scale_ + ae.mean_
    np.testing.assert_allclose(ae.inverse_transform(codes), answers, atol=1e-3)


def test_tied_linear_layers_are_pca(rows):
    """Each layer's optimum is an orthonormal basis of a principal subspace."""
    ae = StackedAE(
        4,
        hidden_layer_sizes=(16,),
        activation="identity",
        tied_weights=True,
        pretraining="plain",
        pretraining_max_iter=400,
        max_iter=0,
        solver="lbfgs",
        tol=1e-7,
        early_stopping=False,
        **RANDOM,
    ).fit(rows)
    best = explained_variance(PCA(4).fit(rows), rows)
    assert ae.score(rows) == pytest.approx(best, abs=1e-4)


def network(activation="gelu", tied_weights=False):
    made = Dense([9, 7, 5, 3], activation, "identity", tied_weights)
    made.reset_parameters(torch.Generator().manual_seed(0), torch.zeros(9))
    return made


@pytest.mark.parametrize("tied_weights", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_layer_is_a_part_of_the_network(place, tied_weights):
    made, x = network(tied_weights=tied_weights), torch.randn(6, 9)
    assert n_layers(made) == 3
    part = layer(made, place)
    below = part.below(x)
    maps = [m for m in made.encoder if isinstance(m, nn.Linear)]
    for m in maps[:place]:
        x = nn.functional.gelu(m(x))
    torch.testing.assert_close(below, x)
    assert part.network.encoder[0] is maps[place]
    code = part.network.encode(x)
    whole = made.decoders[0][-2 * place - 1]
    torch.testing.assert_close(part.network.decode(code), whole(code))
    torch.testing.assert_close(
        part.activation(code), nn.functional.gelu(code) if place else code
    )


def test_a_layer_is_trained_on_clean_targets_in_units_of_their_deviation():
    made, x = network("logistic"), torch.randn(50, 9)
    part, generator = layer(made, 1), torch.Generator()
    h = part.below(x).detach()
    mean, scale = h.mean(0), (h - h.mean(0)).square().mean().sqrt().item()
    loss = ActivationError(mean.numpy(), scale, part.activation)
    penalty, factor = layer_penalty("contractive", part.network, scale, False)
    objective = LayerObjective(
        loss,
        part.below,
        (mean.numpy(), scale),
        lambda x, generator: x + 0.5,
        penalty,
        0.1 * factor,
    )
    seen = h + 0.5 * scale
    code = torch.sigmoid(part.network.encoder[0](seen))
    answer = torch.sigmoid(part.network.decode(code))
    slopes = torch.stack(
        [torch.autograd.functional.jacobian(part.network.encode, s[None]) for s in seen]
    )
    expected = (answer - h).square().mean() / scale**2
    expected = expected + 0.1 * scale**2 * slopes.square().sum() / len(x)
    found = objective(part.network, x, generator)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    found.backward()
    assert made.encoder[0].weight.grad is None
    assert made.encoder[2].weight.grad is not None


def test_penalties_of_layers_work_in_the_unit_of_their_loss():
    """A layer that sees rows twice as large has the same objective."""
    small, large = network("identity"), network("identity")
    parts = [layer(made, 1) for made in (small, large)]
    with torch.no_grad():
        parts[1].network.encoder[0].weight.div_(2)
        for decoder in parts[1].network.decoders[0]:
            decoder.weight.mul_(2)
            decoder.bias.mul_(2)
    h, generator = torch.randn(20, 7), torch.Generator()
    for kind in ("sparse", "contractive"):
        values = []
        for part, scale in zip(parts, (1.0, 2.0), strict=True):
            penalty, factor = layer_penalty(kind, part.network, scale, False)
            values.append(factor * penalty(part.network, scale * h, generator)[1])
        torch.testing.assert_close(*values)


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize(
    ("kind", "measure"),
    [
        ("sparse", lambda z, w: np.abs(z).mean()),
        ("contractive", lambda z, w: np.linalg.norm(w)),
    ],
)
def test_a_larger_penalty_has_more_effect_on_the_first_layer(rows, kind, measure, init):
    found = []
    for alpha in (0.0, 3.0):
        options = TWO | {"init": init, "pretraining": kind, "pretraining_max_iter": 8}
        ae = StackedAE(5, activation="tanh", alpha=alpha, max_iter=0, **options)
        network = ae.fit(rows).network_
        network = getattr(network, "network", network)
        weights = network.encoder[0].weight.detach().numpy()
        x = ((rows - ae.mean_) / ae.scale_).astype(np.float32)
        hidden = np.tanh(x @ weights.T + network.encoder[0].bias.detach().numpy())
        found.append(measure(hidden, weights))
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("tied_weights", [True, False])
def test_with_pca_it_is_pca_before_fine_tuning(rows, early_stopping, tied_weights):
    options = TWO | {"init": "pca", "tied_weights": tied_weights}
    ae = StackedAE(5, max_iter=0, early_stopping=early_stopping, **options).fit(rows)
    pca = PCA(5).fit(rows)
    answers = pca.inverse_transform(pca.transform(rows))
    np.testing.assert_allclose(ae.reconstruct(rows), answers, atol=1e-3)
    assert ae.is_pca_
    assert ae.stop_reason_ == "max_iter"
    assert [len(losses) for losses in ae.pretraining_loss_curves_] == [3, 3]
    assert all(losses[-1] < losses[0] for losses in ae.pretraining_loss_curves_)


@pytest.mark.filterwarnings("ignore:Training (did not improve|ended at)")
@pytest.mark.parametrize("init", ["pca", "random"])
def test_fine_tuning_goes_on_from_the_layers(rows, init):
    """At once or later, with the same bits; layers are not pretrained again."""
    ae = StackedAE(5, max_iter=0, warm_start=True, **TWO | {"init": init}).fit(rows)
    curves, codes = ae.pretraining_loss_curves_, ae.transform(rows)
    ae.set_params(max_iter=4, early_stopping=False).fit(rows)
    assert ae.pretraining_loss_curves_ is curves
    assert not np.array_equal(ae.transform(rows), codes)
    ae = StackedAE(5, max_iter=0, warm_start=True, **TWO | {"init": init}).fit(rows)
    later = ae.set_params(max_iter=4).fit(rows).reconstruct(rows)
    at_once = StackedAE(5, max_iter=4, **TWO | {"init": init}).fit(rows)
    np.testing.assert_array_equal(at_once.reconstruct(rows), later)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_only_the_first_call_of_partial_fit_pretrains(rows, init):
    ae = StackedAE(5, **TWO | {"init": init}).partial_fit(rows)
    curves = ae.pretraining_loss_curves_
    assert [len(c) for c in curves] == [3] * (2 + (init == "random"))
    assert ae.n_iter_ == 1
    ae.partial_fit(rows)
    assert ae.pretraining_loss_curves_ is curves
    assert ae.n_iter_ == 2


@pytest.mark.parametrize("init", ["pca", "random"])
def test_without_pretraining_it_is_an_undercomplete_autoencoder(rows, init):
    options = TWO | {"init": init, "max_iter": 3, "early_stopping": False}
    ae = StackedAE(5, **options | {"pretraining_max_iter": 0}).fit(rows)
    del options["pretraining_max_iter"]
    other = UndercompleteAE(5, transform_max_iter=0, **options).fit(rows)
    np.testing.assert_array_equal(ae.reconstruct(rows), other.reconstruct(rows))
    assert ae.pretraining_loss_curves_ == []
    assert ae.pretraining_max_iter_ == 0


def test_what_auto_epochs_became_gives_the_same_fit(rows):
    options = {"hidden_layer_sizes": (4,), "max_iter": 0} | RANDOM
    rows = rows[:64]
    first = StackedAE(3, **options).fit(rows)
    n_epochs = first.pretraining_max_iter_
    assert max(map(len, first.pretraining_loss_curves_)) <= n_epochs
    again = StackedAE(3, pretraining_max_iter=n_epochs, **options).fit(rows)
    np.testing.assert_array_equal(first.transform(rows), again.transform(rows))


def codes_of(rows, seed, init="random"):
    options = TWO | {"init": init, "random_state": seed, "max_iter": 2}
    return StackedAE(5, early_stopping=False, **options).fit(rows).transform(rows)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_one_seed_determines_all(rows, init):
    before = torch.random.get_rng_state()
    codes = codes_of(rows, 0, init)
    assert torch.equal(torch.random.get_rng_state(), before)
    twice = Parallel(2, prefer="threads")(
        delayed(codes_of)(rows, 0, init) for _ in range(2)
    )
    for other in twice:
        np.testing.assert_array_equal(other, codes)
    assert not np.array_equal(codes_of(rows, 1, init), codes)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_the_unit_and_the_origin_of_the_rows_do_not_matter(rows, init):
    options = TWO | {"init": init, "max_iter": 0, "noise": "gaps"}
    ae = StackedAE(5, **options).fit(rows)
    other = StackedAE(5, **options).fit(1024 * (rows + 64))
    for ours, theirs in zip(
        ae.pretraining_loss_curves_, other.pretraining_loss_curves_, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:After 0 epochs the reconstruction is worse")
@pytest.mark.parametrize("init", ["pca", "random"])
def test_masks_are_zeros_in_the_unit_of_the_data_and_of_activations(
    rows, init, monkeypatch
):
    """With all inputs masked, the first layer sees a row of zeros, others zeros."""
    seen, corrupted = {}, LayerObjective.corrupted

    def spy(objective, x, generator):
        seen[x.shape[1]] = corrupted(objective, x, generator)
        return seen[x.shape[1]]

    monkeypatch.setattr(LayerObjective, "corrupted", spy)
    options = {"noise": "masking", "noise_level": 1.0, "max_iter": 0, "init": init}
    ae = StackedAE(5, early_stopping=False, **TWO | options).fit(rows)
    zeros = torch.tensor(-ae.mean_ / ae.scale_, dtype=torch.float32)
    if init == "pca":
        zeros = ae.network_.near(zeros - ae.network_.centre)
    assert list(seen) == [64, 24, 12][: 2 + (init == "random")]
    for width, x in seen.items():
        expected = zeros.expand_as(x) if width == 64 else torch.zeros_like(x)
        torch.testing.assert_close(x, expected, atol=1e-5, rtol=1e-5)


def test_verbose_says_which_layer(rows, capsys):
    StackedAE(5, verbose=1, max_iter=1, early_stopping=False, **TWO).fit(rows)
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if not line.startswith("Epoch")]
    assert headings == [
        "Layer 1 of 3, denoising",
        "Layer 2 of 3, denoising",
        "Layer 3 of 3, denoising",
        "All layers",
    ]
    assert len(lines) == 4 + 3 * 3 + 1


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("is_fitted", [False, True])
def test_ctrl_c_in_a_layer_is_raised_and_changes_nothing(
    rows, place, is_fitted, monkeypatch
):
    ae = StackedAE(5, max_iter=1, early_stopping=False, **TWO)
    ae = ae.fit(rows) if is_fitted else ae
    before, corrupted = vars(ae).copy(), LayerObjective.corrupted
    n_inputs = (64, 24)[place]

    def press(objective, x, generator):
        if x.shape[1] == n_inputs:
            signal.raise_signal(signal.SIGINT)
        return corrupted(objective, x, generator)

    monkeypatch.setattr(LayerObjective, "corrupted", press)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ae.fit(rows)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert vars(ae) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pretraining": ["plain"] * 3}, "3 kinds, but there are 2 layers .*='pca'"),
        ({"pretraining": []}, "0 kinds, but there are 2 layers"),
        (
            {"pretraining": ["plain"], "init": "random"},
            "are 3 layers .*, that of the code included",
        ),
        ({"pretraining": ["plain", "odd"]}, "holds 'odd': each layer needs one of"),
        ({"pretraining": [1, 2]}, "holds 1: each layer"),
        ({"pretraining": "odd"}, "must be a str among"),
        ({"pretraining": {"plain", "sparse"}}, "has no order of layers"),
        ({"pretraining": {"plain": 1, "sparse": 2}}, "has no order of layers"),
        ({"solver": "lbfgs"}, "pretraining='denoising' adds random noise"),
        ({"noise": "swap", "noise_level": 2.0}, "noise_level=2.0 must be a share"),
        ({"noise": "gaussian", "noise_level": 1e30}, "hides the rows"),
        ({"alpha": -1.0}, "'alpha' parameter"),
        ({"pretraining_max_iter": -1}, "'pretraining_max_iter' parameter"),
        (
            {"max_iter": 0, "pretraining_max_iter": 0, "init": "random"},
            "would leave random weights",
        ),
        ({"learning_rate_init": 1e9}, "Lower learning_rate_init"),
        ({"pretraining": "sparse", "alpha": 1e300}, "alpha=1e.300"),
        ({"noise": lambda x, generator: x[:2]}, "finite rows of the same shape"),
    ],
)
def test_errors_say_what_would_do(rows, options, message):
    ae = StackedAE(5, **TWO | {"init": "pca", "max_iter": 1} | options)
    with pytest.raises((ValueError, TypeError), match=message):
        ae.fit(rows)
    assert not hasattr(ae, "pretraining_loss_curves_")


def test_a_layer_for_each_name_has_its_own_kind(rows):
    options = TWO | {"pretraining": ["sparse", "denoising", "contractive"]}
    ae = StackedAE(5, max_iter=0, **options).fit(rows)
    again = pickle.loads(pickle.dumps(ae))
    np.testing.assert_array_equal(again.transform(rows), ae.transform(rows))
    one = [
        StackedAE(5, max_iter=0, **TWO | {"pretraining": k}).fit(rows) for k in KINDS
    ]
    first = [ae.pretraining_loss_curves_[0] for ae in one]
    assert ae.pretraining_loss_curves_[0] == first[KINDS.index("sparse")]
    assert len({tuple(losses) for losses in first}) == len(KINDS)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize(
    "make",
    [
        lambda X: X[:2],
        lambda X: np.repeat(X[:1], 30, axis=0),
    ],
    ids=["two rows", "equal rows"],
)
def test_few_or_constant_rows_have_finite_codes(rows, make, init):
    X = make(rows)
    ae = StackedAE(1, **TWO | {"init": init, "max_iter": 1}).fit(X)
    assert np.isfinite(ae.transform(X)).all()
    np.testing.assert_allclose(ae.reconstruct(X), X, atol=10)


@pytest.mark.parametrize("kind", ["plain", "denoising", "sparse", "contractive"])
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_layers_of_equal_rows_are_not_divided_by_rounding(kind, init):
    stack = StackedAE(1, solver="sgd", pretraining=kind, init=init, max_iter=2)
    stack.set_params(pretraining_max_iter=3, random_state=0).fit(np.ones((30, 3)))
    losses = np.concatenate(stack.pretraining_loss_curves_)
    assert losses.max() < 10
    np.testing.assert_allclose(stack.reconstruct(np.ones((2, 3))), 1, rtol=1e-3)
