"""Which code a suite measures: a hash of the modules that it imports, and theirs.

Comments, docstrings and layout do not count, nor how records are written and shown, nor
how estimators are stored and deployed. A name that a package only passes on leads to
the module that defines it, so that an estimator does not stand for all of ``skae``.
"""

import ast
import copy
import hashlib
import pathlib
from collections.abc import Iterator
from functools import cache
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
#: Modules that only write or show figures, and that only store or deploy estimators.
UNCOUNTED = {f"benchmarks.shared.{name}" for name in ("figures", "record", "report")}
UNCOUNTED |= {f"skae._estimators.{name}" for name in ("records", "deployed")}
FILES = "skae._files"
#: Methods by which estimators are stored, and the class of those of fits.
STORING = {"__getstate__", "__setstate__", "_to_state", "_from_state", "Resumable"}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def code_hash(module: str) -> str:
    """Return the hash of a module and of all of ours that it imports."""
    names = sorted(modules_behind(module))
    text = "\n".join(f"{name} {_text(name)}" for name in names)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def modules_behind(module: str) -> set[str]:
    """Return a module and all of ours that it imports, directly or not."""
    found, open_ = set[str](), [module]
    while open_:
        name = open_.pop()
        if name not in found and _counts(name) and _path(name):
            found.add(name)
            open_ += _imported(name)
    return found


def _counts(name: str) -> bool:
    """Whether a module may decide figures."""
    return name not in UNCOUNTED and not name.startswith(FILES)


def _path(name: str) -> pathlib.Path | None:
    """Return the file of a module of ours."""
    base = ROOT.joinpath(*name.split("."))
    paths = base.with_suffix(".py"), base / "__init__.py"
    return next((path for path in paths if path.exists()), None)


@cache
def _tree(name: str) -> ast.Module:
    path = _path(name)
    assert path is not None
    return ast.parse(path.read_text())


@cache
def _text(name: str) -> str:
    kept = _Kept(name)
    return _plain(kept.visit(copy.deepcopy(_tree(name))))


class _Kept(ast.NodeTransformer):
    """Leaves out how estimators are stored, and imports for it."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.ClassDef) -> Any:
        return None if node.name in STORING else self.generic_visit(node)

    visit_ClassDef = visit_FunctionDef

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        return node if _counts(_home(self.module, node)) else None


@cache
def _imported(name: str) -> list[str]:
    """Return the modules of ours that a module imports, wherever it does."""
    return list(_imports(name))


def _imports(name: str) -> Iterator[str]:
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _path(alias.name))
        elif isinstance(node, ast.ImportFrom) and (home := _home(name, node)):
            yield from (_defining(home, alias.name) for alias in node.names)


def _home(name: str, node: ast.ImportFrom) -> str:
    """Return the module of ours that names come from; empty if it is another's."""
    path = _path(name)
    assert path is not None
    parts = name.split(".")
    parts = parts if path.name == "__init__.py" else parts[:-1]
    parts = parts[: len(parts) - node.level + 1] if node.level else []
    home = ".".join([*parts, *filter(None, [node.module])])
    return home if _path(home) else ""


def _defining(home: str, name: str) -> str:
    """Return the module that a name of another one stands for, or is defined in."""
    if _path(f"{home}.{name}"):
        return f"{home}.{name}"
    for node in _tree(home).body:
        if isinstance(node, ast.ImportFrom) and (source := _home(home, node)):
            for alias in node.names:
                if name in (alias.asname, alias.name):
                    return _defining(source, alias.name)
    return home


def _plain(node: Any) -> str:
    """Return a text of a syntax tree without docstrings, and without what is empty."""
    if isinstance(node, list):
        return f"[{' '.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    kept = [f"{key}={_plain(v)}" for key, v in fields.items() if v not in (None, [])]
    return f"{type(node).__name__}({' '.join(kept)})"
