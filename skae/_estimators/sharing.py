"""Fits that several processes share: that they agree, and what the others take."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import joblib

from .._machine.callers import Held
from .._machine.interrupts import Interrupts
from .._machine.processes import Processes, sharing_processes
from .._rows.chunks import sample
from .._training.leading import Result
from .data import Data
from .resuming import Resumable

#: Parameters that may differ between processes: those of the first one count.
OWN = "checkpoint", "verbose", "callbacks", "device"
# Number of values of X that are compared.
COMPARED_ELEMENTS = 2**22

T = TypeVar("T")


class Shareable(Resumable):
    """Tells other processes which fit this is, and takes the result of their first."""

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except ValueError as error:
            if (processes := sharing_processes()) is not None:
                agreed(processes, partial(_raise, error))
            raise

    def _what_is_alike(self, is_part: bool) -> dict[str, str]:
        """Return what has to be the same in all processes, besides the rows."""
        values = self.get_params(deep=False)
        chosen = {name: values[name] for name in values if name not in OWN}
        goes_on = (is_part or self.warm_start) and hasattr(self, "_model")
        return {
            "class": type(self).__name__,
            "method": "partial_fit" if is_part else "fit",
            "parameters": self._hash_values(chosen, goes_on, "data_parallel"),
        }

    def _hash_rows(self, data: Data) -> str:
        """Return a hash of a sample of rows, and of the names of the columns."""
        rows = sample(data.X, max(1, COMPARED_ELEMENTS // data.X.shape[1]))
        names = getattr(self, "feature_names_in_", None)
        what = rows, data.X.shape, data.layout, None if names is None else list(names)
        return joblib.hash(what, coerce_mmap=True)

    def _take_result(self, result: Result, interrupts: Interrupts) -> Held:
        """Take the fitted attributes of the first process, or raise its error."""
        if result.error is not None:
            result.error.add_note("It was raised in the first process.")
            raise result.error
        kept = {n: value for n, value in vars(self).items() if self._is_given(n)}
        self.__dict__.clear()
        self.__setstate__({**kept, **result.fitted})
        interrupts.count = int(result.is_interrupted)
        return []


def _raise(error: Exception) -> Any:
    raise error


def agreed(processes: Processes, read: Callable[[], tuple[dict[str, str], T]]) -> T:
    """Return what was read, if it is alike in all processes; raise in all if not.

    ``read`` returns hashes to compare, by name, and what was read.
    """
    hashes: dict[str, str] = {}
    error: BaseException | None = None
    try:
        hashes, found = read()
    except BaseException as raised:
        error = raised
    answers = processes.collect((hashes, error and f"{type(error).__name__}: {error}"))
    if error is not None:
        raise error
    for rank, (_, reason) in enumerate(answers):
        if reason:
            raise RuntimeError(f"Process {rank} of {len(answers)} raised {reason}")
    first = answers[0][0]
    others = [n for n in first if any(other[n] != first[n] for other, _ in answers)]
    if others:
        held = " An estimator that holds another one needs a number as random_state."
        raise ValueError(
            f"The {len(answers)} processes of data_parallel call with other "
            f"{' and '.join(others)}: pass the same to all of them."
            + held
            * ("parameters" in others)
        )
    return found
