"""Reading ahead: the rows that come next are read while others are used."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context

from torch import Tensor

from .._machine.threads import available_threads, limited_threads

#: Where the rows of a window are, in pieces.
Window = Sequence[Tensor]
#: The rows of a window, piece by piece.
Pieces = Iterator[Tensor]


class Reader:
    """Reads windows of rows one after another, never two at once.

    Each thread reads one window and ends: none is left, whatever ends the training.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def each(
        self,
        read: Callable[[Window], Pieces],
        announce: Callable[[Window], None],
        windows: Sequence[Window],
        in_thread: bool,
    ) -> Iterator[Pieces]:
        """Yield the rows of each window; meanwhile the next one is read.

        It is read by a thread, or by the system only, which was told of it.
        """
        # Forks and workers have one core each.
        in_thread = in_thread and available_threads() is None

        def begin(window: Window) -> Callable[[], Pieces]:
            announce(window)
            if in_thread:
                return self._begin(read, window)
            return lambda: self._now(read, window)

        begun = map(begin, windows)
        try:
            rows = next(begun)
            for following in begun:
                yield rows()
                rows = following
            yield rows()
        finally:
            self.wait()

    def wait(self) -> None:
        """Wait for the thread, if there is one."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _now(self, read: Callable[[Window], Pieces], window: Window) -> Pieces:
        self.wait()
        return read(window)

    def _begin(
        self, read: Callable[[Window], Pieces], window: Window
    ) -> Callable[[], Pieces]:
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
