"""Ctrl-C is a signal: so it is told from a callback that ends training."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """Yield a list that grows when Ctrl-C raises KeyboardInterrupt, as it always does.

    skorch's callbacks raise KeyboardInterrupt to end training, without a signal.
    Signals are for the main thread; a program may ignore them.
    """
    noted: list[int] = []
    handle = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not (callable(handle) and is_main):
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        try:
            handle(number, frame)
        except KeyboardInterrupt:
            noted.append(number)
            raise

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, handle)
