"""The public contract, on UndercompleteAE: what every estimator inherits."""

import copy
import os
import pickle
import pickletools
import signal
import subprocess
import sys
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from scipy.sparse import csc_matrix, csr_array, csr_matrix, random_array
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import (
    ConvergenceWarning,
    NotFittedError,
    UndefinedMetricWarning,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneOut, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skorch.callbacks import Callback
from threadpoolctl import threadpool_info
from torch.nn import functional as F

import skae
from skae import UndercompleteAE
from skae._machine.threads import limited_threads


def small(n_components=2, **kw):
    """An estimator whose fit takes no time."""
    defaults = {
        "hidden_layer_sizes": (16,),
        "init": "random",
        "early_stopping": False,
        "learning_rate": "constant",
        "learning_rate_init": 0.001,
        "max_iter": 5,
        "random_state": 0,
    }
    return UndercompleteAE(n_components, **defaults | kw)


@pytest.fixture(scope="module")
def X(digits):
    return digits[:300]


@pytest.fixture(scope="module")
def fitted(X):
    return small(3).fit(X)


# What the methods return ----------------------------------------------------------


def test_reconstruct_is_decode_of_encode(fitted, X):
    for n_steps in (3, 0):
        fitted = copy.deepcopy(fitted).set_params(transform_max_iter=n_steps)
        codes = fitted.transform(X)
        np.testing.assert_array_equal(
            fitted.reconstruct(X), fitted.inverse_transform(codes)
        )
    rows = torch.from_numpy(((X - fitted.mean_) / fitted.scale_).astype(np.float32))
    with torch.no_grad():
        expected = fitted.network_.encode(rows)
    np.testing.assert_allclose(codes, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("ordered", [False, True])
def test_codes_are_those_of_standardised_rows(X, dtype, ordered):
    X = X.astype(dtype)
    encoder = {"early_stopping": False, "transform_max_iter": 0}
    ae = UndercompleteAE(2, ordered=ordered, max_iter=3, **encoder).fit(X)
    rows = torch.tensor((X - ae.mean_) / ae.scale_).float()
    with torch.no_grad():
        codes = ae.network_.encode(rows).numpy()
    np.testing.assert_allclose(ae.transform(X), codes, atol=1e-5)


def test_narrow_feature_beside_a_wide_one_is_not_rounded(rng):
    """Whole numbers about 1.2e7 fit in float32; divided first, they would not."""
    X = 1e7 * rng.normal(size=(300, 4)) * [1, 1, 1, 1e-9]
    X[:, 1] = 1.2e7 + rng.integers(-9, 10, 300)
    ae = UndercompleteAE(3, max_iter=3, early_stopping=False, random_state=0)
    ae.fit(X.astype(np.float32))
    X = X.astype(np.float32)
    codes, same = (ae.transform(rows) for rows in (X, X.astype(np.float64)))
    assert (abs(codes - same) < 1e-5 * same.std(axis=0)).all()


def test_scores_are_the_errors_of_the_reconstruction(fitted, X):
    errors = np.square(X - fitted.reconstruct(X)).sum(axis=1)
    np.testing.assert_allclose(fitted.score_samples(X), -errors, rtol=1e-5)
    total = np.square(X - X.mean(axis=0)).sum()
    assert fitted.score(X) == pytest.approx(1 - errors.sum() / total)


def undefined(fitted, rows, what):
    """Whether the scores of rows are NaN, and a warning says of what."""
    scores = []
    for score in (fitted.score, partial(skae.metrics.explained_variance, fitted)):
        with pytest.warns(UndefinedMetricWarning, match=f"of {what}") as record:
            scores.append(score(rows))
        assert record[0].filename == __file__
    return np.isnan(scores).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.float16])
def test_clipped_answers_are_those_without_within_the_range(X, dtype):
    X = X.astype(dtype)
    ae = small(3, max_iter=20).fit(X[:200])
    plain, codes = ae.reconstruct(X), 3 * ae.transform(X)
    decoded = ae.inverse_transform(codes)
    ae.set_params(clip=True)
    low, high = X[:200].min(axis=0), X[:200].max(axis=0)
    within = np.clip(plain, low, high)
    assert (within != plain).any()
    np.testing.assert_array_equal(ae.reconstruct(X), within)
    answers = pickle.loads(pickle.dumps(ae)).inverse_transform(codes)
    np.testing.assert_array_equal(answers, np.clip(decoded, low, high))
    errors = np.square(X.astype(float) - within).sum(axis=1)
    np.testing.assert_allclose(-ae.score_samples(X), errors, rtol=1e-5)


@pytest.mark.parametrize("going_on", ["partial_fit", "fit"])
def test_the_range_is_that_of_all_training_rows(X, going_on):
    ae = small(3, warm_start=True).fit(csr_matrix(X[:200]))
    getattr(ae, going_on)(csr_matrix(2 * X[200:]))
    far, both = 1e3 * ae.transform(X), np.concatenate([X[:200], 2 * X[200:]])
    within = np.clip(ae.inverse_transform(far), both.min(axis=0), both.max(axis=0))
    assert (within.max(axis=0) > X.max(axis=0)).any()
    ae.set_params(clip=True)
    np.testing.assert_array_equal(ae.inverse_transform(far), within)


def test_score_of_rows_that_are_all_alike(fitted, X):
    alike = "3 rows that are all equal is undefined"
    assert undefined(fitted, np.repeat(X[:1], 3, axis=0), alike)
    fixed = small(hidden_layer_sizes=()).fit(X)
    with torch.no_grad():
        for weight in fixed.network_.parameters():
            weight.zero_()
    mean = fixed.inverse_transform(np.zeros((1, 2)))
    assert undefined(fixed, np.repeat(mean, 3, axis=0), alike)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 7.7, 3333333333.3])
@pytest.mark.parametrize("n_rows", [3, 7, 49])
def test_score_of_equal_rows_is_not_defined(fitted, value, n_rows):
    rows = np.full((n_rows, 64), value)
    assert undefined(fitted, rows, f"{n_rows} rows that are all equal")


