"""Files of estimators: pickle, joblib, skops, and save with skae.load."""

import base64
import contextlib
import copy
import datetime
import errno
import functools
import hashlib
import importlib
import io
import os
import pathlib
import pickle
import re
import stat
import warnings
from functools import partial

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import safetensors.numpy
import skops.io
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from torch import nn

import skae
from skae._files.packing import PACKED, pack, unpack
from skae._files.saving import FORMAT
from skae._files.sealed import check_seal, seal, unseal
from skae._files.values import from_tree, to_tree
from skae._rows.templates import described, template

HERE = pathlib.Path(__file__).parent
PUBLIC = [getattr(skae, name) for name in skae.__all__]
ESTIMATORS = [cls for cls in PUBLIC if hasattr(cls, "fit")]


def huber(reconstruction, rows):
    return nn.functional.huber_loss(reconstruction, rows)


def shifted(x, generator):
    return x + 0.1 * torch.rand(x.shape, generator=generator)


class Encoder(nn.Sequential):
    """A network of a user."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(nn.Linear(n_inputs, 6), nn.Tanh(), nn.Linear(6, n_outputs))


class Watch(Callback):
    """A callback of a user, with a state."""

    def __init__(self, name):
        self.name = name


class Own(skae.UndercompleteAE):
    """An estimator of a user."""


RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 8)) @ RNG.normal(size=(8, 8))
GAPS = np.where(RNG.random(ROWS.shape) < 0.1, np.nan, ROWS)
COUNTS = RNG.poisson(3.0, size=(60, 8))
IMAGES = RNG.normal(size=(40, 8, 8)).astype(np.float32)
SEQUENCES = [RNG.normal(size=(n, 2)) for n in (5, 7, 6, 7, 4, 7) * 6]
LABELS = np.where(ROWS[:, 0] > 0, "yes", "no")
FRAME = pd.DataFrame(
    {
        "number": ROWS[:, 0],
        "count": pd.array(COUNTS[:, 0], dtype="Int64"),
        "flag": ROWS[:, 1] > 0,
        "size": pd.Categorical(np.array(["m", "s", "l"])[np.arange(60) % 3]),
        "text": LABELS,
    }
)
PLAIN = {"max_iter": 2, "batch_size": 20, "early_stopping": False, "random_state": 0}
JUDGED = PLAIN | {"early_stopping": True}
#: Each way to fit: an estimator, its rows, and what else ``fit`` needs.
WAYS = {
    "plain": (skae.UndercompleteAE(2, **PLAIN), ROWS),
    "width": (skae.UndercompleteAE(0.5, **PLAIN), ROWS),
    "ordered": (skae.UndercompleteAE(4, ordered=True, **JUDGED), ROWS),
    "map": (skae.UndercompleteAE(2, neighbor_weight=1.0, **PLAIN), ROWS),
    "random state": (
        skae.UndercompleteAE(
            2, **PLAIN | {"random_state": np.random.RandomState(3)}, clip=True
        ),
        ROWS,
    ),
    "names": (
        skae.UndercompleteAE(
            2, encoder=Encoder, loss=huber, callbacks=[Watch("me")], **PLAIN
        ),
        ROWS,
    ),
    "torch": (
        skae.UndercompleteAE(
            2, activation=nn.PReLU, solver=partial(torch.optim.Adam, eps=1e-7), **PLAIN
        ),
        ROWS,
    ),
    "gaussian": (
        skae.UndercompleteAE(2, loss="gaussian", init="random", **PLAIN),
        ROWS,
    ),
    "lbfgs": (skae.UndercompleteAE(2, solver="lbfgs", **PLAIN), csr_matrix(ROWS)),
    "frame": (skae.UndercompleteAE(2, **PLAIN), FRAME[["number", "count"]]),
    **{
        kind: (skae.SparseAE(12, sparsity=kind, **JUDGED), ROWS)
        for kind in ("l1", "kl", "top_k", "batch_top_k", "jump_relu")
    },
    "noise": (skae.DenoisingAE(2, noise=shifted, **PLAIN), ROWS),
    "gaps": (skae.DenoisingAE(2, noise="gaps", noise_level=0.2, **PLAIN), GAPS),
    "contractive": (skae.ContractiveAE(2, **PLAIN), ROWS),
    "images": (
        skae.ConvAE(2, channels=4, normalization="batch", noise="block", **JUDGED),
        IMAGES,
    ),
    "variational": (skae.VariationalAE(2, loss="poisson", **PLAIN), COUNTS),
    "stacked": (skae.StackedAE(2, pretraining_max_iter=2, **PLAIN), ROWS),
    "sequences": (skae.RecurrentAE(2, hidden_layer_sizes=8, **PLAIN), SEQUENCES),
    "forecast": (
        skae.RecurrentAE(2, hidden_layer_sizes=8, n_ahead=1, cell="lstm", **PLAIN),
        SEQUENCES,
    ),
    "masked table": (skae.MaskedAE(8, **PLAIN), GAPS),
    "masked images": (skae.MaskedAE(8, patch_size=4, **PLAIN), IMAGES),
    "table": (skae.TableAE(2, scaling="quantiles", **PLAIN), FRAME),
    "polars": (skae.TableAE(2, **PLAIN), pl.DataFrame({"a": ROWS[:, 0], "b": LABELS})),
    "objects": (skae.TableAE(2, **PLAIN), FRAME.to_numpy(dtype=object)),
    "classifier": (
        skae.AutoencoderClassifier(
            skae.DenoisingAE(4, **PLAIN), max_iter=20, random_state=0
        ),
        ROWS,
        LABELS,
    ),
    "frozen": (
        skae.AutoencoderClassifier(
            FrozenEstimator(skae.DenoisingAE(4, **PLAIN).fit(ROWS)),
            max_iter=20,
            priors=[0.5, 0.5],
            random_state=0,
        ),
        ROWS,
        LABELS,
    ),
    "regressor": (
        skae.AutoencoderRegressor(make_pipeline(PCA(3)), fine_tune=False),
        ROWS,
        ROWS[:, :2],
    ),
    "outlier": (
        skae.AutoencoderOutlier(skae.DenoisingAE(4, **PLAIN), cv=2, random_state=0),
        ROWS,
    ),
    "outlier of PCA": (
        skae.AutoencoderOutlier(
            PCA(2), cv=ShuffleSplit(2, test_size=0.3, random_state=0), measure="error"
        ),
        ROWS,
    ),
    "imputer": (
        skae.AutoencoderImputer(
            skae.DenoisingAE(None, noise="gaps", **PLAIN),
            add_indicator=True,
            random_state=0,
        ),
        GAPS,
    ),
}
VERBS = ("transform", "reconstruct", "predict", "predict_proba", "score_samples")
VERBS += ("feature_scores", "forecast", "sample_imputations")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def fitted():
    """Return each estimator, fitted in its way."""
    made = {}
    for name, (estimator, *given) in WAYS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made[name] = clone(estimator).fit(*given)
    return made


@pytest.fixture(scope="module")
def small(fitted, tmp_path_factory):
    """Return the path of a small file."""
    path = tmp_path_factory.mktemp("files") / "small.safetensors"
    ae = skae.UndercompleteAE(2, hidden_layer_sizes=(4,), **PLAIN).fit(ROWS)
    ae.save(path)
    return path


def answers(estimator, X):
    """Return all that an estimator says of rows."""
    found = {}
    for verb in VERBS:
        if hasattr(estimator, verb):
            shown = X
            if verb == "forecast":
                shown = [sequence[-6:] for sequence in X]
            options = {"random_state": 0} if verb == "sample_imputations" else {}
            found[verb] = getattr(estimator, verb)(shown, **options)
    return found


def same(one, other):
    """Raise unless two values have the same type and the same bits."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    elif isinstance(one, pl.DataFrame):
        assert one.equals(other)
        assert one.schema == other.schema
    elif isinstance(one, np.ndarray) and one.dtype == object:
        assert one.shape == other.shape
        same(one.ravel().tolist(), other.ravel().tolist())
    elif isinstance(one, np.ndarray | np.generic):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, float):
        assert one == other or (one != one and other != other)


