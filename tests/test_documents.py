"""README and docs: their code runs, and their figures are those of the records."""

import json
import pathlib
import re

import pytest

import skae
from benchmarks import digits

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def record(name):
    return json.loads((ROOT / "docs" / "records" / f"{name}.json").read_text())


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


@pytest.mark.parametrize("case", [0, 1])
def test_ratios_in_docs_are_the_record_and_within_the_promise(case):
    run = record("epoch")["runs"][case]
    page = (ROOT / "docs" / "benchmarks.rst").read_text()
    widths = "-".join(map(str, run["widths"]))
    row = f"{widths}\n     - {run['batch_size']}\n     - {run['ratio']:.3f}\n"
    assert row in page
    assert run["ratio"] <= 1.10


def test_changelog_knows_the_version():
    assert f"\n## {skae.__version__} " in (ROOT / "CHANGELOG.md").read_text()
