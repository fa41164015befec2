"""The benchmarks: their runner, and what suites compute.

That every suite runs, ``python -m benchmarks --quick`` shows.
"""

import ast
import inspect
import json
import mmap
import os
import pathlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.__main__ import SUITES, parse
from benchmarks.embedding import methods as maps_methods
from benchmarks.rivals import methods as rivals_methods
from benchmarks.rivals import suite as rivals
from benchmarks.shared import (
    code,
    data_sets,
    environments,
    image_features,
    pca_baseline,
)
from benchmarks.shared.checking import check, repeats, states
from benchmarks.shared.record import Record, key
from benchmarks.shared.report import mean_and_deviation, report, write_table
from benchmarks.shared.running import run_case, run_suite
from benchmarks.shared.suite import Options, Suite, chosen_cases
from benchmarks.speed import aim as speed_aim
from benchmarks.speed import epoch as speed_epoch
from benchmarks.speed import error as speed_error
from benchmarks.speed import memory as speed_memory
from benchmarks.speed import process as speed_process
from benchmarks.speed import rows as speed_rows
from benchmarks.speed import suite as speed
from benchmarks.speed import timing
from benchmarks.suites import (
    conv_denoising,
    conv_signals,
    denoising,
    digits,
    dimension,
    few_labels,
    k_sparse,
    outliers,
    overcomplete,
    parallel,
    reconstruction,
    recurrent,
)
from skae.metrics import neg_mean_squared_error

ROOT = pathlib.Path(__file__).parents[1]
HOME = ROOT / "benchmarks"
MODULES = {p.relative_to(HOME).with_suffix("").parts: p for p in HOME.rglob("*.py")}
#: Rooms of benchmarks, and those that they may import.
ROOMS = {
    "shared": {"shared"},
    "suites": {"shared"},
    "speed": {"shared", "speed"},
    "rivals": {"shared", "speed", "rivals"},
    "embedding": {"shared", "embedding"},
}

SLOW_SUITE = """
import pathlib, time
from rich.console import Console
from benchmarks.shared.running import run_suite
from benchmarks.shared.suite import Options, Suite

def run(n):
    with open("begun", "a") as file:
        print(n, file=file)
    time.sleep(0.2)
    return {"square": n**2}

cases = lambda options: [{"n": n} for n in range(8)]
suite = Suite("", cases, run, lambda rows, folder: [], alone=lambda case: True)
run_suite("slow", suite, Options(), [], pathlib.Path(), Console())
"""


