"""UndercompleteAE beside PCA: the same subspace when linear, better when not."""

import copy
import warnings

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_breast_cancer, load_iris, make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skae import UndercompleteAE
from skae._estimators.refinement import refine
from skae.metrics import explained_variance

PLAIN = {"init": "random", "early_stopping": False, "random_state": 0}
LBFGS = {
    "solver": "lbfgs",
    "max_iter": 1000,
    "tol": 0,
    "n_iter_no_change": 50,
    **PLAIN,
}


def full_batch_adam(n_steps):
    """Adam on all rows at once, its step shrinking to nothing."""
    return {
        "solver": "adam",
        "learning_rate": "cosine",
        "learning_rate_init": 0.01,
        "batch_size": 10_000,
        "max_iter": n_steps,
        "n_iter_no_change": n_steps,
        **PLAIN,
    }


def largest_angle(estimator, pca):
    """Largest principal angle between the decoder's span and PCA's, in radians."""
    k = estimator.n_components_
    origin = estimator.inverse_transform(np.zeros((1, k)))
    directions = estimator.inverse_transform(np.eye(k)) - origin
    return subspace_angles(directions.T, pca.components_.T).max()


@pytest.mark.parametrize(
    "training", [LBFGS, full_batch_adam(1000)], ids=["lbfgs", "adam"]
)
@pytest.mark.parametrize("data", ["digits", "breast_cancer"])
def test_linear_autoencoder_spans_pcas_subspace(data, training, request):
    X = request.getfixturevalue(data)[:600]
    estimator = UndercompleteAE(5, hidden_layer_sizes=(), **training)
    assert largest_angle(estimator.fit(X), PCA(5).fit(X)) < 1e-2


@pytest.mark.parametrize(
    "training",
    # Small batches: an epoch of one step costs more than ten steps.
    [LBFGS, full_batch_adam(800) | {"batch_size": 57, "learning_rate_init": 0.03}],
    ids=["lbfgs", "adam"],
)
def test_linear_autoencoder_finds_directions_of_little_variance(training):
    """Raw measurements: the fifth component has a ten-thousandth of the first's."""
    X = load_breast_cancer().data
    estimator = UndercompleteAE(5, hidden_layer_sizes=(), **training)
    assert largest_angle(estimator.fit(X), PCA(5).fit(X)) < 1e-2


@pytest.mark.parametrize(
    ("activation", "training", "data"),
    [
        ("relu", LBFGS, "digits"),
        ("softplus", LBFGS, "breast_cancer"),
        ("tanh", full_batch_adam(2000) | {"learning_rate_init": 0.1}, "digits"),
    ],
    ids=["relu-lbfgs", "softplus-lbfgs", "tanh-adam"],
)
def test_nonlinear_code_with_a_linear_decoder_is_pca(
    data, activation, training, request
):
    """Bourlard and Kamp (1988): one nonlinear layer gains nothing over PCA."""
    X = request.getfixturevalue(data)
    pca = PCA(5).fit(X)
    estimator = UndercompleteAE(
        5,
        hidden_layer_sizes=(),
        code_activation=activation,
        **training,
    ).fit(X)
    assert largest_angle(estimator, pca) < 1e-2
    # Float32 may err by a few millionths of the total.
    assert estimator.score(X) < explained_variance(pca, X) + 1e-6


def test_defaults_beat_pca_on_digits(digits):
    train, test = train_test_split(digits, random_state=0)
    estimator = UndercompleteAE(8, random_state=0).fit(train)
    assert 1 - estimator.score(test) < 0.50 * (
        1 - explained_variance(PCA(8).fit(train), test)
    )


