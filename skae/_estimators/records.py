"""Records of epochs as one array, for files: as lists they outweigh a small network."""

from typing import Any

import numpy as np


def packed(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state whose records are an array, if they are as a fit left them."""
    history = state.get("history_")
    if not history or not _is_regular(history):
        return state
    names = [name for name in history if name != "epoch"]
    values = np.array([history[name] for name in names], dtype=np.float64)
    state = state | {"history_": {"names": names, "values": values}}
    if state["loss_curve_"] == history["loss"]:
        del state["loss_curve_"]
    if scores := state["validation_scores_"]:
        last = history["explained_variance"][-len(scores) :]
        state["validation_scores_"] = len(scores) if scores == last else scores
    return state


def unpacked(state: dict[str, Any]) -> dict[str, Any]:
    """Undo ``packed``."""
    table = state.get("history_") or {}
    if "values" not in table:
        return state
    columns = table["values"].tolist()
    epochs = list(range(1, len(columns[0]) + 1))
    history = {"epoch": epochs, **dict(zip(table["names"], columns, strict=True))}
    state = {"loss_curve_": list(history["loss"]), **state, "history_": history}
    if isinstance(n_scores := state["validation_scores_"], int):
        state["validation_scores_"] = history["explained_variance"][-n_scores:]
    return state


def _is_regular(history: dict[str, list[float]]) -> bool:
    """Whether epochs are counted from 1, and each column has a number for each."""
    epochs = list(range(1, len(history["loss"]) + 1))
    lengths = {len(column) for column in history.values()}
    return history["epoch"] == epochs and lengths == {len(epochs)}
