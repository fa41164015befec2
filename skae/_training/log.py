"""What ``verbose`` prints."""

import sys
from typing import Any

from skorch.callbacks import PrintLog
from skorch.utils import Ansi


class Log(PrintLog):
    """skorch's table of epochs, in colours on a terminal alone."""

    def format_row(self, row: Any, key: str, color: str) -> Any:
        text = super().format_row(row, key, color)
        is_terminal = getattr(sys.stdout, "isatty", bool)()
        if is_terminal or not isinstance(text, str):
            return text
        return text.removeprefix(color).removesuffix(Ansi.ENDC.value)
