"""TableAE: tables of mixed columns go in as they are, and come out like that."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import OneHotEncoder, StandardScaler, scale

from skae import TableAE
from skae._objectives.corruption import hide_columns, swap_columns
from skae._objectives.table import TableLoss

FEW = {"max_iter": 3, "early_stopping": False, "random_state": 0}
# A frame with None and NaN beside each other is what users have.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def made(n=600, seed=0):
    """Numbers, a boolean and categories that are curved functions of two traits."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-2, 2, (2, n))
    numbers = np.column_stack([np.sin(2 * u), u * v, np.cos(2 * v), 1e6 * u, v])
    return pd.DataFrame(numbers, columns=list("abcde")).assign(
        flag=u + v > 0.3,
        age=pd.Categorical.from_codes(
            np.digitize(u, [-1, 0, 1]), ["young", "mid", "older", "old"], ordered=True
        ),
        ring=np.array(["inner", "middle", "outer"])[
            np.digitize(np.hypot(u, v), [1, 1.8])
        ],
    )


@pytest.fixture(scope="module")
def frame():
    return made()


def every_dtype(n=80):
    """Return a column of each dtype, some with missing values."""
    z = np.random.default_rng(0).normal(size=n)
    text, gap = np.where(z > 0.3, "hi", "lo").astype(object), np.arange(n) % 7 == 0
    columns = {
        "float64": pd.Series(z).mask(gap),
        "float32": pd.Series(z, dtype="float32"),
        "int8": pd.Series(np.round(9 * z), dtype="int8"),
        "int64": pd.Series(np.round(1e6 * z), dtype="int64"),
        "uint8": pd.Series(np.round(100 + 30 * z), dtype="uint8"),
        "Int64": pd.Series(np.round(9 * z), dtype="Int64").mask(gap),
        "Float64": pd.Series(z, dtype="Float64").mask(gap),
        "bool": pd.Series(z > 0),
        "boolean": pd.Series(z > 0, dtype="boolean").mask(gap),
        "object bool": pd.Series(z > 0, dtype=object).mask(gap, None),
        "object": pd.Series(text).mask(gap, None),
        "string": pd.Series(text, dtype="string").mask(gap),
        "category": pd.Series(
            pd.Categorical(text, categories=["lo", "never", "hi"], ordered=True)
        ).mask(gap),
        "category int": pd.Series(pd.Categorical(np.digitize(z, [-1, 1]) + 7)),
        "constant": 7,
        "one text": "only",
        "empty": np.nan,
        "empty text": pd.Series([None] * n, dtype="string"),
    }
    return pd.DataFrame(columns).set_index(pd.Index(10 * np.arange(n), name="row"))


EMPTY = ["empty", "empty text"]


# What goes in comes out ------------------------------------------------------------


def test_every_dtype_comes_back_filled():
    X = every_dtype()
    ae = TableAE(2, max_iter=10, random_state=0).fit(X)
    answer = ae.reconstruct(X)
    pd.testing.assert_series_equal(answer.dtypes, X.dtypes)
    pd.testing.assert_index_equal(answer.index, X.index)
    assert answer.drop(columns=EMPTY).notna().all(axis=None)
    assert answer[EMPTY].isna().all(axis=None)
    assert (answer[["constant", "one text"]] == X[["constant", "one text"]]).all(
        axis=None
    )
    assert set(answer["category"]) == {"lo", "hi"}
    for name in ("bool", "boolean", "object", "string", "category", "category int"):
        known = X[name].notna()
        assert (answer[name] == X[name])[known].mean() > 0.75, name
    decoded = ae.inverse_transform(ae.transform(X))
    pd.testing.assert_frame_equal(decoded, answer.reset_index(drop=True))
    codes = ae.set_output(transform="pandas").transform(X)
    pd.testing.assert_frame_equal(ae.inverse_transform(codes), answer)


