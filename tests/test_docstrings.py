"""Public docstrings: they are numpydoc's, have an example, and a page in the docs."""

import inspect
import pathlib
import re

import pytest
from numpydoc.validate import validate

import skae

# None of these tells whether a reader finds what is needed:
IGNORED = {
    "ES01",  # "No extended summary found": a summary may say all.
    "SA01",  # "See Also section not found": not everything has a relative.
    "SA04",  # "Missing description for See Also": the name of a method says enough.
    "GL01",  # "Text should start in the line after the quotes": ruff wants the other.
    "GL03",  # "Double line break found": where inherited documentation is filled in.
    "RT02",  # "The first line of Returns should be the type": the name says more.
    "EX01",  # "No examples section": a class has one for its methods; tested below.
    "PR03",  # "Wrong parameters order": all but the first are passed by name.
    "SS05",  # "Summary must start with infinitive verb": it takes "Minus" for a verb.
}
MODULES = skae, skae.distributed, skae.inspection, skae.metrics, skae.onnx, skae.rows
PAGES = pathlib.Path(__file__).parents[1] / "docs" / "api.rst"


def public(module):
    """Yield the path and the value of each public class and function of a module."""
    for name in module.__all__:
        value = getattr(module, name)
        if not inspect.ismodule(value):
            yield f"{module.__name__}.{name}", value


def public_methods(path, cls):
    """Yield the paths of the public methods of a class that this package documents."""
    for name, method in inspect.getmembers(cls):
        is_ours = str(getattr(method, "__module__", "")).startswith("skae.")
        if inspect.isroutine(method) and is_ours and not name.startswith("_"):
            yield f"{path}.{name}"


NAMES = dict(entry for module in MODULES for entry in public(module))
METHODS = [
    method
    for path, value in NAMES.items()
    if inspect.isclass(value)
    for method in public_methods(path, value)
]


@pytest.mark.parametrize("path", [*NAMES, *METHODS])
def test_docstrings_are_numpydoc(path):
    errors = validate(path)["errors"]
    assert [error for error in errors if error[0] not in IGNORED] == []


@pytest.mark.parametrize("path", NAMES)
def test_public_names_have_an_example(path):
    assert "Examples\n" in inspect.getdoc(NAMES[path])
    assert ">>> " in inspect.getdoc(NAMES[path])


def test_public_names_have_a_page():
    text, listed = PAGES.read_text(), set()
    for part in re.split(r"^\.\. currentmodule:: ", text, flags=re.MULTILINE)[1:]:
        module, _, rest = part.partition("\n")
        listed |= {f"{module}.{n}" for n in re.findall(r"^   (\w+)$", rest, re.M)}
    assert listed == set(NAMES)