@pytest.mark.parametrize(
    ("constant", "end", "dtype"),
    [(3e6, 0.5, np.float32), (1e12, 1e-3, np.float64), (1.7e18, 100, np.float64)],
)
def test_large_constants_do_not_hide_what_varies(constant, end, dtype):
    """As time stamps beside a measurement: constants are not rounded."""
    rows = np.full((200, 3), constant, dtype)
    rows[:, 2] = np.linspace(0, end, 200)
    ae = UndercompleteAE(1, max_iter=3, random_state=0).fit(rows)
    assert ae.score(rows) == pytest.approx(1)
    assert ae.score(rows) == pytest.approx(skae.metrics.explained_variance(ae, rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_equal_up_to_rounding_are_equal(fitted, rng, dtype):
    rows = np.repeat(rng.normal(size=(1, 64)), 40, axis=0).astype(dtype)
    rows[1::2] = np.nextafter(rows[1::2], dtype(np.inf))
    assert undefined(fitted, rows, "40 rows that are all equal")
    # Sums round small features as they do large ones.
    rows += np.finfo(dtype).eps * rng.choice([-1, 0, 1], size=rows.shape).astype(dtype)
    assert undefined(fitted, rows, "40 rows that are all equal")
    rows[0] *= dtype(1.001)
    assert fitted.score(rows) < 0


def test_score_of_one_row_is_not_defined(fitted, X):
    assert undefined(fitted, X[:1], "1 row is undefined")
    assert undefined(fitted, csr_matrix(X[:1]), "1 row is undefined")


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_search_over_single_rows_says_that_nothing_was_measured(X):
    grid = {"n_components": [1, 8]}
    with pytest.warns(UndefinedMetricWarning, match="of 1 row"):
        search = GridSearchCV(small(max_iter=1), grid, cv=LeaveOneOut()).fit(X[:3])
    assert np.isnan(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    "scorer", [skae.metrics.explained_variance, skae.metrics.neg_mean_squared_error]
)
def test_no_rows_are_refused_in_scikit_learns_words(fitted, X, scorer):
    for score in (fitted.score, fitted.score_samples, partial(scorer, fitted)):
        with pytest.raises(ValueError, match=r"0 sample\(s\).* minimum of 1"):
            score(X[:0])


@pytest.mark.parametrize("unit", [1e-170, 1e-45, 1e45, 1e200])
def test_any_unit(X, fitted, unit):
    estimator = small(3).fit(unit * X)
    assert estimator.score(unit * X) == pytest.approx(fitted.score(X), rel=1e-4)
    np.testing.assert_allclose(
        estimator.reconstruct(unit * X) / unit, fitted.reconstruct(X), atol=1e-3
    )
    assert skae.metrics.explained_variance(estimator, unit * X) == pytest.approx(
        fitted.score(X), rel=1e-4
    )
    # In float32 these are zero or infinite, but no error.
    assert not np.isnan(estimator.score_samples(unit * X)).any()
    assert small(loss="gaussian").fit(unit * X).noise_variance_ >= 0


def test_statistics_are_those_of_the_data(fitted, X):
    np.testing.assert_allclose(fitted.mean_, X.mean(axis=0))
    assert fitted.scale_ == pytest.approx(np.sqrt(X.var(axis=0).mean()))


@pytest.mark.parametrize(
    "kw", [{}, {"code_activation": "tanh"}, {"tied_weights": True}]
)
def test_jacobian_is_the_limit_of_differences(X, kw):
    estimator = small(3, activation="tanh", transform_max_iter=0, **kw).fit(X)
    jacobian = estimator.jacobian(X[:4])
    assert jacobian.shape == (4, 3, 64)
    assert jacobian.dtype == np.float32
    step = 0.05
    for i in (10, 20, 43):
        shift = step * np.eye(64)[i]
        ends = estimator.transform(X[:4] + shift), estimator.transform(X[:4] - shift)
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, i], slope, atol=2e-4)


def test_jacobian_of_a_linear_encoder_is_its_weight(X):
    estimator = small(3, hidden_layer_sizes=()).fit(X)
    weight = estimator.network_.encoder[0].weight.detach().numpy() / estimator.scale_
    np.testing.assert_allclose(estimator.jacobian(X[:2]), [weight, weight], rtol=1e-5)


def test_tangent_space_is_that_of_the_jacobian(fitted, X):
    tangents = fitted.tangent_space(X[:5], 2)
    assert tangents.shape == (5, 2, 64)
    assert tangents.dtype == np.float32
    gram = tangents @ tangents.transpose(0, 2, 1)
    np.testing.assert_allclose(gram, np.tile(np.eye(2), (5, 1, 1)), atol=1e-5)
    expected = np.linalg.svd(fitted.jacobian(X[:5]))[2][:, :2]
    np.testing.assert_allclose(abs((tangents * expected).sum(2)), 1, atol=1e-4)
    largest = np.take_along_axis(tangents, abs(tangents).argmax(2)[..., None], axis=2)
    assert np.all(largest > 0)


def test_tangent_space_of_a_linear_code_is_the_span_of_its_axes(X):
    estimator = small(3, init="pca", learning_rate_init=1e-30, max_iter=1).fit(X)
    axes = PCA(3).fit(X).components_
    for tangents in estimator.tangent_space(X[:3], 3):
        np.testing.assert_allclose(tangents @ axes.T @ axes, tangents, atol=1e-4)


@pytest.mark.parametrize("n_directions", [0, 4, 1.5, "2", None])
def test_bad_numbers_of_directions_are_quoted(fitted, X, n_directions):
    with pytest.raises(ValueError, match=r"n_directions=.* from 1 to 3"):
        fitted.tangent_space(X, n_directions)


def test_gaussian_variance_is_the_mean_squared_residual(X):
    """As probabilistic PCA has it, up to the degrees of freedom."""
    estimator = small(
        loss="gaussian", solver="lbfgs", hidden_layer_sizes=(), max_iter=500
    )
    residual = np.square(X - estimator.fit(X).reconstruct(X)).mean()
    assert estimator.noise_variance_ == pytest.approx(residual, rel=1e-3)
    expected = PCA(2).fit(X).noise_variance_ * (64 - 2) / 64 * 299 / 300
    assert estimator.noise_variance_ == pytest.approx(expected, rel=1e-3)


def test_gaussian_variance_does_not_outlive_its_loss(X):
    estimator = small(loss="gaussian").fit(X)
    assert not hasattr(estimator.set_params(loss="poisson").fit(X), "noise_variance_")


