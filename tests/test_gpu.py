"""Fits on an NVIDIA GPU: the same as on the processor, and replayed from graphs."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from test_common import VARIANTS

import skae
from skae import ContractiveAE, ConvAE, RecurrentAE, UndercompleteAE
from skae._objectives.neighbors import nearest_on
from skae._training import engine as engines
from skae._training.averaging import Average

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs an NVIDIA GPU"
)

LONG = {"max_iter": 30, "device": "cuda", "random_state": 0}
#: Fits whose steps are replayed.
REPLAYED = {
    "averaged": UndercompleteAE(4, **LONG),
    "cosine": UndercompleteAE(4, learning_rate="cosine", **LONG),
    "constant": UndercompleteAE(4, learning_rate="constant", solver="adam", **LONG),
    "gaussian": UndercompleteAE(4, loss="gaussian", **LONG),
    "convolutions": ConvAE(4, image_shape=(8, 8), **LONG),
    "normalized": ConvAE(4, image_shape=(8, 8), normalization="batch", **LONG),
    "neighbours": UndercompleteAE(2, neighbor_weight=1.0, **LONG),
    "random": UndercompleteAE(4, init="random", tied_weights=True, **LONG),
    "no held-out rows": UndercompleteAE(4, early_stopping=False, **LONG),
    "stages": UndercompleteAE(4, n_iter_no_change=2, tol=0.05, **LONG),
}


def fit(estimator, X):
    """Fit a copy, whose codes are the encoder's: steps may amplify rounding."""
    if "transform_max_iter" in estimator.get_params():
        estimator = clone(estimator).set_params(transform_max_iter=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).fit(X)


@pytest.fixture
def recordings(monkeypatch):
    """The graphs that fits record."""
    made, record = [], engines.Replay

    def note():
        made.append(record())
        return made[-1]

    monkeypatch.setattr(engines, "Replay", note)
    return made


@needs_gpu
@pytest.mark.parametrize("name", REPLAYED)
def test_replayed_steps_are_those_without_a_graph(
    name, digits, recordings, monkeypatch
):
    replayed = fit(REPLAYED[name], digits)
    assert recordings[0].graphs
    monkeypatch.setattr(engines, "can_replay", lambda net: False)
    plain = fit(REPLAYED[name], digits)
    curves = replayed.loss_curve_, plain.loss_curve_
    for n_epochs, close in ((3, 1e-4), (8, 1e-2)):
        first, second = (curve[:n_epochs] for curve in curves)
        assert len(first) == n_epochs
        np.testing.assert_allclose(first, second, rtol=close, atol=1e-6)


@needs_gpu
def test_replayed_fits_have_the_same_bits_again(digits, recordings):
    first, second = (fit(REPLAYED["averaged"], digits) for _ in range(2))
    assert len(recordings) == 2
    np.testing.assert_array_equal(first.transform(digits), second.transform(digits))


@needs_gpu
@pytest.mark.parametrize(
    "estimator",
    [
        UndercompleteAE(4, ordered=True, **LONG),
        UndercompleteAE(4, loss=torch.nn.functional.huber_loss, **LONG),
        skae.DenoisingAE(4, **LONG),
        UndercompleteAE(4, solver="lbfgs", **LONG),
        UndercompleteAE(4, solver="sgd", learning_rate_init=0.001, **LONG),
        RecurrentAE(4, **LONG),
    ],
    ids=["ordered", "function", "noise", "lbfgs", "sgd", "recurrent"],
)
def test_steps_that_differ_are_not_replayed(estimator, digits, recordings):
    shape = (-1, 8, 8) if isinstance(estimator, RecurrentAE) else (-1, 64)
    assert fit(estimator, digits.reshape(shape)).n_iter_ > 0
    assert not recordings


@needs_gpu
def test_parts_of_a_stream_are_replayed(digits, recordings):
    ae = UndercompleteAE(4, batch_size=50, **LONG)
    for _ in range(3):
        ae.partial_fit(digits)
    assert all(replay.graphs for replay in recordings)
    on_cpu = UndercompleteAE(4, batch_size=50, **LONG | {"device": "cpu"})
    for _ in range(3):
        on_cpu.partial_fit(digits)
    np.testing.assert_allclose(ae.loss_curve_, on_cpu.loss_curve_, rtol=0.01)


@needs_gpu
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: type(v).__name__)
def test_a_gpu_answers_like_the_processor(variant, digits):
    """Weights, and derivatives where there are some, in full float32."""
    X = digits[:300]
    options = {"max_iter": 3, "early_stopping": False, "random_state": 0}
    fitted = fit(clone(variant).set_params(device="cpu", **options), X)
    there = pickle.loads(pickle.dumps(fitted)).set_params(device="cuda")
    for method in ("transform", "reconstruct"):
        here = getattr(fitted, method)(X)
        np.testing.assert_allclose(
            getattr(there, method)(X), here, atol=1e-4 * np.abs(here).max()
        )


