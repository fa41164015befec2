"""A fit that is killed goes on where it was, and ends with the same bits."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import skae
from skae._files import sealed
from skae._training import checkpoint as module
from skae._training.checkpoint import Checkpoint

SOME = {"max_iter": 6, "batch_size": 32, "random_state": 0}
FITS = [
    skae.UndercompleteAE(2, n_iter_no_change=1, **SOME | {"max_iter": 12}),
    skae.UndercompleteAE(2, learning_rate="cosine", early_stopping=False, **SOME),
    skae.UndercompleteAE(2, solver="sgd", learning_rate="constant", **SOME),
    skae.UndercompleteAE(2, solver=partial(torch.optim.AdamW, amsgrad=True), **SOME),
    skae.UndercompleteAE(2, init="random", solver="lbfgs", **SOME),
    skae.UndercompleteAE(3, ordered=True, loss="gaussian", **SOME),
    skae.UndercompleteAE(2, neighbor_weight=1.0, **SOME),
    # It draws from the global generator of torch.
    skae.UndercompleteAE(2, activation=torch.nn.RReLU, **SOME),
    skae.SparseAE(12, target_sparsity=0.5, **SOME),
    skae.SparseAE(12, sparsity="jump_relu", **SOME),
    skae.SparseAE(12, sparsity="batch_top_k", **SOME),
    skae.DenoisingAE(2, noise="swap", **SOME),
    skae.ContractiveAE(2, **SOME),
    skae.ConvAE(2, channels=(4, 8), normalization="batch", **SOME),
    skae.VariationalAE(2, **SOME),
    skae.MaskedAE(2, **SOME),
    skae.RecurrentAE(2, hidden_layer_sizes=4, **SOME),
    skae.StackedAE(2, pretraining_max_iter=3, **SOME),
    skae.TableAE(2, **SOME),
]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Killed(BaseException):
    """Ends a process at once, as far as a test in the same process can show."""


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    code = rng.uniform(-2, 2, (150, 2))
    rows = np.sin(code @ rng.normal(size=(2, 16))).reshape(150, 4, 4)
    return rows.astype(np.float32)


@pytest.fixture
def at_once(monkeypatch):
    """Write the file at each opportunity."""
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", np.inf)


@pytest.fixture
def slow(monkeypatch):
    """Let a fit take a second, most of it for its file."""
    write = Checkpoint._write

    def write_slowly(self, values):
        write(self, values)
        time.sleep(0.02)

    monkeypatch.setattr(Checkpoint, "_write", write_slowly)


def rows_for(estimator, X):
    """Return images, sequences or flat rows."""
    is_flat = not isinstance(estimator, skae.ConvAE | skae.RecurrentAE)
    return X.reshape(len(X), -1) if is_flat else X


def bits(estimator, X):
    """Return everything that a fit decides, except how long it took."""
    epochs = {k: v for k, v in estimator.history_.items() if k != "seconds"}
    weights = {k: w.tolist() for k, w in estimator.network_.state_dict().items()}
    attributes = [estimator.best_score_, estimator.pca_score_, estimator.stop_reason_]
    X = rows_for(estimator, X)
    return (
        str(epochs),
        weights,
        attributes,
        estimator.transform(X).tobytes(),
        estimator.reconstruct(X).tobytes(),
    )


def fit_and_die(estimator, X, n_writes, monkeypatch):
    """Fit, but end when the file was written so many times; return whether it ended."""
    write, left = Checkpoint._write, [n_writes]

    def write_and_die(self, values):
        write(self, values)
        left[0] -= 1
        if left[0] == 0 and "fitted" not in values:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "_write", write_and_die)
        try:
            estimator.fit(rows_for(estimator, X))
        except Killed:
            return False
    return True


def kill_after(seconds, run):
    """Run in a fork, and kill it."""
    if (child := os.fork()) == 0:
        run()
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.parametrize("estimator", FITS, ids=lambda e: str(e).split("(")[0])
def test_it_goes_on_with_the_same_bits(estimator, X, tmp_path, at_once, monkeypatch):
    expected = bits(clone(estimator).fit(rows_for(estimator, X)), X)
    rng = np.random.default_rng(0)
    resumed = clone(estimator).set_params(checkpoint=tmp_path / "fit.safetensors")
    n_fits = 1
    while not fit_and_die(resumed, X, rng.integers(1, 12), monkeypatch):
        n_fits += 1
    assert n_fits > 2 or estimator.solver == "lbfgs"
    assert bits(resumed, X) == expected
    again = clone(resumed).fit(rows_for(estimator, X))
    assert bits(again, X) == expected
    assert str(again.history_) == str(resumed.history_)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork")
def test_it_goes_on_after_sigkill(X, tmp_path, at_once, slow):
    X = X.reshape(len(X), -1)
    make = partial(skae.UndercompleteAE, 2, max_iter=20, batch_size=64, random_state=0)
    expected = bits(make().fit(X), X)
    path = tmp_path / "fit.safetensors"
    rng = np.random.default_rng(0)
    for _ in range(20):
        # A moment after the start, or in the first half of what is left.
        kill_after(rng.uniform(0, 0.1), lambda: make(checkpoint=path).fit(X))
    assert bits(make(checkpoint=path).fit(X), X) == expected
    # Nothing else is left, not even what was half written.
    assert os.listdir(tmp_path) == [path.name]


SEARCH = """
import sys, time
import numpy as np
import skae
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, folder = np.load(sys.argv[1]), sys.argv[2]
ae = skae.UndercompleteAE(max_iter=40, batch_size=16, tol=0.0, random_state=0)
search = GridSearchCV(
    make_pipeline(StandardScaler(), ae.set_params(checkpoint=folder)),
    {"undercompleteae__n_components": [1, 2, 3]}, cv=3, n_jobs=2,
)
search.fit(X)
"""


def test_a_search_does_not_repeat_fits_that_are_over(X, tmp_path):
    X, folder = X.reshape(len(X), -1), tmp_path / "fits"
    folder.mkdir()
    np.save(tmp_path / "X.npy", X)
    command = [sys.executable, "-W", "ignore", "-c", SEARCH]
    killed = subprocess.Popen(
        [*command, tmp_path / "X.npy", folder], start_new_session=True
    )
    while len(over(folder)) < 3 and killed.poll() is None:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = over(folder)
    assert 3 <= len(before) < 10
    ae = skae.UndercompleteAE(max_iter=40, batch_size=16, tol=0.0, random_state=0)
    grid = {"undercompleteae__n_components": [1, 2, 3]}
    plain = GridSearchCV(make_pipeline(StandardScaler(), ae), grid, cv=3).fit(X)
    kept = clone(plain).set_params(estimator__undercompleteae__checkpoint=folder)
    kept.fit(X)
    after = over(folder)
    # Nine fits of candidates, and one of the best on all rows.
    assert len(after) == 10
    assert before.items() <= after.items()
    for name, scores in plain.cv_results_.items():
        if name.startswith(("split", "mean_test")):
            np.testing.assert_array_equal(scores, kept.cv_results_[name])


def over(folder):
    """Return when the files of fits that are over were written."""
    return {
        path.name: path.stat().st_mtime_ns
        for path in folder.glob("*.safetensors")
        if b"fitted" in path.read_bytes()
    }


def test_one_parameter_or_row_makes_another_fit(X, tmp_path):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    ae = skae.UndercompleteAE(2, checkpoint=path, **SOME).fit(X)
    changed = X.copy()
    changed[7, 3] += 1e-3
    for rows, options, told in (
        (changed, {}, "other rows"),
        (X[:-1], {}, "other rows"),
        (X, {"tol": 0.1}, "other parameters"),
        (X, {"random_state": 1}, "other parameters"),
        (changed, {"clip": True}, "other parameters and rows"),
    ):
        other = clone(ae).set_params(**options)
        with pytest.raises(ValueError, match=f"checkpoint=.*{told}: delete"):
            other.fit(rows)
        assert not hasattr(other, "network_")
    with pytest.raises(ValueError, match="other parameters: delete"):
        clone(ae).set_params(loss=torch.nn.functional.l1_loss).fit(X)
    with pytest.raises(ValueError, match="other class"):
        skae.DenoisingAE(2, checkpoint=path, **SOME).fit(X)
    # What shows while it trains makes no other fit.
    written = path.stat().st_mtime_ns
    clone(ae).set_params(verbose=True).fit(X)
    assert path.stat().st_mtime_ns == written


def test_a_function_is_a_parameter_like_others(X, tmp_path):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    ae = skae.UndercompleteAE(2, checkpoint=path, **SOME)
    clone(ae).set_params(loss=torch.nn.functional.l1_loss).fit(X)
    for loss in ("squared_error", torch.nn.functional.huber_loss):
        with pytest.raises(ValueError, match="other parameters: delete the file"):
            clone(ae).set_params(loss=loss).fit(X)


def test_the_order_in_memory_makes_no_other_fit(X, tmp_path):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    ae = skae.UndercompleteAE(2, checkpoint=path, **SOME).fit(X)
    written = path.stat().st_mtime_ns
    for rows in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        again = clone(ae).fit(rows)
        np.testing.assert_array_equal(again.transform(X), ae.transform(X))
    assert path.stat().st_mtime_ns == written


def test_fits_that_go_on_are_other_fits(X, tmp_path):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    ae = skae.UndercompleteAE(2, checkpoint=path, warm_start=True, **SOME).fit(X)
    with pytest.raises(ValueError, match="weights to go on from, since warm_start=T"):
        ae.fit(X)


def test_in_a_directory_each_fit_has_a_file(X, tmp_path):
    X = X.reshape(len(X), -1)
    for options in ({}, {"tol": 0.1}, {}):
        ae = skae.UndercompleteAE(2, **SOME | {"checkpoint": tmp_path} | options)
        ae.fit(X), ae.fit(X[:-1])
    assert len(os.listdir(tmp_path)) == 4


def test_a_fit_that_goes_on_warm_is_another_fit(X, tmp_path, at_once, monkeypatch):
    X = X.reshape(len(X), -1)
    ae = skae.UndercompleteAE(2, warm_start=True, checkpoint=tmp_path, **SOME)
    plain = clone(ae).set_params(checkpoint=None).fit(X).fit(X)
    ae.fit(X)
    while not fit_and_die(ae, X, 5, monkeypatch):
        pass
    assert bits(ae, X) == bits(plain, X)
    assert len(os.listdir(tmp_path)) == 2


def test_without_a_seed_the_one_in_the_file_is_used(X, tmp_path, at_once, monkeypatch):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    ae = skae.UndercompleteAE(
        2, checkpoint=path, **SOME | {"random_state": None, "max_iter": 4}
    )
    assert not fit_and_die(ae, X, 8, monkeypatch)
    shutil.copy(path, tmp_path / "copy.safetensors")
    expected = bits(clone(ae).fit(X), X)
    again = clone(ae).set_params(checkpoint=tmp_path / "copy.safetensors").fit(X)
    assert bits(again, X) == expected


def test_a_fit_that_is_over_warns_again(X, tmp_path):
    X = X.reshape(len(X), -1)
    ae = skae.UndercompleteAE(2, checkpoint=tmp_path, **SOME | {"max_iter": 1})
    for _ in range(2):
        with pytest.warns(ConvergenceWarning, match="PCA, which is kept"):
            clone(ae).fit(X)


def test_ctrl_c_leaves_the_file(X, tmp_path, at_once, monkeypatch, request):
    X = X.reshape(len(X), -1)
    make = partial(skae.UndercompleteAE, 2, **SOME)
    expected = bits(make().fit(X), X)
    write, left = Checkpoint._write, [8]

    def write_and_interrupt(self, values):
        write(self, values)
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Checkpoint, "_write", write_and_interrupt)
    # A job that a shell runs in the background ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    ae = make(checkpoint=tmp_path).fit(X)
    assert ae.interrupted_
    assert bits(ae, X) != expected
    assert not ae.fit(X).interrupted_
    assert bits(ae, X) == expected


def test_fits_at_the_same_time_may_share_a_file(X, tmp_path, at_once):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    make = partial(skae.UndercompleteAE, 2, **SOME)
    expected = bits(make().fit(X), X)
    fits = (delayed(make(checkpoint=path).fit)(X) for _ in range(4))
    for fitted in Parallel(n_jobs=4, backend="threading")(fits):
        assert bits(fitted, X) == expected
    assert os.listdir(tmp_path) == [path.name]


def test_a_place_that_cannot_be_written_is_told_at_once(X, tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sealed.os, "fsync", fail)
    ae = skae.UndercompleteAE(2, checkpoint=tmp_path / "fit", **SOME)
    with pytest.raises(OSError, match="fit cannot be written: No space"):
        ae.fit(X.reshape(len(X), -1))
    assert not os.listdir(tmp_path)


def test_a_full_disk_costs_no_work(X, tmp_path, at_once, monkeypatch):
    X = X.reshape(len(X), -1)
    make = partial(skae.UndercompleteAE, 2, **SOME)
    expected = bits(make().fit(X), X)
    ae, sync, n_calls = make(checkpoint=tmp_path / "fit.safetensors"), os.fsync, [0]

    def sync_or_fail(handle):
        n_calls[0] += 1
        if n_calls[0] > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(sealed.os, "fsync", sync_or_fail)
    with pytest.warns(UserWarning, match="was not written: .*No space left"):
        ae.fit(X)
    monkeypatch.undo()
    assert bits(ae, X) == expected
    # The file before is whole, and nothing is left of the one that failed.
    assert os.listdir(tmp_path) == ["fit.safetensors"]
    assert bits(clone(ae).fit(X), X) == expected


def test_what_cannot_be_stored_is_told_before_training(X, tmp_path):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    for options, told in (
        ({"callbacks": [Callback()]}, "callbacks=.* only one"),
        ({"loss": lambda answer, target: (answer - target) ** 2}, "loss=<function"),
        ({"checkpoint": tmp_path / "missing" / "file"}, "does not exist"),
        ({"checkpoint": ""}, "checkpoint=''"),
    ):
        ae = skae.UndercompleteAE(2, **SOME | {"checkpoint": path} | options)
        with pytest.raises(ValueError, match=told):
            ae.fit(X)
        assert not hasattr(ae, "network_")
        assert not os.listdir(tmp_path)


def test_a_file_that_was_changed_or_is_of_another_kind_is_refused(X, tmp_path):
    X, path = X.reshape(len(X), -1), tmp_path / "fit.safetensors"
    ae = skae.UndercompleteAE(2, checkpoint=path, **SOME).fit(X)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match="holds no estimator"):
        skae.load(path)
    path.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match="changed or cut off"):
        clone(ae).fit(X)
    path.write_text("mine")
    with pytest.raises(ValueError, match="not a file that save has written"):
        clone(ae).fit(X)
    assert path.read_text() == "mine"
    ae.save(path)
    with pytest.raises(ValueError, match="holds no checkpoint"):
        clone(ae).fit(X)
