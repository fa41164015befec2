"""ContractiveAE: its penalty by several roads, and what it does to the code."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

from skae import ContractiveAE, UndercompleteAE
from skae._networks.dense import Dense
from skae._objectives.contraction import by_layers, by_rows, exact, hutchinson
from skae._rows.chunks import sample

SHORT = {"max_iter": 5, "random_state": 0}


def network(sizes, activation="gelu", code_activation="identity"):
    made = Dense(sizes, activation, code_activation)
    made.reset_parameters(torch.Generator().manual_seed(0), torch.zeros(sizes[0]))
    return made


def norms_by_jacrev(made, rows):
    jacobians = vmap(jacrev(lambda row: made.encode(row[None])[0]))(rows)
    return jacobians.square().sum((1, 2))


@pytest.fixture
def rows():
    return torch.randn(20, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "sizes", [(12, 5), (12, 9, 5), (12, 9, 7, 5), (12, 9, 8, 7, 5)]
)
@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu", "identity"])
@pytest.mark.parametrize("code_activation", ["identity", "logistic", "softplus"])
def test_norm_by_layers_is_that_of_the_jacobian(
    rows, sizes, activation, code_activation
):
    made = network(sizes, activation, code_activation)
    code, squares = by_layers(made, rows)
    expected = norms_by_jacrev(made, rows)
    torch.testing.assert_close(squares, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(by_rows(made, rows), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(code, made.encode(rows))


def test_norm_of_one_sigmoid_layer_is_the_closed_form(rows):
    made = network((12, 5), code_activation="logistic")
    h = made.encode(rows)
    closed = (h * (1 - h)).square() @ made.encoder[0].weight.square().sum(1)
    torch.testing.assert_close(by_layers(made, rows)[1], closed, rtol=1e-5, atol=0)


def test_slope_of_the_norm_is_that_of_the_jacobians_norm(rows):
    made = network((12, 9, 5), "tanh", "tanh")
    slopes = [
        torch.autograd.grad(norm.mean(), list(made.encoder.parameters()))
        for norm in (by_layers(made, rows)[1], by_rows(made, rows))
    ]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_random_projections_are_right_in_the_mean(digits, init):
    ae = ContractiveAE(8, init=init, **SHORT).fit(digits)
    x = torch.tensor((digits[:32] - ae.mean_) / ae.scale_, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        expected = exact(ae.network_, x, generator)[1].item()
        draws = [hutchinson(ae.network_, x, generator)[1].item() for _ in range(2000)]
    assert np.mean(draws) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_contraction_is_the_mean_norm_of_the_jacobian(digits, init):
    ae = ContractiveAE(8, init=init, **SHORT).fit(digits)
    X = sample(digits, 200 if init == "pca" else 1000)
    norms = np.linalg.norm(ae.jacobian(X) * ae.scale_, axis=(1, 2))
    assert ae.contraction_ == pytest.approx(norms.mean(), rel=1e-5)


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize("solver", ["adamw", "lbfgs"])
def test_without_penalty_it_is_the_plain_autoencoder(digits, init, solver):
    # L-BFGS has gained nothing on PCA yet, which would stay.
    options = SHORT | {"init": init, "solver": solver, "early_stopping": False}
    options |= {"tied_weights": True, "hidden_layer_sizes": (64,)}
    plain = UndercompleteAE(8, **options).fit(digits)
    ours = ContractiveAE(8, alpha=0.0, **options).fit(digits)
    for name, weight in plain.network_.state_dict().items():
        assert torch.equal(weight, ours.network_.state_dict()[name])


@pytest.mark.parametrize("how", ["exact", "hutchinson"])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_code_contracts_as_alpha_grows(digits, how, init):
    options = {"init": init, "jacobian_norm": how, "max_iter": 10, "random_state": 0}
    norms = [
        ContractiveAE(4, alpha=alpha, **options).fit(digits[:500]).contraction_
        for alpha in (0.0, 0.01, 0.1, 1.0)
    ]
    assert all(np.diff(norms) < 0)


@pytest.mark.filterwarnings("ignore:Training did not improve")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("n_rows", [200, 400])
def test_defaults_are_those_of_the_plain_autoencoder(rng, n_rows, tied):
    X = np.tanh(rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, 6)))
    X += 0.1 * rng.normal(size=X.shape)
    plain = UndercompleteAE(tied_weights=tied, random_state=0).fit(X)
    ours = ContractiveAE(tied_weights=tied, alpha=0.0, random_state=0).fit(X)
    for name, weight in plain.network_.state_dict().items():
        assert torch.equal(weight, ours.network_.state_dict()[name])


def test_small_code_does_not_escape_the_penalty(digits):
    """A code of less spread would cost nothing if a free decoder blew it up."""
    options = {"hidden_layer_sizes": (), "init": "random", "max_iter": 50}
    options |= {"random_state": 0}
    ae = ContractiveAE(4, alpha=1e-3, **options).fit(digits)
    plain = ContractiveAE(4, alpha=0.0, **options).fit(digits)
    assert ae.contraction_ == pytest.approx(plain.contraction_, rel=0.05)


def test_line_search_minimises_the_penalised_loss(digits):
    options = {"init": "random", "early_stopping": False, "random_state": 0}
    ae = ContractiveAE(4, alpha=0.1, solver="lbfgs", max_iter=60, **options)
    curve = ae.fit(digits[:300]).loss_curve_
    assert (np.diff(curve) <= 0).all()
    assert curve[-1] < 0.9 * curve[0]


@pytest.mark.parametrize("how", ["exact", "hutchinson"])
@pytest.mark.parametrize("activation", [nn.PReLU, nn.RReLU, partial(nn.ReLU, True)])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_any_activation(digits, how, activation, init):
    ae = ContractiveAE(
        4, activation=activation, jacobian_norm=how, init=init, **SHORT
    ).fit(digits[:400])
    rows = sample(digits[:400], 200)
    norms = np.linalg.norm(ae.jacobian(rows) * ae.scale_, axis=(1, 2))
    assert ae.contraction_ == pytest.approx(norms.mean(), rel=1e-4)


def test_line_search_refuses_random_projections(digits):
    ae = ContractiveAE(solver="lbfgs", jacobian_norm="hutchinson")
    with pytest.raises(ValueError, match=r"'lbfgs' needs .*'hutchinson' draws"):
        ae.fit(digits)


def test_scores_are_explained_variance_and_the_penalty_decides(digits):
    ae = ContractiveAE(8, alpha=0.03, max_iter=20, random_state=0).fit(digits)
    assert np.isclose(ae.best_score_, ae.validation_scores_, rtol=1e-4).any()
    assert ae.best_score_ > ae.pca_score_
