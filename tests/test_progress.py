"""Callbacks of scikit-learn's, which see epochs as tasks."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from test_history import FEW, each_estimator

import skae
from skae.metrics import explained_variance

callback = pytest.importorskip("sklearn.callback", reason="from scikit-learn 1.9 on")

# So few epochs seldom gain on PCA.
pytestmark = pytest.mark.filterwarnings("ignore:Training did not improve on PCA")


class Recorder:
    """Notes all tasks, and asks to stop after the epoch of that number."""

    max_propagation_depth = None

    def __init__(self, stop_after=None):
        self.stop_after, self.began, self.ended, self.scores = stop_after, [], [], []
        self.n_set_up = 0

    def setup(self, estimator, context):
        self.n_set_up += 1

    def teardown(self, estimator, context):
        self.n_set_up -= 1

    def on_fit_task_begin(self, estimator, context):
        self.began.append((context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.ended.append((context.task_name, context.task_id))
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X))
        return context.task_name == "epoch" and context.task_id == self.stop_after


class Broken(Recorder):
    """Fails at the end of an epoch."""

    def on_fit_task_end(self, estimator, context):
        raise RuntimeError("broken callback")


@each_estimator
def test_a_task_for_each_epoch_whose_estimator_is_fitted(estimator, digits):
    recorder = Recorder()
    estimator = clone(estimator).set_callbacks(recorder).fit(digits[:200])
    epochs = [("epoch", number) for number in range(estimator.n_iter_)]
    assert recorder.began == [("fit", 0), *epochs]
    assert recorder.ended == [*epochs, ("fit", 0)]
    assert recorder.scores[-1] == estimator.score(digits[:200])
    assert recorder.n_set_up == 0
    plain = clone(estimator).set_callbacks().fit(digits[:200])
    np.testing.assert_array_equal(plain.transform(digits), estimator.transform(digits))


def test_scores_of_epochs_are_those_of_shorter_fits(digits):
    recorder = Recorder()
    options = FEW | {"early_stopping": False, "learning_rate": "constant"}
    skae.UndercompleteAE(2, **options).set_callbacks(recorder).fit(digits)
    shorter = [
        skae.UndercompleteAE(2, **options | {"max_iter": n}).fit(digits).score(digits)
        for n in (1, 2, 3)
    ]
    np.testing.assert_allclose(recorder.scores[:3], shorter, rtol=1e-6)


@each_estimator
def test_a_callback_ends_training_and_leaves_a_fitted_estimator(estimator, digits):
    estimator = clone(estimator).set_callbacks(Recorder(stop_after=1))
    estimator.fit(digits[:200])
    assert estimator.n_iter_ == 2
    assert estimator.stop_reason_ == "callback"
    assert estimator.transform(digits).shape == (len(digits), estimator.n_components)


def test_an_error_of_a_callback_leaves_the_estimator_as_it_was(digits):
    broken = Broken()
    estimator = skae.UndercompleteAE(2, **FEW).set_callbacks(broken)
    before = set(vars(estimator))
    with pytest.raises(RuntimeError, match="broken callback"):
        estimator.fit(digits)
    assert set(vars(estimator)) == before
    assert broken.n_set_up == 0


@pytest.mark.parametrize("options", [{"ordered": True}, {"n_components": 0.8}])
def test_the_estimator_of_an_epoch_has_all_that_a_fit_has(options, digits):
    class Truncated(Recorder):
        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            kept = fitted_estimator.truncate(1)
            attributes = {name for name in vars(fitted_estimator) if name[-1] == "_"}
            self.ended.append((kept.transform(X).shape[1], attributes))
            if hasattr(fitted_estimator, "partial_fit"):
                fitted_estimator.partial_fit(X)

    recorder = Truncated()
    estimator = skae.UndercompleteAE(**{"n_components": 4} | options | FEW)
    plain = clone(estimator).fit(digits[:200])
    estimator.set_callbacks(recorder).fit(digits[:200])
    wanted = {name for name in vars(plain) if name[-1] == "_"}
    assert recorder.ended == [(1, wanted)] * (estimator.n_iter_ + 1)
    np.testing.assert_array_equal(plain.transform(digits), estimator.transform(digits))


def test_what_breaks_off_an_epoch_ends_its_task(digits):
    class Impatient(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    recorder = Recorder()
    estimator = skae.UndercompleteAE(2, callbacks=[Impatient()], **FEW)
    estimator.set_callbacks(recorder).fit(digits)
    assert estimator.n_iter_ == 1
    assert sorted(recorder.began) == sorted(recorder.ended)
    assert len(recorder.scores) == 2


def test_a_search_shows_progress_and_collects_all_curves(digits, capsys):
    monitor = callback.ScoringMonitor(scoring={"explained": explained_variance})
    encoder = skae.UndercompleteAE(**FEW, early_stopping=False).set_callbacks(monitor)
    search = GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("encode", encoder)]),
        {"encode__n_components": [2, 4]},
        scoring=explained_variance,
        cv=2,
        n_jobs=2,
    )
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None))
    y = np.zeros(len(digits))
    search.fit(digits, y)
    shown = capsys.readouterr().out
    assert shown.count("UndercompleteAE - fit") >= 5
    frame = monitor.get_logs().data_as_pandas
    epochs = frame[frame["task_name"] == "epoch"]
    # Two candidates by two folds, and the best on all rows.
    curves = epochs.groupby("parent_task_id_path")["explained"]
    assert curves.size().tolist() == [3] * 5
    assert curves.apply(lambda curve: curve.is_monotonic_increasing).all()
    refit = epochs[epochs["parent_task_id_path"].map(len) == 3]["explained"]
    assert refit.iloc[-1] == pytest.approx(explained_variance(search, digits))


class Filed:
    """Writes the path of each epoch that ends to a file, which workers share."""

    max_propagation_depth = None

    def __init__(self, path):
        self.path = path

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return
        numbers = []
        while context is not None:
            numbers.insert(0, context.task_id)
            context = context.parent
        with self.path.open("a") as file:
            file.write(f"{numbers}\n")


def test_a_search_in_workers_has_a_task_for_each_epoch(digits, tmp_path):
    search = GridSearchCV(
        Pipeline(
            [("scale", StandardScaler()), ("encode", skae.UndercompleteAE(**FEW))]
        ),
        {"encode__n_components": [2, 4]},
        scoring=explained_variance,
        cv=2,
        n_jobs=2,
    )
    path = tmp_path / "epochs"
    search.set_callbacks(Filed(path)).fit(digits)
    # Search, candidate and fold, step of the pipeline, epoch; at last the best again.
    searched = [[0, 0, fit, 1, epoch] for fit in range(4) for epoch in range(3)]
    refitted = [[0, 1, 1, epoch] for epoch in range(3)]
    epochs = map(json.loads, path.read_text().splitlines())
    assert sorted(epochs) == sorted(searched + refitted)
