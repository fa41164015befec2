"""Reading ahead: a thread reads the rows that come next while others are used."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial

from torch import Tensor

from .._machine.threads import available_threads, limited_threads

#: The pieces of a window: where the rows are, or the rows.
Pieces = Sequence[Tensor]
#: Returns the rows of a window.
Read = Callable[[Pieces], Pieces]


class Reader:
    """Reads windows of rows one after another, never two at once.

    Each thread reads one window and ends: none is left, whatever ends the training.
    """

    def __init__(self, in_thread: bool) -> None:
        self._in_thread = in_thread
        self._thread: threading.Thread | None = None

    def each(self, read: Read, windows: Sequence[Pieces]) -> Iterator[Pieces]:
        """Yield the rows of each window; meanwhile a thread reads those of the next."""
        # Forks and workers have one core each.
        if not self._in_thread or available_threads() is not None:
            return map(partial(self._now, read), windows)
        return self._each_ahead(read, windows)

    def wait(self) -> None:
        """Wait for the thread, if there is one."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _now(self, read: Read, window: Pieces) -> Pieces:
        self.wait()
        return read(window)

    def _each_ahead(self, read: Read, windows: Sequence[Pieces]) -> Iterator[Pieces]:
        begun = map(partial(self._begin, read), windows)
        try:
            rows = next(begun)
            for following in begun:
                yield rows()
                rows = following
            yield rows()
        finally:
            self.wait()

    def _begin(self, read: Read, window: Pieces) -> Callable[[], Pieces]:
        """Read a window in a thread; return what returns its rows, or raises."""
        self.wait()
        future: Future[Pieces] = Future()
        # Settings such as numpy's errstate belong to the context.
        arguments = future, copy_context().run, read, window
        thread = threading.Thread(target=_fulfil, args=arguments)
        thread.start()
        self._thread = thread

        def rows() -> Pieces:
            if self._thread is thread:
                self.wait()
            # A fork does not have the threads of its parent.
            return future.result() if future.done() else self._now(read, window)

        return rows


def _fulfil(
    future: "Future[Pieces]", run: Callable[..., Pieces], *args: object
) -> None:
    """Set the result of a future, or its error."""
    try:
        with limited_threads(1):
            future.set_result(run(*args))
    except BaseException as error:
        future.set_exception(error)
