"""Several processes share a fit: real ones, which talk by gloo on this machine.

Run as a script, this file is one of two processes; TASKS says what it does there.
"""

import json
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import warnings
from datetime import timedelta

import numpy as np
import pytest
import torch
from joblib.externals.loky.backend.process import LokyProcess
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

import skae
from skae._machine import devices, threads
from skae._machine.processes import Part, Processes, shared_by
from skae._training import checkpoint as checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SECONDS = 120
SOME = {"max_iter": 2, "batch_size": 32, "random_state": 0}


def mean_loss(reconstruction, rows):
    return (reconstruction - rows).abs().pow(1.5)


def summed_loss(reconstruction, rows):
    return (reconstruction - rows).square().sum()


def fail_in_second(reconstruction, rows):
    """Raise in the second of two processes, as if its memory were too small."""
    if len(rows) == 16 and os.environ["RANK"] == "1":
        raise ArithmeticError("no memory")
    return (reconstruction - rows).square()


def batch_norm(n_inputs, n_outputs):
    linear = torch.nn.Linear(n_inputs, n_outputs)
    return torch.nn.Sequential(linear, torch.nn.BatchNorm1d(n_outputs))


class Interrupt(Callback):
    """Ctrl-C in the second epoch of the first process."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            signal.raise_signal(signal.SIGINT)


def make_rows():
    rng = np.random.default_rng(0)
    code = rng.uniform(-2, 2, (151, 2))
    rows = np.sin(code @ rng.normal(size=(2, 16))).astype(np.float32)
    return rows.reshape(151, 4, 4)


def with_gaps(X):
    return np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)


def flat(X):
    return X.reshape(len(X), -1)


def of(kind, *args, **options):
    return getattr(skae, kind)(*args, **SOME | options)


#: Estimators, and the rows that each takes.
FITS = {
    "averaged": (of("UndercompleteAE", 2), flat),
    "device": (of("UndercompleteAE", 2, device="auto"), flat),
    "cosine": (
        of("UndercompleteAE", 2, learning_rate="cosine", early_stopping=False),
        flat,
    ),
    "sgd": (of("UndercompleteAE", 2, solver="sgd", learning_rate="constant"), flat),
    "lbfgs": (of("UndercompleteAE", 2, solver="lbfgs", loss="gaussian"), flat),
    "single rows": (
        of("UndercompleteAE", 2, batch_size=1),
        lambda X: flat(X)[:41],
    ),
    "ordered": (of("UndercompleteAE", 3, ordered=True, loss="gaussian"), flat),
    "neighbors": (of("UndercompleteAE", 2, neighbor_weight=1.0), flat),
    "function": (of("UndercompleteAE", 2, loss=mean_loss), flat),
    "callbacks": (of("UndercompleteAE", 2, callbacks=[Callback()]), flat),
    "target": (of("SparseAE", 12, target_sparsity=0.5, max_iter=24), flat),
    "kl": (of("SparseAE", 12, sparsity="kl"), flat),
    "jump_relu": (of("SparseAE", 12, sparsity="jump_relu"), flat),
    "top_k": (of("SparseAE", 12, sparsity="top_k"), flat),
    "batch_top_k": (of("SparseAE", 12, sparsity="batch_top_k"), flat),
    "swap": (of("DenoisingAE", 2, noise="swap"), flat),
    "salt_and_pepper": (
        of("DenoisingAE", 2, noise="salt_and_pepper", emphasis=0.7),
        flat,
    ),
    "gaps": (of("DenoisingAE", 2, loss=mean_loss), lambda X: with_gaps(flat(X))),
    "hutchinson": (of("ContractiveAE", 2, jacobian_norm="hutchinson"), flat),
    "batch norm": (of("ConvAE", 2, channels=(4,), normalization="batch"), np.asarray),
    "free bits": (of("VariationalAE", 2, free_bits=0.5), flat),
    "draws": (of("VariationalAE", 2, n_importance=3), flat),
    "masked": (of("MaskedAE", 2), flat),
    "recurrent": (of("RecurrentAE", 2, hidden_layer_sizes=4), np.asarray),
    "stacked": (of("StackedAE", 2, pretraining_max_iter=2), flat),
    "table": (of("TableAE", 2), flat),
}
#: A fit that is long enough to be killed.
LONG = of("UndercompleteAE", 2, max_iter=10, n_iter_no_change=10)


def bits(estimator, X):
    """Return everything that a fit decides, except how long it took."""
    epochs = {k: v for k, v in estimator.history_.items() if k != "seconds"}
    given = estimator.get_params()
    fitted = sorted(set(vars(estimator)) - set(given))
    weights = {k: w.tolist() for k, w in estimator.network_.state_dict().items()}
    codes = estimator.transform(X).tobytes().hex()
    ends = estimator.stop_reason_, estimator.device_
    return [str(epochs), fitted, weights, codes, *ends]


# What one of two processes does


def agree(accelerator, folder):
    """Fit all estimators, and tell how."""
    X, told = make_rows(), {}
    for name, (estimator, rows_for) in FITS.items():
        rows = rows_for(X)
        estimator = pickle.loads(pickle.dumps(clone(estimator).fit(rows)))
        told[name] = estimator.loss_curve_, float(estimator.score(rows))
        told[f"{name}, bits"] = bits(estimator, rows)
    return told | go_on(flat(X)) | refuse(flat(X), accelerator.process_index)


def go_on(X):
    """Fit in other ways than once with a seed."""
    ae = of("UndercompleteAE", 2, random_state=None).fit(X)
    told = {"no seed, bits": bits(ae, X)}
    told["warm, bits"] = bits(ae.set_params(warm_start=True).fit(X), X)
    ae = of("UndercompleteAE", 2)
    for _ in range(3):
        ae.partial_fit(X)
    told["parts"] = ae.loss_curve_, float(ae.score(X))
    told["parts, bits"] = bits(ae, X)
    search = GridSearchCV(of("UndercompleteAE"), {"n_components": [1, 2]}, cv=2).fit(X)
    told["search, bits"] = search.cv_results_["mean_test_score"].tolist()
    with skae.distributed.data_parallel():
        told["nested, bits"] = bits(of("UndercompleteAE", 2).fit(X), X)
    outlier = skae.AutoencoderOutlier(of("UndercompleteAE", 2), random_state=0).fit(X)
    told["outlier, bits"] = outlier.score_samples(X).tolist()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ae = of("UndercompleteAE", 2, max_iter=9, callbacks=[Interrupt()]).fit(X)
    told["interrupt, bits"] = [*bits(ae, X), ae.n_iter_]
    told["warnings"] = [str(w.message) for w in caught]
    told["long, bits"] = bits(clone(LONG).fit(X), X)
    return told


def refuse(X, rank):
    """Tell the errors of what is not alike, or cannot be shared."""
    ae = of("UndercompleteAE", 2)
    calls = {
        "rows": (ae, X + rank),
        "some NaN": (ae, np.where(rank, np.nan, X)),
        "parameters": (of("UndercompleteAE", 2 + rank), X),
        "no width": (of("UndercompleteAE", 2 - 9 * rank), X),
        "sum": (of("UndercompleteAE", 2, loss=summed_loss), X),
        "lambda": (of("UndercompleteAE", 2, loss=lambda a, b: (a - b).abs()), X),
        "failure": (of("UndercompleteAE", 2, loss=fail_in_second), X),
        "module": (of("UndercompleteAE", 2, encoder=batch_norm, init="random"), X),
        "no folder": (of("UndercompleteAE", 2, checkpoint="/none/at/all"), X),
    }
    told = {}
    for name, (estimator, rows) in calls.items():
        before = vars(estimator).copy()
        with pytest.raises((ValueError, RuntimeError, ArithmeticError)) as raised:
            estimator.fit(rows)
        assert vars(estimator) == before
        told[f"{name}, error"] = f"{raised.typename}: {raised.value}"
    with pytest.raises(ValueError, match="other parameters") as raised:
        skae.AutoencoderOutlier(random_state=None).fit(X)
    told["no seed, error"] = str(raised.value)
    # All of them still answer.
    return told | {"again, bits": bits(ae.fit(X), X)}


def die(accelerator, folder):
    """Fit with a checkpoint; the second process is killed, and then the first."""
    checkpoints.SECONDS, checkpoints.SHARE = 0.0, np.inf
    X, ae = flat(make_rows()), clone(LONG).fit(flat(make_rows()))
    before, sum_to_first = vars(ae).copy(), Processes.sum_to_first
    n_steps = [0]

    def sum_and_die(self, x):
        n_steps[0] += 1
        if n_steps[0] == 13 and not self.is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        return sum_to_first(self, x)

    Processes.sum_to_first = sum_and_die
    ae.set_params(checkpoint=folder / "fit.safetensors")
    with pytest.raises(RuntimeError) as raised:
        ae.fit(X)
    assert vars(ae) == before | {"checkpoint": ae.checkpoint}
    with pytest.raises(RuntimeError, match="start all processes again"):
        ae.fit(X)
    (folder / "told").write_text(str(raised.value))
    os.kill(os.getpid(), signal.SIGKILL)


def resume(accelerator, folder):
    """Go on from the checkpoint."""
    n_epochs, run = [], checkpoints.Checkpoint.resume

    def note(self, net):
        n_epochs.append(self.n_epochs)
        run(self, net)

    checkpoints.Checkpoint.resume = note
    X = flat(make_rows())
    ae = clone(LONG).set_params(checkpoint=folder / "fit.safetensors").fit(X)
    return {"long, bits": bits(ae.set_params(checkpoint=None), X), "done": n_epochs}


TASKS = {"agree": agree, "die": die, "resume": resume}


def main(task, folder):
    folder = pathlib.Path(folder)
    rank = int(os.environ["RANK"])
    if task != "agree":
        # The group is there already, with a time-out of its own.
        torch.distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder}/{task}",
            rank=rank,
            world_size=2,
            timeout=timedelta(seconds=SECONDS / 2),
        )
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ConvergenceWarning)
    with skae.distributed.data_parallel() as accelerator:
        told = TASKS[task](accelerator, folder)
    # Outside the block each fits alone.
    X = flat(make_rows())
    told["alone, bits"] = bits(of("UndercompleteAE", 1 + rank).fit(X), X)[1]
    (folder / f"{task}{rank}.json").write_text(json.dumps(told))
    accelerator.end_training()


# What the tests do


def start(command, folder, **env):
    env = os.environ | {"OMP_NUM_THREADS": "1"} | env
    return subprocess.Popen(
        [*command, __file__, *folder], env=env, stderr=subprocess.PIPE, text=True
    )


def two(task, folder):
    """Start two processes, and return their exit codes and what they say of errors."""
    sizes = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = [
        start([sys.executable], (task, folder), RANK=r, LOCAL_RANK=r, **sizes)
        for r in ("0", "1")
    ]
    errors = [process.communicate(timeout=SECONDS)[1] for process in started]
    return [process.returncode for process in started], errors


def read(folder, task):
    return [json.loads((folder / f"{task}{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def X():
    return make_rows()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What two processes say that torchrun has started."""
    folder = tmp_path_factory.mktemp("agree")
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    process = start([*run, "--nproc-per-node=2"], ("agree", folder))
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    return read(folder, "agree")


