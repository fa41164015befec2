"""Checkpoints of a fit: which file, whose it is, and what a fit that is over left."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import PicklingError
from typing import Any

import joblib
import torch
from sklearn.exceptions import ConvergenceWarning

from .._files.saving import UntrustedError, read, write
from .._files.sealed import remove_parts
from .._files.values import to_tree
from .._files.versions import versions
from .._machine.callers import Held
from .._machine.devices import to_arrays
from .._training.checkpoint import Checkpoint
from .data import Data
from .starting import Starting

KIND = "checkpoint"
#: Parameters that change neither the weights nor other fitted attributes.
SILENT = "checkpoint", "verbose"
WARNINGS = {kind.__name__: kind for kind in (ConvergenceWarning, UserWarning)}


@contextmanager
def parameters_for(asker: str) -> Iterator[None]:
    """Raise an error that names who asks for parameters that can be stored."""
    try:
        yield
    except (PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{asker} needs parameters that can be stored: {error}."
        ) from error


class Resumable(Starting):
    """Finds the checkpoint of a fit, and takes what is left of a fit that is over."""

    def _open_checkpoint(self, data: Data, parameters: str) -> Checkpoint:
        """Return the checkpoint of a fit to these rows with these parameters."""
        owner = {
            "class": type(self).__name__,
            "parameters": parameters,
            "rows": self._identity_of_rows(data),
            "versions of torch": str(torch.__version__),
        }
        path, asker = self._checkpoint_path(owner), f"checkpoint={self.checkpoint!r}"
        remove_parts(path)
        try:
            found = read(path, KIND, self._names(), asker) if path.exists() else {}
        except UntrustedError:
            # Functions that are parameters of this fit are trusted.
            found = {"owner": owner | {"parameters": ""}}
        self._check_owner(found.pop("owner", owner), owner)

        def replace(values: dict[str, Any]) -> None:
            write(path, KIND, {"owner": owner, **values}, asker)

        return Checkpoint(replace, found, data.seed)

    def _checkpoint_path(self, owner: dict[str, str]) -> Path:
        """Return the path itself, or that of a file in it if it is a directory."""
        given: Any = self.checkpoint
        path = Path(given)
        if not os.fspath(given):
            raise ValueError("checkpoint='' names no file: use None for no checkpoint.")
        if path.is_dir():
            return path / f"{owner['class']}-{joblib.hash(owner)}.safetensors"
        if not path.parent.is_dir():
            raise ValueError(
                f"checkpoint={self.checkpoint!r} is in a directory that does not exist:"
                " make it first."
            )
        return path

    def _decisive(self) -> dict[str, Any]:
        """Return the parameters that decide the result."""
        values = self.get_params(deep=False)
        return {name: values[name] for name in values if name not in SILENT}

    def _names(self) -> set[str]:
        """Return the names that parameters need, which are trusted in the file too."""
        _, _, names = to_tree(self._decisive())
        return set(names)

    def _check_owner(self, found: dict[str, str], owner: dict[str, str]) -> None:
        """Raise if a file is of another fit."""
        others = [name for name in owner if found.get(name) != owner[name]]
        if others:
            told = " and ".join(others)
            if self.warm_start:
                told += " (or weights to go on from, since warm_start=True)"
            raise ValueError(
                f"checkpoint={self.checkpoint!r} is of a fit with other {told}: delete "
                "the file or name another one. In a directory, each fit has a file of "
                "its own. A RandomState is another one after each fit."
            )

    def _identity_of_rows(self, data: Data) -> str:
        """Return a hash of rows and names, whatever the order of rows in memory."""
        X, names = data.X, getattr(self, "feature_names_in_", None)
        # Files are not copied.
        if type(X).__name__ == "ndarray" and not X.flags.c_contiguous:
            X = X.copy()
        rows = X, data.layout, None if names is None else list(names)
        return joblib.hash(rows, coerce_mmap=True)

    def _hash_parameters(self, goes_on: bool) -> str:
        """Return a hash of what decides the result, besides the rows."""
        if self.callbacks:
            raise ValueError(
                f"checkpoint={self.checkpoint!r} cannot store the state of "
                f"callbacks={self.callbacks!r}: use only one of the two."
            )
        asker = f"checkpoint={self.checkpoint!r}"
        with parameters_for(asker):
            self._names()
        return self._hash_values(self._decisive(), goes_on, asker)

    def _hash_values(self, values: dict[str, Any], goes_on: bool, asker: str) -> str:
        """Return a hash of parameters, and of the state that training goes on from."""
        start = None
        if goes_on:
            weights = to_arrays(self._model.whole.state_dict())
            start = self._state.to_dict(), weights
        with parameters_for(asker):
            return joblib.hash((values, start))

    def _close_checkpoint(self, checkpoint: Checkpoint, told: Held) -> None:
        """Store the fitted attributes, which the same fit will take."""
        listed = [(text, kind.__name__) for text, kind in told]
        checkpoint.end(self._fitted_values(), listed)
        if checkpoint.error is not None:
            reason = f"checkpoint={self.checkpoint!r} was not written: "
            told.append((f"{reason}{checkpoint.error}.", UserWarning))

    def _fitted_values(self) -> dict[str, Any]:
        """Return the fitted attributes as plain values and arrays."""
        state = {**self._to_state(), **versions()}
        return {name: state[name] for name in state if not self._is_given(name)}

    def _is_given(self, name: str) -> bool:
        """Whether an attribute is a parameter or a callback."""
        return name in self.get_params(deep=False) or "callback" in name

    def _take(self, checkpoint: Checkpoint) -> Held:
        """Take the attributes of a fit that is over; return its warnings."""
        self.__setstate__({**vars(self), **(checkpoint.fitted or {})})
        return [(text, WARNINGS[kind]) for text, kind in checkpoint.told]
