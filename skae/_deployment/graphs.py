"""Steps as graphs of ONNX, and graphs in a chain as one."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import is_classifier
from torch import Tensor, nn

from .._machine.extras import imported
from .checks import OWNER, errors_of_graphs, run

# The newest set of operations that torch writes without a conversion.
OPSETS = {"": 18, "ai.onnx.ml": 3}
# The version of the format that all graphs of the chain have.
IR_VERSION = 10
# Rows of the example that torch records: 0 and 1 are special numbers.
N_ROWS = 2


class Answering(nn.Module):
    """A method of a fitted module, and an affine map of its answers."""

    weights: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        module: nn.Module,
        method: str,
        affine: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self.module, self.method = module, method
        weights, bias = (None, None) if affine is None else map(torch.tensor, affine)
        self.register_buffer("weights", weights)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        answers = getattr(self.module, self.method)(x)
        if self.weights is None or self.bias is None:
            return answers
        rows = answers.to(torch.float64)
        is_each = self.weights.ndim == 1
        rows = rows * self.weights if is_each else rows @ self.weights
        return (rows + self.bias).to(answers.dtype)


def graph_of_module(module: nn.Module, X: np.ndarray) -> Any:
    """Return the graph of a module of torch, for rows like ``X``."""
    imported("onnxscript", OWNER)
    example = torch.from_numpy(np.resize(X, (N_ROWS, *X.shape[1:])))
    with _quiet():
        # Recorded here: torch.onnx would keep recurrent layers as loops, and fail.
        any_length = ({0: torch.export.Dim.DYNAMIC},)
        recorded = torch.export.export(module, (example,), dynamic_shapes=any_length)
        program: Any = torch.onnx.export(
            recorded,
            dynamo=True,
            input_names=["X"],
            output_names=["answer"],
            opset_version=OPSETS[""],
            external_data=False,
            verbose=False,
        )
    return program.model_proto


def graph_of_step(step: Any, X: np.ndarray) -> Any:
    """Return the graph of a step of scikit-learn, for rows like ``X``."""
    try:
        graph = _converted(step, X)
        run(graph, X[:1])
    except errors_of_graphs():
        if X.dtype == np.float32:
            raise
        # Some steps have graphs for float32 only.
        graph = _narrowed(_converted(step, X.astype(np.float32)))
    return graph


def _converted(step: Any, X: np.ndarray) -> Any:
    skl2onnx = imported("skl2onnx", OWNER)
    types = imported("skl2onnx.common.data_types", OWNER)
    kind = types.FloatTensorType if X.dtype == np.float32 else types.DoubleTensorType
    try:
        return skl2onnx.convert_sklearn(
            step,
            initial_types=[("X", kind([None, X.shape[1]]))],
            target_opset=OPSETS,
            options={id(step): {"zipmap": False}} if is_classifier(step) else {},
        )
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        raise TypeError(
            f"skl2onnx has no graph of {step!r}, and raised {reason}. Leave this step "
            "out, or register a converter for it in skl2onnx."
        ) from error


def _narrowed(model: Any) -> Any:
    """Return a graph that takes float64, and converts it to float32."""
    helper = imported("onnx.helper", OWNER)
    kinds = imported("onnx", OWNER).TensorProto
    (given,) = model.graph.input
    inner = f"{given.name}_narrow"
    for node in model.graph.node:
        node.input[:] = [inner if n == given.name else n for n in node.input]
    cast = helper.make_node("Cast", [given.name], [inner], to=kinds.FLOAT)
    model.graph.node.insert(0, cast)
    given.type.tensor_type.elem_type = kinds.DOUBLE
    return model


def joined(
    graphs: Sequence[Any], output: str, shape: tuple[int, ...], kept: int = 0
) -> Any:
    """Return graphs in a chain as one, from ``X`` to ``output``.

    ``shape`` is that of the answer for one row, and ``kept`` the place of the output
    among those of the last graph.
    """
    compose = imported("onnx.compose", OWNER)
    parts = [compose.add_prefix(g, f"step{i}/") for i, g in enumerate(graphs)]
    whole, *others = parts
    for part in parts:
        part.ir_version = IR_VERSION
        _same_sets(part)
    for part in others:
        link = whole.graph.output[0].name, part.graph.input[0].name
        outputs = [value.name for value in part.graph.output]
        whole = compose.merge_models(whole, part, io_map=[link], outputs=outputs)
    return _named(whole, output, shape, kept)


def _same_sets(model: Any) -> None:
    """Declare one version of ONNX's operations, for which all nodes were written."""
    versions = {used.domain: used.version for used in model.opset_import}
    del model.opset_import[:]
    make_set = imported("onnx.helper", OWNER).make_opsetid
    model.opset_import.extend(make_set(*item) for item in (versions | OPSETS).items())


def _named(model: Any, output: str, shape: tuple[int, ...], kept: int) -> Any:
    """Return a graph with the names and the shape of the answer that users see."""
    make_node = imported("onnx.helper", OWNER).make_node
    graph = model.graph
    (given,), answer = graph.input, graph.output[kept]
    graph.node.insert(0, make_node("Identity", ["X"], [given.name], name="input"))
    _append_last(graph, answer, output, shape)
    given.name, answer.name = "X", output
    answers = [answer.__deepcopy__({})]
    del graph.output[:]
    graph.output.extend(answers)
    for value in (given, graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n_samples"
    return model


def _append_last(graph: Any, answer: Any, output: str, shape: tuple[int, ...]) -> None:
    """Append the node that names the answer, and makes a column flat if it must be."""
    helper, dims = imported("onnx.helper", OWNER), answer.type.tensor_type.shape.dim
    given, kind = [answer.name], "Identity"
    if len(dims) == 2 and not shape:
        # Regressors of skl2onnx answer with a column, those of scikit-learn do not.
        numbers = imported("onnx", OWNER).TensorProto.INT64
        graph.initializer.append(helper.make_tensor("flat", numbers, [1], [-1]))
        given, kind = [*given, "flat"], "Reshape"
    graph.node.append(helper.make_node(kind, given, [output], name="output"))
    del dims[1:]
    for size in shape:
        dims.add().dim_value = size


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch says of its own code and of packages that it may use."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            own = r"`isinstance\(treespec, LeafSpec\)` is deprecated"
            warnings.filterwarnings("ignore", own, FutureWarning)
            recurrent = "The tensor attributes .*_flat_weights"
            warnings.filterwarnings("ignore", recurrent, UserWarning)
            yield
    finally:
        log.setLevel(level)
