"""Epochs as tasks of scikit-learn's callbacks."""

from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback


class EpochTasks(Callback):
    """Notifies scikit-learn's callbacks when an epoch begins and ends.

    ``context`` is that of the fit; ``told`` is passed to callbacks: the estimator and
    the rows. ``fitted`` returns the attributes of a fitted copy of the estimator with
    the current weights.
    """

    def __init__(
        self, context: Any, told: dict[str, Any], fitted: Callable[[], dict[str, Any]]
    ) -> None:
        self.context, self.told, self.fitted = context, told, fitted
        self.epoch: Any = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.context.max_subtasks = net.max_epochs
        self.context.call_on_fit_task_begin(**self.told)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.told)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self._end():
            # skorch ends training by this exception.
            raise KeyboardInterrupt

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.epoch is not None:
            # An interrupted epoch has no score.
            self.epoch.call_on_fit_task_end(estimator=self.told["estimator"])

    def _end(self) -> bool:
        ended, self.epoch = self.epoch, None
        return bool(
            ended.call_on_fit_task_end(
                **self.told, reconstruction_attributes=self.fitted
            )
        )