def n_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    record, begun = tmp_path / "slow.jsonl", tmp_path / "begun"
    command = [sys.executable, "-c", SLOW_SUITE]
    where = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **where) as killed:
        while n_lines(record) < 3:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    n_finished = n_lines(record)
    assert 3 <= n_finished < 8
    monkeypatch.chdir(tmp_path)
    exec(SLOW_SUITE, {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert f"{n_finished} of 8 cases are in" in printed
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["case"]["n"] for line in lines] == list(range(8))
    # The one that was killed is the only one that was begun twice, if any.
    runs = [int(n) for n in begun.read_text().split()]
    assert all(runs.count(n) == 1 for n in range(8) if n != n_finished)


@pytest.fixture
def suite():
    """Cases of two data sets, with seeds; figures are a number and an array."""

    def cases(options):
        seeds = options.seed_range(2)
        return [{"data": d, "seed": s, "ks": (1, 2)} for d in "ab" for s in seeds]

    def run(data, seed, ks):
        return {"total": np.float64(seed + sum(ks)), "picture": np.full(3, seed)}

    def show(rows, folder):
        shown = [[r["data"], f"{r['total']:g}", f"{r['picture'].sum()}"] for r in rows]
        path = folder / "totals.csv"
        return [write_table(path, "Totals", ["data", "total", "sum"], shown)]

    return Suite("totals", cases, run, show, alone=lambda case: True)


def run_all(suite, folder, data=(), **options):
    run_suite("totals", suite, Options(**options), data, folder, Console())


def test_progress_is_shown_where_there_is_no_terminal(suite, tmp_path, capsys):
    run_all(suite, tmp_path)
    shown = [f"totals: {number} of 4 cases" for number in (1, 2, 3, 4)]
    assert capsys.readouterr().out.splitlines()[:4] == shown


def test_record_has_a_line_for_each_case(suite, tmp_path, capsys):
    run_all(suite, tmp_path)
    lines = (tmp_path / "totals.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert first["suite"] == "totals"
    assert first["case"] == {"data": "a", "seed": 0, "ks": [1, 2]}
    assert first["figures"] == {"total": 3.0}
    assert first["seconds"] >= 0
    assert {"python", "skae", "torch"} <= set(first["versions"])
    assert set(first["hardware"]) == {"processor", "cores", "threads"}
    assert {"date", "data_hash"} <= set(first)
    assert "quick" not in first
    assert (tmp_path / "totals.csv").read_text() == (
        "data,total,sum\na,3,0\na,4,3\nb,3,0\nb,4,3\n"
    )
    assert "Totals" in capsys.readouterr().out


def test_finished_cases_are_skipped(suite, tmp_path, capsys):
    run_all(suite, tmp_path, data=["b"])
    run_all(suite, tmp_path)
    assert "2 of 4 cases are in" in capsys.readouterr().out
    lines = (tmp_path / "totals.jsonl").read_text().splitlines()
    assert [json.loads(line)["case"]["data"] for line in lines] == list("bbaa")
    # The report has the suite's order.
    rows = Record(tmp_path, "totals").rows(suite.cases(Options()))
    assert [r["data"] for r in rows] == list("aabb")
    assert (tmp_path / "totals.csv").read_text().splitlines()[1] == "a,3,0"


def of_other_code(path, *places):
    """Mark lines of a record as those of other code, which took two seconds."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for place in places:
        lines[place] |= {"code": "other", "seconds": 2.0}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_cases_of_other_code_run_again(suite, tmp_path, capsys):
    run_all(suite, tmp_path)
    path = tmp_path / "totals.jsonl"
    before = path.read_text()
    of_other_code(path, 1, 2)
    later = replace(suite, run=lambda data, seed, ks: {"total": 9.0, "picture": ks})
    run_all(later, tmp_path)
    assert "2 cases there are of other code, and run again" in capsys.readouterr().out
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["figures"]["total"] for line in lines] == [3.0, 9.0, 9.0, 4.0]
    cases = [json.loads(line)["case"] for line in before.splitlines()]
    assert [line["case"] for line in lines] == cases
    assert not any(line["code"] == "other" for line in lines)


def kinds_suite(total):
    """A suite with two kinds of cases; seconds are measured anew in each run."""

    def run(method, data, n):
        return {"total": total(method, n), "fit_seconds": time.perf_counter()}

    def cases(options):
        numbers = {"fast": (1, 2), "slow": (1,)}
        return [
            {"method": m, "data": d, "n": n}
            for m in numbers
            for d in ("digits", "iris")
            for n in numbers[m]
        ]

    return Suite("", cases, run, lambda rows, folder: [], alone=lambda case: True)


def test_check_stamps_kinds_whose_figures_are_the_same(tmp_path, capsys):
    first = kinds_suite(lambda method, n: n / 3)
    run_suite("kinds", first, Options(), [], tmp_path, Console())
    of_other_code(tmp_path / "kinds.jsonl", *range(6))
    (row,) = states({"kinds": first}, tmp_path)
    assert row[:3] == ["kinds", "6", "0"]
    changed = kinds_suite(lambda method, n: n / 3 + (method == "slow"))
    check("kinds", changed, tmp_path, 60.0, Console())
    printed = capsys.readouterr().out
    assert "kinds, fast: the same figures, in 4 of 4 cases" in printed
    assert "kinds, slow: today's code gives others" in printed
    (row,) = states({"kinds": first}, tmp_path)
    assert row[:3] == ["kinds", "6", "4"]
    check("kinds", first, tmp_path, 1.0, Console())
    assert "kinds, slow: not checked" in capsys.readouterr().out
    check("kinds", first, tmp_path, 60.0, Console())
    assert states({"kinds": first}, tmp_path)[0][2] == "6"
    check("kinds", first, tmp_path, 60.0, Console())
    assert "kinds: all cases are of today's code" in capsys.readouterr().out
    assert len(Record(tmp_path, "kinds").lines) == 6


@pytest.mark.parametrize(
    ("found", "same"),
    [
        ({"error": 1.0, "parts": {"a": [1, 2.0], "new": 3}, "fit_seconds": 9.0}, True),
        ({"error": 1.0, "parts": {"a": [1, 2.0]}, "picture": np.ones(3)}, True),
        ({"error": 1.0 + 1e-4, "parts": {"a": [1, 2.0]}}, False),
        ({"error": None, "parts": {"a": [1, 2.0]}}, False),
        ({"error": 1.0, "parts": {"a": [1, 2.0, 3.0]}}, False),
        ({"error": 1.0, "parts": {"a": None}}, False),
        ({"error": 1.0, "parts": {}}, False),
        ({"error": 1.0, "parts": {"a": [1, 2.0]}, "saturated": 0.5}, False),
        ({"error": 1.0}, False),
    ],
)
def test_figures_repeat_but_for_times(found, same):
    recorded = {"error": 1.0, "parts": {"a": [1, 2.0]}, "fit_seconds": 2.0}
    assert repeats(recorded, found) == same


@pytest.mark.parametrize(
    ("recorded", "found", "same"),
    [
        ({"fit_seconds": 2.0}, {"fit_seconds": 2.0}, False),
        (
            {"n_rows": 5, "rows_a_second": 6.0},
            {"n_rows": 5, "rows_a_second": 7.0},
            False,
        ),
        ({"saturated": 5.0}, {"saturated": 95.0}, False),
        ({"error": float("nan")}, {"error": float("nan")}, True),
        (
            {"e": [{"fit_seconds": 1.0, "e": 2.0}]},
            {"e": [{"fit_seconds": 3.0, "e": 2.0}]},
            True,
        ),
        ({"widths": {"2": 0.5}}, {"widths": {2: 0.5}}, True),
        ({"widths": {"2": 0.5}}, {"widths": {2: 0.6}}, False),
    ],
)
def test_what_is_measured_anew_is_not_compared(recorded, found, same):
    assert repeats(recorded, found) == same


def test_check_tells_of_cases_that_cannot_run_any_more(tmp_path, capsys):
    suite = kinds_suite(lambda method, n: n / 3)
    run_suite("kinds", suite, Options(), [], tmp_path, Console())
    of_other_code(tmp_path / "kinds.jsonl", *range(6))
    later = replace(suite, run=lambda method, data: {"total": 1.0})
    check("kinds", later, tmp_path, 60.0, Console())
    assert "kinds, fast: today's code gives others" in capsys.readouterr().out
    assert states({"kinds": suite}, tmp_path)[0][2] == "0"


def test_a_line_of_equal_length_by_another_run_is_told(suite, tmp_path):
    run_all(suite, tmp_path)
    first, second = Record(tmp_path, "totals"), Record(tmp_path, "totals")
    for record, place in ((first, 0), (second, 1)):
        record.lines[place]["code"] = "x" * 12
    first.rewrite()
    with pytest.raises(SystemExit, match="has changed since it was read"):
        second.rewrite()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write modules to a folder; return what writes more, and hashes the first."""
    monkeypatch.setattr(code, "ROOT", tmp_path)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "pack" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for cached in (code.code_hash, code._tree, code._text, code._imported):
            cached.cache_clear()
        return code.code_hash("pack.first")

    return write


def test_hash_of_code_is_that_of_all_that_is_imported(package):
    before = package(
        __init__="from .second import f\nfrom .other import g\n",
        first="from pack import f\nimport numpy\n",
        second="def f(x):\n    from . import third\n    return third.h(x)\n",
        third="def h(x):\n    return x\n",
        other="def g(x):\n    return x\n",
    )
    assert code.modules_behind("pack.first") == {
        "pack.first",
        "pack.second",
        "pack.third",
    }
    assert package(other="def g(x):\n    return x + 1\n") == before
    commented = 'def h(x):\n    """Return it."""\n    # As it is.\n    return (x)\n'
    assert package(third=commented) == before
    assert package(third="def h(x):\n    return -x\n") != before


def test_how_estimators_are_stored_does_not_change_the_hash(package, monkeypatch):
    monkeypatch.setattr(code, "FILES", "pack.files")
    methods = (
        "    def f(self):\n        return {}\n    def _to_state(self):\n        {}\n"
    )
    before = package(
        first="class A:\n" + methods.format(1, "return 1"),
        files="x = 1\n",
    )
    stored = "from .files import x\nclass A:\n" + methods.format(1, "return x")
    assert package(first=stored) == before
    resumed = "class Resumable:\n" + methods.format(1, "return x")
    assert package(first=stored + resumed) == before
    assert package(files="x = 2\n") == before
    assert package(first="class A:\n" + methods.format(2, "return 1")) != before


def test_suites_stand_for_what_they_import():
    behind = code.modules_behind("benchmarks.suites.floor")
    assert {"skae._training.engine", "skae._rows.pca"} <= behind
    assert "skae._estimators.refinement" in behind
    assert not {"skae._estimators.deployed", "skae._rows.table"} & behind
    assert not any(name.startswith("skae.inspection") for name in behind)
    assert "skae._estimators.conv" not in behind


def test_half_a_line_is_dropped(suite, tmp_path):
    run_all(suite, tmp_path)
    path = tmp_path / "totals.jsonl"
    whole = path.read_bytes()
    for lost in (1, 30):
        path.write_bytes(whole[:-lost])
        assert len(Record(tmp_path, "totals").lines) == 3
        run_all(suite, tmp_path)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["case"] for line in lines] == [
            json.loads(line)["case"] for line in whole.splitlines()
        ]


def test_two_runs_on_one_record_are_told(suite, tmp_path):
    first, second = Record(tmp_path, "some"), Record(tmp_path, "some")
    line = run_case(suite.run, suite.cases(Options())[0])
    first.put(line)
    with pytest.raises(SystemExit, match="has changed since it was read"):
        second.put(line)
    assert len(Record(tmp_path, "some").lines) == 1


def test_line_that_is_none_is_named(tmp_path):
    (tmp_path / "some.jsonl").write_text('{"case": {}, "figures": {}}\n[]\n')
    with pytest.raises(SystemExit, match=r"some\.jsonl, line 2, is no line"):
        Record(tmp_path, "some")


@pytest.mark.parametrize("name", ["alpha", "digits", "reconstruction"])
def test_beginning_of_a_record_is_too_little_for_tables(name, tmp_path, capsys):
    source = ROOT / "docs" / "records" / f"{name}.jsonl"
    first = source.read_text().splitlines(keepends=True)[0]
    (tmp_path / source.name).write_text(first)
    report(name, SUITES[name], tmp_path, Console())
    n_cases = len(SUITES[name].cases(Options()))
    expected = f"{name}: 1 of {n_cases} cases are too few for its tables"
    assert expected in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["embedding", "few_labels"])