def test_other_losses_answer_in_units_and_domain(X):
    cases = [
        ("bernoulli", X / 16),
        ("bernoulli", MinMaxScaler((0, 1 + 1e-12)).fit_transform(X)),
        ("poisson", X),
        ("poisson", 1e6 * X),
        ("poisson", X + 1e4),
    ]
    for loss, data in cases:
        estimator = small(8, loss=loss, learning_rate_init=0.01, max_iter=20)
        estimator.fit(data)
        reconstruction = estimator.reconstruct(data)
        assert reconstruction.min() >= 0
        assert loss != "bernoulli" or reconstruction.max() <= 1
        assert estimator.score(data) > 0.4


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
def test_losses_start_at_the_mean(X):
    """With a vanishing step the reconstruction stays at the mean, in any unit."""
    for loss in ("squared_error", "bernoulli", "poisson"):
        estimator = small(loss=loss, learning_rate_init=1e-12, max_iter=1)
        with torch.no_grad():
            network = estimator.fit(X / 16).network_
            network.encoder[0].weight.zero_()
            network.decoders[0][0].weight.zero_()
        reconstruction = estimator.reconstruct(X[:1] / 16)[0]
        np.testing.assert_allclose(reconstruction, X.mean(axis=0) / 16, atol=1e-3)


def test_absolute_error_ignores_outliers(rng):
    """Without a code to speak of, it finds the median, squared error the mean."""
    X = np.r_[rng.normal(size=(200, 5)), np.full((20, 5), 100.0)]
    kw = {
        "hidden_layer_sizes": (),
        "early_stopping": False,
        "weight_decay": 0,
        "max_iter": 100,
        "random_state": 0,
    }

    def centre(loss):
        estimator = UndercompleteAE(1, loss=loss, **kw).fit(X)
        return abs(estimator.inverse_transform(estimator.transform(X[:200]))).mean()

    assert centre("absolute_error") < centre("squared_error")


def test_callable_loss_is_what_is_minimised(X):
    named = small(loss="absolute_error").fit(X).transform(X)
    called = small(loss=F.l1_loss).fit(X).transform(X)
    np.testing.assert_array_equal(named, called)


def test_callable_loss_is_for_training_alone(X):
    calls = []

    def loss(reconstruction, rows):
        calls.append(len(rows))
        return F.mse_loss(reconstruction, rows)

    estimator = small(loss=loss).fit(X)
    n_calls = len(calls)
    with torch.inference_mode():
        estimator.reconstruct(X)
        estimator.score(X)
    assert len(calls) == n_calls > 0


# Kinds of input -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "answer"),
    [(np.float32, np.float32), (np.uint8, np.float32), (np.float64, np.float64),
     (np.int64, np.float64), (np.float16, np.float64)],
)  # fmt: skip
def test_dtypes(X, dtype, answer):
    estimator = small().fit(X.astype(dtype))
    codes = estimator.transform(X.astype(dtype))
    assert codes.dtype == estimator.score_samples(X).dtype == np.float32
    assert estimator.inverse_transform(codes).dtype == answer
    np.testing.assert_allclose(codes, small().fit(X).transform(X), atol=1e-4)


REAL = ["?", *np.typecodes["AllInteger"], *np.typecodes["Float"], ">f4", ">f8", ">i4"]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("is_large", [False, True])
def test_every_real_dtype_gives_what_float64_does(dtype, is_large, X, monkeypatch):
    if is_large:
        monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 1)
    rows = X.astype(dtype)
    estimator, same = (
        small(loss="poisson", early_stopping=True).fit(Z)
        for Z in (rows, rows.astype(float))
    )
    names = "transform", "reconstruct", "score_samples", "score", "jacobian"
    metrics = skae.metrics.explained_variance, skae.metrics.neg_mean_squared_error
    for method in (*names, *metrics):
        name = getattr(method, "__name__", method)
        ours, theirs = (
            method(e, rows) if callable(method) else getattr(e, name)(rows)
            for e in (estimator, same)
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("dtype", REAL)
def test_codes_of_every_real_dtype_are_decoded_alike(dtype, fitted, rng):
    codes = rng.integers(0, 2, (40, 3)).astype(dtype)
    np.testing.assert_array_equal(
        fitted.inverse_transform(codes), fitted.inverse_transform(codes.astype(float))
    )


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, bool])
def test_rows_are_converted_a_few_at_a_time(dtype, tmp_path, monkeypatch):
    """At the door all rows would become float64, 16 MB; a file's stay in it."""
    monkeypatch.setattr("skae._rows.chunks.CHUNK_ELEMENTS", 2**15)
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 2**15)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.integers(0, 2, (50_000, 40)).astype(dtype))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    estimator = small(batch_size=5000, max_iter=1).fit(rows[:100])
    scorer = partial(skae.metrics.explained_variance, estimator)
    methods = estimator.transform, estimator.score_samples, estimator.score, scorer
    for method in (*methods, estimator.partial_fit, estimator.fit):
        tracemalloc.start()
        method(rows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6e6, method


@pytest.mark.parametrize("matrix", [csr_matrix, csc_matrix])
def test_sparse_rows_give_what_dense_ones_do(X, fitted, matrix):
    S = matrix(X)
    estimator = small(3).fit(S)
    np.testing.assert_allclose(estimator.transform(S), fitted.transform(X), atol=1e-5)
    for method in ("reconstruct", "score_samples", "score", "jacobian"):
        np.testing.assert_allclose(
            getattr(fitted, method)(S), getattr(fitted, method)(X), rtol=1e-5
        )


@pytest.mark.parametrize("init", ["pca", "random"])
def test_sparse_rows_are_never_all_dense(monkeypatch, init):
    """As float32 the dense matrix would take 400 MB."""
    S = random_array((1000, 100_000), density=1e-6, rng=0, format="csr")
    n_rows = []
    original = csr_array.toarray
    monkeypatch.setattr(
        csr_array, "toarray", lambda self: n_rows.append(len(self)) or original(self)
    )
    monkeypatch.setattr(csr_array, "__len__", lambda self: self.shape[0], raising=False)
    estimator = small(
        hidden_layer_sizes=(), max_iter=1, init=init, early_stopping=init == "random"
    )
    estimator.fit(S[:300]).transform(S)
    skae.metrics.explained_variance(estimator, S[:100])
    assert max(n_rows) <= 100


def test_fit_leaves_duplicates_of_a_sparse_matrix(X):
    S = csr_matrix(X)
    halves = np.repeat(S.data / 2, 2), np.repeat(S.indices, 2), 2 * S.indptr
    S = csr_matrix(halves, shape=X.shape)
    before = S.nnz
    small(loss="poisson").fit(S)
    assert S.nnz == before


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames(X, fitted, frame):
    names = [f"pixel{i}" for i in range(64)]
    data = frame(dict(zip(names, X.T, strict=True)))
    estimator = small(3).fit(data)
    assert list(estimator.feature_names_in_) == names
    np.testing.assert_array_equal(estimator.transform(data), fitted.transform(X))


def test_read_only_and_memory_mapped_rows(X, fitted, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    estimator = small(3).fit(mapped)
    np.testing.assert_array_equal(estimator.transform(mapped), fitted.transform(X))


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output(X, fitted, container):
    estimator = clone(fitted).set_output(transform=container)
    codes = estimator.fit_transform(X)
    names = ["undercompleteae0", "undercompleteae1", "undercompleteae2"]
    assert list(codes.columns) == list(estimator.get_feature_names_out()) == names
    np.testing.assert_array_equal(codes.to_numpy(), fitted.transform(X))
    np.testing.assert_array_equal(
        estimator.inverse_transform(codes), fitted.reconstruct(X)
    )


def test_y_is_ignored_whatever_it_is(X, fitted):
    for y in (np.repeat("word", len(X)), [None] * len(X), "nonsense"):
        np.testing.assert_array_equal(
            small(3).fit(X, y).transform(X), fitted.transform(X)
        )


# Where PCA goes -------------------------------------------------------------------


def test_grid_search_compares_pca_and_autoencoder(X):
    ae = small(learning_rate_init=0.01, max_iter=40)
    search = GridSearchCV(
        Pipeline([("scale", MinMaxScaler()), ("reduce", PCA())]),
        {"reduce": [PCA(), ae], "reduce__n_components": [2, 8]},
        scoring=skae.metrics.explained_variance,
        n_jobs=2,
        cv=3,
    ).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4
    assert np.all(scores[[1, 3]] > scores[[0, 2]])
    assert search.best_params_["reduce__n_components"] == 8


def test_pipeline_with_memory_before_a_classifier(X, digits, tmp_path, monkeypatch):
    y = (X[:, 20] > 8).astype(str)
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("reduce", small(8)),
            ("classify", LogisticRegression()),
        ],
        memory=str(tmp_path),
    )
    first = pipeline.fit(X, y).predict(digits)
    # What is kept is taken from the memory, not fitted again.
    monkeypatch.setattr(UndercompleteAE, "_train", None)
    assert list(pipeline.fit(X, y).predict(digits)) == list(first)


