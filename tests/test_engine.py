"""The training loop, against loops written by hand."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import BatchScoring, Callback, EpochScoring, LRScheduler
from torch.nn import functional as F

from skae import UndercompleteAE
from skae._machine.devices import resolve_device
from skae._training.schedule import Schedule
from skae._training.solvers import SOLVERS
from skae._training.stopping import Stopping

PLAIN = {
    "init": "random",
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "weight_decay": 0.0,
    "n_iter_no_change": 10,
    "early_stopping": False,
    "random_state": 0,
}


@pytest.fixture
def X(rng):
    return rng.normal(size=(100, 6)).astype(np.float32)


def fit(X, **kw):
    defaults = {"batch_size": 32, "max_iter": 3, "tol": 0, "solver": "adam"}
    return UndercompleteAE(2, **PLAIN | defaults | kw).fit(X)


def weights(estimator):
    return torch.cat([w.detach().ravel() for w in estimator.network_.parameters()])


def by_hand(X, make_optimizer, n_epochs=3, batch_size=32):
    """What fit does, step by step."""
    estimator = UndercompleteAE(2, init="random")
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    generator = torch.Generator().manual_seed(seed)
    estimator.n_features_in_ = X.shape[1]
    options = estimator._network_options(Schedule(), 2)
    network = estimator._network_class(**options)
    network.reset_parameters(generator, torch.zeros(X.shape[1]))
    mean = X.mean(0, dtype=np.float64)
    spread = np.sqrt(np.mean((X - mean) ** 2))
    rows = torch.from_numpy((X - mean.astype(np.float32)) / np.float32(spread))
    optimizer = make_optimizer(network.parameters())
    for _ in range(n_epochs):
        order = torch.randperm(len(rows), generator=generator)
        for index in order.split(batch_size):
            optimizer.zero_grad()
            x = rows[index]
            F.mse_loss(network.decode(network.encode(x)), x).backward()
            optimizer.step()
    return torch.cat([w.detach().ravel() for w in network.parameters()])


@pytest.mark.parametrize(
    ("solver", "make_optimizer"),
    [
        ("adam", partial(torch.optim.Adam, lr=0.001, eps=1e-14)),
        ("adamw", partial(torch.optim.AdamW, lr=0.001, eps=1e-14, weight_decay=0.0)),
        ("sgd", partial(torch.optim.SGD, lr=0.001, momentum=0.9, nesterov=True)),
        ("rmsprop", partial(torch.optim.RMSprop, lr=0.001)),
        (torch.optim.NAdam, partial(torch.optim.NAdam, lr=0.001)),
        (
            partial(torch.optim.SGD, momentum=0.5),
            partial(torch.optim.SGD, momentum=0.5, lr=0.001),
        ),
    ],
    ids=str,
)
def test_fit_equals_a_loop_by_hand(X, solver, make_optimizer):
    torch.testing.assert_close(
        weights(fit(X, solver=solver)), by_hand(X, make_optimizer), rtol=1e-4, atol=1e-6
    )


def test_lbfgs_minimises_what_adam_does(breast_cancer):
    kw = {"hidden_layer_sizes": (), "tol": 1e-4, **PLAIN}
    adam = UndercompleteAE(3, **kw).fit(breast_cancer)
    lbfgs = UndercompleteAE(3, solver="lbfgs", **kw).fit(breast_cancer)
    assert lbfgs.score(breast_cancer) == pytest.approx(
        adam.score(breast_cancer), abs=1e-3
    )
    assert np.all(np.diff(lbfgs.loss_curve_) < 0)


def test_weight_decay_leaves_biases_and_variances(X):
    """With all weights at zero the reconstruction is the mean, the noise the spread."""
    for solver, rate in (("adam", 0.02), ("lbfgs", 1.0)):
        kw = {"solver": solver, "learning_rate_init": rate, "max_iter": 300}
        estimator = fit(X + 5, weight_decay=3.0, loss="gaussian", **kw)
        np.testing.assert_allclose(
            estimator.reconstruct(X[:1] + 5)[0], X.mean(0) + 5, atol=0.1
        )
        variance = np.square(X + 5 - estimator.reconstruct(X + 5)).mean()
        assert estimator.noise_variance_ == pytest.approx(variance, rel=0.05)


def test_rate_of_a_partial_is_kept(X):
    named = fit(X, solver="rmsprop", learning_rate_init=0.01)
    partial_ = fit(X, solver=partial(torch.optim.RMSprop, lr=0.01))
    assert torch.equal(weights(named), weights(partial_))


def test_lbfgs_class_is_lbfgs(X):
    assert torch.equal(
        weights(fit(X, solver="lbfgs")), weights(fit(X, solver=torch.optim.LBFGS))
    )


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_weight_decay_shrinks_weights(X, solver):
    kw = {"solver": solver, "max_iter": 100, "learning_rate_init": 0.01}
    free, decayed = (weights(fit(X, weight_decay=d, **kw)).norm() for d in (0, 0.5))
    assert decayed < 0.9 * free


def test_lbfgs_and_adam_decay_the_same_way(breast_cancer):
    """Both minimise loss + weight_decay / 2 * ||w||^2."""
    kw = {**PLAIN, "hidden_layer_sizes": (), "weight_decay": 0.01, "tol": 0}
    kw |= {"learning_rate_init": 0.01, "batch_size": 600, "max_iter": 2000}
    kw["transform_max_iter"] = 0
    lbfgs, adam = (
        UndercompleteAE(2, solver=solver, **kw).fit(breast_cancer)
        for solver in ("lbfgs", "adam")
    )
    np.testing.assert_allclose(
        lbfgs.reconstruct(breast_cancer), adam.reconstruct(breast_cancer), atol=0.01
    )


class Listener(Callback):
    """Counts what it hears."""

    def __init__(self):
        self.heard = []

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        if training:
            self.heard.append((len(batch), float(loss)))

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.n_parameters = len(list(named_parameters))


def test_callbacks_hear_batches_and_change_no_bit(X):
    listener = Listener()
    heard = fit(X, callbacks=[listener], early_stopping=True)
    silent = fit(X, early_stopping=True)
    assert torch.equal(weights(heard), weights(silent))
    np.testing.assert_allclose(heard.loss_curve_, silent.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(heard.validation_scores_, silent.validation_scores_)
    assert [n for n, _ in listener.heard] == [32, 32, 26] * 3
    assert listener.n_parameters == 8


def test_rate_falls_along_half_a_cosine(X):
    rates = []

    class Recorder(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training:
                rates.append(net.optimizer_.param_groups[0]["lr"])

    fit(X, learning_rate="cosine", callbacks=[Recorder()])
    # Four batches in each of three epochs.
    expected = 0.001 * (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    np.testing.assert_allclose(rates, expected)


def test_automatic_batches_are_even(rng):
    listener = Listener()
    X = rng.normal(size=(1200, 4)).astype(np.float32)
    fit(X, max_iter=1, batch_size="auto", early_stopping=True, callbacks=[listener])
    assert [n for n, _ in listener.heard] == [108] * 10


@pytest.mark.parametrize(("n_rows", "n_epochs"), [(50, 800), (1200, 400), (9000, 138)])
def test_automatic_epochs_make_4000_steps(rng, n_rows, n_epochs):
    X = rng.normal(size=(n_rows, 4)).astype(np.float32)
    kw = {"hidden_layer_sizes": (), "batch_size": "auto", "max_iter": "auto"}
    assert fit(X, n_iter_no_change=10_000, **kw).n_iter_ == n_epochs


def test_a_long_table_is_read_once():
    assert Schedule().n_epochs(10**6, batch_size=320) == 1
    assert Schedule(least_epochs=10).n_epochs(10**6, batch_size=320) == 10


@pytest.mark.parametrize(
    ("n_features", "ordered", "expected"),
    [
        (6, False, [128]),
        (100, False, [400]),
        (200, False, [512]),
        (6, True, [128, 64]),
        (511, True, [256, 128]),
        (512, True, [512, 256]),
    ],
)
def test_automatic_hidden_layers(rng, n_features, ordered, expected):
    X = rng.normal(size=(50, n_features)).astype(np.float32)
    estimator = fit(X, hidden_layer_sizes="auto", ordered=ordered)
    widths = [layer.out_features for layer in estimator.network_.encoder[::2]]
    assert widths == [*expected, 2]


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
def test_ordered_codes_take_larger_batches_and_more_steps(rng):
    X = rng.normal(size=(3000, 4)).astype(np.float32)
    listener = Listener()
    kw = {"solver": "adamw", "hidden_layer_sizes": (), "ordered": True}
    few = {"batch_size": "auto", "max_iter": 1}
    chosen = fit(X[:600], weight_decay="auto", callbacks=[listener], **kw, **few)
    assert [n for n, _ in listener.heard] == [120] * 5
    given = fit(X[:600], weight_decay=8 / 5, **kw, **few)
    assert torch.equal(weights(chosen), weights(given))
    # No loss falls by all of itself: after a quarter of the epochs patience ends.
    kw |= {"batch_size": 256, "max_iter": "auto", "n_iter_no_change": "auto"}
    assert fit(X, tol=1.0, **kw).n_iter_ == 1 + 6000 * 256 // 3000 // 4


@pytest.mark.parametrize(("solver", "decay"), [("adamw", 0.5), ("adam", 0.0)])
def test_automatic_weight_decay_is_shared_by_the_batches_of_an_epoch(X, solver, decay):
    given, chosen = (
        weights(fit(X, solver=solver, weight_decay=value)) for value in (decay, "auto")
    )
    assert torch.equal(given, chosen)


@pytest.mark.parametrize(("max_iter", "n_stale"), [(20, 10), (100, 25)])
def test_automatic_patience_is_a_quarter_of_all_epochs(X, max_iter, n_stale):
    estimator = fit(X, max_iter=max_iter, tol=10.0, n_iter_no_change="auto")
    assert estimator.n_iter_ == 1 + n_stale


def test_callbacks_can_schedule_the_learning_rate(X):
    schedule = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=1e-30)
    once = fit(X, max_iter=1)
    frozen = fit(X, max_iter=5, callbacks=[schedule])
    torch.testing.assert_close(weights(once), weights(frozen))


class Net:
    """As much of an engine as Stopping looks at; its weight counts the copies."""

    monitor, is_stationary, interrupted = "train_loss", True, False

    def __init__(self, losing=(), n_stages=0):
        self.module_, self.criterion_, self.validation = self, torch.nn.Module(), self
        self.losing, self.n_copies, self.history = losing, 0, {}
        self.n_stages = n_stages

    def parameters(self):
        return [torch.zeros(1)]

    def begin_stage(self):
        self.n_stages -= 1
        return self.n_stages >= 0

    def state_dict(self):
        self.n_copies += 1
        return {"weight": torch.tensor(self.n_copies)}

    def loses_at_a_width(self, network):
        return self.history[-1, "train_loss"] in self.losing


def run_stopping(losses, tol, patience=2, **kw):
    """Return the epoch that ended training, and the weights remembered."""
    net, stopping = Net(**kw), Stopping(tol, patience)
    stopping.on_train_begin(net)
    last = 0
    for last, loss in enumerate(losses):  # noqa: B007
        net.history = {(-1, "train_loss"): loss}
        try:
            stopping.on_epoch_end(net)
        except KeyboardInterrupt:
            break
    return last, stopping.weights[0]["weight"].item()


@pytest.mark.parametrize("shift", [0, -10])
def test_stopping_counts_epochs_without_a_fall_by_tol(shift):
    losses = [shift + v for v in (5, 4, 3.999, 3.998, 3.997, 0)]
    assert run_stopping(losses, 1e-2)[0] == 3


def test_stopping_adds_small_falls_up():
    losses = np.linspace(1, 0.9, 30)
    assert run_stopping(losses, 5e-3)[0] == 29


def test_stopping_scales_with_the_loss():
    losses = np.array([5, 4, 3.999, 3.998, 3.997, 0])
    assert run_stopping(losses * 1e-9, 1e-2) == run_stopping(losses, 1e-2)


def test_stopping_brings_the_best_weights_back():
    # Weights are copied at 5, 3 and 2.
    assert run_stopping([5, 3, 4, 2, 9, 9], 0) == (5, 3)


def test_stopping_passes_over_weights_that_lose_at_a_width():
    assert run_stopping([5, 3, 4, 2, 9, 9], 0, losing=[2]) == (5, 2)


@pytest.mark.parametrize(("n_stages", "last"), [(0, 3), (1, 4), (2, 5)])
def test_stopping_waits_again_in_each_stage(n_stages, last):
    losses = [5, 4, *8 * [4.5]]
    assert run_stopping(losses, 0, n_stages=n_stages) == (last, 2)


class Weights(Callback):
    """Remembers the weights after each step, and at the end of each epoch."""

    def __init__(self):
        self.steps, self.epochs, self.rates = [], [], []

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.steps.append(self.of(net))
            self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(self.of(net))

    @staticmethod
    def of(net):
        return torch.nn.utils.parameters_to_vector(net.module_.parameters()).detach()


def test_averages_are_exponential_ones_of_the_weights_after_steps(X):
    seen = Weights()
    ae = fit(X, learning_rate="averaged", max_iter=4, callbacks=[seen])
    unmoved = fit(X, max_iter=1, learning_rate_init=1e-30)
    mean, ends = weights(unmoved), []
    for n, weights_then in enumerate(seen.steps, 1):
        kept = min(0.99, (1 + n) / (10 + n))
        mean = kept * mean + (1 - kept) * weights_then
        ends.append(mean)
    torch.testing.assert_close(torch.stack(seen.epochs), torch.stack(ends[3::4]))
    torch.testing.assert_close(weights(ae), ends[-1])


def test_averaged_rates_grow_in_the_first_steps_and_fall_where_nothing_is_gained(X):
    seen = Weights()
    # No loss falls by all of itself.
    options = {"max_iter": 100, "tol": 1.0, "n_iter_no_change": 10}
    ae = fit(X, learning_rate="averaged", callbacks=[seen], **options)
    assert ae.stop_reason_ == "no_change"
    assert ae.n_iter_ == 1 + 10 + 2 * 5
    expected = 0.001 * np.minimum(np.arange(1, 85) / 20, 1)
    expected[44:64] *= 0.3
    expected[64:] *= 0.1
    np.testing.assert_allclose(seen.rates, expected)


def test_an_open_decay_is_tried_larger_and_smaller(X):
    seen = []

    class Decays(Callback):
        def on_epoch_begin(self, net, **kwargs):
            group = max(net.optimizer_.param_groups, key=lambda g: g["weight_decay"])
            seen.append((group["lr"] / 0.001, group["weight_decay"]))

    options = {"learning_rate": "averaged", "tol": 1.0, "n_iter_no_change": 1}
    options |= {"solver": "adamw", "max_iter": 100, "weight_decay": "auto"}
    ae = fit(X, callbacks=[Decays()], **options)
    first = ae.weight_decay_
    expected = [(1, 3 * first), (0.3, 0.25 * first), (0.1, 0.06 * first)]
    np.testing.assert_allclose(seen[2:], expected)


@pytest.mark.parametrize(
    ("options", "n_stale"),
    [
        ({"learning_rate": "averaged"}, 10),
        ({"learning_rate": "averaged", "batch_size": 1}, 10),
        ({"learning_rate": "averaged", "solver": "lbfgs"}, 25),
        ({"learning_rate": "cosine"}, 25),
    ],
)
def test_patience_left_open_is_short_where_weights_are_averaged(X, options, n_stale):
    """L-BFGS has no steps to average."""
    left_open = {"max_iter": 100, "tol": 10.0, "n_iter_no_change": "auto"}
    assert fit(X, **options | left_open).n_iter_no_change_ == n_stale


@pytest.mark.parametrize("learning_rate", ["averaged", "constant"])
def test_a_limit_that_cuts_training_short_is_told(X, learning_rate):
    options = {"learning_rate": learning_rate, "learning_rate_init": 0.01}
    with pytest.warns(ConvergenceWarning, match="max_iter=5 epochs while it still"):
        fit(X, max_iter=5, **options)


def test_a_limit_that_cuts_nothing_short_is_not_told(X):
    """Nothing was gained in the last epoch, or a schedule's end is due."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(X, max_iter=3, tol=1.0, n_iter_no_change=9).n_iter_ == 3
        assert fit(X, max_iter=3, learning_rate="cosine").n_iter_ == 3


