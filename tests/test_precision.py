"""``precision``: what it rounds, and what it leaves alone."""

import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from test_common import VARIANTS

import skae
from skae._machine.precision import faster_products, full_precision, rounded_products
from skae._training.validation import Validation

#: Each estimator, every way. Line searches before the whole network learns go far.
FITS = [
    clone(v).set_params(device="cpu", random_state=0)
    for v in VARIANTS
    if not (isinstance(v, skae.StackedAE) and v.solver == "lbfgs")
]


@pytest.fixture
def _built_for_gpus(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def gpu_settings():
    """What torch says of TF32 on GPUs."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if not hasattr(cudnn, "conv"):
        return [matmul.allow_tf32, cudnn.allow_tf32]
    owners = matmul, cudnn.conv, cudnn.rnn
    return [owner.fp32_precision == "tf32" for owner in owners]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", FITS, ids=lambda e: type(e).__name__)
def test_bfloat16_rounds_steps_of_each_autoencoder(estimator, digits):
    """All rows are in the first batch, so the loss is that of the first weights."""
    X = digits[:100]
    one = clone(estimator).set_params(max_iter=2, early_stopping=False, batch_size=100)
    full, rounded = (
        clone(one).set_params(precision=p).fit(X) for p in ("float32", "bfloat16")
    )
    first = full.loss_curve_[0]
    assert rounded.loss_curve_[0] == pytest.approx(first, rel=0.05, abs=1e-3)
    assert rounded.loss_curve_ != full.loss_curve_
    # What is kept computes in float32 again.
    assert rounded.transform(X).dtype == np.float32
    weights = rounded.network_.state_dict().values()
    assert {w.dtype for w in weights if w.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("solver", ["adamw", "lbfgs"])
def test_bfloat16_learns_as_much(solver, digits):
    few = {"max_iter": 20, "early_stopping": False, "random_state": 0}
    ae = skae.UndercompleteAE(4, init="random", solver=solver, **few)
    full, rounded = (
        clone(ae).set_params(precision=p).fit(digits[:400])
        for p in ("float32", "bfloat16")
    )
    assert full.loss_curve_[-1] < 0.7 * full.loss_curve_[0]
    assert rounded.loss_curve_[-1] == pytest.approx(full.loss_curve_[-1], rel=0.1)


def test_forward_passes_alone_are_rounded():
    x = torch.ones(2, 2)
    with rounded_products("bfloat16", x.device):
        assert (x @ x).dtype == torch.bfloat16
    for precision in ("float32", "tf32"):
        with rounded_products(precision, x.device):
            assert (x @ x).dtype == torch.float32


def test_held_out_rows_are_judged_in_float32(digits, monkeypatch):
    rounds, judge = [], Validation.unexplained

    def note(*args):
        rounds.append(torch.is_autocast_enabled("cpu"))
        return judge(*args)

    monkeypatch.setattr(Validation, "unexplained", note)
    ae = skae.UndercompleteAE(2, max_iter=3, precision="bfloat16", random_state=0)
    ae.fit(digits[:200])
    assert len(rounds) >= 4
    assert not any(rounds)


def test_tf32_needs_a_gpu(digits):
    ae = skae.UndercompleteAE(2, precision="tf32")
    with pytest.raises(ValueError, match=r"precision='tf32' needs.*device='cpu'"):
        ae.fit(digits)
    assert not hasattr(ae, "n_components_")


def test_unknown_precision_is_quoted(digits):
    with pytest.raises(ValueError, match=r"'precision' parameter.*'float16'"):
        skae.UndercompleteAE(2, precision="float16").fit(digits)


@pytest.mark.usefixtures("_built_for_gpus")
def test_tf32_is_set_while_training_only_and_put_back():
    before = gpu_settings()
    with full_precision():
        assert not any(gpu_settings())
        with faster_products("float32"):
            assert not any(gpu_settings())
        with faster_products("tf32"):
            assert all(gpu_settings())
        assert not any(gpu_settings())
    assert gpu_settings() == before


@pytest.mark.usefixtures("_built_for_gpus")
def test_a_block_of_full_precision_ends_tf32():
    before = gpu_settings()
    with full_precision(), faster_products("tf32"):
        with full_precision():
            assert not any(gpu_settings())
        assert not any(gpu_settings())
    assert gpu_settings() == before


@pytest.mark.usefixtures("_built_for_gpus")
def test_tf32_does_not_begin_while_another_thread_computes():
    inside, over = threading.Event(), threading.Event()

    def hold():
        with full_precision():
            inside.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        with full_precision(), faster_products("tf32"):
            assert not any(gpu_settings())
    finally:
        over.set()
        thread.join()


def test_fine_tuning_is_rounded_too(digits):
    y = np.where(np.arange(200) < 100, np.arange(200) % 2, -1)
    inner = skae.DenoisingAE(2, max_iter=2, early_stopping=False, random_state=0)
    fitted = [
        skae.AutoencoderClassifier(
            inner.set_params(precision=p), max_iter=5, random_state=0
        )
        .fit(digits[:200], y)
        .predict_proba(digits[:200])
        for p in ("float32", "bfloat16")
    ]
    assert not np.array_equal(*fitted)
