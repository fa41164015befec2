"""Whether a graph answers as the estimator does."""

from typing import Any

import numpy as np

from .._machine.extras import imported

# Maximum difference of an answer, in deviations of all answers: rounding of float32.
TOLERANCE = 1e-5
# Share of rows that may differ where codes are improved: where a step is neither better
# nor worse, rounding decides.
N_UNDECIDED, UNDECIDED = 1, 0.005


def run(model: Any, X: np.ndarray) -> np.ndarray:
    """Return what onnxruntime answers for rows."""
    runtime = imported("onnxruntime", "skae.onnx.to_onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {session.get_inputs()[0].name: X})[0])


def check_same(found: np.ndarray, wanted: np.ndarray, n_undecided: int) -> None:
    """Raise unless all rows but ``n_undecided`` have the same answers."""
    if found.shape != wanted.shape:
        raise RuntimeError(
            f"The graph answers with the shape {found.shape}, but the estimator with "
            f"{wanted.shape}: it is not returned."
        )
    if wanted.dtype.kind not in "fiub":
        differs = found.astype(wanted.dtype) != wanted
        largest = "another label"
    else:
        gaps, differs = _gaps(found, wanted)
        largest = f"{np.max(gaps, initial=0.0):.3g} deviations"
    n_rows = int(differs.reshape(len(wanted), -1).any(axis=1).sum())
    if n_rows > n_undecided:
        raise RuntimeError(
            f"The graph answers otherwise than the estimator for {n_rows} of "
            f"{len(wanted)} rows of X, by up to {largest}, so it is not returned. If "
            "values are far from zero, pass X as float64."
        )


def _gaps(found: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return differences in deviations of the answers, and where they are too large."""
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    known = wanted[np.isfinite(wanted)]
    unit = max(float(known.std()) if known.size else 0.0, 1e-30)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(found - wanted) / unit
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    gaps = np.where(same, 0.0, np.nan_to_num(gaps, nan=np.inf))
    # Numbers far from zero have few digits after the point.
    rounding = TOLERANCE * np.maximum(1.0, np.abs(np.nan_to_num(wanted)) / unit)
    return gaps, gaps > rounding


def n_undecided(n_rows: int, n_steps: int) -> int:
    """Return how many rows may differ, if steps improve their codes."""
    if not n_steps:
        return 0
    return max(N_UNDECIDED, int(UNDECIDED * n_rows)) if n_rows > 1 else 0
