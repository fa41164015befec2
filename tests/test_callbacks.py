"""Callbacks of skorch's that end training, and those that cannot work."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
    ProgressBar,
    WandbLogger,
)

import skae

#: Where a callback may end training before an epoch is over.
EVENTS = [
    "on_train_begin",
    "on_epoch_begin",
    "on_batch_begin",
    "on_grad_computed",
    "on_batch_end",
]
FEW = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
WITH_PCA = [
    skae.UndercompleteAE(2, **FEW),
    skae.UndercompleteAE(2, **FEW, early_stopping=False),
    skae.UndercompleteAE(2, **FEW, solver="lbfgs", early_stopping=False),
    skae.UndercompleteAE(2, **FEW, ordered=True),
    skae.UndercompleteAE(2, **FEW, neighbor_weight=1.0),
    skae.DenoisingAE(2, **FEW),
    skae.ContractiveAE(2, **FEW),
    skae.ConvAE(2, **FEW, channels=2, early_stopping=False),
    skae.VariationalAE(2, **FEW),
    skae.MaskedAE(2, **FEW),
    skae.RecurrentAE(2, **FEW),
    skae.StackedAE(2, **FEW, pretraining_max_iter=1),
    skae.TableAE(2, **FEW),
]
WITHOUT = [
    skae.SparseAE(4, **FEW),
    skae.UndercompleteAE(2, **FEW, init="random", early_stopping=False),
    skae.UndercompleteAE(2, **FEW, init="random", solver="lbfgs"),
]


class Stop(Callback):
    """Ends training at an event."""

    def __init__(self, event):
        self.event = event

    def initialize(self):
        setattr(self, self.event, self.stop)
        return self

    def stop(self, *args, **kwargs):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(60, 6))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("ae", WITH_PCA, ids=lambda e: type(e).__name__)
def test_pca_stays_if_a_callback_stops_the_first_epoch(ae, event, X):
    ae.set_params(callbacks=[Stop(event)])
    # In which the columns of a table count alike.
    X = scale(X)
    with pytest.warns(ConvergenceWarning, match="stopped .* first epoch ended: PCA"):
        ae.fit(X)
    assert ae.is_pca_
    assert ae.stop_reason_ == "callback"
    assert ae.n_iter_ == 0
    pca = PCA(2).fit(X)
    codes = pca.transform(X)
    if isinstance(ae, skae.VariationalAE):
        assert ae.score(X) == pytest.approx(pca.score(X), rel=1e-4)
    elif isinstance(ae, skae.MaskedAE):
        np.testing.assert_allclose(ae.transform(X) * ae.scale_, codes, atol=1e-4)
    else:
        expected = pca.inverse_transform(codes)
        np.testing.assert_allclose(ae.reconstruct(X), expected, atol=1e-4)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("ae", WITHOUT, ids=lambda e: type(e).__name__)
def test_no_first_epoch_and_no_pca_is_an_error(ae, event, X):
    ae.set_params(callbacks=[Stop(event)])
    with pytest.raises(ValueError, match=r"stopped training before .*on_epoch_end"):
        ae.fit(X)
    assert not hasattr(ae, "n_iter_")


@pytest.mark.parametrize("event", EVENTS)
def test_training_that_went_on_is_not_undone(event, X):
    ae = skae.UndercompleteAE(2, **FEW).partial_fit(X).partial_fit(X)
    codes = ae.transform(X)
    with pytest.raises(ValueError, match="stopped training before its first epoch"):
        ae.set_params(callbacks=[Stop(event)]).partial_fit(X)
    np.testing.assert_array_equal(ae.transform(X), codes)


def test_pca_of_parts_stays_that_of_the_first(X):
    ae = skae.UndercompleteAE(2, **FEW, callbacks=[Stop("on_epoch_begin")])
    with pytest.warns(ConvergenceWarning, match="PCA is kept"):
        codes = ae.partial_fit(X).transform(X)
    with pytest.warns(ConvergenceWarning, match="PCA is kept"):
        ae.partial_fit(X[::-1] ** 3)
    np.testing.assert_array_equal(ae.transform(X), codes)


def test_an_epoch_that_a_callback_ends_may_be_the_best(X):
    options = FEW | {"learning_rate": "cosine"}
    ae = skae.SparseAE(4, **options, callbacks=[Stop("on_epoch_end")]).fit(X)
    assert ae.n_iter_ == 1
    assert ae.best_score_ == ae.validation_scores_[0]
    ae = skae.SparseAE(4, **options, callbacks=[Stop("on_train_end")]).fit(X)
    assert ae.stop_reason_ == "max_iter"


RUN = type("Run", (), {"config": {}})()
#: Callbacks that read what held-out rows say, and what lets them do without.
HELD_OUT = [
    (EarlyStopping(), "monitor='train_loss'"),
    (EarlyStopping, "monitor='train_loss'"),
    (("stop", EarlyStopping()), "monitor='train_loss'"),
    (Checkpoint(), "monitor='train_loss_best'"),
    (LRScheduler("ReduceLROnPlateau", monitor="valid_loss"), "monitor='train_loss'"),
    (PassthroughScoring("train_loss"), "on_train=True"),
    (WandbLogger(RUN), "save_model=False"),
]


@pytest.mark.parametrize("cls", [skae.UndercompleteAE, skae.SparseAE])
@pytest.mark.parametrize(("callback", "cure"), HELD_OUT)
def test_what_needs_held_out_rows_is_refused_without(cls, callback, cure, X):
    ae = cls(2, **FEW, callbacks=[callback], learning_rate="constant")
    ae.set_params(early_stopping=False)
    for method in (ae.fit, ae.partial_fit):
        with pytest.raises(ValueError, match=f"held-out.*: give it {cure}, or use fit"):
            method(X)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (InputShapeSetter(), "rebuild the network: leave it out"),
        (InputShapeSetter, "rebuild the network: leave it out"),
        (EarlyStopping(monitor="accuracy"), "the history has no monitor='accuracy'"),
        (PassthroughScoring("train_loss"), "give it on_train=True"),
    ],
)
def test_what_could_never_work_is_refused(callback, message, X):
    with pytest.raises(ValueError, match=message):
        skae.UndercompleteAE(2, **FEW, callbacks=[callback]).fit(X)


def test_a_class_that_needs_arguments_is_refused(X):
    with pytest.raises(TypeError, match=r"needs arguments .*: pass an instance"):
        skae.UndercompleteAE(2, **FEW, callbacks=[PassthroughScoring]).fit(X)


@pytest.mark.parametrize(
    "callbacks",
    [
        [EarlyStopping(monitor="train_loss")],
        [LRScheduler("ReduceLROnPlateau")],
        [LRScheduler("StepLR", step_size=1, monitor="valid_loss")],
        [LRScheduler("StepLR", step_size=1), EarlyStopping(monitor="event_lr")],
        [Stop("on_train_end"), Checkpoint(monitor=lambda net: False)],
        [PassthroughScoring("train_loss", on_train=True)],
        [Checkpoint(monitor=None, f_params=None, f_optimizer=None, f_criterion=None)],
        [ProgressBar()],
    ],
)
def test_what_reads_of_training_alone_works(callbacks, X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"early_stopping": False, "learning_rate": "constant"}
    ae = skae.UndercompleteAE(2, **FEW, **options, callbacks=callbacks).fit(X)
    assert ae.partial_fit(X).n_iter_ == 3
