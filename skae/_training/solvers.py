"""Solvers by name, and their options."""

import inspect
from functools import partial
from typing import Any

import torch

# Losses and gradients may be small: a step must not depend on their size.
EPS = 1e-14
SOLVERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True, "eps": EPS}),
    "adamw": (torch.optim.AdamW, {"fused": True, "eps": EPS}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    # One iteration is one epoch; the line search replaces the learning rate.
    "lbfgs": (
        torch.optim.LBFGS,
        {"lr": 1.0, "max_iter": 1, "max_eval": 25, "line_search_fn": "strong_wolfe"},
    ),
}
# torch's L-BFGS has absolute thresholds meant for losses near 1. Ours may be much
# smaller; scaling by a power of two is exact.
LBFGS_SCALE = 2.0**20
# Decay would pull biases away from the mean, and variances and thresholds to 1.
UNDECAYED = ("bias", "log_variance", "log_threshold")


def is_decayed(name: str) -> bool:
    """Whether weight decay applies to the parameter of this name."""
    return not name.endswith(UNDECAYED)


def is_full_batch(solver: Any) -> bool:
    """Whether the solver needs the objective of all rows at once."""
    kind = solver.func if isinstance(solver, partial) else solver
    is_class = isinstance(kind, type) and issubclass(kind, torch.optim.LBFGS)
    return is_class or kind == "lbfgs"


def unfit_solver(solver: Any, reason: Any) -> ValueError:
    """Return an error about a solver that cannot train."""
    return ValueError(
        f"solver={solver!r} does not work as an optimizer here: {reason}. Use 'adam' "
        "or another name, or a class of torch.optim."
    )


def why_unfit(optimizer: Any) -> str:
    """Say why an optimizer cannot take steps along a gradient; empty if it can."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        return f"it made {optimizer!r}"
    parameters = inspect.signature(optimizer.step).parameters.values()
    if any(
        p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD for p in parameters
    ):
        return "its steps need a closure, as those of 'lbfgs' alone do here"
    return ""


def make_solver(
    solver: Any, learning_rate: float, weight_decay: float
) -> tuple[Any, dict[str, Any]]:
    """Return the class or factory of an optimizer, and its options."""
    if is_full_batch(solver):
        # Without the line search of "lbfgs" it would diverge.
        factory, options = SOLVERS["lbfgs"]
        given = getattr(solver, "keywords", {})
        return factory if isinstance(solver, str) else solver, options | given
    factory, options = SOLVERS.get(solver, (solver, {}))
    options = {"lr": learning_rate} | options | getattr(solver, "keywords", {})
    # The user's own class keeps its default.
    if weight_decay or solver in SOLVERS:
        options["weight_decay"] = weight_decay
    if weight_decay:
        groups = [(f"*{name}", {"weight_decay": 0.0}) for name in UNDECAYED]
        options["param_groups"] = groups
    return factory, options
