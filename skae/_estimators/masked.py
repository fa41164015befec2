"""The masked autoencoder: a transformer that answers for hidden patches."""

from collections.abc import Sequence
from dataclasses import field, replace
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, Options

from .._networks.conditional import ConditionalSkip
from .._networks.network import Network
from .._networks.tokens import n_tokens
from .._networks.transformer import MaskedTransformer
from .._objectives.corruption import Corruption
from .._objectives.losses import make_loss
from .._objectives.masked import MaskedObjective, hide_tokens
from .._objectives.objective import Objective
from .._rows.checks import (
    FRACTION,
    POSITIVE_INTEGER,
    check_layer_sizes,
    names,
)
from .._rows.chunks import sample, take
from .._rows.standardise import standardise
from .._training.schedule import Schedule
from .._training.solvers import is_full_batch
from .availability import available_unless
from .base import BaseAutoencoder
from .data import Data
from .layouts import ImageAutoencoder
from .parameters import autoencoder
from .starting import N_SAMPLE
from .state import Baseline

# Maximum number of tokens with patch_size="auto": of images, and of tables.
MOST_PATCHES, MOST_COLUMNS = 16, 64
# Least width of a head with n_heads="auto".
HEAD_WIDTH = 32
# Blocks of the encoder by default.
N_BLOCKS = 2


def _why_not_inverted(estimator: Any) -> str | None:
    return (
        "the code is a mean over patches, which does not determine a row. Use "
        "reconstruct, which fills in NaN."
    )


@autoencoder
class MaskedAE(ImageAutoencoder):
    """TODO"""

    n_components: int | None = field(default=64, kw_only=False)
    patch_size: int | str = "auto"
    mask_ratio: float = 0.75
    n_heads: int | str = "auto"
    learning_rate_init: float = 0.003

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ImageAutoencoder._parameter_constraints,
        "n_components": [Interval(Integral, 2, None, closed="left"), None],
        "patch_size": [names({"auto"}), POSITIVE_INTEGER],
        "mask_ratio": [FRACTION],
        "n_heads": [names({"auto"}), POSITIVE_INTEGER],
        "tied_weights": [Options(bool, {False})],
        "code_activation": [names({"identity"})],
    }

    _network_class = MaskedTransformer
    _skip_class = ConditionalSkip

    inverse_transform = available_unless(_why_not_inverted)(
        BaseAutoencoder.inverse_transform
    )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if is_full_batch(self.solver):
            raise ValueError(
                f"solver={self.solver!r} needs a deterministic objective, but other "
                "patches are hidden in each step: use solver='adamw'."
            )

    def _is_table(self) -> bool:
        """Whether rows are flat, and nothing says that neighbours are alike."""
        is_open = self.image_shape is None and self.spatial_dims == "auto"
        return is_open and len(self.image_shape_) == 2

    def _patch_size(self) -> int:
        if not isinstance(self.patch_size, str):
            return int(self.patch_size)
        is_table = self._is_table()
        size, most = (1, MOST_COLUMNS) if is_table else (2, MOST_PATCHES)
        while n_tokens(self.image_shape_, size) > most:
            size += 1
        return size

    def _n_heads(self, width: int) -> int:
        if self.n_heads == "auto":
            most = max(1, width // HEAD_WIDTH)
            return next(n for n in range(most, 0, -1) if width % n == 0)
        if width % int(self.n_heads):
            raise ValueError(
                f"n_heads={self.n_heads} must divide n_components={width}."
            )
        return int(self.n_heads)

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        size = self._patch_size()
        n = n_tokens(self.image_shape_, size)
        if n < 2:
            raise ValueError(
                f"patch_size={self.patch_size!r} makes a single patch of n_features="
                f"{self.n_features_in_}, which leaves nothing to predict it by: use a "
                "smaller patch_size, or UndercompleteAE."
            )
        hidden = [2 * width] * N_BLOCKS
        if not isinstance(self.hidden_layer_sizes, str):
            hidden = check_layer_sizes(self.hidden_layer_sizes)
        return {
            "shape": self.image_shape_,
            "patch_size": size,
            "shares_weights": not self._is_table(),
            "n_visible": int(np.clip(round(n * (1 - self.mask_ratio)), 1, n - 1)),
            "n_components": width,
            "hidden": hidden,
            "n_heads": self._n_heads(width),
            "activation": self.activation,
        }

    def _schedule(self, data: Data, width: int) -> Schedule:
        n_steps = int(np.clip(data.n_training // 2, 2000, 20_000))
        return Schedule(
            n_steps=n_steps,
            n_stale_steps=500,
            n_stale_epochs=50,
            largest_batch=256,
            decay=1.0,
        )

    def _corruption(self, network: Any) -> Corruption:
        inner = network.network if isinstance(network, ConditionalSkip) else network
        device = torch.device("cpu")
        return partial(
            hide_tokens, token_of=inner.token_of.to(device), n_visible=inner.n_visible
        )

    def _objective(self, network: Network, data: Data) -> Objective:
        loss = make_loss(self.loss, data.mean, data.scale)
        return MaskedObjective(loss, self._corruption(network))

    def _become_first_pca(self, network: Any, data: Data) -> Baseline:
        baseline = super()._become_first_pca(network, data)
        index = np.arange(data.n_rows)[data.validation]
        rows = take(data.X, sample(index, N_SAMPLE))
        x = standardise(rows, data.mean, data.scale)
        generator = torch.Generator("cpu").manual_seed(data.seed)
        error = network.choose_noise(x, self._corruption(network)(x, generator))
        return replace(baseline, residual_variance=error)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
