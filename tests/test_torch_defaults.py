"""Torch's defaults are the user's: whatever they are, no bit of an answer changes."""

import pickle
import warnings
from threading import Event, Thread

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import clone
from torch.nn import functional as F

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
from skae._machine.precision import full_precision
from skae._objectives.corruption import NOISES
from skae._objectives.losses import LOSSES

FEW = {
    "hidden_layer_sizes": (8,),
    "max_iter": 2,
    "early_stopping": False,
    "random_state": 0,
}
X = np.random.default_rng(0).random((60, 16)).astype(np.float32)
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
VOLUMES = {"image_shape": (1, 2, 2, 4), "channels": 3}


def rowwise(reconstruction, rows):
    return (reconstruction - rows).norm(dim=-1)


def doubled(x, generator):
    return 2 * x


def under(n_components=3, **kw):
    return UndercompleteAE(n_components, **FEW | kw)


def sparse(sparsity, **kw):
    # Enough steps that silent units are revived.
    return SparseAE(20, sparsity=sparsity, batch_size=5, **FEW | {"max_iter": 12} | kw)


def denoising(**kw):
    return DenoisingAE(3, noise_level=0.3, **FEW | kw)


def conv(**kw):
    return ConvAE(3, **{"image_shape": (4, 4), "channels": (3, 4)} | FEW | kw)


def stacked(pretraining, **kw):
    return StackedAE(3, pretraining=pretraining, pretraining_max_iter=2, **FEW | kw)


CASES = {
    "pca": under(),
    "held-out rows": under(early_stopping=True),
    "random": under(init="random"),
    "tied": under(tied_weights=True, init="random"),
    "share": under(0.6, early_stopping=True),
    "ordered": under(ordered=True),
    "ordered, random": under(ordered=True, init="random"),
    "neighbours, refined": under(
        neighbor_weight=1.0, n_neighbors=3, transform_max_iter=2
    ),
    "learnt activation": under(activation=torch.nn.PReLU),
    "drawn activation": under(activation=torch.nn.RReLU, init="random"),
    "penalised weights": under(solver="lbfgs", weight_decay=0.1),
    "exact": ContractiveAE(3, jacobian_norm="exact", init="random", **FEW),
    "estimated": ContractiveAE(3, jacobian_norm="hutchinson", **FEW),
    "target": sparse("l1", target_sparsity=0.2),
    "activity": sparse("jump_relu", target_sparsity=0.2),
    "support": sparse("top_k", k=3, support=2.0),
    "gaps": denoising(noise="swap", emphasis=0.3),
    "gaps, callable": denoising(loss=rowwise, noise="masking", emphasis=0.3),
    "images": conv(),
    "images, tied": conv(tied_weights=True, init="random"),
    "images, box": conv(noise="block", noise_level=0.3),
    "signals": conv(image_shape=16),
    "volumes": conv(**VOLUMES),
    "volumes, linear": conv(**VOLUMES, upsampling="linear"),
    "own noise": denoising(noise=doubled),
    "variational": VariationalAE(3, **FEW),
    "variational, images": VariationalAE(
        3, image_shape=(4, 4), channels=3, loss="bernoulli", n_importance=2, **FEW
    ),
    "gaps, masked": MaskedAE(4, **FEW),
    "masked, images": MaskedAE(4, image_shape=(4, 4), **FEW),
    "sequences": RecurrentAE(3, sequence_shape=(8, 2), n_ahead=2, **FEW),
    "sequences, lstm": RecurrentAE(3, sequence_shape=16, cell="lstm", **FEW),
    "gaps, table": TableAE(3, categorical_features=[0, 1], **FEW),
    "stacked": stacked("denoising"),
    "stacked, penalties": stacked(["sparse", "contractive"], init="random"),
    **{f"solver {s}": under(solver=s) for s in ("adam", "sgd", "rmsprop", "lbfgs")},
    **{f"loss {loss}": under(loss=loss) for loss in LOSSES},
    **{f"loss {f.__name__}": under(loss=f) for f in (F.huber_loss, rowwise)},
    **{f"noise {noise}": denoising(noise=noise) for noise in NOISES},
    **{s: sparse(s) for s in ("l1", "kl", "top_k", "batch_top_k", "jump_relu")},
    **{f"images, {n}": conv(normalization=n) for n in ("batch", "layer")},
    **{f"images, {u}": conv(upsampling=u) for u in ("nearest", "linear")},
}


def answers(name):
    """Return all that an estimator can say, a copy of it, and one trained in parts."""
    rows, estimator = GAPS if name.startswith("gaps") else X, CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows)
        copies = estimator, pickle.loads(pickle.dumps(estimator))
        said = [said_by(each, rows) for each in copies]
        if hasattr(estimator, "partial_fit"):
            said.append(said_by(partly(estimator, rows), rows))
    return [array for each in said for array in each]


def partly(estimator, rows):
    """Train in parts, with a copy between them."""
    first = clone(estimator).partial_fit(rows[:30])
    return pickle.loads(pickle.dumps(first)).partial_fit(rows[30:])