def shown(value):
    """Return how a value is printed, without addresses."""
    return re.sub("0x[0-9a-fA-F]+", "", repr(value))


def names_in(path):
    """Return the names that an error of load lists."""
    try:
        skae.load(path)
    except ValueError as error:
        return eval(str(error).partition("trusted=")[2].rstrip("."))
    return []


def saved(estimator, folder):
    path = folder / "model.safetensors"
    estimator.save(path)
    return skae.load(path, trusted=names_in(path))


def dumped(estimator, folder):
    joblib.dump(estimator, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


def in_skops(estimator, folder):
    raw = skops.io.dumps(estimator)
    return skops.io.loads(raw, trusted=skops.io.get_untrusted_types(data=raw))


TRIPS = {
    "pickle": lambda estimator, folder: pickle.loads(pickle.dumps(estimator)),
    "joblib": dumped,
    "skops": in_skops,
    "save": saved,
}


# Round trips --------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_every_file_answers_with_the_same_bits(way, fitted, tmp_path):
    estimator, X = fitted[way], WAYS[way][1]
    expected = answers(estimator, X)
    assert expected
    for trip in TRIPS.values():
        with warnings.catch_warnings():
            warnings.simplefilter("error", skae.VersionWarning)
            again = trip(estimator, tmp_path)
        same(answers(again, X), expected)
        assert shown(again.get_params()) == shown(estimator.get_params())
        assert vars(again).keys() == vars(estimator).keys()


@pytest.mark.parametrize("trip", ["pickle", "save"])
@pytest.mark.parametrize("way", ["plain", "noise", "images", "table"])
def test_training_goes_on_with_the_same_bits(way, trip, tmp_path):
    """A fit, a partial_fit and a warm start, with a file between each or without."""
    estimator, X = WAYS[way]
    one = clone(estimator).set_params(warm_start=True)
    other = clone(one)
    for method in ("fit", "partial_fit", "partial_fit", "fit"):
        getattr(one, method)(X)
        getattr(other, method)(X)
        other = TRIPS[trip](other, tmp_path)
    same(one.transform(X), other.transform(X))
    assert one.loss_curve_ == other.loss_curve_
    assert one.validation_scores_ == other.validation_scores_


def test_records_come_back_as_lists(fitted):
    estimator = fitted["plain"]
    again = pickle.loads(pickle.dumps(estimator))
    same(again.history_, estimator.history_)
    same(again.loss_curve_, estimator.loss_curve_)
    same(again.validation_scores_, estimator.validation_scores_)
    again.history_["loss"].append(0.0)
    assert len(again.loss_curve_) == len(estimator.loss_curve_)
    changed = copy.deepcopy(again)
    same(changed.history_, again.history_)


def test_unfitted_estimators_and_truncated_codes_are_saved(fitted, tmp_path):
    for cls in ESTIMATORS:
        estimator = cls()
        again = saved(estimator, tmp_path)
        assert type(again) is cls
        assert shown(again.get_params()) == shown(estimator.get_params())
    cut = fitted["ordered"].truncate(2)
    same(saved(cut, tmp_path).transform(ROWS), cut.transform(ROWS))


def test_bytes_do_not_depend_on_when_or_from_where_they_are_saved(fitted, tmp_path):
    for way, estimator in fitted.items():
        paths = tmp_path / "a", tmp_path / "b"
        estimator.save(paths[0])
        skae.load(paths[0], trusted=names_in(paths[0])).save(paths[1])
        assert paths[0].read_bytes() == paths[1].read_bytes(), way


def test_estimators_share_no_memory_with_the_file(small):
    raw = small.read_bytes()
    ae = skae.load(small)
    ae.partial_fit(ROWS)
    assert ae.mean_.flags.writeable
    assert small.read_bytes() == raw


def test_an_absent_device_is_the_cpu(fitted, tmp_path):
    foreign = copy.deepcopy(fitted["plain"]).set_params(device="cuda:7")
    again = saved(foreign, tmp_path)
    same(again.transform(ROWS), fitted["plain"].transform(ROWS))
    assert again.device == "cuda:7"


# What files name ----------------------------------------------------------------------


def is_public(module, name):
    """Whether a global of a pickle is public, or what numpy rebuilds arrays by."""
    top = module.partition(".")[0]
    if module == "skae":
        return name in skae.__all__
    if top == "sklearn":
        public = importlib.import_module(".".join(module.split(".")[:2]))
        return getattr(public, name, None) is getattr(
            importlib.import_module(module), name
        )
    return top in ("numpy", "builtins")


class Recorder(pickle.Unpickler):
    """Records module and name of each global that a pickle names."""

    def __init__(self, raw):
        super().__init__(io.BytesIO(raw))
        self.found = set()

    def find_class(self, module, name):
        self.found.add((module, name))
        return super().find_class(module, name)


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"names", "noise", "torch"}))
def test_pickles_name_public_paths_only(way, fitted):
    recorder = Recorder(pickle.dumps(fitted[way]))
    recorder.load()
    assert ("skae", type(fitted[way]).__name__) in recorder.found
    assert not {path for path in recorder.found if not is_public(*path)}


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"names", "noise", "torch"}))
def test_skops_needs_trust_in_estimators_only(way, fitted):
    raw = skops.io.dumps(fitted[way])
    untrusted = skops.io.get_untrusted_types(data=raw)
    untrusted = set(untrusted) - {"sklearn.model_selection._split.ShuffleSplit"}
    assert untrusted <= {f"skae.{cls.__name__}" for cls in ESTIMATORS}
    assert f"skae.{type(fitted[way]).__name__}" in untrusted


