"""One graph of ONNX for a fitted estimator and the steps around it."""

from typing import Any

import numpy as np

from .._machine.extras import imported
from .checks import OWNER, check_same, n_unsure, run, unit_of
from .graphs import Answering, graph_of_module, graph_of_step, joined
from .steps import Chain

#: What a module of torch does for an output; others are codes for a predictor.
METHODS = {"reconstruct": "forward", "score_samples": "score_samples"}


def export(estimator: Any, X: Any, output: str) -> Any:
    """Return the graph of an output, checked on the rows of ``X``."""
    for package in ("onnx", "onnxruntime", "onnxscript", "skl2onnx"):
        imported(package, OWNER)
    chain = Chain.of(estimator)
    chain.check_output(output)
    rows = _as_rows(X)
    chain.check_features(rows)
    graphs = _graphs(chain, rows, output)
    wanted = chain.answer(estimator, X, output)
    kept = int(output == "predict_proba")
    model = joined(graphs, output, wanted.shape[1:], kept)
    imported("onnx.checker", OWNER).check_model(model)
    _check(model, chain, rows, wanted)
    return model


def _as_rows(X: Any) -> np.ndarray:
    """Return rows as a dense array of floats: float32 is kept, others are float64."""
    rows = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    if rows.dtype.kind not in "fiub" or rows.ndim < 2 or not len(rows):
        raise ValueError(
            f"X must be an array of numbers, with at least one row, but has the dtype "
            f"{rows.dtype} and the shape {rows.shape}: a graph takes one array. Pad "
            "sequences of different lengths with NaN, and encode categories first."
        )
    is_narrow = rows.dtype in (np.float32, np.uint8)
    return np.ascontiguousarray(rows, np.float32 if is_narrow else np.float64)


def _graphs(chain: Chain, rows: np.ndarray, output: str) -> list[Any]:
    """Return graphs in their order, each made for what the one before answers."""
    graphs, answers = [], []
    for step in chain.before:
        graphs.append(graph_of_step(step, rows))
        rows = run(graphs[-1], rows)
        answers.append(rows)
    module = Answering(
        chain.autoencoder.to_torch(),
        METHODS.get(output, "encode"),
        chain.undoing(answers) if output == "reconstruct" else None,
    ).eval()
    graphs.append(graph_of_module(module, rows))
    for step in chain.after:
        rows = run(graphs[-1], rows)
        graphs.append(graph_of_step(step, rows))
    return graphs


def _check(model: Any, chain: Chain, rows: np.ndarray, wanted: np.ndarray) -> None:
    """Raise unless the graph answers as the estimator does, also for a single row."""
    steps = chain.autoencoder._coding().n_steps
    unit, unsure = unit_of(wanted), n_unsure(len(rows), steps)
    check_same(run(model, rows), wanted, unit, unsure)
    # Where rounding decides, another batch may decide otherwise.
    alone = {size: min(n, 1) for size, n in unsure.items()}
    check_same(run(model, rows[:1]), wanted[:1], unit, alone)
