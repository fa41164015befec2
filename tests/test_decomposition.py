"""What scikit-learn asks of its decompositions, asked of PCA and of every autoencoder.

Each test has the name of a row of the table in ``docs/guide/pca.rst``.
"""

import copy
import functools
import pathlib
import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skae

pytestmark = [
    pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse"),
    pytest.mark.filterwarnings("ignore:n_components=.* is not smaller than n_features"),
    pytest.mark.filterwarnings("ignore:.* components are not used"),
    pytest.mark.filterwarnings("ignore:. of . units are active in no training row"),
]

FEW = {"max_iter": 2, "hidden_layer_sizes": (8,), "early_stopping": False}
FEW |= {"batch_size": 60, "random_state": 0}
OWN = {"ConvAE": {"channels": 3}, "StackedAE": {"pretraining_max_iter": 1}}
OURS = {
    name: getattr(skae, name)(3, **FEW | OWN.get(name, {}))
    for name in skae.__all__
    if name.endswith("AE")
}
MODELS = {"PCA": PCA(3), **OURS}
#: The code of MaskedAE has no inverse.
INVERTIBLE = [name for name in MODELS if name != "MaskedAE"]
#: These are PCA before the first step.
FROM_PCA = [name for name in INVERTIBLE if name != "SparseAE"]
#: Tables are dense.
TAKE_SPARSE = [name for name in MODELS if name != "TableAE"]
METHODS = ["transform", "reconstruct", "score_samples", "score", "jacobian"]

X = np.random.default_rng(0).poisson(2.0, size=(60, 8)).astype(float)
X.setflags(write=False)
GUIDE = pathlib.Path(__file__).parents[1] / "docs" / "guide" / "pca.rst"


@functools.cache
def fitted(name, dtype=np.float64):
    """Return a model of ``X``, which tests do not change."""
    return clone(MODELS[name]).fit(X.astype(dtype))


@functools.cache
def codes_of(name):
    return fitted(name).transform(X)


def answers(model, rows):
    """Return what each method says of some rows."""
    names = [name for name in METHODS if hasattr(model, name)]
    return {name: getattr(model, name)(rows) for name in names}


def explained(model, rows):
    errors = np.square(rows - model.inverse_transform(model.transform(rows))).sum()
    return 1 - errors / np.square(rows - rows.mean(axis=0)).sum()


def assert_alike(given, expected):
    """Compare codes up to what training makes of errors by rounding."""
    np.testing.assert_allclose(given, expected, atol=0.01 * np.std(expected))


def on(names):
    return pytest.mark.parametrize("name", names)


# Shapes and dtypes ----------------------------------------------------------------


@on(MODELS)
def test_fit_transform_is_fit_then_transform(name):
    codes = clone(MODELS[name]).fit_transform(X)
    np.testing.assert_allclose(codes, codes_of(name), atol=1e-12)


@on(MODELS)
@pytest.mark.parametrize(("n_components", "width"), [(1, 1), (None, 8)])
def test_codes_have_n_components_columns(name, n_components, width):
    model = clone(MODELS[name]).set_params(n_components=n_components).fit(X)
    codes = model.transform(X[:7])
    assert codes.shape == (7, width)
    assert (model.n_components_, model.n_features_in_) == (width, 8)
    if name in INVERTIBLE:
        assert model.inverse_transform(codes).shape == (7, 8)


@on(MODELS)
def test_more_components_than_rows_or_features(name):
    rows = X[:6, :5]
    widest = clone(MODELS[name]).set_params(n_components=None).fit(X[:6])
    assert widest.n_components_ == (6 if name in ("PCA", "UndercompleteAE") else 8)
    model = clone(MODELS[name]).set_params(n_components=12)
    if name == "PCA":
        with pytest.raises(ValueError, match="n_components=12 must be between"):
            model.fit(rows)
    else:
        codes = model.fit_transform(rows)
        assert codes.shape == (len(rows), 12)
        assert np.isfinite(codes).all()


