"""README and docs: their code runs, and their figures are those of the records."""

import ast
import functools
import inspect
import json
import pathlib
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import skae
from benchmarks.__main__ import SUITES
from benchmarks.embedding import suite as embedding
from benchmarks.shared import pca_baseline
from benchmarks.shared.checking import states
from benchmarks.shared.record import Record
from benchmarks.shared.suite import Options
from benchmarks.suites import (
    alpha,
    conv,
    digits,
    few_labels,
    hinton,
    ordered,
    outliers,
)
from skae._objectives.corruption import NOISES

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
RECORDS = ROOT / "docs" / "records"
BENCHMARKS = (ROOT / "docs" / "benchmarks.rst").read_text()
RECORDED = sorted(path.stem for path in RECORDS.glob("*.jsonl"))
#: Of a longer record any number is near some figure: what counts are its tables.
SHORT = 60


@functools.cache
def record(name):
    """Return the rows of a record, in the order of the suite's cases."""
    return Record(RECORDS, name).rows(SUITES[name].cases(Options()))


def of_task(name, task):
    return [r for r in record(name) if r["task"] == task]


@pytest.mark.parametrize(
    ("block", "printed"),
    list(zip(CODE, ["(1797, 8)", "", "{'reduce': Undercom"], strict=True)),
    ids=["first", "picture", "search"],
)
def test_each_code_in_readme_runs_alone(block, printed, capsys, tmp_path, monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert printed in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"] * (not printed)
    plt.close("all")


def test_links_in_readme_lead_to_files():
    links = re.findall(r"\]\((?!http)(.+?)\)", README)
    assert len(links) > 5
    assert all((ROOT / link).is_file() for link in links)


def test_first_code_in_readme_is_five_lines():
    assert len(list(filter(None, CODE[0].splitlines()))) == 5


def test_readme_installs_before_its_first_code():
    assert README.index("pip install -c constraints.txt") < README.index(CODE[0])


def test_table_in_readme_is_the_record():
    table = re.findall(r"^\| (\d.*) \|$", README, re.MULTILINE)
    assert table == [" | ".join(r) for r in digits.table_rows(record("digits"))]


def test_autoencoder_beats_pca_in_the_record():
    runs = record("digits")
    for size in digits.CODE_SIZES:
        pca, ae = (digits.select(runs, m, size) for m in ("PCA", "UndercompleteAE"))
        assert all(
            a["test_error"] < p["test_error"] for a, p in zip(ae, pca, strict=True)
        )


def test_records_are_of_the_defaults():
    defaults = skae.UndercompleteAE().get_params()
    ours = [r for r in record("digits") if r["method"] == "UndercompleteAE"]
    for run in (*record("floor"), *ours):
        # A checkpoint changes no result.
        assert {"checkpoint": None} | run["parameters"] == defaults


def test_epochs_keep_to_their_time_in_the_record():
    runs = [r for r in record("speed") if r["part"] == "epoch"]
    ratios = {(r["network"], r["n_threads"]): r["ratio"] for r in runs}
    for n_threads in (1, 2):
        for network in ("64-64-16", "784-256-32", "784-1000-500-250-30", "ConvAE"):
            assert ratios[network, n_threads] <= 1.05


def test_transform_keeps_to_its_rate_in_the_record():
    least = {"float32": 0.9, "float64": 0.7, "uint8": 0.7}
    runs = [r for r in record("speed") if r["part"] == "transform"]
    assert {tuple(r["shape"]) for r in runs} == {(1_000_000, 64), (60_000, 784)}
    assert all(r["ratio"] >= least[r["dtype"]] for r in runs)


def test_searches_gain_by_a_second_worker_in_the_record():
    runs = [r for r in record("speed") if r["part"] == "search"]
    assert [r["n_candidates"] for r in runs] == [12, 12]
    assert all(r["ratio"] >= 1.6 for r in runs)


def test_stored_rows_are_read_fast_and_in_bounded_memory_in_the_record():
    def share(run, rate):
        return run[rate] / np.median([other[rate] for other in run["in_memory"]])

    runs = record("stored")
    assert {r["store"] for r in runs} == {"memmap", "zarr"}
    assert all(share(run, "rows_a_cpu_second") >= 0.7 for run in runs)
    largest = max(runs, key=lambda r: r["n_rows"])
    assert share(largest, "rows_a_second") >= 0.7
    assert largest["megabytes"] < 0.1 * largest["gb"] * 1e3


@pytest.mark.parametrize("suite", RECORDED)
def test_tables_are_those_of_the_record(suite, tmp_path):
    SUITES[suite].report(record(suite), tmp_path)
    tables = sorted(tmp_path.glob("*.csv"))
    assert tables
    for table in tables:
        assert (RECORDS / table.name).read_text() == table.read_text()
    assert f"<records/{suite}.jsonl>" in BENCHMARKS


def test_records_that_are_not_of_todays_code_show():
    """If it fails, write the table anew: ``python -m benchmarks report``."""
    shown = (RECORDS / "code.csv").read_text().splitlines()[1:]
    assert shown == [",".join(row) for row in states(SUITES, RECORDS)]
    assert ":file: records/code.csv" in BENCHMARKS


def test_tables_in_docs_are_of_suites(tmp_path):
    for suite in RECORDED:
        SUITES[suite].report(record(suite), tmp_path)
    shown = set(re.findall(r":file: records/(.*)\n", BENCHMARKS)) - {"code.csv"}
    assert shown <= {path.name for path in tmp_path.glob("*.csv")}


def sections(text, heading):
    """Return the parts of a document, each with its heading, without code."""
    text = re.sub(r":\w+:`(.*?)`", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```|``.*?``|`.*?`", "", text, flags=re.DOTALL)
    text = re.sub(r"Python \d\.\d+", "", text)
    return re.split(heading, text, flags=re.MULTILINE)


def numbers_in(value):
    """Yield the numbers of a record's line, at any depth."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(part)
    elif isinstance(value, int | float):
        yield float(value)


def numbers_of(suite):
    """Return the numbers of a suite: constants, tables, and a record if it is short."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(SUITES[suite].run)))
    constants = (
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
    )
    known = {float(c) for c in constants if re.fullmatch(r"\d*\.?\d+", str(c))}
    for name in (suite, f"{suite}_summary"):
        known |= numbers_of_table(RECORDS / f"{name}.csv")
    lines = (RECORDS / f"{suite}.jsonl").read_text().splitlines()
    if len(lines) <= SHORT:
        known |= {n for line in lines for n in numbers_in(json.loads(line))}
    return known


def numbers_of_table(path):
    text = path.read_text() if path.exists() else ""
    return {float(n) for n in re.findall(r"\d*\.\d+", text)}


def unknown_figures(section):
    """Return the decimal figures of a section that its records do not have."""
    suites = set(re.findall(r"records/(\w+)\.jsonl", section))
    tables = re.findall(r"records/(\w+\.csv)", section)
    known = {n for suite in suites for n in numbers_of(suite)}
    known |= {n for table in tables for n in numbers_of_table(RECORDS / table)}
    shown = re.findall(r"(?<![\w.])\d*\.\d+(?!\.?\w)", section)
    return [figure for figure in shown if not is_among(figure, known)]


def is_among(figure, known):
    """Tell whether a number is what is shown, after rounding to as many digits."""
    digits = len(figure.split(".")[1])
    return any(f"{n:.{digits}f}" == f"{float(figure):.{digits}f}" for n in known)


DOCUMENTS = [
    pytest.param(section, id=section.splitlines()[0])
    for text, heading in ((README, "^#+ "), (BENCHMARKS, r"^(?=.+\n-{3,}$)"))
    for section in sections(text, heading)
    if section.strip()
]


@pytest.mark.parametrize("section", DOCUMENTS)
def test_figures_in_documents_are_recorded(section):
    assert unknown_figures(section) == []


def test_invented_figures_are_found():
    section = "1.000, not 0.4277 <records/floor.jsonl>; 1.23 of 1.2.3."
    assert unknown_figures(section) == ["0.4277", "1.23"]


def test_pca_is_the_floor_in_the_record():
    runs, summary = record("floor"), pca_baseline.summary(record("floor"))
    ratios = pca_baseline.ratios(runs)
    at_32 = {"data": "MNIST", "n_components": 32}.items()
    mnist = [r["fit_seconds"] for r in runs if at_32 <= r.items()]
    assert summary["data sets"] >= 30
    assert summary["worst"] <= 1.02
    assert summary["geometric mean"] <= 0.38
    assert ratios["digits", 8] <= 0.50
    assert ratios["MNIST", 32] <= 0.45
    assert max(mnist) <= 30
    for figure in (
        f"{summary['cases']} cases of {summary['data sets']} data sets",
        f"a median of {np.median(mnist):.0f} s",
    ):
        assert figure in " ".join(BENCHMARKS.split())


def test_prefixes_are_between_pca_and_separate_fits_in_the_record():
    runs = record("ordered")
    assert min(map(ordered.least_margin, ordered.codes(runs))) > 0
    for width in ordered.SEPARATE:
        assert float(ordered.ratios(runs, "MNIST", width)[0]) <= 1.10


def test_number_of_components_in_readme_is_the_record():
    (counts,) = (r["components"] for r in record("ordered") if "components" in r)
    ours, pca = counts["UndercompleteAE"], counts["PCA"]
    figure = f"it keeps {ours} components, and `PCA(0.95)` keeps {pca}."
    assert figure in " ".join(README.split())


@pytest.mark.parametrize("penalty", alpha.PENALTIES)
def test_alpha_means_the_same_in_the_record(penalty):
    reached = alpha.reached(record("alpha"), penalty)
    assert reached.shape == (6, 3)
    assert (np.diff(reached, axis=0) < 0).all()
    assert (reached.max(axis=1) <= 1.1 * reached.min(axis=1)).all()


def test_regularised_codes_beat_a_copy_in_the_record():
    plain, *others = record("overcomplete")
    assert plain["explained_variance"] > 0.99
    assert len(others) == 7
    for run in others:
        assert np.mean(run["accuracies"]) > np.mean(plain["accuracies"])


def test_tables_are_better_than_pca_for_both_kinds_in_the_record():
    runs = {
        (r["data"], r["n_components"], r["seed"], r["method"]): r
        for r in record("mixed")
    }
    ours = [key for key in runs if key[-1] == "TableAE"]
    assert f"in any of the {len(ours)} runs" in " ".join(BENCHMARKS.split())
    for key in ours:
        assert runs[key]["same_dtypes"]
        assert runs[key]["n_left"] == 0
        for kind in ("number", "category"):
            assert runs[key][kind] <= runs[*key[:-1], "one-hot + PCA"][kind]
    gaps = {r["data"] for r in record("mixed") if r.get("n_missing")}
    assert gaps == {"titanic", "penguins", "answers"}


def test_denoising_is_best_in_the_record():
    runs = of_task("denoising", "noise")
    assert {r["data"] for r in runs} == {"digits", "MNIST"}
    for run in runs:
        others = set(run["psnr"]) - {"DenoisingAE", "noisy"}
        assert run["psnr"]["DenoisingAE"] > max(run["psnr"][name] for name in others)
    *others, ours = of_task("denoising", "imputation")
    assert ours["error"] < min(run["error"] for run in others)


def test_steps_keep_to_their_cost_in_the_record():
    ratios = record("steps")[0]["ratio"]
    # What is "gaps" now was "masking" then.
    assert max(ratios[noise] for noise in set(NOISES) - {"gaps"}) <= 1.15
    assert ratios["top_k"] <= 1.3
    assert ratios["closed form, one layer"] <= 1.3
    assert ratios["hutchinson"] <= 3


def test_convolutions_keep_their_promises_in_the_record():
    recipe, default = conv.by_recipe(record("conv"))
    for run in default:
        assert run["fit_seconds"] <= 60
        assert run["error"] <= 0.5 * run["pca"]
    mnist = recipe[0]
    figures = (
        f"test error of {mnist['error']:.5f}. That of PCA is {mnist['pca']:.4f} (["
    )
    assert figures in " ".join(README.split())
    for run in recipe:
        assert run["error"] < float(conv.PUBLISHED[run["data"]][1])
        assert run["refined"] < conv.AIMS[run["data"]]
        assert run["fit_seconds"] <= 900


def test_convolutions_against_noise_and_gaps_in_the_record():
    for run in of_task("conv_denoising", "noise"):
        sizes = run["parameters"]
        assert f"{sizes['dense']} parameters (784-32-32 and back)" in BENCHMARKS
        assert f"convolutional one of {sizes['conv']}." in BENCHMARKS
        assert sizes["conv"] < sizes["dense"] / 2
        for figure in (run["psnr"], run["ssim"]):
            assert figure["conv"] > figure["dense"] > figure["noisy"]
    for run in of_task("conv_denoising", "photographs"):
        for figure in (run["psnr"], run["ssim"]):
            *others, ours = figure.values()
            assert ours > max(others)
    for run in of_task("conv_denoising", "blocks"):
        *others, ours = run["errors"].values()
        assert ours < min(others)


def test_convolutions_of_volumes_beat_pca_in_the_record():
    for run in (r for r in record("conv_signals") if r["data"] == "volumes"):
        assert run["error"] < run["pca"]


def test_features_of_mnist_in_the_record():
    runs = {r["method"]: r for r in record("k_sparse")}
    for method in ("denoising", "top k", "L1"):
        assert runs[method]["test_error"] < runs["raw pixels"]["test_error"] / 3
        assert runs[method]["dead"] == 0


def test_published_figures_of_pca_are_reproduced():
    errors = {r["width"]: r for r in record("hinton") if r["method"] == "PCA"}
    assert round(errors[30]["test_error"], 2) == hinton.PUBLISHED["PCA", 30] == 13.87
    for width, published in hinton.PIXEL_ERRORS.items():
        assert round(errors[width]["test_error"] / 784, 4) == published
    for row in record("outliers"):
        if row["method"] == "PCA":
            published = outliers.PUBLISHED[row["data"]][outliers.COLUMNS.index("PCA")]
            assert row["auc"] == pytest.approx(published, abs=1)


def test_few_labels_reach_their_aims_in_the_record():
    rows = few_labels.over_seeds(record("few_labels"))
    found = {row["data"]: row for row in rows if row["features"] == "ConvAE"}
    for data, aim in few_labels.AIMS.items():
        spreading = found[data]["accuracy"]["LabelSpreading"]["100"]
        assert spreading["draws"] == 100
        assert spreading["mean"] >= aim


def test_pictures_reach_their_aims_in_the_record():
    found = {(r["data"], r["method"]): r for r in record("embedding")}
    row = found["MNIST", "with neighbours"]
    assert row["accuracy"] >= embedding.AIMS["MNIST"]
    assert row["error"] <= embedding.ERROR_AIM
    for data, aim in {"MNIST": 0.985, "Fashion-MNIST": 0.80}.items():
        assert found[data, "ConvAE, with neighbours"]["accuracy"] >= aim


def test_codes_of_thirty_numbers_reach_their_aims_in_the_record():
    plain = [r for r in record("hinton") if "n_copies" not in r]
    found = {(r["method"], r["width"]): r for r in plain}
    for method, aim in hinton.AIMS.items():
        assert found[method, 30]["refined_error"] <= aim
        assert found[method, 30]["fit_seconds"] <= 20 * 60


def test_encoders_reach_their_aims_by_moved_copies():
    copied = {r["method"]: r for r in record("hinton") if "n_copies" in r}
    assert copied.keys() == hinton.COPIES.keys() == hinton.COPIES_AIMS.keys()
    for method, aim in hinton.COPIES_AIMS.items():
        assert copied[method]["test_error"] <= aim


def test_changelog_knows_the_version():
    assert f"\n## {skae.__version__} " in (ROOT / "CHANGELOG.md").read_text()
