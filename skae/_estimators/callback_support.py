"""Support of scikit-learn's callbacks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._machine.callers import held_warnings
from .._training.engine import Engine
from .._training.tasks import EpochTasks
from .data import Data
from .selection import Selection
from .state import TrainingState

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has none.

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for the class of later versions."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method unchanged."""
        return method


__all__ = ["CallbackSupport", "with_callbacks"]


class CallbackSupport(CallbackSupportMixin):
    """Notifies scikit-learn's callbacks when a fit and its epochs begin and end."""

    def _begin_task(self) -> None:
        """Join the tasks of a search or pipeline, if there is one."""
        if hasattr(self, "_init_callback_context"):
            self._init_callback_context()

    def _follow(
        self, engine: Engine, state: TrainingState, data: Data, rows: tuple[Any, Any]
    ) -> None:
        """Let callbacks follow the epochs, if there are any."""
        # A search passes its context even if there are no callbacks.
        if hasattr(self, "_callback_fit_ctx") and hasattr(self, "_skl_callbacks"):
            told = {"estimator": self, "X": rows[0], "y": rows[1]}
            engine.tasks = EpochTasks(
                self._callback_fit_ctx, told, lambda: self._so_far(engine, state, data)
            )

    def _so_far(
        self, engine: Engine, state: TrainingState, data: Data
    ) -> dict[str, Any]:
        """Return the attributes that a fit would have with the current weights."""
        now: Any = copy.copy(self)
        if state.baseline is not None:
            state = replace(state, baseline=replace(state.baseline, is_kept=False))
        state = replace(state, prefixes=now._score_prefixes(engine, Selection()))
        network = copy.deepcopy(engine.module_).to("cpu").eval()
        unit = data.mean, data.scale, data.layout, data.seen
        now._set_model(network, state, *unit, engine.neighbor_map)
        now._tell(engine, Selection(), data)
        # Whatever is to be told is told of the weights that are kept.
        with held_warnings():
            now._finish(engine, data)
        return vars(now)

    def _end_task(self, X: Any, y: Any) -> None:
        """Tell callbacks that the estimator is fitted."""
        if hasattr(self, "_callback_fit_ctx"):
            self._callback_fit_ctx.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes={}
            )
