"""Interrupts such as Ctrl-C, distinguished from callbacks that end training."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

#: Signals that may end a program; which ones exist depends on the system.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGALRM", "SIGUSR1", "SIGUSR2")


class Enough(KeyboardInterrupt):
    """Ends training from inside, as skorch's callbacks do; it is not an interrupt."""


@dataclass
class Interrupts:
    """Number of interrupts, and how many of them are held back."""

    count: int = 0
    #: One is held back while results are stored; a second one is obeyed.
    n_held: float = 0

    def note_raised(self) -> None:
        """Count an interrupt that came without a counted signal."""
        self.count = max(1, self.count)


@contextmanager
def postponed(interrupts: Interrupts) -> Iterator[None]:
    """Let an interrupt wait until the end of a block; a second one does not wait."""
    n_before, n_held = interrupts.count, interrupts.n_held
    interrupts.n_held = max(n_held, n_before + 1)
    try:
        yield
    finally:
        interrupts.n_held = n_held
    if n_before < interrupts.count > n_held:
        raise KeyboardInterrupt


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Count Ctrl-C, which raises KeyboardInterrupt as usual unless it is held back.

    The same holds for other signals with the default handler of Ctrl-C. Only the main
    thread gets signals; a program may ignore them.
    """
    noted, handlers = Interrupts(), _handlers()
    for number, handle in handlers.items():
        signal.signal(number, _noting(noted, handle))
    try:
        yield noted
    finally:
        # An interrupt now would leave these handlers installed.
        noted.n_held = math.inf
        for number, handle in handlers.items():
            signal.signal(number, handle)


def _handlers() -> dict[int, Any]:
    """Return the handlers of interrupt signals, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    return {
        number: handle
        for number, handle in handlers.items()
        if handle is signal.default_int_handler
        or (number == signal.SIGINT and callable(handle))
    }


def _noting(noted: Interrupts, handle: Any) -> Any:
    def note(number: int, frame: FrameType | None) -> None:
        try:
            handle(number, frame)
        except KeyboardInterrupt:
            noted.count += 1
            if noted.count > noted.n_held:
                raise

    return note