LEVELS = pd.CategoricalDtype(["m", "s"], ordered=True)
DTYPES = ["float32", "uint8", "bool", "Int64", "boolean", "string[python]", "str"]
DTYPES += ["object", "int64[pyarrow]", "Sparse[float64, nan]", "category", LEVELS]
# Tuples as levels are no levels of an index.
PAIRS = pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)
DTYPES += [pd.CategoricalDtype(PAIRS)]
LEVELED = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])
COLUMNS = [
    ["schema", "step"],
    ["a", 1],
    [0, 1],
    range(2),
    pd.Index(["a", "b"], name="n"),
]
COLUMNS += [LEVELED, pd.Index(LEVELED.to_flat_index())]


def test_tables_without_rows_are_plain_values():
    for dtype in DTYPES:
        series = pd.Series([], dtype=dtype)
        for columns in COLUMNS:
            table = pd.concat([series, series], axis=1).set_axis(columns, axis=1)
            values = described(table)
            assert isinstance(values, dict)
            exact = {"check_column_type": "exact"}
            pd.testing.assert_frame_equal(template(values), table, **exact)


def test_tables_of_polars_are_plain_values_and_name_dtypes_only():
    kinds = [pl.Int8, pl.Float32, pl.Boolean, pl.String, pl.Enum(["b", "a"]), pl.Null]
    table = pl.DataFrame(schema={str(i): kind for i, kind in enumerate(kinds)})
    values = described(table)
    assert isinstance(values, dict)
    same(template(values), table)
    with pytest.raises(ValueError, match="'read_csv' is not a dtype"):
        template(values | {"dtypes": ["read_csv"] * len(kinds)})


