"""Epochs as tasks that callbacks of scikit-learn's follow."""

from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback


class EpochTasks(Callback):
    """Tells scikit-learn's callbacks when an epoch begins and ends.

    ``context`` is that of the fit, ``told`` what callbacks are told beside it: the
    estimator, and the rows. ``fitted`` returns what makes a copy of the estimator a
    fitted one, with the weights of the moment.
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
            # skorch's way to end training early.
            raise KeyboardInterrupt

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.epoch is not None:
            # Of an epoch that was broken off nobody can tell a score.
            self.epoch.call_on_fit_task_end(estimator=self.told["estimator"])

    def _end(self) -> bool:
        ended, self.epoch = self.epoch, None
        return bool(
            ended.call_on_fit_task_end(
                **self.told, reconstruction_attributes=self.fitted
            )
        )
