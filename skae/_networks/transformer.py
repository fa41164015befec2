"""Masked transformers: the encoder sees visible tokens, the decoder answers for all."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .attention import Activation, Block, norm
from .filling import Filling
from .recording import is_recorded
from .tokens import SPREAD, TokenMap, cut, n_tokens
from .weights import PLAIN, draw_weights

# Width of the decoder's tokens, and number of its heads.
NARROW, N_HEADS = 32, 1
# Size of the first answers about the given output.
SMALL = 0.1


class MaskedTransformer(Filling):
    """Transformer of the patches of a row, of which some are hidden by NaN.

    ``shape`` is (channels, ...sizes) of a row, ``hidden`` the width of the hidden layer
    of each block. Without ``shares_weights`` each token has maps of its own, as columns
    of a table need. In training, and in each pass of :meth:`reconstruct`, the same
    number of tokens is visible, by ``mask_ratio``. The code is the mean of the
    encoder's tokens. The decoder has a question for each token, which attends to the
    encoder's tokens, but not to other questions.
    """

    order: Tensor
    places: Tensor
    features: Tensor
    token_of: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        patch_size: int,
        shares_weights: bool,
        mask_ratio: float,
        n_components: int,
        hidden: Sequence[int],
        n_heads: int,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        self.widths, self.n_features = [n_components], math.prod(shape)
        self._set_places(cut(shape, patch_size))
        n, n_entries = self.places.shape
        self.n_visible = int(np.clip(round(n * (1 - mask_ratio)), 1, n - 1))
        block = n_heads, activation, n_components
        self.inputs = TokenMap(n, n_entries, n_components, shares_weights)
        self.blocks = nn.ModuleList(Block(n_components, h, *block) for h in hidden)
        self.norm, self.last_norm = norm(n_components), norm(NARROW)
        self.questions = nn.Parameter(torch.empty((1, n, NARROW), **PLAIN))
        self.decoder = Block(NARROW, 2 * NARROW, N_HEADS, activation, n_components)
        self.outputs = TokenMap(n, NARROW, n_entries, shares_weights)
        self.n_values = n * max(n_entries, 4 * n_components, *hidden)
        self.to("cpu", torch.float32)

    def _set_places(self, places: np.ndarray) -> None:
        """Register where features are in tokens, and an order of the tokens."""
        self.n_tokens = len(places)
        order = places.ravel().argsort(kind="stable")[: self.n_features]
        tensors = {
            "places": places,
            "features": order,
            "token_of": order // places.shape[1],
        }
        for name, values in tensors.items():
            tensor = torch.tensor(values, device="cpu")
            self.register_buffer(name, tensor, persistent=False)
        self.is_padded = bool((places == self.n_features).any())
        self.register_buffer("order", torch.arange(len(places), device="cpu"))

    @classmethod
    def count(cls, **options: Any) -> int:
        n = n_tokens(options["shape"], options["patch_size"])
        width = options["n_components"]
        n_maps = 1 if options["shares_weights"] else n
        n_entries = -(-math.prod(options["shape"]) // n)
        blocks = sum(4 * width**2 + 2 * width * h for h in options["hidden"])
        return blocks + (n_maps * n_entries + n) * (width + NARROW)

    @property
    def n_products(self) -> int:
        return len(self.order) * sum(
            w.numel() for w in self.parameters() if w.ndim == 2
        )

    @property
    def hidden_together(self) -> Tensor:
        n, n_hidden = self.n_tokens, self.n_tokens - self.n_visible
        ranks = torch.arange(n, device=self.order.device)
        starts = ranks[:: min(self.n_visible, n_hidden)]
        # In turn each block of tokens is the only one that is visible, or hidden.
        ranks = (ranks - starts[:, None]) % n
        few_hidden = n_hidden < self.n_visible
        hidden = ranks < n_hidden if few_hidden else ranks >= self.n_visible
        return hidden[:, self.order.argsort()[self.token_of]]

    @property
    def is_silent(self) -> Tensor:
        """Whether all answers are zero."""
        return ~(self.outputs.weight.any() | self.outputs.bias.any())

    def encode(self, x: Tensor) -> Tensor:
        tokens, is_there = self._read(x)
        if is_there is None:
            return tokens.mean(1)
        # Of integers, the quotient would have torch's default dtype.
        shares = is_there.to(tokens) / is_there.sum(1, keepdim=True)
        return (shares[..., None] * tokens).sum(1)

    def fill(self, x: Tensor) -> Tensor:
        tokens, is_there = self._read(x)
        answers = self.decoder(self.questions, is_there, tokens)
        patches = self.outputs(self.last_norm(answers))
        return patches.flatten(1).index_select(1, self.features)

    def _read(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the encoder's tokens, and which of them exist; None if all do."""
        if self.is_padded:
            x = torch.cat([x, x.new_full((x.shape[0], 1), torch.nan)], dim=1)
        patches = x[:, self.places]
        visible = ~patches.isnan().all(2)
        # A row without any value is read as the mean.
        visible = visible | ~visible.any(1, keepdim=True)
        tokens, is_there = _gathered(self.inputs(patches.nan_to_num()), visible)
        for block in self.blocks:
            tokens = block(tokens, is_there)
        return self.norm(tokens), is_there

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw weights, and an order of the tokens."""
        draw_weights(self, generator)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1.0)
            elif isinstance(module, TokenMap):
                module.reset_parameters(generator)
        self.questions.normal_(0.0, SPREAD, generator=generator)
        n = len(self.order)
        self.order.copy_(torch.randperm(n, generator=generator, device="cpu"))
        self.outputs.weight.mul_(SMALL)
        bias = torch.zeros_like(self.outputs.bias).view(-1)
        bias[self.features] = output
        self.outputs.bias.copy_(bias.view_as(self.outputs.bias))

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        self.outputs.weight.zero_()
        self.outputs.bias.zero_()


def _gathered(tokens: Tensor, visible: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the visible tokens, and which of them exist; None if all do.

    Rows with fewer visible tokens than others have some more, which do not exist.
    """
    if is_recorded():
        return tokens, visible
    counts = visible.sum(1)
    least, most = counts.aminmax()
    if least == visible.shape[1]:
        return tokens, None
    index = visible.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    index = index[:, : int(most)]
    is_there = None if least == most else visible.gather(1, index)
    index = index[..., None].expand(-1, -1, tokens.shape[2])
    return tokens.gather(1, index), is_there
