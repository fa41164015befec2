"""Training that goes on after parameters have changed."""

from functools import partial

import numpy as np
import pytest
import torch

import skae

ESTIMATORS = [
    skae.UndercompleteAE,
    skae.SparseAE,
    skae.DenoisingAE,
    skae.ContractiveAE,
    skae.ConvAE,
    skae.MaskedAE,
    skae.TableAE,
]
# Each pair keeps other moments, or keeps them for weights in another order.
CHANGES = [
    ({}, {"weight_decay": 0.0}),
    ({"solver": "sgd"}, {"solver": "sgd", "weight_decay": 0.1}),
    ({}, {"solver": "sgd"}),
    ({"solver": "adam"}, {"solver": partial(torch.optim.Adam, amsgrad=True)}),
    ({"solver": "rmsprop"}, {"solver": partial(torch.optim.RMSprop, centered=True)}),
    ({"solver": "sgd"}, {"solver": torch.optim.SGD}),
]
PLAIN = {"solver": "adamw", "weight_decay": "auto"}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(400, 8))


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_solver_and_decay_can_change_and_change_back(X, cls, first, second):
    """Moments that went to other weights would crash the process."""
    options = {"batch_size": 100, "learning_rate_init": 1e-3, "random_state": 0}
    estimator = cls(2, **options, **first).partial_fit(X)
    for changed in (second, first, second):
        estimator.set_params(**PLAIN | changed).partial_fit(X).partial_fit(X)
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "rmsprop"])
def test_moments_follow_their_weights(X, solver):
    """A decay that changes nothing puts weights in other groups of the solver."""
    one, other = (
        skae.UndercompleteAE(
            2, solver=solver, weight_decay=0.0, learning_rate_init=1e-4, random_state=0
        ).partial_fit(X)
        for _ in range(2)
    )
    other.set_params(weight_decay=1e-30)
    for estimator in (one, other):
        estimator.partial_fit(X)
    np.testing.assert_allclose(one.transform(X), other.transform(X), rtol=1e-4)
    assert one.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-6)


@pytest.mark.parametrize("cls", [*ESTIMATORS, skae.StackedAE, skae.VariationalAE])
def test_moments_of_fused_steps_are_those_of_plain_steps(X, cls):
    """Fused steps read moments in the order of memory, whatever their strides."""
    rows = X
    if cls is skae.ConvAE:
        rows = np.random.default_rng(0).normal(size=(400, 8, 8))
    options = {"weight_decay": 0.1, "init": "random", "random_state": 0}
    plain = partial(torch.optim.AdamW, eps=1e-14, foreach=False, fused=False)
    fused, other = (
        cls(2, solver=solver, **options).partial_fit(rows).partial_fit(rows)
        for solver in ("adamw", plain)
    )
    assert fused.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-5)