@pytest.mark.parametrize("name", FITS)
def test_two_processes_agree_with_one(name, told, X):
    estimator, rows_for = FITS[name]
    rows = rows_for(X)
    alone = clone(estimator).fit(rows)
    losses, score = told[0][name]
    np.testing.assert_allclose(losses, alone.loss_curve_, rtol=1e-4)
    assert score == pytest.approx(alone.score(rows), rel=1e-3, abs=1e-3)


def test_parts_agree_with_those_of_one_process(told, X):
    alone = of("UndercompleteAE", 2)
    for _ in range(3):
        alone.partial_fit(flat(X))
    np.testing.assert_allclose(told[0]["parts"][0], alone.loss_curve_, rtol=1e-4)


def test_estimators_are_the_same_in_all_processes(told):
    names = [name for name in told[0] if name.endswith("bits")]
    assert len(names) > len(FITS)
    assert all(told[0][name] == told[1][name] for name in names if "alone" not in name)


def test_fitted_estimators_know_nothing_of_processes(told, X):
    alone = of("UndercompleteAE", 2).fit(flat(X))
    assert told[1]["averaged, bits"][1] == bits(alone, flat(X))[1]
    if not torch.cuda.is_available():
        assert told[1]["device, bits"][-1] == "cpu"


def test_first_process_decides_on_an_interrupt_and_warns(told):
    assert told[1]["interrupt, bits"][-3:] == ["interrupt", "cpu", 2]
    (warning,) = told[0]["warnings"]
    assert "Interrupted" in warning
    assert told[1]["warnings"] == []


