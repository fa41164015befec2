"""Whether a graph answers as the estimator does."""

from typing import Any

import numpy as np

from .._machine.extras import imported

OWNER = "skae.onnx.to_onnx"
# Maximum difference of an answer, in deviations of all answers, and for rows that are
# farther away as a share of their largest answer: rounding of float32.
TOLERANCE = 1e-5
# Shares of rows that may differ by more than these deviations where codes are improved.
# Steps amplify rounding where one direction of the code changes answers much more than
# another.
UNSURE = {TOLERANCE: 0.05, 1e-4: 0.005, 1e-3: 0.001}


def run(model: Any, X: np.ndarray) -> np.ndarray:
    """Return what onnxruntime answers for rows."""
    runtime = imported("onnxruntime", OWNER)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {session.get_inputs()[0].name: X})[0])


def errors_of_graphs() -> tuple[type[Exception], ...]:
    """Return what is raised for graphs that onnxruntime, or skl2onnx, does not know."""
    state = imported("onnxruntime.capi.onnxruntime_pybind11_state", OWNER)
    return TypeError, state.NotImplemented, state.InvalidGraph, state.Fail


def check_same(
    found: np.ndarray, wanted: np.ndarray, unit: float, unsure: dict[float, int]
) -> None:
    """Raise if more rows differ by more than a tolerance than ``unsure`` allows."""
    if found.shape != wanted.shape:
        raise RuntimeError(
            f"The graph answers with the shape {found.shape}, but the estimator with "
            f"{wanted.shape}: it is not returned."
        )
    gaps = gaps_of(found, wanted, unit)
    if any((gaps > tolerance).sum() > n for tolerance, n in unsure.items()):
        raise RuntimeError(
            f"The graph answers otherwise than the estimator for "
            f"{(gaps > TOLERANCE).sum()} of "
            f"{len(wanted)} rows of X, by up to {gaps.max():.3g} deviations, so it is "
            "not returned. If X is float32 and far from zero, pass it as float64; else "
            "use to_torch, which computes as the estimator does."
        )


def unit_of(answers: np.ndarray) -> float:
    """Return the deviation of answers, or their size if they do not vary."""
    if answers.dtype.kind not in "fiu":
        return 1.0
    known = answers[np.isfinite(answers)].astype(np.float64)
    size = float(np.abs(known).max(initial=0.0))
    return (float(known.std()) if known.size else 0.0) or size or 1.0


def gaps_of(found: np.ndarray, wanted: np.ndarray, unit: float) -> np.ndarray:
    """Return the largest difference in each row, in ``unit`` or in that of the row."""
    found, wanted = (part.reshape(len(part), -1) for part in (found, wanted))
    same = found.astype(wanted.dtype) == wanted
    if wanted.dtype.kind not in "fiu":
        return np.where(same, 0.0, np.inf).max(axis=1)
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    same |= np.isnan(found) & np.isnan(wanted)
    with np.errstate(invalid="ignore"):
        differences = np.where(
            same, 0.0, np.nan_to_num(abs(found - wanted), nan=np.inf)
        )
    finite = np.where(np.isfinite(wanted), np.abs(wanted), 0.0)
    return differences.max(axis=1) / np.maximum(unit, finite.max(axis=1))


def n_unsure(n_rows: int, n_steps: int) -> dict[float, int]:
    """Return how many rows may differ by how much, if steps improve their codes."""
    if not n_steps or n_rows == 1:
        return {TOLERANCE: 0}
    return {size: max(1, int(share * n_rows)) for size, share in UNSURE.items()}