def test_beginning_of_a_record_has_a_table(name, tmp_path):
    source = ROOT / "docs" / "records" / f"{name}.jsonl"
    first = source.read_text().splitlines(keepends=True)[0]
    (tmp_path / source.name).write_text(first)
    report(name, SUITES[name], tmp_path, Console())
    assert json.loads(first)["case"]["data"] in (tmp_path / f"{name}.csv").read_text()


def test_report_is_of_the_record_alone(suite, tmp_path, capsys):
    run_all(suite, tmp_path, quick=True)
    lines = (tmp_path / "totals.jsonl").read_text().splitlines()
    assert all(json.loads(line)["quick"] for line in lines)
    before = (tmp_path / "totals.csv").read_text()
    (tmp_path / "totals.csv").unlink()
    report("totals", suite, tmp_path, Console())
    assert (tmp_path / "totals.csv").read_text() == before
    report("others", suite, tmp_path, Console())
    assert "no record of others" in capsys.readouterr().out


def test_data_and_seeds_choose_among_cases(suite):
    def seeds(data=(), **options):
        return [
            (c["data"], c["seed"])
            for c in chosen_cases(suite, Options(**options), data)
        ]

    assert seeds() == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert seeds(seeds=1) == seeds(quick=True) == [("a", 0), ("b", 0)]
    assert seeds(["b"], seeds=3) == [("b", 0), ("b", 1), ("b", 2)]