@pytest.mark.parametrize(
    ("name", "messages"),
    {
        "rows": 2 * ["ValueError: The 2 processes of data_parallel call with other X:"],
        "some NaN": [
            "RuntimeError: Process 1 of 2 raised ValueError: Input X contains NaN",
            "ValueError: Input X contains NaN",
        ],
        "parameters": 2 * ["ValueError: The 2 processes .* other parameters"],
        "no width": ["RuntimeError: Process 1 of 2 raised", "InvalidParameterError: "],
        "sum": 2 * ["ValueError: .* cannot share loss=.*summed_loss"],
        "lambda": 2 * ["ValueError: data_parallel needs parameters that can be stored"],
        "failure": ["RuntimeError: 1 of the other processes .* failed", "no memory"],
        "module": 2 * ["ValueError: data_parallel cannot share BatchNorm1d"],
        "no seed": 2 * ["other parameters.* needs a number as random_state"],
        "no folder": 2 * ["ValueError: checkpoint='/none/at/all' is in a directory"],
    }.items(),
)
def test_what_cannot_be_shared_is_refused_everywhere(name, messages, told):
    for own, message in zip(told, messages, strict=True):
        assert re.search(message, own[f"{name}, error"])


def test_fits_that_are_killed_go_on(told, X, tmp_path):
    codes, _ = two("die", tmp_path)
    assert codes == 2 * [-signal.SIGKILL]
    assert "Another process of this fit ended" in (tmp_path / "told").read_text()
    path = tmp_path / "fit.safetensors"
    shutil.copy(path, tmp_path / "copy.safetensors")
    codes, errors = two("resume", tmp_path)
    assert codes == [0, 0], errors
    after = read(tmp_path, "resume")
    assert after[0]["done"] == [2]
    assert after[0]["long, bits"] == after[1]["long, bits"] == told[0]["long, bits"]
    # One process can go on too, up to rounding.
    alone = clone(LONG).set_params(checkpoint=tmp_path / "copy.safetensors")
    uninterrupted = clone(LONG).fit(flat(X))
    np.testing.assert_allclose(
        alone.fit(flat(X)).loss_curve_, uninterrupted.loss_curve_, rtol=1e-4
    )