def test_every_dtype_of_polars_comes_back():
    z = np.random.default_rng(0).normal(size=60)
    text = np.where(z > 0, "a", "b")
    gaps = [None if value < -1 else value for value in z]
    X = pl.DataFrame(
        {
            "f": gaps,
            "f32": pl.Series(z, dtype=pl.Float32),
            "i": pl.Series([g if g is None else round(9 * g) for g in gaps]),
            "b": z > 0,
            "s": text,
            "c": pl.Series(text, dtype=pl.Categorical),
            "e": pl.Series(text, dtype=pl.Enum(["b", "never", "a"])),
            "empty": pl.Series([None] * 60, dtype=pl.Int32),
        }
    )
    ae = TableAE(2, **FEW).fit(X)
    answer = ae.reconstruct(X)
    assert answer.schema == X.schema
    assert answer.null_count().row(0) == (0,) * 7 + (60,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_arrays_come_back_as_arrays(dtype, rng):
    X = (rng.random((40, 3)) * 9).astype(dtype)
    answer = TableAE(1, **FEW).fit(X).reconstruct(X)
    kept = {np.float32: np.float32, np.uint8: np.float32, bool: np.bool_}
    assert answer.dtype == kept.get(dtype, np.float64)


def test_arrays_of_objects_and_lists_have_columns_of_all_kinds():
    rows = [[1.0, "a", True], [2.0, "b", False], [3.0, None, True], [4.0, "b", None]]
    for X in (np.array(rows, dtype=object), [row[:2] for row in rows]):
        ae = TableAE(1, **FEW).fit(X)
        kinds = ["number", "category", "boolean"]
        assert [code.kind for code in ae.columns_] == kinds[: len(X[0])]
        answer = ae.reconstruct(X)
        assert answer.dtype == object
        assert isinstance(answer[0, 0], float)
        assert set(answer[:, 1]) <= {"a", "b"}


@pytest.mark.parametrize("dtype", ["uint8", "int64", "UInt64", "Int8"])
def test_integers_stay_in_their_range(dtype):
    info = np.iinfo(dtype.lower())
    X = pd.DataFrame({"n": [info.min] * 20 + [info.max] * 20}).astype(dtype)
    ae = TableAE(1, **FEW).fit(X.assign(m=X.n))
    answer = ae.inverse_transform([[-1e3], [1e3]])
    assert answer.n.dtype == X.n.dtype
    assert sorted(answer.n) == pytest.approx([info.min, info.max])


def test_pickles_and_clones_answer_the_same(frame):
    ae = TableAE(2, **FEW).fit(frame)
    again = pickle.loads(pickle.dumps(ae))
    pd.testing.assert_frame_equal(again.reconstruct(frame), ae.reconstruct(frame))
    np.testing.assert_array_equal(
        clone(ae).fit(frame).transform(frame), ae.transform(frame)
    )
    first = TableAE(2, **FEW).partial_fit(frame)
    going_on = pickle.loads(pickle.dumps(first)).partial_fit(frame)
    np.testing.assert_array_equal(
        going_on.transform(frame), first.partial_fit(frame).transform(frame)
    )


def test_a_search_takes_a_frame(frame):
    search = GridSearchCV(TableAE(**FEW), {"n_components": [1, 4]}, cv=2)
    search.fit(frame[:200])
    assert search.best_params_ == {"n_components": 4}
    assert search.transform(frame).shape == (600, 4)


# Missing values and categories not seen --------------------------------------------


def test_a_category_not_seen_counts_as_missing(frame):
    ae = TableAE(2, **FEW).fit(frame)
    unseen, missing = frame.copy(), frame.copy()
    unseen["ring"], missing["ring"] = "beyond", None
    for method in (ae.transform, ae.score_samples, ae.score):
        np.testing.assert_array_equal(method(unseen), method(missing))
    assert set(ae.reconstruct(unseen)["ring"]) <= {"inner", "middle", "outer"}


@pytest.mark.parametrize("kind", [float, object, "Float64"])
def test_numbers_in_place_of_booleans_are_zero_and_one(frame, kind):
    """Another number would count as missing, without a word."""
    ae = TableAE(2, **FEW).fit(frame)
    as_numbers = frame.assign(flag=(1.0 * frame.flag).astype(kind))
    np.testing.assert_array_equal(ae.transform(as_numbers), ae.transform(frame))
    as_numbers.loc[3, "flag"] = 100.0
    with pytest.raises(ValueError, match="'flag' of X holds 100, but it held booleans"):
        ae.transform(as_numbers)


def test_a_missing_value_is_seen_as_the_mean(frame):
    X = frame[["a", "b", "d"]]
    gaps = np.arange(len(X)) % 3 == 0
    seen = X.assign(a=X.a.mask(gaps))
    ae = TableAE(2, **FEW, transform_max_iter=0).fit(seen)
    filled = seen.fillna({"a": seen.a.mean()})
    np.testing.assert_allclose(ae.transform(seen), ae.transform(filled), atol=1e-5)


def test_missing_values_are_filled_better_than_by_constants():
    train, test = made(800, 1), made(400, 2)
    ae = TableAE(2, noise="gaps", noise_level=0.2, max_iter=40, random_state=0)
    ae.fit(train)
    filled = ae.reconstruct(test.assign(age=None, a=np.nan))
    assert (filled.age == test.age).mean() > 2 * train.age.value_counts().max() / 800
    assert np.square(filled.a - test.a).mean() < 0.3 * test.a.var()


def test_refined_codes_leave_missing_values_out(frame):
    seen = frame.assign(b=np.nan, ring=None)
    ae = TableAE(2, max_iter=12, random_state=0).fit(frame)
    assert ae.transform_max_iter_ == 3
    refined = ae.score(seen)
    assert refined > ae.set_params(transform_max_iter=0).score(seen)


def test_scores_of_a_row_with_gaps_are_those_of_whole_rows(frame):
    """Each missing column counts as the mean of the known ones, of whatever size."""
    ae = TableAE(2, **FEW).fit(frame)
    seen = frame.assign(age=None, ring=None)
    errors = ae._squared_errors(ae._checked(seen)) * ae.scale_**2
    np.testing.assert_allclose(-ae.score_samples(seen), errors * 8 / 6, rtol=1e-5)


def test_constant_and_empty_columns_change_nothing(frame):
    more = frame.assign(one=5.0, none=np.nan, text="x")
    ae = TableAE(2, **FEW, init="pca", solver="lbfgs", noise_level=0.0)
    ae.set_params(max_iter=1).fit(more)
    codes = ae.transform(more)
    other = more.assign(one=9.0, none=3.0, text="y")
    np.testing.assert_array_equal(ae.transform(other), codes)
    assert np.isfinite(codes).all()


@pytest.mark.parametrize(
    "later", [["x", None], pd.Categorical(["x", None]), [1.0, 2.0], [True, False]]
)
def test_a_column_that_was_empty_takes_anything_later(later, frame):
    ae = TableAE(2, **FEW).fit(frame.assign(none=None))
    some = frame[:2]
    np.testing.assert_array_equal(
        ae.transform(some.assign(none=later)), ae.transform(some.assign(none=None))
    )


def test_numbers_of_a_categorical_dtype_are_numbers_if_fit_saw_those(frame):
    ae = TableAE(2, **FEW).fit(frame)
    some = frame[:2].assign(a=[2.0, np.nan])
    for same in (some.assign(a=pd.Categorical([2, None])), some.assign(flag=[1, 0])):
        expected = ae.transform(same.astype({"a": float, "flag": bool}))
        np.testing.assert_array_equal(ae.transform(same), expected)
    empty = some.assign(a=pd.Categorical([None, None], categories=["x"]))
    np.testing.assert_array_equal(
        ae.transform(empty), ae.transform(some.assign(a=np.nan))
    )


# The loss --------------------------------------------------------------------------


def test_the_loss_is_a_mean_of_losses_over_their_priors(frame, rng):
    """A second road: numpy's squares and scikit-learn's log-losses."""
    ae = TableAE(3, max_iter=5, early_stopping=False, random_state=0).fit(frame)
    rows = torch.tensor((ae._checked(frame) - ae.mean_) / ae.scale_)
    loss = ae._make_loss(ae.loss, ae.mean_, ae.scale_)
    with torch.no_grad():
        output = ae.network_(rows)
        ours = float(loss(output, rows))
    numbers = output[:, :5].numpy() * ae.scale_
    squares = np.square(numbers - scale(frame[list("abcde")])).mean(axis=0)
    sizes, parts = [1, 4, 3], output[:, 5:].split([1, 4, 3], dim=1)
    texts = [frame[name] for name in ("flag", "age", "ring")]
    losses = []
    for size, part, values in zip(sizes, parts, texts, strict=True):
        logits = torch.cat([0 * part, part], dim=1) if size == 1 else part
        shares = logits.double().softmax(dim=1)
        codes = values.astype("category").cat.codes
        prior = np.bincount(codes) / len(codes)
        entropy = -(prior * np.log(prior)).sum()
        losses.append(log_loss(codes, shares.numpy()) / entropy)
    assert ours == pytest.approx(np.mean([*squares, *losses]), rel=1e-4)


def test_no_column_drowns_the_others(frame):
    """At the mean, the loss of each column is 1: in any unit, with any categories."""
    ae = TableAE(2, **FEW).fit(frame)
    rows = torch.tensor((ae._checked(frame) - ae.mean_) / ae.scale_)
    loss = ae._make_loss(ae.loss, ae.mean_, ae.scale_)
    first = loss.first_output().expand_as(rows)
    each = loss.distance(first, rows, "none").mean(0).split(ae._sizes)
    columns = torch.stack([part.sum() for part in each]) * 8 / rows.shape[1]
    torch.testing.assert_close(columns, torch.ones(8), atol=1e-4, rtol=0)
    variances = np.add.reduceat(rows.numpy().var(0), np.cumsum(ae._sizes) - ae._sizes)
    np.testing.assert_allclose(variances * ae.scale_**2, 1, rtol=1e-4)


def test_the_link_is_inverted_where_probabilities_are_inside(rng):
    sizes, units = [1, 3, 1, 2], np.array([np.nan, 2, 2, 2, 1.5, 1.2, 1.2])
    shares = np.array([0.3, 0.2, 0.3, 0.5, 0.4, 0.6, 0.4])
    mean = np.where(np.isnan(units), 0.3, shares * np.nan_to_num(units, nan=1))
    link = TableLoss(mean, 0.7, sizes, units, [1.0] * 4).link
    levels = rng.dirichlet([5, 5, 5], 4), rng.uniform(0.2, 0.8, (4, 1))
    probabilities = np.hstack(
        [rng.normal(size=(4, 1)), *levels, rng.dirichlet([5, 5], 4)]
    )
    rows = (probabilities * np.nan_to_num(units, nan=1) - mean) / 0.7
    rows = torch.tensor(rows, dtype=torch.float32)
    torch.testing.assert_close(link.inverse(link(rows)), rows)


def test_columns_of_numbers_count_in_units_of_their_deviation(rng):
    """Without categories, PCA that stays is that of scaled columns."""
    X = rng.normal(size=(90, 5)) * [1, 10, 1e3, 1e-3, 1] + 7
    ae = TableAE(2, learning_rate_init=1e-9, max_iter=1, random_state=0).fit(X)
    assert ae.is_pca_
    scaler = StandardScaler().fit(X)
    pca = PCA(2).fit(scaler.transform(X))
    expected = pca.inverse_transform(pca.transform(scaler.transform(X)))
    np.testing.assert_allclose(scaler.transform(ae.reconstruct(X)), expected, atol=1e-4)
    assert ae.score(X) == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-4)