def test_training_goes_on_from_the_best_averages_in_smaller_steps(X):
    """And not from the weights that swung about them."""
    seen = Weights()
    options = {"max_iter": 100, "tol": 1.0, "n_iter_no_change": 3}
    fit(X, learning_rate="averaged", callbacks=[seen], **options)
    first = seen.steps[16]
    assert (first - seen.epochs[3]).norm() < (first - seen.steps[15]).norm()


def test_unknown_device_is_quoted():
    with pytest.raises(ValueError, match=r"'cuda:99'.*'cpu'.*device='auto'"):
        resolve_device("cuda:99")


def test_auto_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert resolve_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    monkeypatch.undo()
    assert resolve_device("cpu") == resolve_device("cpu:0") == torch.device("cpu")
    for name in ("cpu:1", "cpu:", "cuda:01", "CPU", ""):
        with pytest.raises(ValueError, match=f"device='{name}' is not a device"):
            resolve_device(name)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (LRScheduler(), "no effect.*use learning_rate='constant'"),
        (("rate", LRScheduler), "no effect.*use learning_rate='constant'"),
        (EpochScoring("r2"), "needs labels: read validation_scores_"),
        (BatchScoring, "needs labels: read validation_scores_"),
    ],
)
def test_callbacks_that_cannot_work_are_refused(X, callback, message):
    with pytest.raises(ValueError, match=message):
        UndercompleteAE(2, callbacks=[callback]).fit(X)