def test_data_of_no_case(suite, tmp_path, capsys):
    run_all(suite, tmp_path, data=["c"])
    assert "totals has no case of c" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_command_line(capsys):
    assert parse([]).names == ["digits"]
    assert parse(["--quick"]).names == parse(["report"]).names == list(SUITES)
    found = parse(["floor", "conv", "--data", "MNIST", "iris", "--seeds", "5"])
    assert (found.names, found.data, found.seeds) == (
        ["floor", "conv"],
        ["MNIST", "iris"],
        5,
    )
    assert parse(["report", "conv"]).names == ["conv"]
    assert parse(["check"]).names == parse(["all"]).names == list(SUITES)
    assert parse(["check", "conv"]).command == "check"
    with pytest.raises(SystemExit):
        parse(["flor"])
    assert "no suite is named 'flor'" in capsys.readouterr().err


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("quick", [False, True])
def test_cases_are_arguments_of_run(name, quick, monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    suite = SUITES[name]
    cases = chosen_cases(suite, Options(quick=quick), [])
    assert cases
    assert len({key(case) for case in cases}) == len(cases)
    for case in cases:
        inspect.signature(suite.run).bind(**case)
        if quick:
            assert not data_sets.is_missing(case.get("data"))


def test_missing_data_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    for read in (data_sets.labelled, data_sets.rows):
        with pytest.raises(data_sets.MissingData, match="by SKAE_DATA"):
            read("MNIST")
    with pytest.raises(data_sets.MissingData, match=r"k_sparse: .* by SKAE_DATA"):
        run_suite("k_sparse", k_sparse.SUITE, Options(), [], tmp_path, Console())


def test_data_sets(monkeypatch):
    monkeypatch.delenv("SKAE_DATA", raising=False)
    for name in ("wine, scaled", "bumps", "yes or no"):
        train, test = data_sets.rows(name)
        found = data_sets.hash_of(name)
        assert len(test) == pytest.approx(len(train) / 3, abs=1)
        again = data_sets.rows(name)
        assert np.array_equal(train, again[0])
        assert data_sets.hash_of(name) == found


def test_labelled_digits_are_those_of_the_other_suites():
    X, y, X_test, y_test = data_sets.labelled("digits")
    train, test = data_sets.rows("digits")
    assert X.dtype == np.uint8
    np.testing.assert_array_equal(X, np.round(train * 255 / 16))
    np.testing.assert_array_equal(X_test, np.round(test * 255 / 16))
    assert len(X) == len(y)
    assert len(X_test) == len(y_test)


def test_hash_tells_data_apart():
    hashes = []
    for array in (np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.ones(4)):
        data_sets.remember("made", array)
        hashes.append(data_sets.hash_of("made"))
    assert len(set(hashes)) == 4
    assert run_case(lambda data: {}, {"data": "made"})["data_hash"] == hashes[-1]


def test_mean_and_deviation():
    assert mean_and_deviation([1.0, 3.0], 2) == "2.00 ± 1.41"
    assert mean_and_deviation([1.0], 1) == "1.0"


def test_pca_of_all_components_has_no_error():
    parts = data_sets.split_digits(0)
    pca = digits.fit("PCA", 64, 0, parts[0])
    assert neg_mean_squared_error(pca, parts[1]) == pytest.approx(0, abs=1e-20)


def test_ratio_is_that_of_medians():
    found = speed_epoch.run("64-64-16", n_rows=256, n_pairs=3, n_threads=1)
    middle = [sorted(times)[1] for times in zip(*found["pairs"], strict=True)]
    assert found["ratio"] == pytest.approx(middle[1] / middle[0], rel=0.01)


@pytest.mark.parametrize("quick", [False, True])
def test_cases_are_arguments_of_their_part(quick):
    for case in speed.cases(Options(quick=quick)):
        part = speed.PARTS[case.pop("part")]
        inspect.signature(part.run).bind(**case)


@pytest.mark.filterwarnings("ignore:The loss grew without bound in 1 epochs")
@pytest.mark.filterwarnings("ignore:After 1 epochs the reconstruction is worse")
@pytest.mark.parametrize("name", speed_epoch.NETWORKS)
def test_network_by_hand_is_ours(name):
    problem = speed_epoch.NETWORKS[name]
    ours = problem.ours().set_params(init="random")
    X = np.random.default_rng(0).random((20, problem.n_features))
    network = ours.partial_fit(X).network_
    # Of biases ConvAE has one more, a picture.
    sizes = [
        sorted(weight.numel() for weight in one.parameters() if weight.ndim > 1)
        for one in (network, problem.by_hand())
    ]
    assert sizes[0] == sizes[1]


def test_calls_take_turns_after_a_round_that_warms_up():
    called = []
    calls = {name: lambda name=name: called.append(name) for name in "ab"}
    times = timing.in_turns(calls, 3)
    assert called == list("abababab")
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3}


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with timing.threads(1):
        with timing.threads(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_threads_have_columns():
    rows = [{"a": a, "n_threads": n, "x": 10 * a + n} for a in (3, 4) for n in (2, 1)]
    lines = timing.by_threads(rows, ["a"], lambda row: str(row["x"]))
    assert lines == [["3", "31", "32"], ["4", "41", "42"]]
    assert timing.by_threads(rows[:1], ["a"], lambda row: "x") == [["3", "", "x"]]


def test_what_was_cut_off_counts_as_the_cut_off():
    ratio, shown = speed_error.ratio, speed_error.shown
    assert ratio([1.0, 2.0, 1.0], [2.0, None, 3.0]) == 3
    assert ratio([1.0, 1.0, 1.0], [2.0, None, None]) == speed_error.CUTOFF
    ratios = {"a": 3.0, "b": float(speed_error.CUTOFF)}
    assert [shown(ratios, name) for name in "abc"] == ["3.00", "> 4", "not installed"]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = [0.0]
    monkeypatch.setattr(speed_aim.time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def problem():
    X = np.ones((4, 3), np.float32)
    return speed_aim.Problem(X, X, None, pca_error=1.0, share=0.5)


def look(watch, clock, seconds, answer):
    """Train for some seconds, and take 100 to reconstruct."""

    def reconstruct(X):
        clock[0] += 100
        return np.full_like(X, answer)

    clock[0] += seconds
    watch(reconstruct)


def test_clock_stands_still_while_test_rows_are_judged(clock, problem):
    watch = speed_aim.Watch(problem, limit=10)
    look(watch, clock, 2, answer=0.0)
    look(watch, clock, 3, answer=0.0)
    assert watch.seconds is None
    with pytest.raises(speed_aim.Enough):
        look(watch, clock, 4, answer=0.5)
    assert watch.seconds == 9


def test_watch_cuts_off(clock, problem):
    watch = speed_aim.Watch(problem, limit=4)
    look(watch, clock, 3, answer=0.0)
    with pytest.raises(speed_aim.Enough):
        look(watch, clock, 3, answer=1.0)
    assert watch.seconds is None


def test_whole_fit_remembers_when_it_reached_the_error(clock, problem):
    watch = speed_aim.Watch(problem, limit=np.inf, stops=False)
    for answer in (0.0, 1.0, 0.0, 1.0):
        look(watch, clock, 2, answer)
    assert watch.seconds == 4
    assert watch.elapsed() == 8


@pytest.mark.parametrize("data", ["table", "easy table"])
def test_made_tables_bend(data):
    """What PCA misses is far more than noise."""
    X, X_test = speed_aim.made_table(data)
    problem = speed_aim.Problem.of(data, None, 0.5)
    assert X.shape == (20_000, 64)
    assert problem.pca_error > 0.1 * X_test.var(axis=0).mean()


HERE = [n for n, method in rivals_methods.METHODS.items() if not method.requirements]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", HERE)
def test_rivals_decode_their_codes(name, digits):
    X = (digits / 16).astype(np.float32)
    settings = rivals_methods.Settings(8, seed=0, batch_size=32, n_epochs=20)
    answer, figures = rivals.worker.fit(name, settings, X[::2], X[1::2])
    assert rivals.share_left(answer, X[::2], X[1::2]) < 80
    assert figures["fit_seconds"] > 0
    assert figures["version"]


def test_quick_rivals_need_nothing_installed():
    assert [c["method"] for c in rivals.cases(Options(quick=True))] == HERE


def test_batches_are_chosen_where_there_are_any():
    chosen = [c for c in rivals.cases(Options()) if c["batches"] == rivals.BEST]
    with_batches = set(rivals_methods.METHODS) - {"PCA"}
    assert {c["method"] for c in chosen} == with_batches


def test_rivals_are_told_only_what_is_given():
    settings = rivals_methods.Settings(2, seed=0, batch_size=32)
    assert settings.named("batch_size", "max_iter") == {"batch_size": 32}


def test_worker_has_a_process_of_its_own(digits):
    settings = rivals_methods.Settings(2, seed=0)
    found = rivals.measured("PCA", settings, digits[::2], digits[1::2])
    pca = PCA(2, random_state=0).fit(digits[::2])
    answer = pca.inverse_transform(pca.transform(digits[1::2]))
    expected = rivals.share_left(answer, digits[::2], digits[1::2])
    assert found["error"] == pytest.approx(expected, abs=0.001)
    assert {"fit_seconds", "transform_seconds", "version"} < set(found)


@pytest.mark.parametrize(
    ("is_slow", "prefixes"), [(False, ["first_", ""]), (True, ["first_"])]
)
def test_maps_are_timed_the_first_and_the_second_time(
    digits, tmp_path, monkeypatch, is_slow, prefixes
):
    fits = []

    def fit(X, seed):
        fits.append(seed)
        return maps_methods.pca(X, seed)

    method = maps_methods.Method(fit, "scikit-learn", is_slow=is_slow)
    monkeypatch.setitem(maps_methods.METHODS, "PCA", method)
    np.save(tmp_path / "train.npy", digits[::2])
    np.save(tmp_path / "test.npy", digits[1::2])
    maps_methods.main(tmp_path, "PCA", 3)
    figures = json.loads((tmp_path / "figures.json").read_text())
    parts = [
        p + part for p in prefixes for part in ("fit_seconds", "transform_seconds")
    ]
    assert fits == [3] * len(prefixes)
    assert figures.keys() == {*parts, "version"}
    codes = PCA(2, random_state=3).fit(digits[::2]).transform(digits[1::2])
    np.testing.assert_array_equal(np.load(tmp_path / "test_codes.npy"), codes)


def test_mean_of_training_rows_leaves_all_of_the_variance(digits):
    train, test = digits[::2], digits[1::2]
    answer = np.broadcast_to(train.mean(axis=0), test.shape)
    assert rivals.share_left(answer, train, test) == pytest.approx(100)
    assert rivals.share_left(test, train, test) == 0


def test_rival_that_fails_is_recorded_with_its_last_line(digits):
    settings = rivals_methods.Settings(65, seed=0)
    found = rivals.measured("PCA", settings, digits, digits)
    assert list(found) == ["missing"]
    assert found["missing"].startswith("failed: ValueError: n_components=65 must")


def test_rival_that_cannot_be_installed_is_recorded(tmp_path, monkeypatch, digits):
    monkeypatch.setattr(environments, "HOME", tmp_path)
    method = replace(rivals_methods.METHODS["PyOD"], requirements=("no requirement",))
    monkeypatch.setitem(rivals_methods.METHODS, "PyOD", method)
    settings = rivals_methods.Settings(2, seed=0)
    found = rivals.measured("PyOD", settings, digits, digits)
    assert found["missing"].startswith("not installed: ERROR: Invalid requirement")
    assert rivals.shown(found) == "not installed"


@pytest.fixture
def answers(monkeypatch):
    """Answers of a rival by the size of its batches, and the rows that it has seen."""
    shares, seen = {}, []

    def apart(method, settings, train, test):
        seen.append((settings.batch_size, train, test))
        noise = shares[settings.batch_size] * (test - train.mean(axis=0))
        return test + noise, {"fit_seconds": 1.0, "transform_seconds": 0.1}

    monkeypatch.setattr(rivals, "apart", apart)
    return shares, seen


def run_rival(**case):
    whole = {"data": "digits", "n_rows": None, "n_components": 2, "seed": 0}
    return rivals.run(**whole, method="PyOD", n_epochs=None, **case)


def test_best_batches_are_those_of_training_rows(answers):
    shares, seen = answers
    shares.update({32: 0.5, 128: 0.1, 512: np.nan})
    found = run_rival(batches="best")
    assert found["batch_size"] == 128
    assert found["tried"] == {32: 25.0, 128: 1.0}
    train, test = rivals.read("digits", None)
    rows = {row.tobytes() for row in train}
    *tried, last = seen
    assert [size for size, _, _ in tried] == [32, 128, 512]
    for _, *parts in tried:
        assert sum(map(len, parts)) == len(train)
        assert {row.tobytes() for part in parts for row in part} == rows
    assert last[0] == 128
    np.testing.assert_array_equal(last[1], train)
    np.testing.assert_array_equal(last[2], test)


def test_rival_that_diverges_is_recorded(answers):
    shares, _ = answers
    shares.update(dict.fromkeys((None, 32, 128, 512), np.nan))
    for batches in ("own", "best"):
        assert run_rival(batches=batches)["missing"].startswith("diverged: ")


def test_ours_is_compared_with_the_best_rival(tmp_path):
    place = {"data": "MNIST", "n_rows": 10, "n_components": 2, "batches": "own"}

    def row(method, error, seconds):
        figures = {"error": error, "fit_seconds": seconds, "transform_seconds": 0}
        return {**place, "method": method, **figures}

    rows = [
        row("PCA", 80.0, 0.0),
        *(row(rivals.OURS, *seed) for seed in ((20.0, 3.0), (30.0, 5.0), (10.0, 4.0))),
        row("pythae", 40.0, 2.0),
        {**place, "method": "ClustPy", "missing": "failed: OSError: why"},
    ]
    tables = rivals.report(rows, tmp_path)
    assert tables[1].title == "Ours has the least error in 1 of 1 lines"
    start = '"MNIST, 10 rows",2,own,'
    line = (tmp_path / "rivals.csv").read_text().splitlines()[1]
    assert line.startswith(f"{start}80.00 / 0.0 / 0,20.00 / 4.0 / 0,failed,")
    line = (tmp_path / "rivals_summary.csv").read_text().splitlines()[1]
    assert line == f"{start}pythae,0.500,2.00"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_peak_of_memory_is_seen():
    before = speed_process.gigabytes("RssAnon")
    with speed_process.watched() as peaks:
        # An array might lie where earlier ones have left the memory to the process.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        pages = mmap.mmap(-1, 100_000_000, flags=flags)
        np.frombuffer(pages, np.uint8)[:] = 1
    assert peaks["resident"] >= peaks["anonymous"] >= before + 0.9 * len(pages) / 1e9


def test_lack_of_memory_is_told():
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(2**55)
    with pytest.raises(RuntimeError, match="allocate") as of_torch:
        torch.empty(2**58)
    errors = of_numpy.value, of_torch.value, RuntimeError("something else")
    found = [speed_process.is_out_of_memory(error) for error in errors]
    assert found == [True, True, False]
    assert speed_memory.shown(None) == ["does not fit"] * 2


def test_times_are_relative_to_the_rows_in_the_middle():
    found = [{"times": {"fit": [t, 9.0, 0.0]}} for t in (1.0, 2.0, 5.0)]
    assert speed_rows.relative(found, "fit") == [0.5, 1.0, 2.5]


def test_ratios_of_a_curve_and_of_a_plane():
    t = np.linspace(0, 6, 300)[:, None]
    curve = np.hstack([np.sin(t), np.cos(t), np.sin(2 * t), np.cos(2 * t)])
    plane = np.hstack([t, t**2, t + t**2, t - t**2])
    fit = partial(pca_baseline.fit_both, max_iter=100)
    rows = [
        {"data": name, "n_components": 2, **fit(X[::2], X[1::2], 2, 0)}
        for name, X in (("curve", curve), ("plane", plane))
    ]
    ratios = pca_baseline.ratios(rows)
    assert ratios["curve", 2] < 0.5
    assert ratios["plane", 2] is None
    assert pca_baseline.summary(rows)["worst"] == ratios["curve", 2]


@pytest.mark.filterwarnings("ignore:n_components=128")
def test_plain_wide_code_copies_its_input():
    found = overcomplete.run("digits", "plain", max_iter=30)
    assert found["explained_variance"] > 0.95
    assert 0.7 < np.mean(found["accuracies"]) < 1


def test_noise_of_images_is_that_of_standardised_rows(digits):
    noisy = denoising.corrupted(digits.astype(np.float32), digits, "gaps", 1.0)
    np.testing.assert_allclose(noisy - digits.mean(axis=0), 0, atol=1e-4)


def test_patches_average_to_the_image_they_are_of():
    image = np.random.default_rng(0).random((21, 19))

    class Copy:
        def reconstruct(self, X):
            return X

    np.testing.assert_allclose(conv_denoising.denoise(Copy(), image), image, atol=1e-6)


def test_errors_tell_signals_that_pca_has_not_seen():
    found = conv_signals.run(data="bumps", method="PCA", n_components=16, seed=0)
    assert found["auc"] > 0.9


def test_sequences_are_read_step_by_step(monkeypatch, tmp_path):
    folder = tmp_path / "ucr" / "Some"
    folder.mkdir(parents=True)
    (folder / "Some_TRAIN.ts").write_text("# A\n@data\n1,2,3:4,5,6:a\n7:8:b\n")
    (folder / "Some_TEST.ts").write_text("@data\n1,2:3,4:b\n")
    monkeypatch.setenv("SKAE_DATA", str(tmp_path))
    train, y, test, y_test = data_sets.labelled_sequences("Some")
    assert [s.tolist() for s in train] == [[[1, 4], [2, 5], [3, 6]], [[7, 8]]]
    assert test[0].tolist() == [[1, 3], [2, 4]]
    assert [*y, *y_test] == ["a", "b", "b"]
    cut = recurrent.padded(train, 2)
    np.testing.assert_array_equal(cut[0], [[1, 4], [2, 5]])
    np.testing.assert_array_equal(cut[1], [[7, 8], [np.nan, np.nan]])


def test_speakers_are_told_by_codes_of_pca():
    found = recurrent.run(data="waves", method="PCA", n_components=8, seed=0)
    assert found["accuracy"] > 90


def test_no_deformation_leaves_images_as_they_are():
    images = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    none = image_features.Deformation(torch.zeros(1, 9, 9))
    seen = none(images, torch.Generator())
    torch.testing.assert_close(seen, images)


def test_shifted_images_are_those_of_other_pixels(monkeypatch):
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    # An image reaches from -1 to 1: a quarter is a pixel of eight.
    monkeypatch.setattr(
        image_features, "even", lambda generator, *shape: torch.ones(shape)
    )
    shifted = image_features.Deformation(torch.zeros(1, 8, 8), shift=0.25)
    seen = shifted(images, torch.Generator())
    torch.testing.assert_close(seen[:, :, :-1, :-1], images[:, :, 1:, 1:])


def test_classes_are_told_by_nearest_codes():
    found = dimension.run("digits", "PCA", 8, 0)
    X, X_test, y, y_test = dimension.read("digits", 0)
    codes = PCA(8, random_state=0).fit(X)
    nearest = KNeighborsClassifier(found["n_neighbors"]).fit(codes.transform(X), y)
    accuracy = nearest.score(codes.transform(X_test), y_test)
    assert found["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    (line,) = dimension.table_rows(
        [{"data": "digits", "method": "PCA", "n_components": 8, **found}]
    )
    assert line[2:5] == ["", f"{100 * found['accuracy']:.1f}", ""]


def test_graph_joins_neighbours_both_ways(digits):
    graph = few_labels.neighbour_graph(digits[:200].astype(np.float32))
    assert abs(graph - graph.T).max() == 0
    assert graph.diagonal().max() == 0
    distances = np.square(digits[:200, None] - digits[None, :200]).sum(2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    assert (graph[np.arange(200), nearest] > 0).all()


def test_as_many_images_of_each_class_are_known(digits):
    y = np.repeat(np.arange(10), 20)
    problem = few_labels.Problem(digits[:200], y)
    for known in problem.draws(50, 3):
        assert np.array_equal(np.bincount(y[known]), np.full(10, 5))


def test_labels_that_chose_settings_are_neither_known_nor_judged(digits):
    y = np.arange(200) % 10
    problem = few_labels.Problem(digits[:200], y, start=80)
    (known,) = problem.draws(50, 1)
    assert known.min() >= 80
    expected = problem.accuracy("nearest", known)
    problem.y = np.concatenate([np.full(80, 11), y[80:]])
    assert problem.accuracy("nearest", known) == expected


def test_networks_of_few_labels_are_averaged():
    accuracy = [{"nearest": {"10": {"mean": m, "draws": 3}}} for m in (80.0, 90.0)]
    rows = [{"data": "a", "features": "b", "accuracy": part} for part in accuracy]
    (row,) = few_labels.over_seeds(rows)
    assert row["accuracy"] == {"nearest": {"10": {"mean": 85.0, "draws": 3}}}


def test_outliers_are_tested_on_rows_that_do_not_train():
    train, test, is_anomaly = outliers.split("breast cancer")
    assert np.allclose(train.mean(axis=0), 0)
    assert is_anomaly.sum() == 212
    assert len(train) + len(test) == 569
    assert not is_anomaly[: len(test) - 212].any()


def test_mlp_in_the_middle_is_a_mirror():
    X = np.random.default_rng(0).normal(size=(200, 5))
    model = reconstruction.fit("MLPRegressor", 5, 300, 0, X)
    answer = reconstruction.reconstruct(model, X)
    assert np.square(answer - X).mean() < 0.1 * X.var()


def modules_imported(name):
    """Modules of benchmarks that one of them imports, wherever it does, as paths."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            assert not any(a.name.startswith("benchmarks") for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert not node.module.startswith("benchmarks")
        elif isinstance(node, ast.ImportFrom):
            home = name[: len(name) - node.level]
            path = (*home, *node.module.split(".")) if node.module else home
            yield from ((*path, a.name)[:2] for a in node.names)


def test_benchmarks_live_in_rooms():
    assert {name[0] for name in MODULES} == {*ROOMS, "__init__", "__main__"}


@pytest.mark.parametrize("name", [n for n in MODULES if n[0] in ROOMS], ids="/".join)
def test_imports_of_benchmarks_go_one_way(name):
    imported = set(modules_imported(name))
    assert {target[0] for target in imported} <= ROOMS[name[0]]
    # Only the command line runs suites: all else, the record too, knows nothing of it.
    assert ("shared", "running") not in imported


def test_rooms_of_benchmarks_have_no_circles():
    graph = {name: set(modules_imported(name)) for name in MODULES}
    while leaves := {n for n, targets in graph.items() if not targets & set(graph)}:
        graph = {n: targets for n, targets in graph.items() if n not in leaves}
    assert not graph


@pytest.mark.parametrize("n_gpus", [1, 8, 64])
def test_planned_epochs_take_as_long_as_reading_or_all_else(n_gpus, monkeypatch):
    row = {"message_bytes": 1e7, "products_per_row": 3e6, "start_rows_per_second": 1e4}

    def seconds_of_epochs(speed):
        monkeypatch.setitem(parallel.ASSUMED, "reading", speed)
        made = parallel.plan(row, n_gpus)
        return made, 3600 * made["hours"] - made["start"]

    made, slow = seconds_of_epochs(1e6)
    assert slow == pytest.approx(10 * made["reading"])
    made, fast = seconds_of_epochs(1e15)
    parts = "compute", "steps", "messages", "validation"
    assert fast == pytest.approx(10 * sum(made[part] for part in parts))