@on(MODELS)
def test_a_share_of_the_variance_as_n_components(name):
    model = clone(MODELS[name]).set_params(n_components=0.6)
    if name in ("PCA", "UndercompleteAE"):
        width = model.fit(X).n_components_
        plain = (
            PCA(k).fit(X).explained_variance_ratio_.sum() for k in (width - 1, width)
        )
        assert 1 < width < 8
        assert name != "PCA" or next(plain) < 0.6 < next(plain)
    else:
        with pytest.raises(ValueError, match=r"'n_components' parameter of .* Got 0.6"):
            model.fit(X)


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])


@DTYPES
@on(MODELS)
def test_dtypes_of_codes_and_reconstructions(name, dtype):
    model = fitted(name, dtype)
    codes = model.transform(X.astype(dtype))
    as_rows = np.float32 if dtype == np.float32 else np.float64
    assert codes.dtype == (as_rows if name == "PCA" else np.float32)
    if name in INVERTIBLE:
        assert model.inverse_transform(codes).dtype == as_rows


@DTYPES
@on(MODELS)
def test_the_dtype_of_the_rows_changes_codes_by_rounding_alone(name, dtype):
    assert_alike(fitted(name, dtype).transform(X.astype(dtype)), codes_of(name))


# Containers -----------------------------------------------------------------------

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]


@on(TAKE_SPARSE)
def test_sparse_rows_have_the_codes_of_dense_rows(name):
    model = clone(MODELS[name]).fit(sparse.csc_array(X))
    assert_alike(model.transform(X), codes_of(name))
    expected = answers(model, X)
    for rows in (sparse.csr_array(X), sparse.csr_matrix(X.astype(np.int64))):
        # The scores of PCA take dense rows only.
        said = answers(model, rows) if name in OURS else {}
        for method, answer in said.items():
            np.testing.assert_allclose(
                answer, expected[method], rtol=1e-4, atol=1e-5, err_msg=method
            )
    for kind in FORMATS:
        codes = model.transform(sparse.csr_array(X).asformat(kind))
        np.testing.assert_allclose(codes, expected["transform"], atol=1e-5)


MEMORY = {
    "Fortran": np.asfortranarray,
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "big-endian": lambda X: X.astype(">f8"),
}


@on(MODELS)
def test_the_order_in_memory_does_not_matter(name):
    for rows in (arrange(X) for arrange in MEMORY.values()):
        codes = fitted(name).transform(rows)
        np.testing.assert_allclose(codes, codes_of(name), atol=1e-6)
    model = clone(MODELS[name]).fit(MEMORY["strided"](X))
    assert_alike(model.transform(X), codes_of(name))


@on(MODELS)
def test_read_only_and_memory_mapped_rows_work(name, tmp_path):
    """As joblib gives them to its workers."""
    joblib.dump((X, codes_of(name)), tmp_path / "rows")
    rows, codes = joblib.load(tmp_path / "rows", mmap_mode="r")
    assert isinstance(rows, np.memmap)
    model = clone(MODELS[name]).fit(rows)
    expected = answers(fitted(name), X)
    for method, answer in answers(model, rows).items():
        np.testing.assert_allclose(answer, expected[method], rtol=1e-5, err_msg=method)
    if name in INVERTIBLE:
        np.testing.assert_array_equal(
            model.inverse_transform(codes), fitted(name).inverse_transform(codes)
        )


@on(MODELS)
def test_the_rows_are_not_changed(name):
    """Here in float32; all other tests have read-only rows in float64."""
    rows = X.astype(np.float32)
    model = clone(MODELS[name])
    codes = model.fit_transform(rows)
    answers(model, rows)
    np.testing.assert_array_equal(rows, X)
    if name in INVERTIBLE:
        before = codes.copy()
        model.inverse_transform(codes)
        np.testing.assert_array_equal(codes, before)


@on(MODELS)
def test_later_changes_of_the_rows_change_nothing(name):
    rows = X.copy()
    model = clone(MODELS[name]).fit(rows)
    rows[:] = np.nan
    np.testing.assert_array_equal(model.transform(X), codes_of(name))


# What codes depend on -------------------------------------------------------------


