"""The benchmarks, on small cases: what they write and print."""

import json

import matplotlib.image
import pytest

from benchmarks import digits, epoch


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
    monkeypatch.setattr(epoch, "N_ROWS", 512)
    monkeypatch.setattr(epoch, "N_PAIRS", 3)
    epoch.main(tmp_path)
    runs = json.loads((tmp_path / "epoch.json").read_text())["runs"]
    for run in runs:
        assert len(run["pairs"]) == 3
        middle = [sorted(times)[1] for times in zip(*run["pairs"], strict=True)]
        assert run["ratio"] == pytest.approx(middle[1] / middle[0], rel=0.01)
