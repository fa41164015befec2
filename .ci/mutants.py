"""Tell whether the tests find faults: run them on one-line mutants of skae.

``python .ci/mutants.py [--tests COMMIT]`` changes one line at a time, runs the tests of
its room until one fails, quick files first, and says which mutants no test found.
``--tests`` takes the tests of another commit, so that two suites can be compared.
"""

import argparse
import ast
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
PAIRS = [
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.And, ast.Or),
]
OTHER = dict(PAIRS) | {b: a for a, b in PAIRS}
# Tables of what parameters may be, and text: a mutant of them is no fault of a line.
UNTOUCHED = {"_parameter_constraints", "DOCUMENTATION", "__all__"}
#: Files of tests that look at each room.
TESTS = {
    "_machine": "engine base",
    "_rows": "rows pca metrics conv denoising base",
    "_networks": "networks links convolutions sparse ordered conv init_pca base",
    "_objectives": "objectives corruption contractive sparse neighbors denoising "
    "ordered",
    "_training": "engine validation objectives init_pca sparse ordered base",
    "_estimators": "base undercomplete sparse ordered denoising contractive conv "
    "init_pca",
    "inspection": "inspection",
    "metrics.py": "metrics base",
}


def changes(node):
    """Yield what a node may become: (name of a field, new value)."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        yield "ops", [OTHER[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OTHER:
        yield "op", OTHER[type(node.op)]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "value", node.value + 1
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "test", ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Return):
        yield "value", ast.Constant(None)
    elif isinstance(node, ast.Call) and len(node.args) == 2:
        yield "args", node.args[::-1]


def places(node):
    """Yield nodes that have mutants."""
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    if UNTOUCHED & {getattr(target, "id", None) for target in targets}:
        return
    if any(True for _ in changes(node)):
        yield node
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from places(child)


def mutants():
    """Return (file, number of the place) of all mutants."""
    files = sorted(path.relative_to(ROOT) for path in (ROOT / "skae").rglob("*.py"))
    trees = {path: ast.parse((ROOT / path).read_text()) for path in files}
    return [(path, i) for path, t in trees.items() for i, _ in enumerate(places(t))]


def mutate(path, i):
    """Return the code of a mutant, and a line that tells it."""
    tree = ast.parse((ROOT / path).read_text())
    node = list(places(tree))[i]
    before, line = ast.unparse(node), getattr(node, "lineno", 0)
    setattr(node, *next(changes(node)))
    after = ast.unparse(ast.fix_missing_locations(node))
    told = f"{path}:{line}: {before.splitlines()[0]} -> {after.splitlines()[0]}"
    return ast.unparse(tree), told


def is_found(copy, path, seconds):
    """Run the tests of the room on a copy; whether one fails in so much time."""
    room = path.parts[1]
    named = TESTS.get(room, "base").split()
    files = [f"tests/test_{n}.py" for n in named]
    files = [name for name in files if (copy / name).exists()]
    code = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))

    options = {"cwd": copy, "env": environment, "preexec_fn": limit}
    try:
        run = subprocess.run(
            [*code, *files], capture_output=True, timeout=6 * seconds, **options
        )
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 1 or run.returncode == 2


def main():
    """Print a line for each mutant, and how many were found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=100)
    parser.add_argument("--tests", help="commit whose tests are run")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of some mutants")
    options = parser.parse_args()
    sample = random.Random(options.seed).sample(mutants(), options.number)
    chosen = options.only or range(options.number)
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in ("skae", "tests", "pyproject.toml"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        if options.tests:
            shutil.rmtree(copy / "tests")
            archive = ["git", "-C", str(ROOT), "archive", options.tests, "tests"]
            made = subprocess.run(archive, capture_output=True, check=True).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=made, check=True)
        for number in chosen:
            path, place = sample[number]
            code, told = mutate(path, place)
            (copy / path).write_text(code)
            verdict = is_found(copy, path, options.seconds)
            shutil.copy(ROOT / path, copy / path)
            found += verdict
            print(number, "found" if verdict else "SURVIVED", told, flush=True)
    print(f"{found} of {len(chosen)} are found")


if __name__ == "__main__":
    main()