def test_a_rare_category_does_not_outweigh_all_others(frame):
    rare = frame.assign(flag=np.arange(len(frame)) == 3)
    code = TableAE(2, **FEW).fit(rare).columns_[5]
    assert code.unit == pytest.approx(1 / np.sqrt(0.01 * 0.99))
    assert code.prior == pytest.approx(-0.01 * np.log(0.01) - 0.99 * np.log(0.99))


# Corruption ------------------------------------------------------------------------


@pytest.mark.parametrize("corrupt", [swap_columns, hide_columns])
def test_columns_are_corrupted_as_a_whole(corrupt):
    sizes = [1, 3, 2, 1]
    x = (torch.arange(2000)[:, None] + torch.zeros(7)) + 1
    seen = corrupt(x, torch.Generator().manual_seed(0), level=0.3, sizes=sizes)
    for group in seen.split(sizes, dim=1):
        assert (group == group[:, :1]).all()
    hits = (seen != x)[:, [0, 1, 4, 6]].float()
    np.testing.assert_allclose(hits.mean(0), 0.3, atol=0.04)
    # Columns are hit one by one, and swapped values are those of the same column.
    assert abs(np.corrcoef(hits.T)[0, 1]) < 0.1
    values = set(seen.unique().tolist()) - {0.0}
    assert values <= set(x.unique().tolist())


