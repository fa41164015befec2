"""The benchmarks, on small cases: what they write and print."""

import json
from functools import partial

import matplotlib.image
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from benchmarks import (
    _data,
    alpha,
    conv,
    conv_denoising,
    conv_signals,
    denoising,
    digits,
    epoch,
    floor,
    k_sparse,
    ordered,
    overcomplete,
    search,
    steps,
)
from skae import ConvAE, SparseAE


def test_digits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(digits, "CODE_SIZES", (2, 8))
    monkeypatch.setattr(digits, "SEEDS", (0, 1))
    monkeypatch.setattr(digits, "N_DRAWS", 1)
    digits.main(tmp_path)
    record = json.loads((tmp_path / "digits.json").read_text())
    assert {(r["method"], r["n_components"], r["seed"]) for r in record["runs"]} == {
        (m, k, s) for m in ("PCA", "UndercompleteAE") for k in (2, 8) for s in (0, 1)
    }
    assert record["versions"]["torch"]
    assert matplotlib.image.imread(tmp_path / "digits.png").std() > 0
    out = capsys.readouterr().out
    rows = list(digits.table_rows(record["runs"]))
    assert all(cell in out for row in rows for cell in row)


def test_pca_of_all_components_has_no_error():
    assert digits.run("PCA", 64, 0)["test_error"] == pytest.approx(0, abs=1e-20)


def test_epoch(tmp_path, monkeypatch):
    cases = [(name, n, 256, *rest) for name, n, _, *rest in epoch.CASES]
    monkeypatch.setattr(epoch, "CASES", cases)
    monkeypatch.setattr(epoch, "N_PAIRS", 3)
    epoch.main(tmp_path)
    runs = json.loads((tmp_path / "epoch.json").read_text())["runs"]
    for run in runs:
        assert len(run["pairs"]) == 3
        middle = [sorted(times)[1] for times in zip(*run["pairs"], strict=True)]
        assert run["ratio"] == pytest.approx(middle[1] / middle[0], rel=0.01)


@pytest.fixture
def two_sets(monkeypatch):
    """A curve, which PCA misses, and data of rank two, which it does not."""
    t = np.linspace(0, 6, 300)[:, None]
    curve = np.hstack([np.sin(t), np.cos(t), np.sin(2 * t), np.cos(2 * t)])
    plane = np.hstack([t, t**2, t + t**2, t - t**2])
    sets = {"digits": (curve[::2], curve[1::2]), "plane": (plane[::2], plane[1::2])}
    loaders = {name: lambda rows=rows: rows for name, rows in sets.items()}
    for module in (floor, ordered, search):
        monkeypatch.setattr(module, "load", lambda: loaders)
    monkeypatch.setattr(floor, "WIDTHS", (2,))
    monkeypatch.setattr(search, "WIDTHS", (2,))


def test_floor(tmp_path, two_sets, capsys):
    floor.main(tmp_path)
    runs = json.loads((tmp_path / "floor.json").read_text())["runs"]
    assert [(r["data"], r["seed"]) for r in runs] == [
        (name, seed) for name in ("digits", "plane") for seed in (0, 1, 2)
    ]
    assert floor.ratios(runs)["digits", 2] < 0.5
    assert floor.ratios(runs)["plane", 2] is None
    assert floor.summary(runs)["worst"] == floor.ratios(runs)["digits", 2]
    assert "exact" in capsys.readouterr().out


def test_ordered(tmp_path, two_sets, monkeypatch):
    monkeypatch.setattr(ordered, "WIDTH", 3)
    monkeypatch.setattr(ordered, "SEPARATE", (2,))
    monkeypatch.setattr(ordered, "SEEDS", {"digits": (0,)})
    monkeypatch.setattr(ordered, "chosen_widths", dict)
    ordered.main(tmp_path)
    (run,) = json.loads((tmp_path / "ordered.json").read_text())["runs"]
    assert len(run["prefixes"]) == len(run["pca"]) == 3
    assert ordered.least_margin(run) == min(np.subtract(run["prefixes"], run["pca"]))