@on(MODELS)
def test_the_same_seed_gives_the_same_codes(name):
    drawn = clone(MODELS[name]).set_params(random_state=np.random.RandomState(0))
    for model in (clone(fitted(name)), drawn):
        np.testing.assert_array_equal(model.fit(X).transform(X), codes_of(name))


@on(MODELS)
def test_another_seed_gives_other_codes(name):
    codes = clone(MODELS[name]).set_params(random_state=1).fit(X).transform(X)
    assert np.array_equal(codes, codes_of(name)) == (name == "PCA")


@on(MODELS)
def test_unit_and_origin_of_the_rows(name):
    codes = clone(MODELS[name]).fit_transform(4 * X + 100)
    assert_alike(codes, codes_of(name) * (4 if name == "PCA" else 1))


@on(FROM_PCA)
def test_the_sign_of_a_component_is_fixed(name):
    backwards = clone(MODELS[name]).fit(X[::-1])
    products = (backwards.transform(X) * codes_of(name)).sum(axis=0)
    assert (products > 0.9 * np.square(codes_of(name)).sum(axis=0)).all()


@on(MODELS)
def test_constant_features_leave_codes_finite(name):
    rows = X.copy()
    rows[:, 3], rows[:, 5] = 7.0, 0.0
    codes = clone(MODELS[name]).fit_transform(rows)
    assert np.isfinite(codes).all()
    assert (codes.std(axis=0) > 0).all()


# What codes tell ------------------------------------------------------------------


@on(FROM_PCA)
def test_more_components_explain_more(name):
    one, six = (clone(MODELS[name]).set_params(n_components=k).fit(X) for k in (1, 6))
    shares = [explained(model, X) for model in (one, fitted(name), six)]
    assert 0 < shares[0] < shares[1] < shares[2] < 1


@on(FROM_PCA)
def test_as_many_components_as_features_lose_nothing(name):
    model = clone(MODELS[name]).set_params(n_components=8).fit(X)
    assert 1 - explained(model, X) < (1e-12 if name == "PCA" else 1e-6)


@on(FROM_PCA)
def test_rows_in_a_subspace_are_reconstructed_by_its_dimension(name):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 8)) + 5
    model = clone(MODELS[name]).fit(rows)
    assert 1 - explained(model, rows) < (1e-12 if name == "PCA" else 1e-6)


# Names ----------------------------------------------------------------------------


@on(MODELS)
def test_codes_are_frames_with_names_after_set_output(name):
    names = [f"{name.lower()}{i}" for i in range(3)]
    index = pd.Index(np.arange(60) + 100)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(8)], index=index)
    model = clone(MODELS[name])
    codes = model.set_output(transform="pandas").fit_transform(frame)
    assert list(model.get_feature_names_out()) == list(codes.columns) == names
    assert codes.index.equals(index)
    np.testing.assert_allclose(codes, codes_of(name), atol=1e-6)
    if name in INVERTIBLE:
        np.testing.assert_allclose(
            model.inverse_transform(codes),
            fitted(name).inverse_transform(codes_of(name)),
            atol=1e-5,
        )
    codes = model.set_output(transform="polars").transform(frame)
    assert isinstance(codes, pl.DataFrame)
    assert codes.columns == names
    with sklearn.config_context(transform_output="pandas"):
        assert list(fitted(name).transform(X).columns) == names


@on(MODELS)
def test_columns_are_known_by_name(name):
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    model = clone(MODELS[name]).fit(frame)
    assert list(model.feature_names_in_) == list("abcdefgh")
    assert not hasattr(fitted(name), "feature_names_in_")
    for other in (frame[list("hgfedcba")], frame.rename(columns={"a": "new"})):
        with pytest.raises(ValueError, match="feature names"):
            model.transform(other)
    with pytest.raises(ValueError, match=r"feature names|7 features"):
        model.transform(frame.drop(columns="c"))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.transform(X)


# Errors ---------------------------------------------------------------------------


@on(INVERTIBLE)
@pytest.mark.parametrize(
    "codes",
    [np.ones((5, 2)), np.ones((5, 4)), np.ones(3), np.ones((0, 3)), [[0, 0, np.nan]]],
    ids=["narrow", "wide", "1d", "empty", "nan"],
)
def test_codes_that_do_not_fit_are_refused(name, codes):
    with pytest.raises(ValueError, match=r"codes|columns|mismatch|array|NaN|shape"):
        fitted(name).inverse_transform(codes)