@needs_gpu
@pytest.mark.parametrize(
    "estimator",
    [
        UndercompleteAE(4, max_iter=2),
        ConvAE(4, image_shape=(8, 8), max_iter=2),
        ContractiveAE(4, max_iter=2),
        RecurrentAE(2, max_iter=2),
        skae.MaskedAE(4, max_iter=2),
    ],
    ids=lambda e: type(e).__name__,
)
def test_first_epochs_lose_what_they_lose_on_the_processor(estimator, digits):
    """All rows in one batch: the loss of the first weights, and after a step."""
    shape = (-1, 8, 8) if isinstance(estimator, RecurrentAE) else (-1, 64)
    X = digits[:200].reshape(shape)
    options = {"early_stopping": False, "batch_size": 200, "random_state": 0}
    one = clone(estimator).set_params(**options)
    curves = [
        fit(one.set_params(device=device), X).loss_curve_ for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)


@needs_gpu
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
@pytest.mark.parametrize("name", ["averaged", "convolutions", "random"])
def test_lower_precision_learns_as_much(name, precision, digits, recordings):
    full, lower = (
        fit(clone(REPLAYED[name]).set_params(precision=p), digits)
        for p in ("float32", precision)
    )
    assert all(replay.graphs for replay in recordings)
    assert lower.loss_curve_[0] != full.loss_curve_[0]
    assert lower.loss_curve_[-1] == pytest.approx(full.loss_curve_[-1], rel=0.15)
    # The fitted model does not round.
    cpu = pickle.loads(pickle.dumps(lower)).set_params(device="cpu")
    np.testing.assert_allclose(
        lower.transform(digits), cpu.transform(digits), rtol=1e-3, atol=1e-4
    )


@needs_gpu
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_layers_compute_in_bfloat16(cell, digits):
    options = {"max_iter": 3, "device": "cuda", "random_state": 0}
    full, lower = (
        fit(RecurrentAE(4, cell=cell, precision=p, **options), digits.reshape(-1, 8, 8))
        for p in ("float32", "bfloat16")
    )
    assert lower.loss_curve_[0] != full.loss_curve_[0]
    assert lower.loss_curve_[-1] == pytest.approx(full.loss_curve_[-1], rel=0.15)


@needs_gpu
def test_rows_do_not_depend_on_others(digits):
    """Blocks of all sizes are computed in the same way."""
    for estimator in (REPLAYED["averaged"], REPLAYED["convolutions"]):
        fitted = clone(estimator).fit(digits)
        alone = np.concatenate([fitted.transform(row) for row in digits[:20, None]])
        np.testing.assert_array_equal(alone, fitted.transform(digits)[:20])


LOADS = """
import pickle, sys
import numpy as np, torch, skae
assert not torch.cuda.is_available()
for name in ("saved", "pickled"):
    path = sys.argv[1] + "/" + name
    ae = skae.load(path) if name == "saved" else pickle.load(open(path, "rb"))
    np.save(path + ".npy", ae.transform(np.load(sys.argv[1] + "/rows.npy")))
"""


@needs_gpu
@pytest.mark.parametrize("name", ["averaged", "convolutions", "neighbours"])
def test_models_of_a_gpu_open_on_a_machine_without(name, digits, tmp_path):
    pytest.importorskip("safetensors")
    fitted = fit(REPLAYED[name], digits)
    fitted.save(tmp_path / "saved")
    (tmp_path / "pickled").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "rows.npy", digits)
    subprocess.run(
        [sys.executable, "-c", LOADS, str(tmp_path)],
        check=True,
        env={"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ":".join(sys.path)},
    )
    codes = fitted.transform(digits)
    for kind in ("saved", "pickled"):
        np.testing.assert_allclose(
            np.load(tmp_path / f"{kind}.npy"), codes, rtol=1e-3, atol=1e-4
        )


@needs_gpu
def test_memory_of_the_device_is_released(digits):
    fit(REPLAYED["averaged"], digits)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        fit(REPLAYED["averaged"], digits)
    assert torch.cuda.memory_allocated() - before < 2**20


DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_nearest_rows_are_those_of_scikit_learn(rng, device, monkeypatch):
    monkeypatch.setattr("skae._objectives.neighbors.N_DISTANCES", 1000)
    others = rng.normal(size=(300, 5)).astype(np.float32) + 100
    places = others[:80] + rng.normal(size=(80, 5)).astype(np.float32)
    found = nearest_on(torch.device(device), places, others, 7)
    search = NearestNeighbors().fit(others.astype(np.float64))
    distances, index = search.kneighbors(places.astype(np.float64), 7)
    np.testing.assert_array_equal(found[1], index)
    np.testing.assert_allclose(found[0], distances, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_averages_by_a_share_on_the_device_are_the_same(device):
    module = torch.nn.Linear(3, 2, device=device)
    averages = Average([module]), Average([module])
    for step in range(5):
        with torch.no_grad():
            module.weight.add_(step)
        averages[0].update()
        share = 1 - averages[1].advance()
        averages[1].move(torch.tensor(share, device=device))
    for one, other in zip(averages[0].means, averages[1].means, strict=True):
        torch.testing.assert_close(one, other)
