"""README and docs: their code runs, and their figures are those of the records."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import skae
from benchmarks import (
    alpha,
    conv,
    conv_denoising,
    conv_signals,
    denoising,
    digits,
    floor,
    k_sparse,
    ordered,
    overcomplete,
    search,
    steps,
)
from skae._corruption import NOISES

TABLES = {
    "alpha": lambda: alpha.table_rows(record("alpha")["runs"]),
    "conv": lambda: conv.table_rows(record("conv")["runs"]),
    "conv_quick": lambda: conv.quick_rows(record("conv")["quick"]),
    "conv_noise": lambda: conv_denoising.noise_rows(record("conv_denoising")["mnist"]),
    "conv_photos": lambda: conv_denoising.photo_rows(
        record("conv_denoising")["photographs"]
    ),
    "conv_gaps": lambda: conv_denoising.gap_rows(
        record("conv_denoising")["inpainting"]
    ),
    "conv_signals": lambda: conv_signals.signal_rows(
        record("conv_signals")["heartbeats"]
    ),
    "conv_volumes": lambda: conv_signals.volume_rows(record("conv_signals")["volumes"]),
    "denoising": lambda: denoising.table_rows(record("denoising")["runs"]),
    "imputation": lambda: denoising.imputation_rows(record("denoising")["imputation"]),
    "k_sparse": lambda: k_sparse.table_rows(record("k_sparse")["runs"]),
    "overcomplete": lambda: overcomplete.table_rows(record("overcomplete")["runs"]),
    "steps": lambda: steps.table_rows(record("steps")["runs"]),
    "floor": lambda: floor.table_rows(record("floor")["runs"]),
    "ordered": lambda: ordered.table_rows(record("ordered")["runs"]),
    "search": lambda: search.table_rows(record("search")["results"]),
}
ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RECORDS = ROOT / "docs" / "records"
FOLDERS = {"search": ROOT / "benchmarks"}
BENCHMARKS = (ROOT / "docs" / "benchmarks.rst").read_text()


def record(name):
    return json.loads((FOLDERS.get(name, RECORDS) / f"{name}.json").read_text())


def test_code_in_readme_runs(capsys):
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, namespace)
    assert "(1797, 8)" in capsys.readouterr().out


def test_first_code_in_readme_is_five_lines():
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(list(filter(None, block.splitlines()))) == 5


def test_table_in_readme_is_the_record():
    table = re.findall(r"^\| (\d.*) \|$", README, re.MULTILINE)
    assert table == [" | ".join(r) for r in digits.table_rows(record("digits")["runs"])]


def test_autoencoder_beats_pca_in_the_record():
    runs = record("digits")["runs"]
    for size in digits.CODE_SIZES:
        pca, ae = (digits.select(runs, m, size) for m in ("PCA", "UndercompleteAE"))
        assert all(
            a["test_error"] < p["test_error"] for a, p in zip(ae, pca, strict=True)
        )


def test_records_are_of_the_defaults():
    defaults = skae.UndercompleteAE().get_params()
    assert record("floor")["parameters"] == defaults
    assert record("digits")["parameters"]["UndercompleteAE"] == defaults


@pytest.mark.parametrize(("case", "promise"), [(0, 1.10), (1, 1.10), (2, 1.05)])
def test_ratios_in_docs_are_the_record_and_within_the_promise(case, promise):
    run = record("epoch")["runs"][case]
    row = f"{run['network']}\n     - {run['batch_size']}\n     - {run['ratio']:.3f}\n"
    assert row in BENCHMARKS
    assert run["ratio"] <= promise


@pytest.mark.parametrize("suite", TABLES)
def test_table_that_docs_show_is_the_record(suite):
    path = FOLDERS.get(suite, RECORDS) / f"{suite}.csv"
    assert list(csv.reader(path.read_text().splitlines()))[1:] == TABLES[suite]()
    shown = os.path.relpath(path, ROOT / "docs")
    assert f":file: {pathlib.Path(shown).as_posix()}\n" in BENCHMARKS


def test_pca_is_the_floor_in_the_record():
    found = record("floor")
    runs, summary = found["runs"], floor.summary(found["runs"])
    ratios = floor.ratios(runs)
    mnist = [r["seconds"] for r in runs if (r["data"], r["width"]) == ("MNIST", 32)]
    assert found["with_stored_data"]
    assert summary["data sets"] >= 30
    assert summary["worst"] <= 1.02
    assert summary["geometric mean"] <= 0.60
    assert ratios["digits", 8] <= 0.50
    assert ratios["MNIST", 32] <= 0.45
    assert max(mnist) <= 90
    for figure in (
        f"{summary['cases']} cases of {summary['data sets']} data sets",
        f"geometric mean of {summary['geometric mean']:.3f}",
        f"maximum of {summary['worst']:.3f}",
        f"{min(mnist):.0f} to {max(mnist):.0f} s",
    ):
        assert figure in " ".join(BENCHMARKS.split())


def test_prefixes_are_between_pca_and_separate_fits_in_the_record():
    runs = record("ordered")["runs"]
    assert min(map(ordered.least_margin, runs)) > 0
    for name in ("digits", "MNIST"):
        for width in ordered.SEPARATE:
            assert float(ordered.ratios(runs, name, width)[0]) <= 1.10


def test_number_of_components_in_readme_is_the_record():
    counts = record("ordered")["components"]
    figure = f"{counts['UndercompleteAE']} components, `PCA(0.95)` {counts['PCA']}"
    assert figure in " ".join(README.split())


@pytest.mark.parametrize("penalty", alpha.PENALTIES)
def test_alpha_means_the_same_in_the_record(penalty):
    reached = alpha.reached(record("alpha")["runs"], penalty)
    assert reached.shape == (6, 3)
    assert (np.diff(reached, axis=0) < 0).all()
    assert (reached.max(axis=1) <= 1.1 * reached.min(axis=1)).all()


def test_regularised_codes_beat_a_copy_in_the_record():
    plain, *others = record("overcomplete")["runs"]
    assert plain["explained_variance"] > 0.99
    assert len(others) == 7
    for run in others:
        assert np.mean(run["accuracies"]) > np.mean(plain["accuracies"])


def test_denoising_is_best_in_the_record():
    found = record("denoising")
    assert {r["data"] for r in found["runs"]} == {"digits", "MNIST"}
    for run in found["runs"]:
        others = set(run["psnr"]) - {"DenoisingAE", "noisy"}
        assert run["psnr"]["DenoisingAE"] > max(run["psnr"][name] for name in others)
    *others, ours = found["imputation"]
    assert ours["error"] < min(run["error"] for run in others)


def test_steps_keep_to_their_cost_in_the_record():
    ratios = {r["kind"]: r["ratio"] for r in record("steps")["runs"]}
    assert max(ratios[noise] for noise in NOISES) <= 1.15
    assert ratios["top_k"] <= 1.3
    assert ratios["closed form, one layer"] <= 1.3
    assert ratios["hutchinson"] <= 3


def test_convolutions_keep_their_promises_in_the_record():
    found = record("conv")
    for run in found["quick"]:
        assert run["seconds"] <= 60
        assert run["ratio"] <= 0.5
    mnist = found["runs"][0]
    figures = f"test error of {mnist['error']:.5f}, PCA's has {mnist['pca']:.4f} ("
    assert figures in " ".join(README.split())
    published, aims = (0.00162, 0.0054), (0.0012, 0.0048)
    for run, theirs, aim in zip(found["runs"], published, aims, strict=True):
        assert run["error"] < theirs
        assert run["refined"] < aim
        assert run["seconds"] <= 900


def test_convolutions_against_noise_and_gaps_in_the_record():
    found = record("conv_denoising")
    for run in found["mnist"]:
        sizes = run["parameters"]
        assert f"{sizes['dense']} parameters (784-32-32 and back)" in BENCHMARKS
        assert f"convolutional one of {sizes['conv']}." in BENCHMARKS
        assert sizes["conv"] < sizes["dense"] / 2
        for figure in (run["psnr"], run["ssim"]):
            assert figure["conv"] > figure["dense"] > figure["noisy"]
    for run in found["photographs"]:
        for figure in (run["psnr"], run["ssim"]):
            *others, ours = figure.values()
            assert ours > max(others)
    for run in found["inpainting"]:
        *others, ours = run["errors"].values()
        assert ours < min(others)


def test_convolutions_of_volumes_beat_pca_in_the_record():
    for run in record("conv_signals")["volumes"]:
        assert run["error"] < run["pca"]


def test_features_of_mnist_in_the_record():
    runs = {r["method"]: r for r in record("k_sparse")["runs"]}
    for method in ("denoising", "top k", "L1"):
        assert runs[method]["test_error"] < runs["raw pixels"]["test_error"] / 3
        assert runs[method]["dead"] == 0


def test_heat_map_is_drawn_and_its_best_is_that_of_the_guide(tmp_path):
    script = ROOT / "docs" / "examples" / "heat_map.py"
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    guide = (ROOT / "docs" / "user_guide.rst").read_text()
    assert f"It prints ``{printed.strip()}``" in guide
    assert (tmp_path / "heat_map.png").stat().st_size > 5000


def test_changelog_knows_the_version():
    assert f"\n## {skae.__version__} " in (ROOT / "CHANGELOG.md").read_text()
