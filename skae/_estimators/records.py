"""Records of epochs in files of format 1, where they are one array."""

from typing import Any


def as_lists(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state whose records are lists."""
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