def test_an_own_noise_sees_encoded_rows(frame):
    shapes = []

    def noise(x, generator):
        shapes.append(x.shape)
        return x + torch.randn(x.shape, generator=generator)

    TableAE(2, **FEW, noise=noise).fit(frame)
    assert {shape[1] for shape in shapes} == {5 + 1 + 4 + 3}


# Kinds of columns ------------------------------------------------------------------


@pytest.mark.parametrize(
    "chosen", [["d"], [3], [-5], np.arange(8) == 3, np.array(["d"])]
)
def test_categories_are_named_in_each_way(chosen, frame):
    X = frame.assign(d=np.digitize(frame.e, [-1, 1]))
    ae = TableAE(2, **FEW, categorical_features=chosen).fit(X)
    assert ae.columns_[3].kind == "category"
    assert ae.columns_[3].levels.tolist() == [0, 1, 2]
    answer = ae.reconstruct(X)
    assert answer.d.dtype == X.d.dtype
    assert set(answer.d) <= {0, 1, 2}


@pytest.mark.parametrize("kind", [pl.Int16, pl.Float32, pl.Boolean, pl.String])
def test_chosen_columns_of_polars_come_back(kind):
    values = pl.Series([0, 1, None, 1] * 9).cast(kind)
    X = pl.DataFrame({"c": values, "n": np.arange(36.0)})
    answer = TableAE(1, **FEW, categorical_features=["c"]).fit(X).reconstruct(X)
    assert answer.schema == X.schema
    assert set(answer["c"]) <= set(values) - {None}


