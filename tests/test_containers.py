"""Containers at the door of every estimator and scorer."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV

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
from skae._rows.containers import as_array
from skae.inspection import interpolate, traverse_component
from skae.metrics import explained_variance, neg_mean_squared_error

pytestmark = pytest.mark.filterwarnings(
    "ignore:After . epochs the reconstruction is worse"
)

SHORT = {"max_iter": 2, "early_stopping": False, "random_state": 0}
TAKE_GAPS = [ConvAE, DenoisingAE, MaskedAE, RecurrentAE, TableAE]
REFUSE_GAPS = [ContractiveAE, SparseAE, StackedAE, UndercompleteAE, VariationalAE]
ESTIMATORS = TAKE_GAPS + REFUSE_GAPS
#: Tables are dense, and frames come back as frames.
NO_TABLES = [cls for cls in ESTIMATORS if cls is not TableAE]
SCORERS = [explained_variance, neg_mean_squared_error]


@pytest.fixture(scope="module")
def X():
    """Rows of many zeros, which float32 holds exactly."""
    X = np.random.default_rng(0).integers(0, 4, size=(60, 8)).astype(np.float64)
    X.setflags(write=False)
    return X


@pytest.fixture
def with_gap(X):
    return np.where(np.arange(8) == 3, np.where(X == 1, np.nan, X), X)


def sparse_frame(X):
    return pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0))


@pytest.mark.parametrize("cls", NO_TABLES)
@pytest.mark.parametrize("sparse", [sparse_frame, csr_matrix])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_entries_of_sparse_rows_are_looked_at(cls, sparse, value, X):
    bad, fitted = X.copy(), cls(2, **SHORT).fit(sparse(X))
    bad[4, 2] = value
    for method in (cls(2, **SHORT).fit, fitted.transform, fitted.partial_fit):
        with pytest.raises(ValueError, match="NaN" if np.isnan(value) else "infinity"):
            method(sparse(bad))


@pytest.mark.parametrize("cls", TAKE_GAPS[:-1])
@pytest.mark.parametrize("sparse", [sparse_frame, csr_matrix])
def test_gaps_of_sparse_rows_are_refused_with_the_truth(cls, sparse, with_gap):
    n = np.isnan(with_gap).sum()
    with pytest.raises(ValueError, match=rf"NaN, {n} times.*pass X\.toarray") as error:
        cls(2, **SHORT).fit(sparse(with_gap))
    assert "does not accept" not in str(error.value)


@pytest.mark.parametrize("cls", TAKE_GAPS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("container", [np.ma.array, lambda X: list(np.ma.array(X))])
def test_what_is_masked_is_missing(cls, X, dtype, container):
    masked = np.ma.masked_array(X.astype(dtype), X == 3)
    missing = np.where(X == 3, np.nan, X)
    ours, plain = (cls(2, **SHORT).fit(Z) for Z in (container(masked), missing))
    np.testing.assert_allclose(ours.mean_, plain.mean_, rtol=1e-6)
    np.testing.assert_allclose(
        ours.transform(container(masked)), ours.transform(missing), atol=1e-6
    )
    scorers = SCORERS if hasattr(plain, "inverse_transform") else []
    for score in (plain.score, *(partial(scorer, plain) for scorer in scorers)):
        assert score(container(masked)) == pytest.approx(score(missing), rel=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("n_known", "seed"), [(2, 0), (4, 1)])
@pytest.mark.parametrize("cls", TAKE_GAPS)
def test_rows_without_any_value_may_be_most_of_them(cls, n_known, seed, X):
    """They do not make the others look far away, which would leave nothing to fit."""
    rows = np.where(np.arange(60)[:, None] < n_known, X, np.nan)
    ae = cls(2, max_iter=2, random_state=seed).fit(rows)
    assert ae.n_far_rows_ == 0
    assert np.isfinite(ae.transform(rows)).all()
    assert np.isfinite(ae.reconstruct(rows[:n_known])).all()
    assert np.isfinite(ae.score(rows))


def test_images_may_be_masked(X):
    images = X.reshape(60, 2, 4)
    ours = ConvAE(2, **SHORT).fit(np.ma.masked_array(images, images == 3))
    plain = ConvAE(2, **SHORT).fit(np.where(images == 3, np.nan, images))
    np.testing.assert_array_equal(ours.transform(images), plain.transform(images))


@pytest.mark.parametrize("cls", REFUSE_GAPS)
def test_masks_are_refused_where_nothing_may_be_missing(cls, X):
    masked, fitted = np.ma.masked_array(X, X == 3), cls(2, **SHORT).fit(X)
    said = rf"masked in {(X == 3).sum()} of 480 .*{cls.__name__} accepts no missing"
    for method in (cls(2, **SHORT).fit, fitted.transform, fitted.score_samples):
        with pytest.raises(ValueError, match=said):
            method(masked)
    # A mask that hides nothing changes nothing.
    np.testing.assert_array_equal(
        fitted.transform(np.ma.masked_array(X)), fitted.transform(X)
    )


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_do_not_let_pca_see_what_is_masked(scorer, X):
    masked, pca = np.ma.masked_array(X, X == 3), PCA(2).fit(X)
    for ask in (partial(scorer, pca), lambda X: traverse_component(pca, X, 0)):
        with pytest.raises(ValueError, match="contains NaN"):
            ask(masked)


def test_codes_may_not_be_masked(X):
    fitted = DenoisingAE(2, **SHORT).fit(X)
    codes = fitted.transform(X)
    with pytest.raises(ValueError, match="inverse_transform accepts no missing values"):
        fitted.inverse_transform(np.ma.masked_array(codes, codes > 0))


def of_arrow(X):
    return pd.DataFrame(X).convert_dtypes(dtype_backend="pyarrow")


def table(X):
    columns = {
        f"x{i}": pa.array(column, from_pandas=True) for i, column in enumerate(X.T)
    }
    return pa.table(columns)


def of_polars(X):
    return pl.DataFrame(X).with_columns(pl.all().fill_nan(None))


NULLABLE = {
    "pandas": lambda X: pd.DataFrame(X).astype("Float64"),
    "arrow": of_arrow,
    "table": table,
    "polars": of_polars,
    "object": lambda X: np.where(np.isnan(X), None, X),
}


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("frame", NULLABLE)
def test_scorers_take_frames_with_nulls(scorer, frame, with_gap):
    data = NULLABLE[frame](with_gap), with_gap
    ours, plain = (scorer(DenoisingAE(2, **SHORT).fit(X), X) for X in data)
    assert ours == pytest.approx(plain)


def test_a_search_takes_frames_with_nulls(with_gap):
    frame = pd.DataFrame(with_gap).astype("Float64")
    search = GridSearchCV(
        DenoisingAE(**SHORT), {"n_components": [1, 2]}, scoring=explained_variance, cv=2
    ).fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_take_sparse_frames_and_refuse_infinity(scorer, X):
    fitted = UndercompleteAE(2, **SHORT).fit(X)
    assert scorer(fitted, sparse_frame(X)) == pytest.approx(scorer(fitted, X))
    for container in (np.asarray, sparse_frame, csr_matrix):
        with pytest.raises(ValueError, match="contains infinity"):
            scorer(fitted, container(np.where(X == 2, np.inf, X)))


NARROW = {
    "tensor": torch.tensor,
    "tensor with a gradient": lambda X: torch.tensor(X, requires_grad=True),
    "sparse tensor": lambda X: torch.tensor(X).to_sparse(),
    "bfloat16": lambda X: torch.tensor(X).bfloat16(),
    "list of arrays": list,
    "tuple of tensors": lambda X: tuple(torch.tensor(X)),
    "nullable frame": lambda X: pd.DataFrame(X).astype("Float32"),
    "arrow's frame": lambda X: pd.DataFrame(X).astype("float32[pyarrow]"),
    "polars' frame": pl.DataFrame,
    "table": table,
    "batch": lambda X: table(X).to_batches()[0],
}


@pytest.mark.parametrize("cls", NO_TABLES)
@pytest.mark.parametrize("container", NARROW)
def test_rows_in_float32_come_back_in_float32(cls, container, X):
    data = NARROW[container](X.astype(np.float32))
    ours, plain = cls(2, **SHORT).fit(data), cls(2, **SHORT).fit(X.astype(np.float32))
    answer = ours.reconstruct(data)
    assert answer.dtype == ours.mean_.dtype == np.float32
    np.testing.assert_array_equal(answer, plain.reconstruct(X.astype(np.float32)))


#: The rows of the fixture in whatever torch keeps numbers in.
TENSORS = {
    "bfloat16": lambda x: x.bfloat16(),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "half": lambda x: x.half(),
    "gradient": lambda x: x.clone().requires_grad_(),
    "quantised": lambda x: torch.quantize_per_tensor(x.float(), 1.0, 0, torch.quint8),
    "negated": torch._neg_view,
    "conjugated": lambda x: torch.complex(0 * x, -x).conj().imag,
}


@pytest.mark.filterwarnings("ignore:.*uantize:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*uantize:UserWarning")
@pytest.mark.parametrize(
    "container", [lambda x: x, list, tuple, lambda x: map(list, x)]
)
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_are_their_numbers_in_lists_too(kind, container, X):
    given = container(TENSORS[kind](torch.tensor(X)))
    given = given if isinstance(given, torch.Tensor | tuple) else list(given)
    expected = -X if kind == "negated" else X
    np.testing.assert_array_equal(as_array(given, False, ""), expected)


def test_lists_of_tensors_are_rows_everywhere(X):
    rows = list(torch.tensor(X, dtype=torch.bfloat16, requires_grad=True))
    plain = X.astype(np.float32)
    ours, same = (UndercompleteAE(2, **SHORT).fit(x) for x in (rows, plain))
    np.testing.assert_array_equal(ours.reconstruct(rows), same.reconstruct(plain))
    codes = torch.tensor(same.transform(plain), requires_grad=True)
    np.testing.assert_array_equal(
        ours.inverse_transform(list(codes)), same.reconstruct(plain)
    )
    assert explained_variance(ours, rows) == explained_variance(same, plain)
    walks = (interpolate(m, x[:1], x[1:2]) for m, x in ((ours, rows), (same, plain)))
    np.testing.assert_array_equal(*(walk.reconstructions for walk in walks))


NO_NUMBERS = {
    "meta": (lambda x: x.to("meta"), "device 'meta'.* no values"),
    "nested": (lambda x: torch.nested.nested_tensor(list(x)), "differ in length"),
    "bits": (lambda x: x.byte().view(torch.bits8), "dtype torch.bits8"),
    "complex": (lambda x: torch.complex(x, x), "Complex data not supported"),
    "half complex": (
        lambda x: torch.complex(x.half(), x.half()),
        "Complex data not supported",
    ),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.filterwarnings("ignore:ComplexHalf support")
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_tensors_without_real_numbers_are_refused(kind, X):
    make, message = NO_NUMBERS[kind]
    x, fitted = make(torch.tensor(X)), UndercompleteAE(2, **SHORT).fit(X)
    for ask in (fitted.fit, fitted.transform, partial(explained_variance, fitted)):
        # A list of rows of different lengths is an error of numpy's.
        for given in (x,) if kind == "nested" else (x, list(x)):
            with pytest.raises(ValueError, match=message):
                ask(given)


@pytest.mark.parametrize("cls", NO_TABLES)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_sparse_frames_in_float32_come_back_in_float32(cls, dtype, X):
    frame = pd.DataFrame(X).astype(pd.SparseDtype(dtype, 0))
    assert cls(2, **SHORT).fit(frame).reconstruct(frame).dtype == np.float32


@pytest.mark.parametrize("make", [table, lambda X: table(X).to_batches()[0]])
def test_tables_are_rows_everywhere(make, X):
    ours, plain = (UndercompleteAE(2, **SHORT).fit(rows) for rows in (make(X), X))
    codes = ours.transform(make(X))
    assert ours.reconstruct(make(X)).dtype == np.float64
    np.testing.assert_array_equal(codes, plain.transform(X))
    np.testing.assert_array_equal(
        ours.inverse_transform(make(codes)), plain.inverse_transform(codes)
    )
    for model, same in ((ours, plain), (PCA(2).fit(make(X)), PCA(2).fit(X))):
        for scorer in SCORERS:
            assert scorer(model, make(X)) == pytest.approx(scorer(same, X))
        assert interpolate(model, make(X[:1]), make(X[1:2])).codes.shape == (9, 2)


def test_text_in_a_table_is_named(X):
    columns = {"height": X[:, 0], "colour": ["red"] * len(X)}
    with pytest.raises(ValueError, match="Column 'colour' of X holds 'red'"):
        UndercompleteAE(1, **SHORT).fit(pa.table(columns))


def test_images_may_be_a_tensor(X):
    images = X.reshape(60, 2, 4).astype(np.float32)
    ours = ConvAE(2, **SHORT).fit(torch.tensor(images))
    assert ours.reconstruct(torch.tensor(images)).dtype == np.float32
    assert explained_variance(ours, torch.tensor(images)) == ours.score(images)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_tensors_go_where_scikit_learn_takes_them(cls, X):
    rows, plain = torch.tensor(X), cls(2, **SHORT).fit(X)
    with sklearn.config_context(array_api_dispatch=True):
        ours = cls(2, **SHORT).fit(rows)
        codes = ours.transform(rows)
        score = ours.score(rows)
        if hasattr(ours, "inverse_transform"):
            answer = ours.inverse_transform(torch.tensor(codes))
            np.testing.assert_array_equal(answer, plain.reconstruct(X))
            explained = explained_variance(ours, rows)
            assert explained == explained_variance(plain, X)
            # One is a likelihood, and columns of tables count alike.
            is_own = cls in (VariationalAE, TableAE)
            assert is_own or score == pytest.approx(explained)
        pca = PCA(2, svd_solver="full").fit(rows)
        assert explained_variance(pca, rows) == pytest.approx(
            float(pca.explained_variance_ratio_.sum())
        )
    np.testing.assert_array_equal(codes, plain.transform(X))
    assert score == plain.score(X)
