"""Callbacks of skorch's that end training, and those that cannot work."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

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
    with pytest.warns(ConvergenceWarning, match="stopped .* first epoch ended: PCA"):
        ae.fit(X)
    assert ae.is_pca_
    assert ae.stop_reason_ == "callback"
    assert ae.n_iter_ == 0
    pca = PCA(2).fit(X)
    expected = pca.inverse_transform(pca.transform(X))
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
    ae = skae.SparseAE(4, **FEW, callbacks=[Stop("on_epoch_end")]).fit(X)
    assert ae.n_iter_ == 1
    assert ae.best_score_ == ae.validation_scores_[0]
    ae = skae.SparseAE(4, **FEW, callbacks=[Stop("on_train_end")]).fit(X)
    assert ae.stop_reason_ == "max_iter"
