"""Searches over the workers of a cluster: the scores of one process."""

import os
import signal
import threading
import time
from itertools import chain
from unittest import mock

import dask
import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold

from skae import UndercompleteAE

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
# Otherwise it deletes all copies of data but one, and the rest is lost with a worker.
KEEP_COPIES = {"distributed.scheduler.active-memory-manager.start": False}
GRID = {"n_components": [1, 2, 3, 4]}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 4)) @ rng.normal(size=(4, 8))


@pytest.fixture(scope="module")
def client():
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        # The cluster limits threads in the environment, and leaves that to later tests.
        mock.patch.dict(os.environ),
        dask.config.set(KEEP_COPIES),
        LocalCluster(**settings) as cluster,
        Client(cluster) as client,
    ):
        yield client


def scores(search):
    return {k: v for k, v in search.cv_results_.items() if k.endswith("test_score")}


def over(folder):
    """Return when the files of fits that are over were written."""
    return {
        path.name: path.stat().st_mtime_ns
        for path in folder.glob("*.safetensors")
        if b"fitted" in path.read_bytes()
    }


def kill_a_worker(client, folder, n_fits):
    """Kill a worker once some fits are over, and tell which were."""
    while len(before := over(folder)) < n_fits:
        time.sleep(0.02)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    return before


def test_a_search_loses_nothing_if_a_worker_dies(client, X, tmp_path):
    splits = list(KFold(3).split(X))
    ae = UndercompleteAE(max_iter=4, random_state=0)
    alone = GridSearchCV(ae, GRID, cv=splits).fit(X)
    kept = clone(ae).set_params(checkpoint=tmp_path)
    # A clone of the search would have copies of the folds, which are not scattered.
    together = GridSearchCV(kept, GRID, cv=splits)
    killed = []
    killer = threading.Thread(
        target=lambda: killed.append(kill_a_worker(client, tmp_path, 4))
    )
    killer.start()
    with joblib.parallel_config("dask", scatter=[X, *chain(*splits)]):
        together.fit(X)
    killer.join()
    assert 4 <= len(killed[0]) < len(over(tmp_path)) == 13
    assert killed[0].items() <= over(tmp_path).items()
    for name, found in scores(together).items():
        np.testing.assert_array_equal(found, scores(alone)[name])
    np.testing.assert_array_equal(together.transform(X), alone.transform(X))


def test_halving_gives_epochs_to_the_best_candidates(client, X):
    ae = UndercompleteAE(random_state=0)
    search = HalvingGridSearchCV(
        ae, GRID, resource="max_iter", min_resources=2, max_resources=8, cv=3, factor=2
    )
    alone = clone(search).fit(X)
    with joblib.parallel_config("dask"):
        search.fit(X)
    assert [*search.cv_results_["n_resources"]] == [2] * 4 + [4] * 2 + [8]
    assert search.best_params_ == alone.best_params_
    assert search.best_estimator_.max_iter == 8
    for name, found in scores(search).items():
        np.testing.assert_array_equal(found, scores(alone)[name])