def test_other_tables_are_kept():
    class Frame(pd.DataFrame):
        pass

    decimal = pl.DataFrame(schema={"a": pl.Decimal(10, 2)})
    text = np.empty((0, 2), dtype=np.dtypes.StringDType(na_object=np.nan))
    for table in (Frame({"a": []}), decimal, text):
        assert described(table) is table


@pytest.mark.parametrize("dtype", ["f4", "u1", "?", "O", "U", "U3", "T", ">i2"])
def test_arrays_without_rows_are_plain_values(dtype):
    table = np.empty((0, 3), dtype=dtype)
    assert isinstance(described(table), dict)
    same(template(described(table)), table)


def test_own_names_are_loaded_only_if_trusted(fitted, tmp_path):
    fitted["names"].save(path := tmp_path / "model")
    needed = [f"{__name__}:{name}" for name in ("Encoder", "Watch", "huber")]
    with pytest.raises(ValueError, match="model needs functions or classes") as raised:
        skae.load(path, trusted=needed[:2])
    assert str(raised.value).endswith(f"pass trusted={needed[2:]!r}.")
    again = skae.load(path, trusted=needed)
    assert again.loss is huber
    assert again.callbacks[0].name == "me"
    fitted["torch"].save(path)
    assert skae.load(path).activation is nn.PReLU


def test_estimators_of_a_user_are_loaded_if_trusted(tmp_path):
    Own(2, **PLAIN).fit(ROWS).save(path := tmp_path / "model")
    with pytest.raises(ValueError, match=f"trusted=.'{__name__}:Own'."):
        skae.load(path)
    assert type(skae.load(path, trusted=f"{__name__}:Own")) is Own
    for wrong in (True, None, [Own]):
        said = re.escape(f"trusted={wrong!r} must be")
        with pytest.raises(TypeError, match=said):
            skae.load(path, trusted=wrong)


