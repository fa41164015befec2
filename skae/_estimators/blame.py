"""Why a loss grew without bound or is NaN: settings, rows, or the user's callables."""

import math
from typing import Any

from .._rows.statistics import root_mean_square
from .._training.engine import Engine
from .data import Data

# In units of scale_: rows of the first fit are at distance 1 on average.
FAR_OFF = 10.0


def why_far(data: Data) -> str:
    """Say how far rows are from those of the first fit; empty if they are near."""
    distance = root_mean_square(data.X, data.mean) / data.scale
    if distance <= FAR_OFF:
        return ""
    anew = (
        "fit in place of partial_fit" if data.is_part else "fit with warm_start=False"
    )
    return (
        f"The rows of X lie {distance:.3g} times scale_={data.scale:.3g} from mean_, "
        "both from the first fit: convert X to the unit of the first fit, or use "
        f"{anew} to start again"
    )


def why_nan(estimator: Any, engine: Engine) -> str:
    """Say what may have made the loss NaN before the first step."""
    of_mean, _ = engine.losses_before
    names = ["loss"]
    if not math.isnan(of_mean):
        # The loss of the mean does not depend on the network.
        names += ["activation", "code_activation", "noise"]
    own = [n for n in names if callable(getattr(estimator, n, None))]
    if estimator.callbacks and not math.isnan(of_mean):
        own.append("callbacks")
    if own == ["loss"]:
        return (
            f"loss={estimator.loss!r} is NaN before the first step: use another, such "
            "as 'squared_error'."
        )
    told = "The loss is NaN before the first step"
    if not own:
        return f"{told}: network_ has weights that are not finite. Fit a clone."
    shown = " or ".join(f"{name}={getattr(estimator, name)!r}" for name in own)
    return f"{told}: {shown} must keep weights and codes finite."


def why_diverged(estimator: Any, engine: Engine, data: Data) -> str:
    """Say what made the loss grow without bound."""
    if reason := why_far(data):
        return f"The loss grew without bound. {reason}"
    return (
        f"The loss grew without bound in {len(engine.history)} epochs with "
        f"{_what_may_grow(estimator, engine)}, on data divided by "
        f"scale_={data.scale:.3g}. Lower learning_rate_init, or another large value"
    )


def _what_may_grow(estimator: Any, engine: Engine) -> str:
    """Name the settings that can make a loss grow, with their values."""
    settings, objective = engine.settings, engine.criterion_
    values = {
        "learning_rate_init": settings.learning_rate_init,
        "weight_decay": settings.weight_decay,
        "alpha": estimator.alpha if objective.penalty is not None else 0,
        "beta": getattr(objective, "beta", 0),
    }
    named = [f"{name}={value}" for name, value in values.items() if value]
    for name in ("loss", "activation", "code_activation", "encoder", "decoder"):
        if callable(own := getattr(estimator, name, None)):
            named.append(f"{name}={own!r}, which may give infinity, NaN or such slopes")
    if estimator.callbacks:
        named.append(f"callbacks={estimator.callbacks!r}, which may change weights")
    return ", ".join(named)
