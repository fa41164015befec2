"""Reading ahead: a thread reads the rows that come next while others are used."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context

from torch import Tensor

from .._machine.threads import available_threads, limited_threads


class Reader:
    """Reads windows of rows one after another, never two at once.

    Each thread reads one window and ends: none is left, whatever ends the training.
    """

    def __init__(self, read: Callable[[Tensor], Tensor], in_thread: bool) -> None:
        self._read, self._in_thread = read, in_thread
        self._thread: threading.Thread | None = None

    def each(self, windows: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the rows of each window; meanwhile a thread reads those of the next."""
        # Forks and workers have one core each.
        if not self._in_thread or available_threads() is not None:
            return map(self.now, windows)
        return self._each_ahead(windows)

    def now(self, window: Tensor) -> Tensor:
        """Return the rows of a window."""
        self.wait()
        return self._read(window)

    def wait(self) -> None:
        """Wait for the thread, if there is one."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _each_ahead(self, windows: Sequence[Tensor]) -> Iterator[Tensor]:
        begun = map(self._begin, windows)
        try:
            rows = next(begun)
            for following in begun:
                yield rows()
                rows = following
            yield rows()
        finally:
            self.wait()

    def _begin(self, window: Tensor) -> Callable[[], Tensor]:
        """Read a window in a thread; return what returns its rows, or raises."""
        self.wait()
        future: Future[Tensor] = Future()
        # Settings such as numpy's errstate belong to the context.
        arguments = future, copy_context().run, self._read, window
        thread = threading.Thread(target=_fulfil, args=arguments)
        thread.start()
        self._thread = thread

        def rows() -> Tensor:
            if self._thread is thread:
                self.wait()
            # A fork does not have the threads of its parent.
            return future.result() if future.done() else self.now(window)

        return rows


def _fulfil(
    future: "Future[Tensor]", run: Callable[..., Tensor], *args: object
) -> None:
    """Set the result of a future, or its error."""
    try:
        with limited_threads(1):
            future.set_result(run(*args))
    except BaseException as error:
        future.set_exception(error)
