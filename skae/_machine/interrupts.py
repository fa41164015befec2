"""Ctrl-C is a signal: so it is told from a callback that ends training."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupts:
    """How often Ctrl-C came, and whether the next is held back."""

    count: int = 0
    #: While results are kept one is held back; who asks again means it.
    holds: bool = False


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Count Ctrl-C, which raises KeyboardInterrupt as always unless it is held back.

    skorch's callbacks raise KeyboardInterrupt to end training, without a signal.
    Signals are for the main thread; a program may ignore them.
    """
    noted = Interrupts()
    handle = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not (callable(handle) and is_main):
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        try:
            handle(number, frame)
        except KeyboardInterrupt:
            noted.count += 1
            if noted.holds and noted.count == 1:
                return
            raise

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        # One that came now would leave this handler in its place.
        noted.holds = True
        signal.signal(signal.SIGINT, handle)


@contextmanager
def raised_first(interrupts: Interrupts) -> Iterator[None]:
    """Raise an interrupt that was held back in place of an error that came then."""
    try:
        yield
    except Exception as error:
        if interrupts.count:
            raise KeyboardInterrupt from error
        raise