@pytest.mark.parametrize("chosen", [["z"], [8], [True, False], [0.5]])
def test_columns_that_are_not_there_are_told(chosen, frame):
    with pytest.raises(ValueError, match=r"categorical_features=.* 8 columns .'a'"):
        TableAE(2, categorical_features=chosen).fit(frame)


def test_quantiles_are_independent_of_a_monotone_unit(frame):
    numbers = frame[["a", "b", "e"]]
    skewed = np.exp(3 * numbers)
    ae, ours = (TableAE(2, **FEW, scaling="quantiles") for _ in range(2))
    codes = ae.fit(numbers).transform(numbers)
    np.testing.assert_allclose(ours.fit_transform(skewed), codes, atol=0.02)
    answers = ours.reconstruct(skewed)
    assert (answers >= skewed.min() * 0.999).all(axis=None)


def test_only_the_most_frequent_categories_are_kept(rng):
    X = pd.DataFrame({"t": [f"v{i}" for i in range(300)] * 2 + ["v7"] * 9})
    ae = TableAE(1, **FEW).fit(X.assign(n=rng.normal(size=609)))
    assert len(ae.columns_[0].levels) == 255
    assert "v7" in ae.columns_[0].levels


DAYS = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (DAYS, "is of dtype datetime64.*dates to numbers"),
        (DAYS - DAYS[0], "is of dtype timedelta64"),
        ([1 + 2j, 1j, 0], "is of dtype complex"),
        ([1, "two", 3.0], "mixes text and numbers, such as"),
        ([[1], [2], [3]], r"holds \[3\], of type list"),
        ([{}, {}, {}], r"holds \{\}, of type dict"),
        (list(DAYS.to_period("D")), "is of dtype period|of type Period"),
    ],
)
def test_columns_of_other_kinds_are_told_by_name(column, said):
    X = pd.DataFrame({"x": [1.0, 2, 3], "when": pd.Series(column)})
    ae = TableAE(1)
    with pytest.raises(TypeError, match=f"Column 'when' of X {said}"):
        ae.fit(X)
    assert not hasattr(ae, "columns_")


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        ("M8[D]", "dtype datetime64"),
        ("m8[s]", "dtype timedelta64"),
        ("S2", "of type b"),
    ],
)
def test_arrays_of_other_kinds_are_told(dtype, said):
    with pytest.raises(TypeError, match=f"Column 0 of X .*{said}"):
        TableAE(1).fit(np.arange(6).reshape(3, 2).astype(dtype))