def test_in_a_single_process_the_block_changes_nothing(X):
    alone = of("UndercompleteAE", 2).fit(flat(X))
    with skae.distributed.data_parallel() as accelerator:
        again = of("UndercompleteAE", 2).fit(flat(X))
    assert accelerator.is_main_process
    assert bits(again, flat(X)) == bits(alone, flat(X))


def test_an_accelerator_of_one_process_is_refused_among_several(monkeypatch):
    with skae.distributed.data_parallel():
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(ValueError, match=r"2 processes were started.*cpu=True"),
        skae.distributed.data_parallel(),
    ):
        pass


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 10])
def test_parts_of_a_batch_are_the_batch(n_rows, size):
    cpu, index = torch.device("cpu"), torch.arange(n_rows) + 10
    parts = [Part(Processes(rank, size, cpu)) for rank in range(size)]
    own = [part.begin(index) for part in parts]
    weights = [part.weight for part in parts]
    assert sum(weights) == pytest.approx(1.0)
    counted = [rows for rows, weight in zip(own, weights, strict=True) if weight]
    assert torch.cat(counted).tolist() == index.tolist()
    assert [len(rows) for rows in own] == [max(1, round(w * n_rows)) for w in weights]


@pytest.mark.parametrize(
    ("process", "n_gpus", "device"),
    [
        ("MainProcess", 2, "cuda:0"),
        ("LokyProcess-1", 2, "cuda:0"),
        ("LokyProcess-2", 2, "cuda:1"),
        ("LokyProcess-7", 4, "cuda:2"),
        ("ForkPoolWorker-2", 1, "cuda:0"),
        ("LokyProcess-2", 0, "cpu"),
    ],
)
def test_workers_of_a_search_take_gpus_in_turn(process, n_gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(
        threads.multiprocessing.current_process(), "_name", process, raising=True
    )
    assert devices.find_device("auto") == torch.device(device)


def test_workers_of_joblib_have_numbers_in_their_names():
    names = [LokyProcess(target=print).name for _ in range(2)]
    first, second = (int(name.removeprefix("LokyProcess-")) for name in names)
    assert second == first + 1


@pytest.mark.parametrize(("asked", "own"), [("auto", 1), ("cuda", 1), ("cuda:0", 0)])
def test_each_process_computes_on_its_own_gpu(asked, own, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with shared_by(Processes(1, 2, torch.device("cuda:1"))):
        assert devices.find_device(asked) == torch.device(f"cuda:{own}")


if __name__ == "__main__":
    main(*sys.argv[1:])
