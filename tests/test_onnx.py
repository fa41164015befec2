"""Graphs of ONNX answer as the estimators do, without them."""

import contextlib
import copy
import logging
import re
import subprocess
import sys
import warnings

import numpy as np
import onnxruntime
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_swiss_roll
from sklearn.decomposition import PCA, KernelPCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVR

from skae import (
    AutoencoderClassifier,
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
from skae._deployment import checks, export, graphs, steps
from skae.onnx import to_onnx

N, WIDTH = 1200, 8
QUICK = {
    "max_iter": 1,
    "hidden_layer_sizes": (6,),
    "early_stopping": False,
    "random_state": 0,
}
PLAIN = UndercompleteAE(2, transform_max_iter=0, **QUICK)
PIPELINES = {
    "undercomplete": UndercompleteAE(2, **QUICK),
    "sparse": SparseAE(10, sparsity="top_k", **QUICK),
    "denoising": DenoisingAE(2, **QUICK),
    "contractive": ContractiveAE(2, **QUICK),
    "convolutions": ConvAE(
        2, image_shape=(2, 4), channels=(2,), transform_max_iter=1, **QUICK
    ),
    "variational": VariationalAE(2, **QUICK),
    "masked": MaskedAE(2, **QUICK),
    "recurrent": RecurrentAE(2, sequence_shape=(2, 4), **QUICK),
    "stacked": StackedAE(2, pretraining_max_iter=1, **QUICK),
    "table": TableAE(2, transform_max_iter=1, **QUICK),
}


def make_rows():
    """Rows near a curved surface, whose features have means of different size."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(N, 2))
    waves = np.sin(places @ rng.normal(size=(2, WIDTH)))
    return waves + places @ rng.normal(size=(2, WIDTH)) + np.arange(WIDTH)


X = make_rows()
Y = np.where(X[:, 0] > 0, "high", "low")


@pytest.fixture(autouse=True)
def _without_log():
    """Keep pytest from formatting each line of torch's own log."""
    log = logging.getLogger("torch.__trace")
    log.disabled = True
    yield
    log.disabled = False


def fitted(*steps):
    pipeline = make_pipeline(*steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipeline.fit(X[:200], Y[:200])


@pytest.fixture(scope="module")
def plain_graph():
    """Return a pipeline of the encoder alone, and its graph."""
    pipeline = fitted(StandardScaler(), clone(PLAIN))
    return pipeline, to_onnx(pipeline, X)


def answer(model, rows):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [value.name for value in session.get_inputs()] == ["X"]
    (found,) = session.run(None, {"X": rows})
    return found


def close(found, wanted):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    gaps = checks.gaps_of(found, wanted, float(np.std(wanted)) or 1.0)
    return gaps.max() <= 1e-5


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_of_each_autoencoder(name):
    pipeline = fitted(StandardScaler(), PIPELINES[name])
    model = to_onnx(pipeline, X[200:230])
    assert model.graph.output[0].name == "transform"
    rows, codes = X[200:], pipeline.transform(X[200:])
    assert len(rows) == 1000
    assert close(answer(model, rows), codes)
    assert close(answer(model, rows[:1]), codes[:1])


def test_defaults_improve_codes():
    estimator = PIPELINES["undercomplete"].fit(X[:200])
    assert estimator.transform_max_iter_ == 3


def test_steps_amplify_the_rounding_of_few_rows():
    """One direction of these codes changes the reconstruction far more than another."""
    rows, _ = make_swiss_roll(1000, random_state=0)
    ae = UndercompleteAE(2, max_iter=60, random_state=0)
    pipeline = make_pipeline(StandardScaler(), ae).fit(rows)
    codes = pipeline.transform(rows)
    gaps = checks.gaps_of(answer(to_onnx(pipeline, rows), rows), codes, codes.std())
    assert (gaps <= 1e-5).mean() >= 0.98
    assert gaps.max() < 1e-3


@pytest.mark.parametrize(
    ("n_rows", "gap", "n_steps", "is_told"),
    [
        (50, 5e-5, 3, False),
        (51, 5e-5, 3, True),
        (5, 5e-4, 3, False),
        (6, 5e-4, 3, True),
        (1, 0.1, 3, False),
        (2, 0.1, 3, True),
        (1, 5e-4, 0, True),
    ],
)
def test_few_rows_may_differ_and_fewer_by_much(n_rows, gap, n_steps, is_told):
    wanted = np.random.default_rng(0).normal(size=(1000, 2))
    found = wanted.copy()
    found[:n_rows] += 10 * gap
    allowed = checks.n_unsure(1000, n_steps)
    says = pytest.raises(RuntimeError, match=f"for {n_rows} of 1000 rows")
    with says if is_told else contextlib.nullcontext():
        checks.check_same(found, wanted, 10.0, allowed)


def test_reconstructions_and_scores_are_those_of_the_pipeline():
    pipeline = fitted(MinMaxScaler(), PCA(5), PLAIN)
    codes = pipeline.transform(X)
    reconstructed = answer(to_onnx(pipeline, X, "reconstruct"), X)
    assert close(reconstructed, pipeline.inverse_transform(codes))
    scores = answer(to_onnx(pipeline, X, "score_samples"), X)
    assert close(scores, pipeline.score_samples(X))


@pytest.mark.parametrize("output", ["transform", "reconstruct", "score_samples"])
@pytest.mark.parametrize(
    "estimator",
    [MaskedAE(2, **QUICK), DenoisingAE(2, noise="gaps", noise_level=0.1, **QUICK)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_missing_values_stay_missing_for_the_autoencoder(estimator, output):
    rows = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    scaler = StandardScaler().fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(scaler.transform(rows[:200]))
    model = to_onnx(make_pipeline(scaler, estimator), rows[:200], output)
    wanted = getattr(estimator, output)(scaler.transform(rows))
    if output == "reconstruct":
        wanted = scaler.inverse_transform(wanted)
    assert close(answer(model, rows), wanted)


def test_float32_stays_and_float64_keeps_the_digits_of_far_rows():
    narrow, far = X.astype(np.float32), X + 1e7
    ae = UndercompleteAE(2, transform_max_iter=0, **QUICK).fit(narrow)
    assert close(answer(to_onnx(ae, narrow), narrow), ae.transform(narrow))
    ae.fit(far)
    assert close(answer(to_onnx(ae, far), far), ae.transform(far))


def test_predictors_follow_and_imputers_come_first():
    rows = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    steps = SimpleImputer(), StandardScaler(), PLAIN, LogisticRegression()
    pipeline = make_pipeline(*steps).fit(rows, Y)
    assert (
        answer(to_onnx(pipeline, rows, "predict"), rows) == pipeline.predict(rows)
    ).all()
    shares = answer(to_onnx(pipeline, rows, "predict_proba"), rows)
    assert np.abs(shares - pipeline.predict_proba(rows)).max() < 1e-5


@pytest.fixture(scope="module")
def encoder():
    """Return an encoder, and the graph of its module."""
    ae = fitted(clone(PLAIN))[0]
    module = graphs.Answering(ae.to_torch(), "encode").eval()
    return ae, graphs.graph_of_module(module, X)


@pytest.mark.parametrize(
    ("regressor", "places"),
    [
        (Ridge(), 0),
        (RandomForestRegressor(2, random_state=0), 0),
        (SVR(), 0),
        (Ridge(), [0, 1]),
        (RandomForestRegressor(2, random_state=0), [0, 1]),
        (LinearRegression(), [0]),
    ],
)
def test_predictions_have_the_shape_of_the_regressor(
    regressor, places, encoder, monkeypatch
):
    ae, graph = encoder
    monkeypatch.setattr(export, "graph_of_module", lambda *args: copy.deepcopy(graph))
    regressor = clone(regressor).fit(ae.transform(X[:200]), X[:200, places])
    pipeline = make_pipeline(ae, regressor)
    model, rows = to_onnx(pipeline, X[:200], "predict"), X[200:]
    for some in (rows, rows[:1]):
        found, wanted = answer(model, some), pipeline.predict(some)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    size, *others = model.graph.output[0].type.tensor_type.shape.dim
    assert size.dim_param == "n_samples"
    assert [other.dim_value for other in others] == list(wanted.shape[1:])


STEPS = {
    "imputer": SimpleImputer(),
    "power": PowerTransformer(),
    "quantiles": QuantileTransformer(n_quantiles=20),
    "bins": KBinsDiscretizer(
        3, encode="ordinal", strategy="uniform", quantile_method="linear"
    ),
    "rows": Normalizer(),
    "kernel": KernelPCA(2),
    "columns": ColumnTransformer([("some", StandardScaler(), [0, 1])]),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_step_that_cannot_be_undone_is_named(step):
    step = step.fit(X[:200])
    answers = np.asarray(step.transform(X[:200]))
    chain = steps.Chain([StandardScaler().fit(X[:200]), step], None, [])
    name = re.escape(repr(step))
    with pytest.raises(TypeError, match=f"affine.*but that of {name} is not, or"):
        chain.undoing([X[:200], answers])


def test_frozen_steps_are_opened(encoder):
    scaler = StandardScaler().fit(X)
    pipeline = FrozenEstimator(make_pipeline(scaler, FrozenEstimator(encoder[0])))
    assert steps.Chain.of(pipeline) == steps.Chain([scaler], encoder[0], [])


def test_imputers_have_no_inverse():
    pipeline = fitted(SimpleImputer(), PLAIN)
    with pytest.raises(TypeError, match=r"that of SimpleImputer\(\) is not, or does"):
        to_onnx(pipeline, X, "reconstruct")


def test_graphs_run_without_us(plain_graph, tmp_path):
    pipeline, model = plain_graph
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    np.save(tmp_path / "rows.npy", X)
    code = """
import sys
for name in ("torch", "sklearn", "skae", "onnx"):
    sys.modules[name] = None
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
numpy.save("codes.npy", session.run(None, {"X": numpy.load("rows.npy")})[0])
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert close(np.load(tmp_path / "codes.npy"), pipeline.transform(X))


def test_a_wrong_graph_is_not_returned(plain_graph, monkeypatch):
    pipeline = fitted(StandardScaler(), PLAIN)
    wrong = copy.deepcopy(plain_graph[1])
    wrong.graph.node[-1].op_type = "Sin"
    monkeypatch.setattr(export, "_graphs", lambda *args: [])
    monkeypatch.setattr(export, "joined", lambda *args, **kwargs: wrong)
    with pytest.raises(RuntimeError, match="answers otherwise"):
        to_onnx(pipeline, X)


def test_what_has_no_graph():
    pipeline = fitted(StandardScaler(), PLAIN)
    with pytest.raises(ValueError, match="output='decode'"):
        to_onnx(pipeline, X, "decode")
    with pytest.raises(ValueError, match="needs a predictor"):
        to_onnx(pipeline, X, "predict")
    with pytest.raises(ValueError, match=r"KMeans.* is a predictor: use output='pre"):
        to_onnx(fitted(PLAIN, KMeans(2, n_init=1)), X)
    with pytest.raises(ValueError, match=f"X has 2 features.* fitted with {WIDTH}"):
        to_onnx(pipeline, X[:, :2])
    with pytest.raises(ValueError, match="encode categories first"):
        to_onnx(pipeline, [["a"] * WIDTH])
    with pytest.raises(TypeError, match="0 autoencoders"):
        to_onnx(StandardScaler().fit(X), X)
    with pytest.raises(TypeError, match="FunctionTransformer"):
        to_onnx(fitted(FunctionTransformer(np.cbrt), PLAIN), X)
    with pytest.raises(TypeError, match="affine"):
        to_onnx(fitted(PowerTransformer(), PLAIN), X, "reconstruct")
    with pytest.raises(TypeError, match="AutoencoderClassifier has no graph"):
        to_onnx(AutoencoderClassifier(), X)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'skae\[onnx\]'"):
        to_onnx(PLAIN.fit(X), X)