@pytest.mark.parametrize(
    "change",
    [lambda X: X / 16, lambda X: 1e6 * X, lambda X: X + 1e3, lambda X: 1e-30 * X],
)
def test_neither_unit_nor_origin_matters(digits, change):
    scores = [
        UndercompleteAE(8, max_iter=20, random_state=0).fit(X).score(X)
        for X in (digits, change(digits))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


@pytest.mark.parametrize("n_components", [3, 4])
def test_code_as_wide_as_the_data_is_warned_of(rng, n_components):
    X = rng.normal(size=(50, 3))
    with pytest.warns(
        UserWarning, match=f"n_components={n_components} .* n_features=3"
    ):
        UndercompleteAE(n_components, max_iter=1).fit(X)


@pytest.mark.parametrize(
    "fit",
    [
        lambda e, X: e.fit(X),
        lambda e, X: e.fit_transform(X),
        lambda e, X: make_pipeline(e).fit(X),
        lambda e, X: e.fit(X).partial_fit(X),
    ],
)
def test_warning_comes_once_and_points_at_the_users_line(rng, fit):
    X = rng.normal(size=(50, 3))
    with pytest.warns(UserWarning, match="n_components=3") as record:
        fit(UndercompleteAE(3, max_iter=1), X)
    assert [w.filename for w in record] == [__file__]


def test_narrower_code_is_not_warned_of(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        UndercompleteAE(2, max_iter=2, tol=1.0, early_stopping=False).fit(
            rng.normal(size=(50, 3))
        )


def test_refined_codes_are_nearer_in_every_row(digits):
    ae = UndercompleteAE(8, max_iter=10, random_state=0).fit(digits)
    errors = [
        -ae.set_params(transform_max_iter=n).score_samples(digits[:300])
        for n in (0, 5, 20)
    ]
    assert (np.diff(errors, axis=0) <= 1e-6 * errors[0]).all()
    assert errors[2].mean() < 0.99 * errors[0].mean()


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize("n_components", [2, None])
def test_a_feature_that_never_varied_makes_no_row_worse(rng, n_components, init):
    X = np.pad(rng.normal(size=(300, 4)) ** 2, ((0, 0), (0, 1)), constant_values=3.0)
    few = {"max_iter": 5, "early_stopping": False, "random_state": 0}
    ae = UndercompleteAE(n_components, init=init, **few).fit(X)
    X[:, 4] += 5
    refined, encoder = (
        -ae.set_params(transform_max_iter=n).score_samples(X) for n in (3, 0)
    )
    assert (refined <= encoder * (1 + 1e-5) + 1e-9).all()


def test_refined_codes_do_not_depend_on_the_rows_beside(digits):
    """Products of some widths round the last rows of four in another way."""
    for width in (5, 9):
        ae = UndercompleteAE(width, max_iter=2, random_state=0).fit(digits[:300])
        codes = ae.transform(digits)
        np.testing.assert_allclose(ae.transform(digits[2:]), codes[2:], atol=1e-4)


def test_refined_codes_of_rows_that_are_not_finite_pass_the_search_for_anomalies(rng):
    ae = UndercompleteAE(2, max_iter=5, early_stopping=False, random_state=0)
    X = rng.normal(size=(100, 4))
    X[0] *= 1e25
    codes = ae.fit(X[1:]).transform(X)
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        np.testing.assert_array_equal(ae.transform(X), codes)


@pytest.mark.parametrize("name", ["swiss", "iris", "digits"])
def test_rounding_moves_refined_codes_little(name, digits):
    """A row has nearly the same code in float32 and in float64."""
    rows = {
        "swiss": make_swiss_roll(1000, random_state=0)[0],
        "iris": load_iris().data,
        "digits": digits,
    }[name]
    X = rows[np.arange(1000) % len(rows)]
    X = X + 0.01 * X.std(axis=0) * np.random.default_rng(5).normal(size=X.shape)
    ae = UndercompleteAE(2, max_iter=60, random_state=0).fit(X)
    x = torch.tensor((X - ae.mean_) / ae.scale_)
    codes = []
    for dtype in (torch.float32, torch.float64):
        network, rows = copy.deepcopy(ae.network_).to(dtype), x.to(dtype)
        with torch.no_grad():
            code = network.encode(rows)
            codes.append(refine(network, code, rows, 3))
    assert (codes[1] - code).abs().max() > 0.01
    gaps = (codes[0] - codes[1]).abs().amax(1) / code.std()
    assert (gaps <= 1e-5).double().mean() >= 0.99
    assert gaps.max() < 1e-4


def test_refined_codes_keep_their_order(digits):
    ae = UndercompleteAE(8, ordered=True, max_iter=10, random_state=0).fit(digits)
    for width in (1, 3, 8):
        encoder = ae.truncate(width).set_params(transform_max_iter=0)
        refined = ae.truncate(width).set_params(transform_max_iter=5)
        assert refined.score(digits) > encoder.score(digits)


@pytest.mark.parametrize(
    ("options", "n_steps"),
    [
        ({}, 3),
        ({"ordered": True}, 3),
        ({"loss": "gaussian"}, 0),
        ({"loss": "absolute_error"}, 0),
        ({"neighbor_weight": 1.0}, 1),
        ({"code_activation": "tanh", "init": "random"}, 0),
    ],
)
def test_codes_are_refined_where_squares_are_minimised(digits, options, n_steps):
    settings = {"max_iter": 2, "batch_size": 50, "random_state": 0} | options
    ae = UndercompleteAE(2, **settings).fit(digits[:500])
    assert ae.transform_max_iter_ == n_steps
    codes = ae.transform(digits[500:])
    ae.set_params(transform_max_iter=n_steps)
    np.testing.assert_array_equal(ae.transform(digits[500:]), codes)


@pytest.mark.parametrize(
    ("options", "n_epochs"),
    [({}, 120), ({"transform_max_iter": 0}, 400)],
)
def test_wide_rows_train_less_if_codes_are_refined(rng, options, n_epochs):
    """Ten batches an epoch: 1200 steps in place of 4000."""
    X = rng.normal(size=(800, 512))
    at_once = {"tol": 1.0, "n_iter_no_change": 1, "early_stopping": False}
    ae = UndercompleteAE(2, hidden_layer_sizes=(), **at_once, **options)
    assert ae.fit(X).max_iter_ == n_epochs


def test_codes_are_not_refined_where_pca_is_kept(rng):
    ae = UndercompleteAE(2, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="PCA, which is kept"):
        ae.fit(rng.normal(size=(100, 9)))
    assert ae.transform_max_iter_ == 0


@pytest.mark.parametrize(("n_rows", "n_hidden"), [(299, 1), (300, 2)])
def test_a_second_layer_is_for_300_rows_or_more(digits, n_rows, n_hidden):
    ae = UndercompleteAE(2, max_iter=1, early_stopping=False).fit(digits[:n_rows])
    assert len(hidden_layers(ae)) == n_hidden


@pytest.mark.parametrize(("width", "expected"), [(15, [512, 256]), (16, [512])])
def test_codes_of_wide_rows_have_one_layer_from_16_components_on(rng, width, expected):
    X = rng.normal(size=(300, 512))
    ae = UndercompleteAE(width, max_iter=1, early_stopping=False).fit(X)
    assert hidden_layers(ae) == expected


def hidden_layers(ae):
    maps = [m for m in ae.network_.network.encoder if isinstance(m, torch.nn.Linear)]
    return [m.out_features for m in maps[:-1]]
