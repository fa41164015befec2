"""Interrupts, such as Ctrl-C: they are told from a callback that ends training."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

#: Signals that may ask a program to end; which there are depends on the system.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGALRM", "SIGUSR1", "SIGUSR2")


class Enough(KeyboardInterrupt):
    """Ends training from inside, as skorch's callbacks do; it is no interrupt."""


@dataclass
class Interrupts:
    """How often an interrupt came, and how many are held back."""

    count: int = 0
    #: While results are kept one is held back; who asks again means it.
    n_held: float = 0

    def note_raised(self) -> None:
        """Know of an interrupt that has come without a signal that is counted."""
        self.count = max(1, self.count)


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Count Ctrl-C, which raises KeyboardInterrupt as always unless it is held back.

    So do other signals that are handled as Ctrl-C is by default. Signals are for the
    main thread; a program may ignore them.
    """
    noted, handlers = Interrupts(), _handlers()
    for number, handle in handlers.items():
        signal.signal(number, _noting(noted, handle))
    try:
        yield noted
    finally:
        # One that came now would leave these handlers in their place.
        noted.n_held = math.inf
        for number, handle in handlers.items():
            signal.signal(number, handle)


def _handlers() -> dict[int, Any]:
    """Return what handles the signals of an interrupt, in the main thread."""
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
