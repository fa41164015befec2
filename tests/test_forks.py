"""Forks of a process that has used several threads: a server that loads, then forks."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(os, "register_at_fork"), reason="the system knows no forks"
)

START = """
import multiprocessing, os, pickle, signal, threading
from functools import partial

import numpy as np
import torch

import skae


def in_fork(task):
    pid = os.fork()
    if not pid:
        # A child that hangs shall end before the test does.
        signal.alarm(20)
        try:
            task()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


X = np.random.default_rng(0).normal(size=(1024, 64))
few = {"hidden_layer_sizes": (32,), "max_iter": 1, "random_state": 0}
"""

METHODS = """
estimators = {
    "UndercompleteAE": skae.UndercompleteAE(4, neighbor_weight=1.0, **few),
    "ordered": skae.UndercompleteAE(4, ordered=True, **few),
    "SparseAE": skae.SparseAE(40, **few),
    "DenoisingAE": skae.DenoisingAE(4, **few),
    "ContractiveAE": skae.ContractiveAE(4, **few),
    "ConvAE": skae.ConvAE(4, image_shape=(8, 8), channels=8, **few),
}
for name, ae in estimators.items():
    ae.fit(X).transform(X)
    tasks = {
        "transform": partial(ae.transform, X),
        "fit": partial(ae.fit, X),
        "partial_fit": partial(ae.partial_fit, X),
        "score": partial(ae.score, X),
        "jacobian": partial(ae.jacobian, X),
        "tangent_space": partial(ae.tangent_space, X, 2),
        "pickle": lambda: pickle.loads(pickle.dumps(ae)).reconstruct(X),
    }
    print(name, *(method for method, task in tasks.items() if in_fork(task)))
"""


def run(code):
    """Return what a process of two threads prints."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + code],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout.splitlines()


@pytest.fixture(scope="module")
def done():
    """What forks have done: one process for all, for to import torch takes long."""
    lines = (line.split() for line in run(METHODS))
    return {name: methods for name, *methods in lines}


@pytest.mark.parametrize(
    "name",
    [
        "UndercompleteAE",
        "ordered",
        "SparseAE",
        "DenoisingAE",
        "ContractiveAE",
        "ConvAE",
    ],
)
def test_forks_answer(done, name):
    methods = "transform fit partial_fit score jacobian tangent_space pickle"
    assert done[name] == methods.split()


POOL = """
ae = skae.UndercompleteAE(4, **few).fit(X)
codes = ae.transform(X)
pool = multiprocessing.get_context("fork").Pool(2)
parts = pool.map_async(ae.transform, [X[:512], X[512:]]).get(20)
assert np.array_equal(np.concatenate(parts), codes)
pool.terminate()
print("same")
"""


def test_pools_of_forks_answer_alike():
    assert run(POOL) == ["same"]


TENSORS = """
import copy
from skae.metrics import explained_variance

class Rounds:
    # Knows nothing of forks.
    def transform(self, X):
        return X.float().numpy()
    def inverse_transform(self, X):
        return X

X = np.random.default_rng(0).normal(size=(3000, 200)).astype(np.float32)
ae = skae.UndercompleteAE(8, **few).fit(X)
x = torch.tensor(X)
kinds = {
    "bfloat16": x.bfloat16(),
    "sparse": x.to_sparse(),
    "csr": x.to_sparse_csr(),
    "mkldnn": x.to_mkldnn() if torch.backends.mkldnn.is_available() else x,
}
for name, rows in kinds.items():
    ae.transform(rows)
    print(name, in_fork(partial(ae.transform, rows)))
print("metrics", in_fork(partial(explained_variance, ae, kinds["bfloat16"])))
print("others", in_fork(partial(explained_variance, Rounds(), kinds["bfloat16"])))
print("network", in_fork(partial(ae.network_.encode, x)))
print("copy", in_fork(partial(copy.deepcopy, skae.SparseAE(999, **few).fit(X))))
"""


def test_forks_take_tensors_and_use_the_network():
    names = ["bfloat16", "sparse", "csr", "mkldnn"]
    names += ["metrics", "others", "network", "copy"]
    assert run(TENSORS) == [f"{name} True" for name in names]


IMPORTED = """
def counts():
    os._exit(torch.get_num_threads() != 2)

print(in_fork(counts))
skae.UndercompleteAE(4, **few).fit(X)
print(in_fork(counts))
"""


def test_forks_of_a_process_that_has_not_computed_here_keep_their_threads():
    assert run(IMPORTED) == ["True", "False"]


LOCKS = """
from skae._machine import precision, threads
from skae._machine.threads import limited_threads, one_thread

ae = skae.UndercompleteAE(4, activation=torch.nn.Dropout, **few).fit(X)
held, over = threading.Event(), threading.Event()


def hold():
    with (
        precision.full_precision(), limited_threads(2), one_thread(),
        precision._here.lock, threads._here.draw_lock, threads._here.lock,
    ):
        held.set()
        over.wait()


def precise():
    ae.transform(X)
    os._exit(torch.get_float32_matmul_precision() != "medium")


torch.set_float32_matmul_precision("medium")
holder = threading.Thread(target=hold)
holder.start()
held.wait()
print(in_fork(partial(ae.fit, X)), in_fork(precise))
over.set()
holder.join()


def grandchild():
    ae.transform(X)
    assert in_fork(partial(ae.transform, X))


print(in_fork(grandchild))


with limited_threads(2):
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        ae.transform(X)
if not pid:
    os._exit(torch.get_num_threads() != 1)
print(os.waitpid(pid, 0)[1] == 0, torch.get_num_threads())
"""


def test_locks_and_limits_of_the_parent_stay_there():
    """Held by another thread at the fork, or around it."""
    assert run(LOCKS) == ["True True", "True", "True 2"]