def test_a_search_without_scorer_uses_explained_variance(X):
    grid = {"n_components": [1, 8], "max_iter": [20]}
    default, named = (
        GridSearchCV(small(), grid, cv=3, scoring=scoring).fit(X)
        for scoring in (None, skae.metrics.explained_variance)
    )
    assert default.best_params_["n_components"] == 8
    assert default.best_score_ == pytest.approx(named.best_score_)


# Copies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
@pytest.mark.parametrize(
    "kw",
    [{}, {"tied_weights": True}, {"activation": torch.nn.PReLU}, {"loss": "gaussian"}],
)
def test_copies_compute_the_same(X, copied, kw):
    estimator = small(early_stopping=True, **kw).fit(X)
    twin = copied(estimator)
    np.testing.assert_array_equal(twin.reconstruct(X), estimator.reconstruct(X))
    np.testing.assert_array_equal(twin.jacobian(X[:2]), estimator.jacobian(X[:2]))


def test_pickle_holds_no_tensor(X):
    file = pickle.dumps(small(loss="gaussian").partial_fit(X))
    texts = [text for _, text, _ in pickletools.genops(file) if isinstance(text, str)]
    # The version is in a file too.
    assert [text for text in texts if "torch" in text] == ["_torch_version"]


def test_joblib_maps_the_weights(X, fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model")
    loaded = joblib.load(tmp_path / "model", mmap_mode="r")
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    loaded.partial_fit(X)


def test_pickle_survives_parameters_changed_since(X):
    estimator = small().fit(X)
    codes = estimator.transform(X)
    estimator.set_params(hidden_layer_sizes=(5, 4), n_components=7, loss="bernoulli")
    loaded = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(loaded.transform(X), codes)
    assert loaded.inverse_transform(codes).min() < 0


def test_model_of_an_absent_device_computes_on_the_cpu(X, fitted):
    foreign = copy.deepcopy(fitted).set_params(device="cuda:7")
    np.testing.assert_array_equal(foreign.transform(X), fitted.transform(X))
    with pytest.raises(ValueError, match="'cuda:7' is not available"):
        foreign.fit(X)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("device", "nonsense", "device='nonsense' is not a device: use 'cpu'"),
        ("device", "cuda:-1", "device='cuda:-1' is not a device"),
        ("device", "meta", "device='meta' is not a device"),
        ("device", None, "'device' parameter .* Got None"),
        ("device", 3, "'device' parameter .* Got 3"),
        ("device", torch.device("cpu"), "'device' parameter .* Got device"),
        ("clip", "nonsense", "'clip' parameter .* Got 'nonsense'"),
    ],
)
def test_parameters_set_after_fit_are_checked(X, fitted, parameter, value, message):
    changed = copy.deepcopy(fitted).set_params(**{parameter: value})
    codes = fitted.transform(X)
    names = ["reconstruct", "score_samples", "score"]
    asks = [(getattr(changed, name), X) for name in names]
    asks.append((changed.inverse_transform, codes))
    if parameter == "device":
        asks += [(changed.transform, X), (changed.jacobian, X)]
    for ask, given in asks:
        with pytest.raises(ValueError, match=message):
            ask(given)


def test_the_first_cpu_is_the_cpu(X, fitted):
    first = small(3, device="cpu:0").fit(X)
    assert first.device_ == "cpu"
    np.testing.assert_array_equal(first.transform(X), fitted.transform(X))