def test_text_of_any_array_is_categories():
    text = np.array([["a", "q"], ["b", "r"], ["b", "q"]] * 9)
    masked = np.ma.array(text, mask=[[0, 1], [0, 0], [0, 0]] * 9)
    for X in (text.astype(np.dtypes.StringDType()), masked, masked.astype(object)):
        ae = TableAE(1, **FEW).fit(X)
        assert [code.levels.tolist() for code in ae.columns_] == [
            ["a", "b"],
            ["q", "r"],
        ]
        assert set(ae.reconstruct(X)[:, 1]) <= {"q", "r"}
    assert ae.columns_[1].shares.tolist() == [0.5, 0.5]


def test_integers_that_floats_confuse_are_no_categories():
    X = pd.DataFrame({"id": [2**62, 2**62 + 1] * 9, "n": np.arange(18)})
    with pytest.raises(ValueError, match=r"Column 'id' .* 2\*\*53 apart"):
        TableAE(1, **FEW, categorical_features=["id"]).fit(X)
    as_text = X.astype({"id": str})
    assert len(TableAE(1, **FEW).fit(as_text).columns_[0].levels) == 2


def test_text_where_numbers_were_is_told(frame):
    ae = TableAE(2, **FEW).fit(frame)
    with pytest.raises(ValueError, match="Column 'a' of X holds 'x', but it held num"):
        ae.transform(frame.assign(a="x"))
    with pytest.raises(ValueError, match="'flag' of X holds 'no', but it held bool"):
        ae.transform(frame.assign(flag="no"))
    with pytest.raises(ValueError, match=r"'a' of X holds 1e\+300, .* its mean"):
        ae.transform(frame.assign(a=1e300))
    with pytest.raises(ValueError, match="infinity in column 'a'"):
        ae.transform(frame.assign(a=np.inf))
    with pytest.raises(TypeError, match=r"[Ss]parse .*pass X\.toarray"):
        TableAE().fit(csr_matrix(np.eye(3)))


def test_there_is_no_derivative():
    with pytest.raises(AttributeError, match="'jacobian': categories have no deriv"):
        TableAE().jacobian  # noqa: B018


# Beside PCA ------------------------------------------------------------------------


def test_it_beats_pca_of_one_hot_rows_for_both_kinds():
    train, test = made(800, 3), made(400, 4)
    names = ["flag", "age", "ring"]
    encoder = OneHotEncoder(sparse_output=False).fit(train[names].astype(object))
    rows = [
        np.hstack([X[list("abcde")], encoder.transform(X[names].astype(object))])
        for X in (train, test)
    ]
    scaler = StandardScaler().fit(rows[0])
    pca = PCA(2).fit(scaler.transform(rows[0]))
    answers = pca.inverse_transform(pca.transform(scaler.transform(rows[1])))
    ae = TableAE(2, max_iter=40, random_state=0).fit(train)
    ours = ae.reconstruct(test)
    squares = (answers - scaler.transform(rows[1]))[:, :5] ** 2
    numbers = list("abcde")
    missed = (ours[numbers] - test[numbers]) / train[numbers].std(ddof=0)
    assert np.square(missed).to_numpy().mean() < 0.3 * squares.mean()
    texts = encoder.inverse_transform(scaler.inverse_transform(answers)[:, 5:])
    wrong = (texts != test[names].astype(object).to_numpy()).mean()
    assert (ours[names] != test[names]).to_numpy().mean() < 0.5 * wrong


def test_pca_stays_where_training_does_not_help(rng):
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    X = X.assign(t=rng.choice(["x", "y", "z"], 60))
    with pytest.warns(ConvergenceWarning, match="did not improve on PCA"):
        ae = TableAE(2, random_state=0).fit(X)
    assert ae.is_pca_
    assert ae.transform_max_iter_ == 0