def test_search(tmp_path, two_sets, monkeypatch):
    short = {"max_iter": 1}
    monkeypatch.setattr(search, "CANDIDATES", {"short": short, "defaults": {}})
    monkeypatch.setattr(search, "ORDERED", {"ordered, short": short})
    monkeypatch.setattr(search, "ORDERED_WIDTHS", (1, 2, 3))
    search.main(tmp_path)
    results = json.loads((tmp_path / "search.json").read_text())["results"]
    assert [r["cases"] for r in results] == [1, 1, 3]
    # With more epochs the curve is found.
    assert results[1]["geometric mean"] < results[0]["geometric mean"]


def test_data_sets(monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    loaders = _data.load()
    for name in ("wine, scaled", "bumps", "yes or no"):
        train, test = loaders[name]()
        assert len(test) == pytest.approx(len(train) / 3, abs=1)
        again = loaders[name]()
        assert np.array_equal(train, again[0])


def test_alpha(tmp_path, monkeypatch):
    few = {"L1": (*alpha.PENALTIES["L1"][:2], (0.1, 0.4))}
    monkeypatch.setattr(alpha, "PENALTIES", few)
    monkeypatch.setattr(alpha, "CASES", {"batch 256": (256, 1)})
    monkeypatch.setattr(alpha, "N_STEPS", {256: 500})
    monkeypatch.setattr(alpha, "N_JOBS", 1)
    alpha.main(tmp_path)
    runs = json.loads((tmp_path / "alpha.json").read_text())["runs"]
    many, few = alpha.reached(runs, "L1")[:, 0]
    assert many > few > 0


def test_overcomplete(tmp_path, monkeypatch, capsys):
    chosen = {"plain": overcomplete.METHODS["plain"].set_params(max_iter=30)}
    monkeypatch.setattr(overcomplete, "METHODS", chosen)
    monkeypatch.setattr(overcomplete, "N_JOBS", 1)
    with pytest.warns(UserWarning, match="n_components=128"):
        overcomplete.main(tmp_path)
    (run,) = json.loads((tmp_path / "overcomplete.json").read_text())["runs"]
    assert run["explained_variance"] > 0.95
    assert 0.7 < np.mean(run["accuracies"]) < 1


def test_denoising(tmp_path, monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    monkeypatch.setattr(denoising, "LEVELS", {"masking": (0.3,)})
    monkeypatch.setattr(denoising, "MAX_ITER", 20)
    denoising.main(tmp_path)
    record = json.loads((tmp_path / "denoising.json").read_text())
    decibels = record["runs"][0]["psnr"]
    assert decibels["PCA"] < decibels["DenoisingAE"]
    errors = [run["error"] for run in record["imputation"]]
    assert errors[0] > errors[2] > 0
    assert matplotlib.image.imread(tmp_path / "spiral.png").std() > 0


def test_noise_of_images_is_that_of_standardised_rows(digits):
    noisy = denoising.corrupted(digits.astype(np.float32), digits, "masking", 1.0)
    np.testing.assert_allclose(noisy - digits.mean(axis=0), 0, atol=1e-4)


def test_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "N_ROUNDS", 3)
    steps.main(tmp_path)
    runs = json.loads((tmp_path / "steps.json").read_text())["runs"]
    assert {r["kind"] for r in runs} >= {"gaussian", "swap", "top_k", "hutchinson"}
    assert all(r["ratio"] > 0.2 for r in runs)


def test_k_sparse(tmp_path, monkeypatch, digits):
    y = load_digits().target
    few = digits[:1000], y[:1000], digits[1000:], y[1000:]
    monkeypatch.setattr(k_sparse, "labelled_mnist", lambda: few)
    monkeypatch.setattr(k_sparse, "N_TRAINING", 800)
    sparse = SparseAE(64, sparsity="top_k", k=6, max_iter=9, random_state=0)
    monkeypatch.setattr(k_sparse, "METHODS", {"raw pixels": None, "top k": sparse})
    k_sparse.main(tmp_path)
    runs = json.loads((tmp_path / "k_sparse.json").read_text())["runs"]
    assert [r["method"] for r in runs] == ["raw pixels", "top k"]
    assert all(0 < r["test_error"] < 30 for r in runs)


@pytest.fixture
def bumps(monkeypatch):
    """Images of 28 x 28 with one bump each, in place of those of SKAE_DATA."""
    rng = np.random.default_rng(0)
    places = rng.uniform(6, 22, (2, 500, 1))
    x, y = np.exp(-((np.arange(28) - places) ** 2) / 8)
    images = (255 * x[:, :, None] * y[:, None, :]).reshape(500, -1).astype(np.uint8)
    for module in (conv, conv_denoising):
        monkeypatch.setattr(module, "stored_rows", lambda name: np.split(images, [400]))


def test_conv(tmp_path, bumps, monkeypatch):
    monkeypatch.setattr(conv, "WIDTH", 4)
    monkeypatch.setattr(conv, "QUICK_WIDTHS", (4,))
    monkeypatch.setitem(conv.RECIPE, "max_iter", 10)
    conv.main(tmp_path)
    found = json.loads((tmp_path / "conv.json").read_text())
    assert [r["data"] for r in found["runs"]] == list(conv.PUBLISHED)
    for run in (*found["runs"], *found["quick"]):
        assert run["error"] < 0.7 * run["pca"]
    assert len(found["runs"][0]["explained"]) == 10
    assert matplotlib.image.imread(tmp_path / "conv.png").std() > 0


def test_conv_denoising(tmp_path, bumps, monkeypatch):
    rng = np.random.default_rng(0)
    steps = [np.kron(rng.random((5, 5)), np.ones((8, 8))) for _ in range(6)]
    monkeypatch.setattr(conv_denoising, "photographs", lambda name: steps)
    monkeypatch.setattr(conv_denoising, "LEVELS", (2.0,))
    monkeypatch.setattr(conv_denoising, "SIGMAS", (50,))
    monkeypatch.setattr(conv_denoising, "BLOCKS", {"MNIST": (12, 8)})
    conv_denoising.main(tmp_path)
    found = json.loads((tmp_path / "conv_denoising.json").read_text())
    (digits,), (photo,), (gap,) = (
        found[name] for name in ("mnist", "photographs", "inpainting")
    )
    assert digits["psnr"]["conv"] > digits["psnr"]["noisy"] + 3
    assert photo["psnr"]["ConvAE"] > photo["psnr"]["noisy"] + 3
    assert gap["errors"]["ConvAE"] < gap["errors"]["mean image"]
    assert matplotlib.image.imread(tmp_path / "conv_noise.png").std() > 0


def test_patches_average_to_the_image_they_are_of():
    image = np.random.default_rng(0).random((21, 19))

    class Copy:
        def reconstruct(self, X):
            return X

    np.testing.assert_allclose(conv_denoising.denoise(Copy(), image), image, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_conv_signals(tmp_path, monkeypatch):
    short = partial(ConvAE, max_iter=5)
    monkeypatch.setattr(conv_signals, "ConvAE", short)
    monkeypatch.setattr(conv_signals, "METHODS", {"PCA": PCA, "ConvAE": short})
    rng = np.random.default_rng(0)
    t, place = np.arange(60), rng.uniform(15, 45, (300, 1))
    beats = np.exp(-((t - place) ** 2) / 20)
    beats[200:] = rng.normal(size=(100, 60))
    classes = np.repeat([1, 2], [200, 100])
    monkeypatch.setattr(conv_signals, "labelled_heartbeats", lambda: (beats, classes))
    monkeypatch.setattr(conv_signals, "WIDTHS", (2,))
    monkeypatch.setattr(conv_signals, "SEEDS", (0,))
    monkeypatch.setattr(conv_signals, "N_VOLUMES", 80)
    monkeypatch.setattr(conv_signals, "SIDE", 11)
    conv_signals.main(tmp_path)
    found = json.loads((tmp_path / "conv_signals.json").read_text())
    assert [r["method"] for r in found["heartbeats"]] == ["PCA", "ConvAE"]
    assert all(r["auc"] > 0.9 for r in found["heartbeats"])
    assert found["volumes"][0]["pca"] > 0


def test_k_sparse_needs_the_data(monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    with pytest.raises(SystemExit, match="SKAE_DATA"):
        _data.labelled_mnist()