# Randomness -----------------------------------------------------------------------


def test_same_seed_same_bits_in_any_number_of_jobs(X):
    """Widths and batches of 5, 7 and 10 are those whose sums the threads share."""

    def codes(n_jobs, **kw):
        estimator = small(5, **{"hidden_layer_sizes": (60, 10)} | kw)
        out = cross_validate(estimator, X, cv=2, n_jobs=n_jobs, return_estimator=True)
        return np.stack([e.transform(X) for e in out["estimator"]])

    for kw in (
        {},
        {"solver": "lbfgs", "max_iter": 30, "hidden_layer_sizes": (500,)},
        {"early_stopping": True},
        {"batch_size": 39},
    ):
        np.testing.assert_array_equal(codes(1, **kw), codes(2, **kw))


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.parametrize(
    ("parameters", "n_threads"),
    [
        ({}, 1),
        ({"batch_size": 293}, 1),
        ({"hidden_layer_sizes": "auto", "batch_size": 300}, 1),
        ({"hidden_layer_sizes": (2048,), "batch_size": 300}, None),
        ({"solver": "lbfgs", "hidden_layer_sizes": (2048,)}, 1),
    ],
)
def test_threads_are_limited_while_fitting_and_only_then(X, parameters, n_threads):
    """Small steps take one: threads that wait for each other spin."""
    seen, before = set(), torch.get_num_threads()

    class Watch(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen.add(torch.get_num_threads())

    ae = small(**{"max_iter": 1, "callbacks": [Watch()]} | parameters)
    with limited_threads(3):
        ae.fit(X)
        assert torch.get_num_threads() == 3
    assert seen == {n_threads or 3}
    assert torch.get_num_threads() == before


# Threads that wait for each other sleep: on busy cores they would wait for long.
PATIENT = {"OMP_WAIT_POLICY": "passive"}
FIT_IN_A_PROCESS = """
import hashlib, sys
import numpy as np, torch
from skae import UndercompleteAE

for n_threads in sys.argv[1:]:
    if n_threads != "environment":
        torch.set_num_threads(int(n_threads))
    rng, digest = np.random.default_rng(0), hashlib.sha256()
    for case in range(12):
        n_rows, n_features = rng.integers(100, 500), rng.integers(3, 300)
        estimator = UndercompleteAE(
            int(rng.integers(1, 12)),
            hidden_layer_sizes=tuple(rng.integers(5, 60, size=rng.integers(0, 3))),
            batch_size=int(rng.integers(20, 180)),
            loss=["squared_error", "gaussian"][case % 2],
            solver=["adam", "lbfgs"][case % 5 == 0],
            max_iter=2,
            random_state=0,
        ).fit(rng.normal(size=(n_rows, n_features)))
        digest.update(np.array(estimator.loss_curve_).tobytes())
        for weight in estimator.network_.parameters():
            digest.update(weight.detach().numpy().tobytes())
    print(digest.hexdigest())
"""


def test_number_of_threads_changes_no_bit():
    """Set by the environment, as in a worker of joblib, or by the user."""

    def digests(environment, *n_threads):
        code = [FIT_IN_A_PROCESS, "environment", *n_threads]
        command = [sys.executable, "-W", "ignore", "-c", *code]
        return subprocess.run(
            command,
            env=os.environ | PATIENT | {"OMP_NUM_THREADS": environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    (one,) = digests("1")
    assert len(one) > 60
    assert digests("2", "2") == [one, one]


def test_same_seed_same_bits_in_threads(X, fitted):
    with joblib.parallel_config("threading"):
        out = joblib.Parallel(n_jobs=4)(
            joblib.delayed(small(3).fit)(X) for _ in range(8)
        )
    for estimator in out:
        np.testing.assert_array_equal(estimator.transform(X), fitted.transform(X))


def blas_threads():
    return [
        lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"
    ]


@pytest.mark.parametrize("init", ["pca", "random"])
def test_threads_give_their_number_back(X, init):
    before, blas = torch.get_num_threads(), blas_threads()
    for n_components in (2, 5):
        estimator = small(n_components, init=init)
        jobs = [joblib.delayed(clone(estimator).fit)(X) for _ in range(8)]
        joblib.Parallel(n_jobs=4, backend="threading")(jobs)
    assert blas_threads() == blas
    seen = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(torch.get_num_threads)() for _ in range(4)
    )
    assert {before, *seen} == {before}
    assert torch.get_num_threads() == before


FIT_IN_WORKERS = """
import sys

import joblib
import numpy as np
import torch
from skorch.callbacks import Callback

from skae import UndercompleteAE


class Count(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.seen = torch.get_num_threads()


def fit(seed):
    X = np.random.default_rng(seed).normal(size=(600, 64))
    ae = UndercompleteAE(2, max_iter=2, batch_size=512, early_stopping=False)
    # Large steps, which take all threads.
    ae.set_params(hidden_layer_sizes=(1200,), random_state=0)
    ae.set_params(callbacks=[("count", Count())]).fit(X)
    ae.reconstruct(X)
    return dict(ae.callbacks)["count"].seen


for backend in sys.argv[1:]:
    assert fit(0) == torch.get_num_threads() == 2
    jobs = (joblib.delayed(fit)(seed) for seed in range(4))
    seen = joblib.Parallel(n_jobs=2, backend=backend)(jobs)
    assert fit(0) == torch.get_num_threads() == 2
    print(backend, sum(set(seen)), flush=True)
"""


BACKENDS = ["loky", "multiprocessing", "threading"]


@pytest.fixture(scope="module")
def fits_in_workers():
    """One process for all backends: to import torch takes longer than to fit."""
    return subprocess.run(
        [sys.executable, "-c", FIT_IN_WORKERS, *BACKENDS],
        env=os.environ | PATIENT | {"OMP_NUM_THREADS": "2", "LOKY_MAX_CPU_COUNT": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(joblib.cpu_count() < 2, reason="one core cannot be shared")
@pytest.mark.parametrize("backend", BACKENDS)
def test_workers_take_no_more_threads_than_there_are_cores(backend, fits_in_workers):
    """Each of two, where one alone would take two; forks of a process that had two."""
    assert f"{backend} 1" in fits_in_workers.stdout.splitlines(), fits_in_workers.stderr


def test_limits_of_threads_nest():
    before = torch.get_num_threads()
    with limited_threads(3):
        with limited_threads(1), limited_threads(None):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


class Drawn(torch.nn.Module):
    """An activation with a weight that it draws by itself."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.rand(1))

    def forward(self, x):
        return self.slope * x.tanh()


DRAWING = [torch.nn.RReLU, torch.nn.Dropout, Drawn]
STARTS = [
    {},
    {"init": "pca"},
    {"init": "pca", "tied_weights": True},
    {"init": "pca", "ordered": True},
]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("activation", DRAWING)
def test_activations_that_draw_obey_the_seed(X, activation, start):
    answers = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        fitted = small(activation=activation, **start).fit(X).partial_fit(X)
        answers.append(pickle.loads(pickle.dumps(fitted)).transform(X))
        assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("activation", DRAWING)
def test_activations_that_draw_obey_the_seed_in_threads(X, activation):
    def codes(_=None):
        return small(3, activation=activation, init="pca").fit(X).transform(X)

    alone, before = codes(), torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        for beside in pool.map(codes, range(8)):
            np.testing.assert_array_equal(beside, alone)
    assert torch.equal(before, torch.get_rng_state())


def test_a_callback_may_fit_another_estimator_whose_activation_draws(X):
    class Fits(Callback):
        def on_epoch_end(self, net, **kwargs):
            small(activation=torch.nn.Dropout).fit(X)

    draws = {"activation": torch.nn.Dropout}
    ours, plain = (small(callbacks=c, **draws).fit(X) for c in ([Fits()], None))
    np.testing.assert_array_equal(ours.transform(X), plain.transform(X))


@pytest.mark.parametrize("start", STARTS)
def test_activations_may_need_several_rows_to_train(X, start):
    activation = partial(torch.nn.BatchNorm1d, 16)
    assert np.isfinite(small(activation=activation, **start).fit(X).score(X))


def test_seeds_differ(X, fitted):
    other = small(3, random_state=1).fit(X).transform(X)
    assert not np.allclose(other, fitted.transform(X))


def test_global_state_is_neither_used_nor_changed(X, fitted):
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        estimator = small(3, early_stopping=True).fit(X)
        estimator.fit(csr_matrix(X)).partial_fit(X)
        codes = small(3).fit(X).transform(X)
        small(3, solver="lbfgs").fit(X)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(codes, fitted.transform(X))


@pytest.mark.parametrize(
    "surroundings",
    [
        torch.no_grad,
        torch.inference_mode,
        partial(torch.autocast, "cpu", dtype=torch.bfloat16),
        partial(torch.device, "meta"),
    ],
)
def test_surroundings_change_nothing(X, fitted, surroundings):
    with surroundings():
        estimator = pickle.loads(pickle.dumps(small(3, early_stopping=False).fit(X)))
        codes, reconstruction = estimator.transform(X), estimator.reconstruct(X)
        jacobian = estimator.jacobian(X[:2])
    np.testing.assert_array_equal(codes, fitted.transform(X))
    np.testing.assert_array_equal(reconstruction, fitted.reconstruct(X))
    np.testing.assert_array_equal(jacobian, fitted.jacobian(X[:2]))


# Training in parts ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fits_are_the_epochs_of_a_fit(X, solver):
    whole = small(solver=solver, max_iter=4).fit(X)
    parts = small(solver=solver)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X)))
    np.testing.assert_array_equal(parts.transform(X), whole.transform(X))
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 4


def test_warm_start_goes_on(X):
    whole = small(max_iter=4).fit(X)
    warm = small(max_iter=2, warm_start=True).fit(X).fit(X)
    np.testing.assert_array_equal(warm.transform(X), whole.transform(X))
    assert warm.n_iter_ == 4
    assert small(max_iter=2).fit(X).fit(X).n_iter_ == 2


def test_warm_start_holds_the_same_rows_out(X):
    trained = []

    class Watch(Callback):
        def on_batch_end(self, net, batch=None, training=False, **kwargs):
            if training:
                trained.append(batch.clone())

    warm = small(warm_start=True, early_stopping=True, callbacks=[Watch()])
    warm.fit(X).fit(X)
    assert len(torch.unique(torch.cat(trained), dim=0)) == 270
    with pytest.raises(ValueError, match="minimum of 2"):
        warm.fit(X[:1])


def test_warm_start_can_change_solver_and_rate(X):
    warm = small(warm_start=True, max_iter=50).fit(X)
    before = warm.score(X)
    warm.set_params(solver="lbfgs", learning_rate_init=1e-5).fit(X)
    assert warm.score(X) > before


def test_warm_start_of_another_network_is_refused(X):
    warm = small(warm_start=True).fit(X)
    codes = warm.transform(X)
    warm.set_params(hidden_layer_sizes=(5,))
    with pytest.raises(ValueError, match=r"\[64, 16, 2\] to \[64, 5, 2\]"):
        warm.fit(X)
    np.testing.assert_array_equal(warm.transform(X), codes)


def test_gaussian_variance_is_carried_over(X):
    whole = small(loss="gaussian", max_iter=4).fit(X)
    warm = small(loss="gaussian", max_iter=2, warm_start=True).fit(X).fit(X)
    assert warm.noise_variance_ == whole.noise_variance_


def test_partial_fit_needs_minibatches(X):
    with pytest.raises(AttributeError, match="partial_fit") as error:
        small(solver="lbfgs").partial_fit(X)
    assert "solver='adam'" in str(error.value)


# When training ends ---------------------------------------------------------------


def test_early_stopping_keeps_the_best_weights(rng):
    X = rng.normal(size=(80, 20))
    estimator = small(
        10,
        early_stopping=True,
        n_iter_no_change=100,
        max_iter=500,
        learning_rate_init=0.01,
        validation_fraction=0.3,
    ).fit(X)
    scores = estimator.validation_scores_
    assert estimator.n_iter_ == len(scores) < 500
    assert estimator.best_score_ == max(scores) > scores[-1]
    # The held-out rows are the first of the shuffled ones.
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    generator = torch.Generator().manual_seed(seed)
    held_out = torch.randperm(80, generator=generator)[:24].numpy()
    estimator.set_params(transform_max_iter=0)
    errors = -estimator.score_samples(X[held_out]).sum()
    total = np.square(X[held_out] - X.mean(axis=0)).sum()
    assert estimator.best_score_ == pytest.approx(1 - errors / total, rel=1e-5)


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
def test_early_stopping_never_trains_on_held_out_rows(rng):
    """Of 50 different rows training sees 40."""
    X = rng.normal(size=(50, 4))
    seen = []

    class Watch(Callback):
        def on_batch_end(self, net, batch=None, training=False, **kwargs):
            if training:
                seen.append(batch.clone())

    small(early_stopping=True, validation_fraction=0.2, callbacks=[Watch()]).fit(X)
    assert len(torch.unique(torch.cat(seen), dim=0)) == 40


def test_tol_ends_training(X):
    assert small(max_iter=500, tol=10.0, n_iter_no_change=3).fit(X).n_iter_ == 4


def test_negative_loss_trains_on(X):
    """The loss falls through zero, and training does not take that for the end."""
    estimator = small(8, loss="gaussian", max_iter=200, learning_rate_init=0.01).fit(X)
    below = np.flatnonzero(np.array(estimator.loss_curve_) < 0)
    assert below[0] > 0
    assert len(below) > 20


def test_divergence_from_the_start_is_an_error_and_changes_nothing(X):
    estimator = small().fit(X)
    codes = estimator.transform(X)
    estimator.set_params(learning_rate_init=1e30, solver="sgd")
    with pytest.raises(ValueError, match=r"learning_rate_init=1e\+30.*scale_=4\."):
        estimator.fit(X)
    np.testing.assert_array_equal(estimator.transform(X), codes)


class Poison(Callback):
    """Breaks a weight before an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            with torch.no_grad():
                net.module_.encoder[0].weight.fill_(torch.nan)


def test_divergence_later_keeps_the_best_weights(X):
    with pytest.warns(ConvergenceWarning, match="learning_rate_init=0.001") as record:
        estimator = small(callbacks=[Poison(3)]).fit(X)
    assert record[0].filename == __file__
    np.testing.assert_array_equal(
        estimator.transform(X), small(max_iter=2).fit(X).transform(X)
    )
    assert estimator.n_iter_ == 2
    assert np.isfinite(estimator.loss_curve_).all()


def test_divergence_without_overflow_is_noticed(X):
    estimator = small(learning_rate_init=10.0, max_iter=30)
    with pytest.warns(
        ConvergenceWarning, match=r"learning_rate_init=10\.0.*worse than"
    ):
        diverged = estimator.fit(X)
    assert np.isfinite(diverged.transform(X)).all()


def test_training_goes_on_after_divergence(X):
    estimator = small(warm_start=True, max_iter=20).fit(X)
    estimator.set_params(callbacks=[Poison(3)])
    with pytest.warns(ConvergenceWarning, match="best weights are kept"):
        estimator.fit(X)
    before = estimator.score(X)
    assert estimator.set_params(callbacks=None).fit(X).score(X) > before


class CtrlC(Callback):
    """Sends the interrupt of the keyboard in a batch, or after it, of an epoch."""

    def __init__(self, epoch, event="on_batch_begin"):
        self.epoch, self.event = epoch, event

    def interrupt(self, event, net):
        if event == self.event and len(net.history) == self.epoch:
            signal.raise_signal(signal.SIGINT)

    def on_batch_begin(self, net, **kwargs):
        self.interrupt("on_batch_begin", net)

    def on_epoch_begin(self, net, **kwargs):
        self.interrupt("on_epoch_begin", net)


@pytest.fixture
def _ctrl_c():
    """Python's handler, which a job that a shell runs in the background lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
@pytest.mark.parametrize("event", ["on_batch_begin", "on_epoch_begin"])
def test_interrupt_keeps_the_best_weights_and_warns(X, event):
    estimator = small(max_iter=500, callbacks=[CtrlC(3, event)])
    with pytest.warns(ConvergenceWarning, match="best of 2 epochs") as record:
        assert estimator.fit(X) is estimator
    assert record[0].filename == __file__
    assert estimator.interrupted_
    np.testing.assert_array_equal(
        estimator.transform(X), small(max_iter=2).fit(X).transform(X)
    )
    assert not small().fit(X).interrupted_


@pytest.mark.usefixtures("_ctrl_c")
def test_interrupt_inside_a_meta_estimator_is_raised_again(X):
    pipeline = Pipeline([("reduce", small(callbacks=[CtrlC(3)], max_iter=500))])
    with pytest.raises(KeyboardInterrupt, match="best of 2 epochs"):
        pipeline.fit(X)
    np.testing.assert_array_equal(
        pipeline["reduce"].transform(X), small(max_iter=2).fit(X).transform(X)
    )


@pytest.mark.usefixtures("_ctrl_c")
def test_interrupt_of_the_first_epoch_loses_nothing(X):
    estimator = small(max_iter=50).fit(X)
    codes = estimator.transform(X)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=[CtrlC(1)]).fit(X)
    np.testing.assert_array_equal(estimator.transform(X), codes)


def test_callback_that_stops_is_no_interrupt(X):
    class Enough(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    estimator = small(max_iter=50, callbacks=[Enough()]).fit(X)
    assert estimator.n_iter_ == 4
    assert not estimator.interrupted_


def test_callbacks_hear_the_last_epoch(X):
    heard = []

    class Count(Callback):
        def on_epoch_end(self, net, **kwargs):
            heard.append(net.history[-1, "train_loss_best"])

    estimator = small(max_iter=500, tol=10.0, n_iter_no_change=3, callbacks=[Count()])
    assert estimator.fit(X).n_iter_ == len(heard) == 4
    assert all(heard)


# Bad input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes=\(3, 0\)"),
        ({"hidden_layer_sizes": (2.5,)}, r"hidden_layer_sizes=\(2.5,\)"),
        ({"device": "gpu"}, "device='gpu'"),
        ({"loss": "bernoulli"}, r"needs values in \[0, 1\], but X spans \[0, 16\]"),
        ({"n_components": 0}, "n_components"),
        ({"activation": "sigmoid"}, "'logistic'"),
        ({"n_components": 2.0}, "n_components"),
        ({"hidden_layer_sizes": (True,)}, r"hidden_layer_sizes=\(True,\)"),
        ({"solver": len}, "solver=<built-in function len>"),
        ({"solver": torch.optim.SparseAdam, "weight_decay": 1.0}, "SparseAdam"),
    ],
)
def test_bad_parameters_are_quoted(X, parameters, message):
    estimator = small(**parameters)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X)
    with pytest.raises(NotFittedError):
        estimator.transform(X)


class Alike:
    """Has an event of a skorch callback, but not the others."""

    def on_epoch_end(self, net, **kwargs):
        """Do nothing."""


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"activation": torch.relu}, "built-in method relu"),
        ({"code_activation": torch.nn.ReLU()}, r"ReLU\(\)"),
        ({"loss": lambda a, b: 0.0}, "it gave 0.0"),
        ({"callbacks": [1]}, "holds 1, which is not a skorch callback"),
        ({"callbacks": [Alike()]}, "Alike.*, which is not a skorch callback"),
        ({"callbacks": [Alike]}, "Alike.*, which is not a skorch callback"),
    ],
)
def test_callables_of_the_wrong_kind_are_quoted(X, parameters, message):
    estimator = small(**parameters)
    with pytest.raises(TypeError, match=message):
        estimator.fit(X)
    with pytest.raises(NotFittedError):
        estimator.transform(X)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint8])
def test_numpy_integers(X, kind):
    estimator = small(kind(3), batch_size=kind(32), hidden_layer_sizes=[kind(16)])
    codes = small(3, batch_size=32).fit(X).transform(X)
    np.testing.assert_array_equal(estimator.fit(X).transform(X), codes)
    assert estimator.jacobian(X[:2]).shape == (2, 3, 64)


def test_failed_fit_keeps_the_model_before(X, fitted):
    estimator = copy.deepcopy(fitted)
    for bad in (X[:, :5] - 100, X * np.nan, X[:1]):
        with pytest.raises(ValueError):  # noqa: PT011
            estimator.set_params(loss="poisson").fit(bad)
    np.testing.assert_array_equal(estimator.transform(X), fitted.transform(X))


def test_sparse_entries_given_in_parts_count_as_their_sums(rng):
    S = random_array((200, 8), density=0.4, rng=0, format="csr") * 3
    parts = csr_matrix(
        (np.repeat(S.data / 2, 2), np.repeat(S.indices, 2), S.indptr * 2), S.shape
    )
    kw = {"max_iter": 30, "early_stopping": False, "random_state": 0}
    whole, summed = (UndercompleteAE(3, **kw).fit(X).score(S) for X in (S, parts))
    assert summed == pytest.approx(whole, abs=1e-4)


def test_rows_beyond_float32_are_refused(fitted, X):
    with pytest.raises(ValueError, match=r"1\.6e\+41, which is farther from mean_"):
        fitted.transform(X * 1e40)
    with pytest.raises(ValueError, match=r"1e\+39, which is too large for a code"):
        fitted.inverse_transform(np.full((1, 3), 1e39))


def test_codes_of_another_width_are_refused(fitted):
    with pytest.raises(ValueError, match="2 columns, but the codes have 3"):
        fitted.inverse_transform(np.zeros((4, 2)))


def test_constant_data_fit(rng):
    X = np.full((40, 5), 0.1)
    estimator = small().fit(X)
    np.testing.assert_allclose(estimator.reconstruct(X), X, atol=0.05)


def test_fit_mutates_neither_data_nor_parameters(X, rng):
    data, parameters = X.copy(), small().get_params()
    small().fit(data)
    np.testing.assert_array_equal(data, X)
    assert small().fit(X).get_params() == parameters


def test_fit_gives_no_warning(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(tol=1.0).fit(X)


def test_integers_train_to_the_same_bits_as_floats(X):
    grey = np.round(255 * (X - X.min()) / np.ptp(X)).astype(np.uint8)
    of_integers, of_floats = (
        small(3, early_stopping=True).fit(Z) for Z in (grey, grey.astype(np.float32))
    )
    np.testing.assert_array_equal(
        of_integers.transform(grey), of_floats.transform(grey)
    )


def test_long_files_train_to_the_same_bits_as_arrays(X, tmp_path, monkeypatch):
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 1)
    monkeypatch.setattr("skae._rows.batches.SHUFFLED_ELEMENTS", 10 * X.shape[1])
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    of_file, of_array = (
        small(3, early_stopping=True).fit(Z).transform(Z) for Z in (mapped, X)
    )
    np.testing.assert_array_equal(of_file, of_array)


FIT_A_FILE = """
import sys
from pathlib import Path

import numpy as np

from skae import UndercompleteAE


def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


X = np.load(sys.argv[1], mmap_mode="r")
ae = UndercompleteAE(
    hidden_layer_sizes=(8,), max_iter=1, batch_size=8192, random_state=0
)
ae.fit(X[:2000]).transform(X[:2000])
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
ae.fit(X).transform(X)
print((resident("VmHWM") - before) / (4 * X.size))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
def test_a_file_is_not_read_into_memory(tmp_path):
    path, rng = tmp_path / "rows.npy", np.random.default_rng(0)
    rows = np.lib.format.open_memmap(path, "w+", np.uint8, (800_000, 294))
    rows[:] = rng.integers(0, 256, (1, 294))
    rows[:, 0] = rng.integers(0, 256, len(rows))
    rows.flush()
    code = [sys.executable, "-W", "ignore", "-c", FIT_A_FILE, path]
    run = subprocess.run(code, capture_output=True, text=True, check=True)
    # As float32 it takes 940 MB, of which the held-out rows, which are kept, are 94.
    # With what is computed and read ahead at a time, 470 to 500 were held.
    assert float(run.stdout) < 0.6


@pytest.mark.parametrize("make", [np.asarray, csr_array])
def test_infinite_values_are_refused_whatever_is_assumed(X, make):
    bad = X.copy()
    bad[3, 2], bad[4, 2] = np.inf, -np.inf
    with sklearn.config_context(assume_finite=True):
        with pytest.raises(ValueError, match="contains infinity"):
            small().fit(make(bad))
        with pytest.raises(ValueError, match="contains infinity"):
            small().fit(X).transform(make(bad))
