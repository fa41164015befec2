"""Ctrl-C at any moment: the model before, or the best weights; it is never lost."""

import ctypes
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import skae

# Python cannot raise what comes while a generator is closed; the fit is told later.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
FITS = [
    skae.UndercompleteAE(2, max_iter=2, random_state=0),
    skae.UndercompleteAE(3, ordered=True, max_iter=2, loss="gaussian", random_state=0),
    skae.UndercompleteAE(2, neighbor_weight=1.0, max_iter=2, random_state=0),
    skae.UndercompleteAE(2, solver="lbfgs", max_iter=2, random_state=0),
    skae.SparseAE(8, max_iter=2, random_state=0),
    skae.DenoisingAE(2, max_iter=2, random_state=0),
    skae.ContractiveAE(2, max_iter=2, random_state=0),
    skae.ConvAE(2, channels=2, hidden_layer_sizes=4, max_iter=2, random_state=0),
    skae.VariationalAE(2, max_iter=2, random_state=0),
    skae.MaskedAE(2, max_iter=2, random_state=0),
    skae.RecurrentAE(2, hidden_layer_sizes=4, max_iter=2, random_state=0),
    skae.StackedAE(2, pretraining_max_iter=1, max_iter=1, random_state=0),
    skae.TableAE(2, max_iter=2, random_state=0),
]


@pytest.fixture(autouse=True)
def _ctrl_c():
    """Python's handler, which a job that a shell runs in the background lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
    sys.setprofile(None)
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(60, 6))


class At:
    """Presses Ctrl-C when so many functions of the package have been entered."""

    def __init__(self, n_calls):
        self.n_left = n_calls

    def __call__(self, frame, event, argument):
        inside = frame.f_globals.get("__name__", "").startswith("skae.")
        if event == "call" and inside:
            self.n_left -= 1
            if self.n_left == 0:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)


def count_calls(run):
    """Return how many functions of the package are entered."""
    at = At(-1)
    sys.setprofile(at)
    run()
    sys.setprofile(None)
    return -1 - at.n_left


def interrupted(run, n_calls):
    """Return whether KeyboardInterrupt left the call, interrupted on the way."""
    sys.setprofile(At(n_calls))
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.mark.parametrize("estimator", FITS, ids=lambda e: type(e).__name__)
def test_an_interrupt_at_any_step_of_a_fit_is_told(estimator, X):
    estimator.fit(X)
    codes = estimator.transform(X)
    other = X[::-1] * 2.0
    n_calls = count_calls(lambda: estimator.fit(other))
    for at in np.unique(np.linspace(1, n_calls, 12, dtype=int)):
        estimator.fit(X)
        if interrupted(lambda: estimator.fit(other), at):
            np.testing.assert_array_equal(estimator.transform(X), codes)
            assert not estimator.interrupted_
        else:
            assert estimator.interrupted_
            assert np.isfinite(estimator.reconstruct(other)).all()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_at_any_step_of_a_search_stops_it(X):
    pipeline = make_pipeline(StandardScaler(), skae.UndercompleteAE(max_iter=2))
    search = GridSearchCV(
        pipeline, {"undercompleteae__n_components": [1, 2]}, cv=2, refit=False
    )
    n_calls = count_calls(lambda: search.fit(X))
    for at in np.unique(np.linspace(1, n_calls // 2, 12, dtype=int)):
        assert interrupted(lambda: search.fit(X), at)


def test_an_interrupt_is_raised_in_place_of_an_error_that_follows(X, monkeypatch):
    def fail(*args):
        signal.raise_signal(signal.SIGINT)
        raise ValueError

    monkeypatch.setattr(skae.UndercompleteAE, "_finish", fail)
    with pytest.raises(KeyboardInterrupt):
        skae.UndercompleteAE(2, max_iter=2).fit(X)


def interrupt_thread():
    """Raise KeyboardInterrupt in this thread, as another may: without a signal."""
    thread, kind = threading.get_ident(), ctypes.py_object(KeyboardInterrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def terminate():
    signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def _term():
    """Let SIGTERM interrupt, as servers and schedulers do."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


def steps_that(interrupt, monkeypatch):
    """Let the loss interrupt in the second epoch of each fit."""
    forward = skae.UndercompleteAE._engine

    def engine(*args):
        engine = forward(*args)
        take_step = engine.take_step

        def step(net, batch):
            if len(net.history) == 2:
                interrupt()
            return take_step(net, batch)

        engine.take_step = step
        return engine

    monkeypatch.setattr(skae.UndercompleteAE, "_engine", engine)


@pytest.mark.usefixtures("_term")
@pytest.mark.parametrize("interrupt", [terminate, interrupt_thread])
def test_what_interrupts_without_ctrl_c_is_no_callback(X, interrupt, monkeypatch):
    steps_that(interrupt, monkeypatch)
    ae = skae.UndercompleteAE(2, max_iter=4, random_state=0).fit(X)
    assert ae.interrupted_
    assert ae.stop_reason_ == "interrupt"
    search = GridSearchCV(ae, {"n_components": [1, 2]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X)
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_an_interrupt_of_another_thread_is_told(X, monkeypatch):
    steps_that(interrupt_thread, monkeypatch)
    ae = skae.UndercompleteAE(2, max_iter=4, random_state=0)
    thread = threading.Thread(target=ae.fit, args=(X,))
    thread.start()
    thread.join()
    assert ae.interrupted_


@pytest.mark.usefixtures("_term")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_callback_is_an_interrupt(X, number):
    class Raises(Callback):
        def on_epoch_end(self, net, **kwargs):
            signal.raise_signal(number)

    ae = skae.UndercompleteAE(2, max_iter=4, callbacks=[Raises()]).fit(X)
    assert ae.interrupted_


@pytest.mark.parametrize("n_calls", range(1, 8))
def test_a_second_interrupt_while_a_fit_is_undone_leaves_the_model(
    X, n_calls, monkeypatch
):
    """It comes at any function, those of C too, after the first."""
    ae = skae.UndercompleteAE(2, max_iter=2, random_state=0).fit(X)
    before, n_left = vars(ae).copy(), n_calls

    def press(frame, event, argument):
        nonlocal n_left
        n_left -= event in ("call", "c_call")
        if n_left == 0:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    def fail(estimator, *args):
        estimator.other_ = 1
        sys.setprofile(press)
        raise KeyboardInterrupt

    monkeypatch.setattr(skae.UndercompleteAE, "_finish", fail)
    with pytest.raises(KeyboardInterrupt):
        ae.fit(X * 2.0)
    assert n_left == 0
    assert vars(ae) == before


def test_an_interrupted_fit_says_that_pca_is_kept(X, monkeypatch):
    steps_that(ctrl_c, monkeypatch)
    with pytest.warns(ConvergenceWarning, match="after 1 epochs: PCA is kept"):
        ae = skae.UndercompleteAE(2, max_iter=4, random_state=0).fit(X)
    assert ae.is_pca_