def test_names_that_are_gone_are_told(fitted, tmp_path, monkeypatch):
    fitted["noise"].save(path := tmp_path / "model")
    monkeypatch.delattr(f"{__name__}.shifted")
    with pytest.raises(ImportError, match=r"no 'shifted' in .* define it in a module"):
        skae.load(path, trusted=[f"{__name__}:shifted"])


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (skae.UndercompleteAE(loss=lambda a, b: a - b), "^loss=<function <lambda>"),
        (
            skae.DenoisingAE(noise=partial(lambda x, g: x)),
            "^noise.0=<function <lambda>",
        ),
        (skae.UndercompleteAE(callbacks=[Watch(lambda: 0)]), "^callbacks.0.name=<func"),
        (
            skae.AutoencoderOutlier(skae.DenoisingAE(noise=lambda x, g: x)),
            "^estimator.n",
        ),
        (
            skae.AutoencoderOutlier(cv=(i for i in [])),
            "^cv=<generator .* a builtins.gen",
        ),
        (skae.AutoencoderRegressor(FunctionTransformer(len)), None),
    ],
)
def test_what_has_no_name_is_not_saved(estimator, said, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"before")
    if said is None:
        estimator.save(path)
        assert names_in(path) == ["builtins:len"]
        return
    with pytest.raises(TypeError, match=said):
        estimator.save(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model"]


def test_what_scikit_learn_compiles_is_not_saved(tmp_path):
    forest = RandomForestClassifier(2).fit(ROWS, LABELS)
    holder = skae.AutoencoderOutlier(forest)
    with pytest.raises(TypeError, match=r"sklearn.tree._tree.Tree: use joblib.dump"):
        holder.save(tmp_path / "model")
    assert not os.listdir(tmp_path)


# Values -------------------------------------------------------------------------------


VALUES = [
    None,
    True,
    10**30,
    [1.5, -0.0, float("inf"), float("nan"), 5e-324, 0.1],
    [float(i) / 3 for i in range(20)],
    [0, True, 1.0] * 9,
    "text \ud800 \u0000 ~/é",
    b"\x00\xff",
    (1, (2.0, [None])),
    {"~": 1, "of": 2},
    {1: "a", "1": "b", (2, None): {"c/d": {"~1": 0}}, 2.5: 1, b"k": 2},
    {"a/b": np.ones(2), "a": {"b": np.zeros(2)}, "a~1b": np.arange(2)},
    {3, "a", (1, 2)},
    frozenset({2}),
    complex(1, float("inf")),
    range(3, 9, 2),
    slice(1, None, 2),
    Bunch(a=np.zeros(2), b=Bunch(c=1)),
    np.float32(0.1),
    np.int64(-3),
    np.bool_(True),
    np.str_("é"),
    np.str_(""),
    np.bytes_(b"ab"),
    np.datetime64("2020-01-02"),
    np.dtype("float32"),
    np.dtype([("a", "<f4"), ("b", [("c", "<U3", (2,))])]),
    np.array(3.0),
    np.zeros((0, 3), dtype=np.float16),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(12).reshape(3, 4)[::2, ::-1],
    np.arange(5, dtype=">f8"),
    np.array([True, False]),
    np.array(["a", "bcd", ""]),
    np.array([b"a", b"bc"]),
    np.array(["a", None, 1.5, np.nan, ("x",)], dtype=object),
    np.empty((2, 0), dtype=object),
    np.array([[1, "a"], [None, 2]], dtype=object),
    np.array([(1.0, "ab"), (2.0, "c")], dtype=[("a", "<f4"), ("b", "<U3")]),
    np.array(["2020-01-02", "NaT"], dtype="M8[ns]"),
    np.array([1 + 2j], dtype=np.complex64),
    np.array([1 + 2j]),
    np.array([2**63], dtype=np.uint64),
    np.empty(2, dtype="<U0"),
    *(np.arange(3).astype(code) for code in "bBhHiIlLqQefdg?"),
]


def written_and_read(value):
    """Send a value through the bytes of a file."""
    tree, arrays, names = to_tree(value)
    raw = seal({"value": tree}, arrays, "test")
    description, arrays = unseal(raw, "file", "test")
    assert not names
    return from_tree(description["value"], arrays)


def parts_shown(value):
    """Return what a value shows; a set has the order in which it was made."""
    return sorted(map(repr, value)) if isinstance(value, set) else repr(value)


# A set has another order in each process.
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back(value):
    again = written_and_read(value)
    same(again, value)
    if not isinstance(value, np.ndarray):
        assert parts_shown(again) == parts_shown(value)
    else:
        assert again.flags.writeable
        assert again.flags.f_contiguous == value.flags.f_contiguous or value.size == 0


def test_random_numbers_go_on():
    state = np.random.RandomState(0)
    state.normal()
    for value in (
        state,
        np.random.default_rng(1),
        np.random.Generator(np.random.SFC64()),
    ):
        again = written_and_read(value)
        same(again.normal(size=3), value.normal(size=3))


@pytest.mark.parametrize(
    "value",
    [
        datetime.date(2020, 1, 1),
        np.ma.array([1.0], mask=[True]),
        np.array([(None, 1)], dtype=[("a", "O"), ("b", "i4")]),
        np.array(["a"], dtype="T"),
        ROWS.mean,
        pd.DataFrame({"a": [1]}),
        torch.ones(2),
    ],
)
def test_other_values_are_refused(value):
    with pytest.raises(TypeError, match="cannot be saved"):
        to_tree(value)


def test_values_that_hold_themselves_are_refused():
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="nested too deeply"):
        to_tree(value)


