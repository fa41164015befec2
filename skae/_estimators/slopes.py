"""The gradient of reconstruction errors, recorded as a graph of plain operations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from .._machine.devices import own_settings
from .._networks.network import Network
from .._networks.recording import recording
from .refinement import Answers, as_answered

aten: Any = torch.ops.aten
#: Operations with sizes, in a form that torch.jit.trace records for any batch.
SIZED: dict[Any, Callable[..., Any]] = {
    aten.sym_size.int: torch.Tensor.size,
    aten.expand.default: torch.Tensor.expand,
    aten.view.default: torch.Tensor.reshape,
    aten._unsafe_view.default: torch.Tensor.reshape,
    aten.reshape.default: torch.Tensor.reshape,
    aten.full.default: torch.full,
}


@dataclass(frozen=True, eq=False)
class RecordedAnswers(Answers):
    """Reconstructions whose gradient is a recorded graph."""

    recorded: Any = None

    def slope(
        self,
        code: Tensor,
        rows: Tensor,
        known: Tensor | float,
        held: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        if held is not None:
            rows = as_answered(rows, self.decode(code, known), held)
        answer, slope = self.recorded(code, rows, known)
        return answer, slope


def record_slopes(network: Network, n_features: int, owner: str) -> GraphModule:
    """Record ``Answers.slope`` for any number of rows, or raise."""
    answers, width = Answers.of(network), network.widths[-1]
    sizes = width, n_features, n_features * len(answers.shares)
    # Graphs take sizes of 0 and 1 for constants, and equal sizes for one.
    n_rows = next(n for n in range(3, 7) if n not in sizes)
    code = torch.zeros(n_rows, width, device="cpu")
    rows = torch.zeros(n_rows, n_features, device="cpu")
    wanted = answers.wanted(rows, code)
    record = make_fx(
        lambda code, rows, known: answers.slope(code, rows, known),
        decomposition_table=_decompositions(),
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,
    )
    try:
        with recording(), own_settings(torch.device("cpu"), grad=False):
            graph = record(code, wanted, torch.ones_like(rows))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(
            f"The steps by which {owner} improves codes cannot be recorded, since its "
            f"network raised {reason}. Use set_params(transform_max_iter=0) for the "
            "encoder's codes."
        ) from error
    _generalise(graph)
    return graph


def _generalise(graph: GraphModule) -> None:
    """Let a graph take any number of rows, on any device."""
    first = next(iter(graph.graph.nodes))
    with graph.graph.inserting_after(
        list(graph.graph.find_nodes(op="placeholder"))[-1]
    ):
        device = graph.graph.call_function(getattr, (first, "device"))
    for node in graph.graph.nodes:
        node.target = SIZED.get(node.target, node.target)
        # Values of the example cannot be pickled.
        node.meta = {}
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": device}
    graph.graph.eliminate_dead_code()
    graph.recompile()


@cache
def _decompositions() -> dict[Any, Any]:
    """Return how torch makes derivatives from operations that graphs have."""
    table: Any = torch.export.default_decompositions()
    return {**table, **OWN}


def _convolution_backward(
    slope: Tensor, x: Tensor, weight: Tensor, bias_sizes: Any, *geometry: Any
) -> tuple[Tensor, None, None]:
    """Differentiate by the input: the adjoint of a convolution is another one."""
    stride, padding, dilation, transposed, _, groups, _ = geometry
    missing = [0] * len(stride)
    if not transposed:
        axes = zip(stride, padding, dilation, weight.shape[2:], strict=True)
        for i, (s, p, d, k) in enumerate(axes):
            reached = (slope.shape[2 + i] - 1) * s - 2 * p + d * (k - 1) + 1
            missing[i] = int(x.shape[2 + i]) - int(reached)
    sizes = stride, padding, dilation, not transposed, missing, groups
    return aten.convolution.default(slope, weight, None, *sizes), None, None


def _native_group_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    n_rows: int,
    n_channels: int,
    size: int,
    n_groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise without the number of rows, which a trace would take for a constant."""
    groups = x.reshape(x.shape[0], n_groups, n_channels // n_groups * size)
    variance, mean = torch.var_mean(groups, dim=2, correction=0, keepdim=True)
    factor = torch.rsqrt(variance + eps)
    answer = ((groups - mean) * factor).reshape_as(x)
    shape = [n_channels, *[1] * (x.ndim - 2)]
    answer = answer if weight is None else answer * weight.reshape(shape)
    answer = answer if bias is None else answer + bias.reshape(shape)
    return answer, mean[:, :, 0], factor[:, :, 0]


#: Operations that torch does not decompose.
OWN: dict[Any, Callable[..., Any]] = {
    aten.convolution_backward.default: _convolution_backward,
    aten.native_group_norm.default: _native_group_norm,
}
