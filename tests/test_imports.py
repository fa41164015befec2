"""A room imports the rooms above it in the picture of docs/contributing.rst only."""

import ast
import inspect
import pathlib
import pickle
import pickletools
import re
import subprocess
import sys

import pytest

import skae

ROOT = pathlib.Path(skae.__file__).parent
#: In the order of that picture, from the top: the first imports no other.
ROOMS = [
    "_machine",
    "_files",
    "_rows",
    "_networks",
    "_objectives",
    "_training",
    "_estimators",
    "_applications",
    "_deployment",
]
#: What is public beside estimators asks them by their methods, and reads rows.
PUBLIC = {"_comparison", "inspection", "metrics", "rows"}
MODULES = {p.relative_to(ROOT).with_suffix("").parts: p for p in ROOT.rglob("*.py")}
ESTIMATORS = [getattr(skae, name) for name in skae.__all__ if name.endswith("AE")]


def modules_imported(name, path):
    """Modules of the package that a module imports, wherever it does, as paths."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(a.name.startswith("skae") for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert not (node.module or "").startswith("skae")
        elif isinstance(node, ast.ImportFrom):
            home = name[: len(name) - node.level]
            target = (*home, *(node.module or "").split("."))
            yield from (
                [target] if node.module else [(*home, a.name) for a in node.names]
            )


def depth(name):
    """Return the place of a module's room, counted from the top of the picture."""
    return ROOMS.index(name[0]) if name[0] in ROOMS else len(ROOMS)


def test_modules_live_in_rooms():
    tops = {name[0] for name in MODULES}
    assert tops == {*ROOMS, *PUBLIC, "distributed", "onnx", "__init__"}
    assert all(len(name) == 2 for name in MODULES if name[0] in ROOMS)


def test_rooms_are_in_the_order_of_the_picture():
    guide = (ROOT.parent / "docs" / "contributing.rst").read_text()
    assert re.findall(r"^    (_\w+)  +\w", guide, re.MULTILINE) == ROOMS


@pytest.mark.parametrize("name", MODULES, ids="/".join)
def test_imports_go_one_way(name):
    imported = set(modules_imported(name, MODULES[name]))
    assert all(depth(target) <= depth(name) for target in imported)
    if name[0] in PUBLIC:
        assert {target[0] for target in imported} <= {"_machine", "_rows", *PUBLIC}


def test_rooms_have_no_circles():
    graph = {n: set(modules_imported(n, path)) for n, path in MODULES.items()}
    while leaves := {n for n, targets in graph.items() if not targets & set(graph)}:
        graph = {n: targets for n, targets in graph.items() if n not in leaves}
    assert not graph


def test_no_estimator_knows_another():
    files = {pathlib.Path(inspect.getfile(cls)).stem for cls in ESTIMATORS}
    for stem in files:
        name = ("_estimators", stem)
        imported = {target[-1] for target in modules_imported(name, MODULES[name])}
        assert not imported & files


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_pickles_and_reprs_name_public_paths_only(cls, digits):
    estimator = cls(2).partial_fit(digits[:100]).partial_fit(digits[:100])
    calls = (
        estimator,
        skae.compare,
        skae.inspection.diagnose,
        skae.inspection.diagnose(estimator),
        skae.inspection.interpolate,
        skae.metrics.explained_variance,
    )
    strings = [
        text
        for call in calls
        for _, text, _ in pickletools.genops(pickle.dumps(call))
        if isinstance(text, str)
    ]
    ours = {text for text in strings if text.startswith("skae")}
    assert ours <= {"skae", "skae.metrics", "skae.inspection"}
    assert str(cls) == f"<class 'skae.{cls.__name__}'>"


def test_extras_are_not_imported():
    code = "import sys, skae; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    extras = {"accelerate", "matplotlib", "polars", "dask", "h5py", "zarr"}
    extras |= {"safetensors", "pyarrow.dataset"}
    extras |= {"onnx", "onnxruntime", "onnxscript", "skl2onnx"}
    assert not extras & set(loaded)