@pytest.mark.parametrize(
    "tree",
    [
        {"~": "name", "of": "os:system"},
        {"~": "name", "of": "torch.nn:os"},
        {"~": "name", "of": "torch.nn:functional"},
        {"~": "name", "of": "sklearn.utils:Bunch"},
        {"~": "name", "of": "sklearn:clone"},
        {"~": "name", "of": "skae:compare"},
        {"~": "name", "of": "skae.metrics:np"},
        {"~": "object", "of": ["subprocess:Popen", {}]},
        {"~": "object", "of": ["torch.nn:Linear", {}]},
        {"~": "object", "of": ["skae:__builtins__", {}]},
        {"~": "scalar", "of": ["|O", "00" * 8]},
        {"~": "scalar", "of": [[["a", "|O"]], "00" * 8]},
        {"~": "bytes of", "of": ["|O", [1], "C"]},
        {"~": "bytes of", "of": ["T", [1], "C"]},
        {"~": "bytes of", "of": [[["a", [["b", "|O"]]]], [1], "C"]},
        {"~": "RandomState", "of": {"bit_generator": "seterr"}},
    ],
)
def test_hostile_trees_run_nothing(tree):
    """They may have a right checksum: anybody can compute it."""
    arrays = {"": np.zeros(8, np.uint8)}
    with pytest.raises(ValueError, match="the file"):
        from_tree(tree, arrays)


# Damage -------------------------------------------------------------------------------


def test_flipped_bits_and_missing_bytes_are_refused(small, rng):
    raw = small.read_bytes()
    check_seal(raw, small)
    n_header = 8 + int.from_bytes(raw[:8], "little")
    ends = 8 * 160, 8 * n_header, 8 * len(raw)
    places = np.concatenate([rng.integers(end, size=700) for end in ends])
    for place in places:
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(ValueError, match=r"small\.safetensors"):
            check_seal(bytes(changed), small)
    for length in rng.permutation(len(raw))[:1000]:
        with pytest.raises(ValueError, match=r"small\.safetensors"):
            check_seal(raw[:length], small)
    for tail in (b"\0", b" ", b"\n", raw):
        with pytest.raises(ValueError, match="changed or cut off"):
            check_seal(raw + tail, small)


def test_load_refuses_what_was_changed(small, tmp_path):
    raw = bytearray(small.read_bytes())
    raw[-1] ^= 1
    (tmp_path / "model").write_bytes(raw)
    with pytest.raises(ValueError, match="model was changed or cut off after it was"):
        skae.load(tmp_path / "model")


