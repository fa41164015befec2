"""Imports go one way: leaves, engine, training, base, estimators, the package."""

import ast
import pathlib
import subprocess
import sys

import pytest

import skae

FILES = sorted(pathlib.Path(skae.__file__).parent.glob("*.py"))
LEAVES = {
    "_links",
    "_corruption",
    "_validation",
    "_rows",
    "_devices",
    "_solvers",
    "_stopping",
    "_threads",
    "_schedule",
    "_refinement",
}
ESTIMATOR = LEAVES | {"_pca", "_networks", "_objectives", "_engine", "_parameters"}
ESTIMATOR |= {"_base"}
ALLOWED = {
    **{leaf: set() for leaf in LEAVES},
    "_networks": {"_links"},
    "_pca": {"_rows"},
    "_validation": {"_rows", "_threads"},
    "_devices": {"_threads"},
    "_neighbors": {"_pca", "_rows"},
    "_objectives": {"_links", "_neighbors"},
    "_floor": {"_links"},
    "_engine": {"_floor", "_neighbors", "_rows", "_devices", "_solvers"}
    | {"_stopping", "_threads"},
    "_codec": {"_networks", "_objectives", "_rows", "_devices", "_refinement"},
    "_parameters": LEAVES | {"_networks", "_objectives"},
    "_training": LEAVES
    | {"_floor", "_networks", "_objectives", "_engine", "_parameters", "_pca"},
    "_base": LEAVES | {"_objectives", "_codec", "_training"},
    "_sparsity": {"_networks", "_objectives"},
    "_contraction": {"_networks"},
    "_convolutions": {"_networks"},
    "_layout": {"_validation"},
    "_corrupting": ESTIMATOR,
    "_embedding": ESTIMATOR,
    "_undercomplete": ESTIMATOR | {"_embedding"},
    "_denoising": {"_corrupting", "_parameters"},
    "_conv": LEAVES
    | {"_layout", "_convolutions", "_corrupting", "_embedding", "_parameters"},
    "_sparse": ESTIMATOR | {"_sparsity"},
    "_contractive": ESTIMATOR | {"_contraction"},
    # These know a fitted estimator by what it does.
    "metrics": {"_rows", "_validation"},
    "inspection": {"_validation"},
}


def modules_imported(path):
    """Modules of the package that a file imports, wherever it does."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from [node.module] if node.module else [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("skae")
        elif isinstance(node, ast.Import):
            assert not any(a.name.startswith("skae") for a in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_imports_go_one_way(path):
    imported = set(modules_imported(path))
    if path.stem == "__init__":
        assert imported <= set(ALLOWED)
    else:
        assert imported <= ALLOWED[path.stem]


def test_extras_are_not_imported():
    code = "import sys, skae; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "polars", "onnx", "dask"} & set(loaded)