def said_by(estimator, rows):
    codes = estimator.transform(rows)
    said = [
        codes,
        estimator.reconstruct(rows),
        estimator.score_samples(rows),
        np.array(estimator.loss_curve_),
    ]
    if hasattr(estimator, "inverse_transform"):
        said.append(estimator.inverse_transform(codes))
    if hasattr(estimator, "jacobian"):
        said += [estimator.jacobian(rows[:3]), estimator.tangent_space(rows[:3], 1)]
    if getattr(estimator, "n_ahead", 0):
        said.append(estimator.forecast(np.where(np.arange(16) < 12, rows, np.nan)))
    if hasattr(estimator, "posterior"):
        said += [*estimator.posterior(rows), estimator.sample(3, random_state=0)]
    return said


@pytest.fixture(params=[torch.float64, torch.bfloat16, "meta"], ids=str)
def _other_default(request):
    is_device = request.param == "meta"
    change = torch.set_default_device if is_device else torch.set_default_dtype
    change(request.param)
    yield
    change(None if is_device else torch.float32)


@pytest.fixture(scope="module")
def without():
    """Answers with the defaults that torch has by itself."""
    return {name: answers(name) for name in CASES}


@pytest.mark.usefixtures("_other_default")
@pytest.mark.parametrize("name", CASES)
def test_defaults_of_torch_change_no_bit(without, name):
    for expected, answer in zip(without[name], answers(name), strict=True):
        np.testing.assert_array_equal(answer, expected)


def set_attribute(owner):
    return lambda value: setattr(owner, "fp32_precision", value)


mkldnn = torch.backends.mkldnn
#: What rounds products of float32 more, and how to put it back.
PRECISIONS = {"legacy": (torch.set_float32_matmul_precision, "medium", "highest")}
if hasattr(mkldnn, "matmul"):
    PRECISIONS |= {
        "all": (set_attribute(torch.backends), "bf16", "none"),
        "mkldnn": (lambda p: mkldnn.set_flags(None, None, None, p), "bf16", "none"),
        "matmul": (set_attribute(mkldnn.matmul), "bf16", "none"),
        "conv": (set_attribute(mkldnn.conv), "bf16", "none"),
    }


def precisions():
    """Everything that can be read of them; some cannot while they contradict."""
    owners = torch.backends, mkldnn, mkldnn.matmul, mkldnn.conv, torch.backends.cuda
    newer = [getattr(o, "fp32_precision", None) for o in (*owners, owners[-1].matmul)]
    try:
        return [torch.get_float32_matmul_precision(), *newer]
    except RuntimeError:
        return newer


ROUNDED = {
    "exact": (ContractiveAE(3, max_iter=5, early_stopping=False, random_state=0), 10),
    "images": (ConvAE(3, image_shape=(12, 12), **FEW), 144),
}


@pytest.fixture(params=PRECISIONS)
def _less_precise(request):
    change, value, before = PRECISIONS[request.param]
    change(value)
    yield
    change(before)
    if request.param == "legacy" and hasattr(mkldnn, "matmul"):
        # torch itself leaves these behind.
        mkldnn.matmul.fp32_precision = torch.backends.cuda.matmul.fp32_precision = (
            "none"
        )


def rounded(name):
    estimator, n_features = ROUNDED[name]
    rows = np.random.default_rng(0).normal(size=(400, n_features)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return said_by(clone(estimator).fit(rows), rows)


@pytest.fixture(scope="module")
def in_full():
    return {name: rounded(name) for name in ROUNDED}


@pytest.mark.usefixtures("_less_precise")
@pytest.mark.parametrize("name", ROUNDED)
def test_precision_of_products_is_ours_and_is_put_back(in_full, name):
    before = precisions()
    for expected, answer in zip(in_full[name], rounded(name), strict=True):
        np.testing.assert_array_equal(answer, expected)
    assert precisions() == before


@pytest.mark.usefixtures("_less_precise")
def test_precision_is_put_back_by_the_last_thread_that_needs_it():
    before, inside, over = precisions(), Event(), Event()

    def hold():
        with full_precision():
            inside.set()
            over.wait()

    thread = Thread(target=hold)
    with full_precision():
        thread.start()
        inside.wait()
    try:
        assert precisions() != before
    finally:
        over.set()
        thread.join()
    assert precisions() == before


LONG = np.random.default_rng(0).integers(0, 255, (60, 16)).astype(np.uint8)


@pytest.mark.usefixtures("_other_default")
@pytest.mark.parametrize("rows", [LONG, csr_matrix(X)], ids=["long", "sparse"])
def test_defaults_of_torch_change_no_bit_of_rows_read_in_batches(rows, monkeypatch):
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 1)
    answer = said_by(under().fit(rows), rows)
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)
    for expected, other in zip(said_by(under().fit(rows), rows), answer, strict=True):
        np.testing.assert_array_equal(other, expected)