def test_other_files_are_told_apart(tmp_path, fitted):
    path = tmp_path / "model"
    others = {
        b"": "it is empty",
        pickle.dumps(fitted["plain"]): "it is a pickle",
        skops.io.dumps(fitted["plain"]): "it is a zip file, such as those of skops",
        safetensors.numpy.save({"a": ROWS}): "it is another safetensors file",
        b"\x1f\x8b0": "it is compressed by gzip",
        b"hello, this is text": "of an unknown kind and begins with b'hello, t'",
    }
    for raw, said in others.items():
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=f"model is not a file that .*{said}"):
            skae.load(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        skae.load(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        skae.load(tmp_path)


def with_description(path, **changed):
    """Write a file whose description is changed, with the right checksum."""
    description, arrays = unseal(path.read_bytes(), path, "test")
    del description["sha256"]
    path.write_bytes(seal(description | changed, arrays, "test"))


def test_later_formats_are_refused(small, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(small.read_bytes())
    with_description(path)
    assert path.read_bytes() == small.read_bytes()
    with_description(path, format=FORMAT + 1, _skae_version="9.1")
    with pytest.raises(
        ValueError, match=r"format 3 of skae 9\.1.*install a later skae"
    ):
        skae.load(path)


def test_checksum_is_that_of_the_file_with_zeros_in_its_place(small):
    raw = small.read_bytes()
    place = raw.index(b'sha256\\":\\"') + len(b'sha256\\":\\"')
    blank = raw[:place] + b"0" * 64 + raw[place + 64 :]
    assert hashlib.sha256(blank).hexdigest().encode() == raw[place : place + 64]


def test_weights_are_read_by_safetensors_alone(small, tmp_path):
    name = "network.encoder.0.weight"
    ae = skae.UndercompleteAE(2, hidden_layer_sizes=(1000,), **PLAIN).fit(ROWS)
    ae.save(path := tmp_path / "large")
    weights = safetensors.numpy.load_file(path)
    same(weights[f"/_model/weights/{name}"], ae.network_.state_dict()[name].numpy())
    assert set(safetensors.numpy.load_file(small)) == {f"/{PACKED}"}


# Writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_is_written_as_a_whole_or_not_at_all(
    fitted, tmp_path, monkeypatch, call, error
):
    path = tmp_path / "model"
    path.write_bytes(b"before")

    def fail(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(type(error)):
            fitted["plain"].save(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model"]
    fitted["plain"].save(path)
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_places_that_cannot_be_written_to_are_told(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        fitted["plain"].save(tmp_path / "absent" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        fitted["plain"].save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


def test_modes_and_links_are_kept(fitted, tmp_path):
    path, link = tmp_path / "model", tmp_path / "link"
    before = os.umask(0o022)
    try:
        fitted["plain"].save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o600)
    link.symlink_to(path)
    fitted["plain"].save(str(link))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert skae.load(link).n_components_ == 2


def test_without_safetensors_the_extra_is_named(fitted, small, tmp_path, monkeypatch):
    monkeypatch.setitem(importlib.sys.modules, "safetensors", None)
    for call in (
        partial(fitted["plain"].save, tmp_path / "m"),
        partial(skae.load, small),
    ):
        with pytest.raises(ImportError, match=r"pip install 'skae\[files\]'"):
            call()
    assert not os.listdir(tmp_path)


# Versions -----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_another_version_warns(cls):
    state = cls().__getstate__()
    assert state["_skae_version"] == skae.__version__
    assert state["_torch_version"] == torch.__version__
    state |= {"_skae_version": "0.0.9", "_torch_version": "2.0.1"}
    said = rf"^{cls.__name__} was saved by skae 0\.0\.9 with torch 2\.0\.1, and .*skae "
    with pytest.warns(skae.VersionWarning, match=said + skae.__version__):
        cls.__new__(cls).__setstate__(state)
    del state["_skae_version"], state["_torch_version"]
    with pytest.warns(skae.VersionWarning, match="skae that told no version with"):
        cls.__new__(cls).__setstate__(state)


def test_another_torch_or_a_copy_does_not_warn(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for estimator in fitted.values():
            for made in (
                copy.copy(estimator),
                copy.deepcopy(estimator),
                clone(estimator),
            ):
                assert not hasattr(made, "_skae_version")
        state = fitted["plain"].__getstate__() | {"_torch_version": "2.0.1"}
        skae.UndercompleteAE.__new__(skae.UndercompleteAE).__setstate__(state)


def test_the_warning_is_at_the_line_that_loads(fitted, monkeypatch):
    raw = pickle.dumps(fitted["plain"])
    monkeypatch.setattr(skae, "__version__", "9.0")
    with pytest.warns(skae.VersionWarning) as caught:
        pickle.loads(raw)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_parameters_that_a_file_lacks_have_their_default(cls):
    state = unpack(cls().__getstate__())
    for name in cls().get_params(deep=False):
        less = {key: value for key, value in state.items() if key != name}
        made = cls.__new__(cls)
        made.__setstate__(less)
        assert repr(vars(made)[name]) == repr(getattr(cls(), name))


# Sizes --------------------------------------------------------------------------------


def sizes(estimator, folder):
    """Return the size of each kind of file over that of the weights."""
    joblib.dump(estimator, folder / "joblib")
    estimator.save(folder / "save")
    found = {name: (folder / name).stat().st_size for name in ("joblib", "save")}
    found |= {
        "pickle": len(pickle.dumps(estimator)),
        "skops": len(skops.io.dumps(estimator)),
    }
    weights = sum(w.nbytes for w in estimator.network_.state_dict().values())
    return {name: size / weights for name, size in found.items()}


@pytest.mark.parametrize(
    ("estimator", "load"),
    [
        (skae.UndercompleteAE(2), load_iris),
        (skae.UndercompleteAE(2), load_wine),
        (skae.DenoisingAE(2), load_iris),
        (skae.VariationalAE(2), load_iris),
        (skae.TableAE(2), load_iris),
        (skae.StackedAE(2, **PLAIN), load_iris),
        (skae.MaskedAE(2, **PLAIN), load_iris),
        (skae.ContractiveAE(4, **PLAIN), load_breast_cancer),
        (skae.SparseAE(64, **PLAIN), load_digits),
        (skae.ConvAE(2, channels=8, **PLAIN), lambda: Bunch(data=IMAGES)),
        (skae.RecurrentAE(2, **PLAIN), lambda: Bunch(data=SEQUENCES)),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_files_of_small_models_are_hardly_larger_than_their_weights(
    estimator, load, tmp_path
):
    found = sizes(
        clone(estimator).set_params(random_state=0).fit(load().data), tmp_path
    )
    assert max(found.values()) <= 1.3, found


def test_moments_of_the_optimizer_are_in_files_of_partial_fit(digits, tmp_path):
    ae = skae.UndercompleteAE(8, **PLAIN).partial_fit(digits[:300])
    assert min(sizes(ae, tmp_path).values()) > 2.5
    assert max(sizes(ae, tmp_path).values()) < 1.3 * 3


def test_records_and_names_take_little(tmp_path):
    ae = skae.UndercompleteAE(2, **PLAIN | {"max_iter": 50, "tol": 0}).fit(ROWS)
    weights = sum(w.nbytes for w in ae.network_.state_dict().values())
    ae.save(tmp_path / "save")
    n_records = 5 * 8 * ae.n_iter_
    assert len(pickle.dumps(ae)) < weights + n_records
    assert (tmp_path / "save").stat().st_size < weights + n_records


# Packed states ------------------------------------------------------------------------


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_packed_values_come_back(value):
    packed = pack({"a/~": value, "b": [value]})
    assert list(packed) == [PACKED]
    same(unpack(packed), {"a/~": value, "b": [value]})


def test_only_small_plain_values_are_packed():
    state = {"a": 1, "random": np.random.RandomState(0), "function": huber}
    assert list(pack(state)) == [PACKED, "random", "function"]
    large = {"a": 1, "b": np.zeros(2**18)}
    assert pack(large) is large


def test_what_two_estimators_share_they_share_after_loading():
    state = np.random.RandomState(0)
    steps = [skae.UndercompleteAE(2, random_state=state) for _ in range(2)]
    again = pickle.loads(pickle.dumps(make_pipeline(*steps)))
    assert again[0].random_state is again[1].random_state


def test_packed_bytes_of_this_version_can_be_read():
    """Later versions must read them too."""
    raw = base64.b64decode(
        b"eNpbwMDAEF2tlKhkFW2ok1eak6OjlKQUq6OUrGRVrVSnZKVUUlqQk6qko5SfBlQCEUosKkqs"
        b"hAopOSvV6kCE03LyE0tgwpl5aUq1sbU6Sikwg8DSxVB5kE21tTrR0Ur6yfoGQEGbNBMlnWjj"
        b"2FgdoFAKWMACKGAZCwQMENDAwGBnz0AeOHDhxoMnL958YLCHAgAUETiN"
    )
    expected = {
        "a": [1, None, "b"],
        "c": (np.arange(3, dtype=np.float32) / 4, float("inf")),
        "d": [i / 8 for i in range(9)],
    }
    same(unpack({PACKED: np.frombuffer(raw, np.uint8)}), expected)


def test_changed_pickles_are_refused(fitted, rng):
    raw = pickle.dumps(fitted["plain"])
    start = raw.index(b"\x78\xda")
    size = fitted["plain"].__getstate__()[PACKED].size
    for place in rng.integers(8 * start, 8 * (start + size), size=500):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << (place % 8)
        with pytest.raises(ValueError, match="was changed or cut off after it was"):
            pickle.loads(bytes(changed))


# Files of earlier versions ------------------------------------------------------------


FIXTURES = sorted((HERE / "fixtures").glob("*/*.safetensors"))


@pytest.mark.filterwarnings(
    # Nested estimators of scikit-learn tell their own version.
    "ignore::sklearn.exceptions.InconsistentVersionWarning"
)
@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_files_of_earlier_versions_keep_answering(path):
    is_current = path.parent.name == skae.__version__
    expected = np.load(path.with_suffix(".npz"))
    pickled = path.with_suffix(".pickle").read_bytes()
    for load in (partial(skae.load, path), partial(pickle.loads, pickled)):
        is_told = pytest.warns(skae.VersionWarning)
        with contextlib.nullcontext() if is_current else is_told:
            estimator = load()
        rows = expected["rows"]
        if rows.dtype.names:
            rows = pd.DataFrame({name: rows[name] for name in rows.dtype.names})
        for verb in set(expected.files) - {"rows"}:
            found = getattr(estimator, verb)(rows)
            np.testing.assert_allclose(found, expected[verb], rtol=1e-5, atol=1e-5)


def test_there_is_a_file_of_every_estimator():
    assert {path.stem for path in FIXTURES} == {cls.__name__ for cls in ESTIMATORS}
    files = [p for p in (HERE / "fixtures").rglob("*.*") if p.suffix != ".py"]
    assert sum(path.stat().st_size for path in files) < 300_000


@pytest.mark.parametrize(
    "change",
    [
        {"format": "3"},
        {"names": None},
        {"estimator": 5},
        {"estimator": None},
        {"estimator": {"~": "unknown", "of": 1}},
        {"estimator": {"~": "array"}},
        {"estimator": {"~": "array", "of": "C"}},
        {"estimator": {"~": "object", "of": ["skae:VersionWarning", {}]}},
        {"estimator": functools.reduce(lambda tree, _: [tree], range(400), 0)},
    ],
    ids=lambda change: str(change)[:40],
)
def test_files_made_by_hand_are_refused_with_their_name(small, tmp_path, change):
    path = tmp_path / "by hand"
    path.write_bytes(small.read_bytes())
    with_description(path, **change)
    with pytest.raises(ValueError, match="by hand"):
        skae.load(path)


def test_an_empty_path_is_no_file(fitted):
    with pytest.raises(ValueError, match="'' names no file"):
        fitted["plain"].save("")
