"""``save`` of every estimator, and ``load``."""

import inspect
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .packing import pack, unpack
from .sealed import replace, seal, unseal
from .values import from_tree, to_tree
from .versions import check_versions, versions

#: Files with a higher number are from a later version, which has another format.
FORMAT = 2


class Saved:
    """Pickles and files of estimators have versions; ``save`` writes a file."""

    def save(self, path: Any) -> None:
        """Write the estimator to a file that cannot run code when it is loaded.

        The file is a safetensors file. It has the arrays, all other values as JSON,
        and a checksum. It is replaced as a whole: if writing fails, an earlier file is
        still there.

        Parameters
        ----------
        path : str or path-like
            Where to write, for example "model.safetensors". An existing file is
            replaced.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        TypeError
            If a parameter or an attribute cannot be stored, such as a ``lambda``.
            Nothing is written.
        OSError
            If the file cannot be written.

        See Also
        --------
        skae.load : Loads the file.
        """
        write(path, "estimator", self, f"{type(self).__name__}.save")

    def __getstate__(self) -> dict[str, Any]:
        return {**pack(self._to_state()), **versions()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = unpack(state)
        check_versions(state, type(self).__name__)
        self._from_state(self._defaults() | state)

    def _to_state(self) -> dict[str, Any]:
        """Return the attributes, as plain values where they have private classes."""
        parent: Any = super()
        return dict(parent.__getstate__())

    def _from_state(self, state: dict[str, Any]) -> None:
        """Set the attributes that ``_to_state`` returned."""
        parent: Any = super()
        parent.__setstate__(state)

    def _defaults(self) -> dict[str, Any]:
        """Return defaults of parameters: an earlier version may not have had all."""
        parameters = inspect.signature(type(self)).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}


def load(path: Any, *, trusted: Iterable[str] = ()) -> Any:
    """Load an estimator from a file that its method ``save`` has written.

    Loading runs no code that the file chooses: it makes estimators of skae and of
    scikit-learn, arrays and plain values. Functions and classes of your own are stored
    by name, and are only imported if you trust these names.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : iterable of str, default=()
        Names of functions and classes, "module:name", that the file may use. An error
        lists those that it needs.

    Returns
    -------
    estimator : object
        The estimator, on the CPU. It computes on its ``device``, if that is available.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, was changed or cut off, is from a later version
        with another format, or needs names that are not trusted.
    TypeError
        If ``trusted`` holds something else than names.
    ImportError
        If safetensors is not installed, or a trusted name cannot be imported.

    Warns
    -----
    VersionWarning
        If the file is from another version of skae.

    See Also
    --------
    UndercompleteAE.save : Writes the file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import load_digits
    >>> from skae import UndercompleteAE, load
    >>> X = load_digits().data
    >>> ae = UndercompleteAE(8, max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ae.save(pathlib.Path(folder) / "digits.safetensors")
    ...     again = load(pathlib.Path(folder) / "digits.safetensors")
    >>> bool((again.transform(X) == ae.transform(X)).all())
    True
    """
    return read(path, "estimator", _as_names(trusted), "skae.load")


def _as_names(trusted: Any) -> set[str]:
    """Return trusted names as a set, or raise if they are no names."""
    names = [trusted] if isinstance(trusted, str) else trusted
    if isinstance(names, Iterable):
        names = list(names)
        if all(isinstance(name, str) for name in names):
            return set(names)
    raise TypeError(
        f"trusted={trusted!r} must be a list of names, such as "
        "['mypackage.losses:huber']. An error of load lists those that a file needs."
    )


def write(path: Any, kind: str, value: Any, owner: str) -> None:
    """Write a value of some kind to a file; ``owner`` needs safetensors for it."""
    tree, arrays, names = to_tree(value)
    about = {"format": FORMAT, **versions(), "names": names, kind: tree}
    replace(path, seal(about, arrays, owner))


class UntrustedError(ValueError):
    """A file needs functions or classes that are not trusted."""


def read(path: Any, kind: str, names: Collection[str], owner: str) -> Any:
    """Return the value of a file that holds this kind, and needs only trusted names."""
    description, arrays = unseal(Path(path).read_bytes(), path, owner)
    try:
        return _value(description, arrays, path, kind, names, owner)
    except (ArithmeticError, LookupError, RuntimeError, TypeError) as error:
        # Only a file that someone made by hand comes here.
        raise ValueError(
            f"{path} has a valid checksum, but its content is not what save writes: "
            f"{type(error).__name__}: {error}."
        ) from error


def _value(
    description: dict[str, Any],
    arrays: dict[str, np.ndarray],
    path: Any,
    kind: str,
    names: Collection[str],
    owner: str,
) -> Any:
    if description["format"] > FORMAT:
        raise ValueError(
            f"{path} has the format {description['format']} of skae "
            f"{description['_skae_version']}, but this version reads formats up to "
            f"{FORMAT}: install a later skae."
        )
    if kind not in description:
        raise ValueError(f"{path} holds no {kind}: {owner} cannot read it.")
    if missing := [name for name in description["names"] if name not in names]:
        raise UntrustedError(
            f"{path} needs functions or classes that are not trusted. If you know them "
            f"and trust the file, pass trusted={missing!r}."
        )
    value = from_tree(description[kind], arrays, names)
    if kind == "estimator" and not isinstance(value, Saved):
        raise TypeError(f"it holds {value!r}, which is no estimator of skae")
    return value
