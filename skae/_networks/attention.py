"""Blocks of a transformer (Vaswani et al., 2017), with normalization first."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from .activations import make_activation
from .weights import linear, without_weights

# Least width of tokens that are normalized.
LEAST_NORMALIZED = 4
Activation = str | Callable[[], nn.Module]


def norm(width: int) -> nn.Module:
    """Build a layer normalization with uninitialised weights."""
    # Of one number it would leave nothing, of two only a sign.
    if width < LEAST_NORMALIZED:
        return nn.Identity()
    module: nn.Module = without_weights(nn.LayerNorm, width)
    return module


class Block(nn.Module):
    """Tokens attend to others, and then a hidden layer changes each token.

    Without ``memory`` they attend to each other, else to the tokens of ``memory``,
    whose width is ``n_inputs``. ``is_there`` tells which of these exist, (n, n_tokens).
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        n_heads: int,
        activation: Activation,
        n_inputs: int,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.first_norm, self.second_norm = norm(width), norm(width)
        self.query, self.keys = linear(width, width), linear(n_inputs, 2 * width)
        self.mix = linear(width, width)
        self.widen, self.narrow = linear(width, hidden), linear(hidden, width)
        self.activation = make_activation(activation)

    def forward(
        self, tokens: Tensor, is_there: Tensor | None, memory: Tensor | None = None
    ) -> Tensor:
        asking = self.first_norm(tokens)
        attended = asking if memory is None else memory
        tokens = tokens + self._attend(asking, attended, is_there)
        hidden = self.activation(self.widen(self.second_norm(tokens)))
        return tokens + self.narrow(hidden)

    def _attend(
        self, asking: Tensor, attended: Tensor, is_there: Tensor | None
    ) -> Tensor:
        keys, values = self.keys(attended).chunk(2, dim=-1)
        parts = map(self._split, (self.query(asking), keys, values))
        mask = None if is_there is None else is_there[:, None, None]
        query, keys, values = parts
        query = query.expand(keys.shape[0], -1, -1, -1)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        return self.mix(mixed.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        """Split tokens (n, n_tokens, width) into heads, which are the second axis."""
        heads = tokens.view(*tokens.shape[:2], self.n_heads, -1)
        return heads.transpose(1, 2)
