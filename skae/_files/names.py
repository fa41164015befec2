"""Classes and functions in files: stored by name, loaded if they are trusted."""

import importlib
import sys
from collections.abc import Collection
from typing import Any

import sklearn
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit

from .versions import PACKAGE

#: What a file may name of scikit-learn without being trusted.
OF_SKLEARN = BaseEstimator, BaseCrossValidator, BaseShuffleSplit
#: The same of torch, by module: classes that are in it already.
OF_TORCH = {"torch.nn": torch.nn.Module, "torch.optim": torch.optim.Optimizer}


def name_of(value: Any) -> str:
    """Return "module:name" of a class or a function, or raise."""
    module, name = value.__module__ or "", value.__qualname__
    public = ".".join(module.split(".")[:2])
    if known(f"{public}:{name}") is value:
        return f"{public}:{name}"
    if not module or "<" in name or _found(module, name) is not value:
        raise TypeError(
            "functions and classes are stored by their names, but this one cannot be "
            "imported by its name: define it at the top of a module"
        )
    return f"{module}:{name}"


def known(name: str) -> Any:
    """Return a class that needs no trust, or None. Runs no code that a file names."""
    module, _, attribute = name.partition(":")
    if module == PACKAGE:
        package = sys.modules[PACKAGE]
        found = vars(package).get(attribute) if attribute in package.__all__ else None
        return found if isinstance(found, type) else None
    if module in OF_TORCH:
        found = vars(sys.modules[module]).get(attribute)
        return found if _is_subclass(found, OF_TORCH[module]) else None
    top, _, part = module.partition(".")
    if top == "sklearn" and part in sklearn.__all__:
        found = getattr(getattr(sklearn, part), attribute, None)
        return found if _is_subclass(found, OF_SKLEARN) else None
    return None


def is_of_torch(name: str) -> bool:
    """Whether a class is a layer or a solver of torch."""
    return name.partition(":")[0] in OF_TORCH


def loaded(name: str, trusted: Collection[str]) -> Any:
    """Return what has a name, or raise if the name is not trusted."""
    if (found := known(name)) is not None:
        return found
    if name not in trusted:
        raise ValueError(f"the file names {name!r}, which is not trusted")
    module, _, attribute = name.partition(":")
    found = _found(module, attribute)
    if found is None:
        raise ImportError(
            f"the file names {name!r}, but there is no {attribute!r} in {module!r}: it "
            "must be where it was when the file was saved. What is defined in a script "
            "or notebook, '__main__', is not there in others: define it in a module."
        )
    return found


def _found(module: str, name: str) -> Any:
    """Import a module and return what has a name there, or None."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_subclass(found: Any, bases: Any) -> bool:
    return isinstance(found, type) and issubclass(found, bases)
