"""Methods that exist only with some parameters: the error says which."""

from collections.abc import Callable
from functools import update_wrapper, wraps
from types import MethodType
from typing import Any, cast


class Available:
    """A method that exists unless ``why_not`` gives a reason.

    Like scikit-learn's ``available_if``, whose error does not show the reason.
    """

    def __init__(
        self, method: Callable[..., Any], why_not: Callable[[Any], str | None]
    ) -> None:
        update_wrapper(cast(Any, self), method)
        self.method, self.why_not = method, why_not

    def __get__(self, estimator: Any, owner: Any = None) -> Any:
        if estimator is None:
            return self._of_class()
        if reason := self.why_not(estimator):
            raise AttributeError(
                f"This {type(estimator).__name__!r} has no attribute "
                f"{self.method.__name__!r}: {reason}"
            )
        return MethodType(self.method, estimator)

    def _of_class(self) -> Callable[..., Any]:
        """Return a function, for documentation and for calls on the class."""

        @wraps(self.method)
        def method(estimator: Any, *args: Any, **kwargs: Any) -> Any:
            return self.__get__(estimator)(*args, **kwargs)

        return method


def available_unless(why_not: Callable[[Any], str | None]) -> Any:
    """Decorate a method that does not exist if ``why_not`` returns a reason."""
    return lambda method: Available(method, why_not)