@on(MODELS)
def test_methods_need_a_fit(name):
    for method in {*METHODS, "inverse_transform"} & set(dir(MODELS[name])):
        with pytest.raises(NotFittedError, match=f"This {name} instance is not fitted"):
            getattr(MODELS[name], method)(np.ones((2, 8)))
    with pytest.raises(NotFittedError):
        MODELS[name].get_feature_names_out()


#: Others may be classes, and say what they miss in their own way.
TAKE_CLASSES = "solver", "activation", "code_activation", "loss", "encoder", "decoder"


@on(MODELS)
def test_parameters_of_another_type_are_named(name):
    for parameter in MODELS[name].get_params():
        model = clone(MODELS[name]).set_params(**{parameter: object})
        if parameter not in TAKE_CLASSES:
            with pytest.raises((ValueError, TypeError), match=parameter):
                model.fit(X)


# Later calls ----------------------------------------------------------------------


@on(MODELS)
def test_parameters_set_after_fit_wait_for_the_next_fit(name):
    model = copy.deepcopy(fitted(name)).set_params(n_components=5, random_state=3)
    np.testing.assert_array_equal(model.transform(X), codes_of(name))
    assert model.fit(X).transform(X).shape == (60, 5)


@on(MODELS)
def test_a_second_fit_forgets_the_first(name):
    model = copy.deepcopy(fitted(name)).fit(X[:, :5])
    fresh = clone(MODELS[name]).fit(X[:, :5])
    assert vars(model).keys() == vars(fresh).keys()
    np.testing.assert_array_equal(model.transform(X[:, :5]), fresh.transform(X[:, :5]))


@on(["IncrementalPCA", *OURS])
def test_batches_train_further(name):
    """``PCA`` itself has no ``partial_fit``."""
    model = clone(OURS.get(name, IncrementalPCA(3))).partial_fit(X[:30])
    first = model.transform(X)
    for rows in (X[30:50], X[50:51]):
        model.partial_fit(rows)
    assert not np.allclose(model.transform(X), first)
    for rows, n_components in ((X[:, :5], 3), (X, 2)):
        with pytest.raises(
            ValueError, match=r"5 features|n_components|Cannot continue"
        ):
            model.set_params(n_components=n_components).partial_fit(rows)
    assert model.transform(X).shape == (60, 3)


# In company -----------------------------------------------------------------------


@on(MODELS)
def test_a_pipeline_is_searched(name):
    y = X[:, 0] > 2
    pipeline = make_pipeline(clone(MODELS[name]), LogisticRegression())
    step = pipeline.steps[0][0]
    grid, split = {f"{step}__n_components": [1, 8]}, [(range(40), range(40, 60))]
    search = GridSearchCV(pipeline, grid, cv=split).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    codes = search.best_estimator_[:-1]
    width = search.best_params_[f"{step}__n_components"]
    assert codes.transform(X).shape == (60, width)
    assert len(codes.get_feature_names_out()) == width
    # The label is a feature, which eight components tell and one does not.
    assert name not in FROM_PCA or width == 8


@on(MODELS)
def test_fits_in_threads_do_not_disturb_each_other(name):
    fits = (joblib.delayed(clone(MODELS[name]).fit)(X) for _ in range(2))
    for model in joblib.Parallel(2, prefer="threads")(fits):
        np.testing.assert_array_equal(model.transform(X), codes_of(name))


# The guide ------------------------------------------------------------------------


def test_rows_of_the_guides_table_are_tests():
    table = GUIDE.read_text().split("What of PCA's contract holds\n")[1]
    rows = re.findall(r"^   \* - (.*(?:\n       .*)*)", table, re.MULTILINE)
    names = ["_".join(re.findall(r"\w+", row.lower())) for row in rows[1:]]
    tests = [name for name in globals() if name.startswith("test_")]
    assert [f"test_{name}" for name in names] == tests[:-1]
