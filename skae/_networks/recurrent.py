"""Recurrent networks: a code of a whole sequence, and a sequence from a code."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._machine.precision import unrounded_products
from .activations import make_activation
from .network import Network
from .weights import PLAIN, linear, unset

CELLS: dict[str, Callable[..., nn.Module]] = {"gru": nn.GRU, "lstm": nn.LSTM}
#: Gates of a unit, each with its own weights, and vectors in its state.
N_GATES, N_STATES = {"gru": 3, "lstm": 4}, {"gru": 1, "lstm": 2}
# Half waves that show a decoder its place in the sequence.
N_WAVES = 4


def find_unread(x: Tensor, shape: tuple[int, int], n_ahead: int = 0) -> Tensor:
    """Return which entries of flat rows the encoder does not read.

    ``shape`` is (length, channels). The last ``n_ahead`` steps are the future. Of the
    others, those after the last one with a value are padding.
    """
    known = ~x.reshape(-1, *shape)[:, : shape[0] - n_ahead].isnan().all(2)
    is_read = F.pad(known.flip(1).cumsum(1).flip(1) > 0, (0, n_ahead))
    return ~is_read.repeat_interleave(shape[1], dim=1)


def make_layers(cell: str, sizes: Sequence[int]) -> nn.ModuleList:
    """Build recurrent layers with uninitialised weights."""
    options = PLAIN | {"device": "meta", "batch_first": True}
    # torch.nn.utils.skip_init does not accept them.
    layers = (CELLS[cell](a, b, **options) for a, b in pairwise(sizes))
    return nn.ModuleList(layer.to_empty(device="cpu") for layer in layers)


def run_layer(layer: Any, x: Tensor, first: Any = None) -> Tensor:
    """Return the outputs of all steps, from a first state or from zeros."""
    if not x.is_cuda:
        # Few CPUs have an LSTM in bfloat16.
        with unrounded_products(x.device):
            return layer(x.float(), first)[0]
    # Averages replace the weights, which cuDNN needs in one piece. It differentiates in
    # training mode only.
    layer.flatten_parameters()
    in_training = layer.training or not torch.is_grad_enabled()
    cudnn: Any = torch.backends.cudnn
    with cudnn.flags(enabled=in_training, allow_tf32=cudnn.allow_tf32):
        return layer(x, first)[0]


class RecurrentEncoder(nn.Module):
    """Recurrent layers over frames, then a dense layer that answers with a code.

    It sees the last layer's output at the last frame, and the mean over all frames. A
    frame is ``frame_length`` adjacent steps, side by side.
    """

    def __init__(
        self,
        n_channels: int,
        hidden: Sequence[int],
        n_components: int,
        cell: str,
        frame_length: int,
        activation: str | Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.frame_length = frame_length
        self.layers = make_layers(cell, [frame_length * n_channels, *hidden])
        self.dense = linear(2 * hidden[-1], hidden[-1])
        self.activation = make_activation(activation)
        self.code = linear(hidden[-1], n_components)

    def forward(self, steps: Tensor) -> Tensor:
        """Map (n, length, channels), with NaN after the last step, to codes."""
        n_steps = (~steps[:, :, 0].isnan()).sum(1, keepdim=True)
        last = (n_steps - 1).clamp(min=0) // self.frame_length
        missing = -steps.shape[1] % self.frame_length
        known = F.pad(steps.nan_to_num(), (0, 0, 0, missing))
        outputs = known.reshape(known.shape[0], -1, self.frame_length * known.shape[2])
        for layer in self.layers:
            outputs = run_layer(layer, outputs)
        place = torch.arange(outputs.shape[1], device=steps.device)
        # Of integers, the quotient would have torch's default dtype.
        is_last, is_read = (place == last).to(outputs), (place <= last).to(outputs)
        ends = torch.stack([is_last, is_read / (last + 1)], 1) @ outputs
        return self.code(self.activation(self.dense(ends.flatten(1))))


class RecurrentDecoder(nn.Module):
    """Recurrent layers that answer with ``n_steps`` steps, frame by frame.

    The code gives the first states. In each frame the layers see it again, and their
    place in the sequence. A ``reverse`` decoder starts with the last frame.
    """

    place: Tensor

    def __init__(
        self,
        n_steps: int,
        n_channels: int,
        hidden: Sequence[int],
        n_components: int,
        cell: str,
        frame_length: int,
        activation: str | Callable[[], nn.Module],
        reverse: bool = False,
    ) -> None:
        super().__init__()
        self.n_values, self.reverse = n_steps * n_channels, reverse
        self.hidden, self.n_states = list(hidden), N_STATES[cell]
        self.first = linear(n_components, self.n_states * sum(hidden))
        self.layers = make_layers(cell, [n_components + N_WAVES, *hidden])
        self.dense = linear(hidden[-1], hidden[-1])
        self.activation = make_activation(activation)
        self.last = linear(hidden[-1], frame_length * n_channels)
        self.bias = unset(self.n_values)
        place = _waves(-(-n_steps // frame_length))
        self.register_buffer("place", place, persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        """Map codes to flat rows."""
        place = self.place.expand(code.shape[0], -1, -1)
        again = code.unsqueeze(1).expand(-1, place.shape[1], -1)
        outputs = torch.cat([again, place], 2)
        for layer, first in zip(self.layers, self._first_states(code), strict=True):
            outputs = run_layer(layer, outputs, first)
        frames = self.last(self.activation(self.dense(outputs)))
        frames = frames.flip(1) if self.reverse else frames
        return frames.flatten(1)[:, : self.n_values] + self.bias

    def _first_states(self, code: Tensor) -> list[Any]:
        """Return the first state of each layer, in the form that torch expects."""
        states = torch.tanh(self.first(code).float()).unsqueeze(0)
        parts = [
            s.contiguous() for s in torch.split(states, self.hidden * self.n_states, 2)
        ]
        if self.n_states == 1:
            return list(parts)
        n_layers = len(self.hidden)
        return list(zip(parts[:n_layers], parts[n_layers:], strict=True))


def _waves(n_frames: int) -> Tensor:
    """Return waves (n_frames, N_WAVES) of half a period, one, one and a half, ..."""
    place = torch.arange(n_frames, **PLAIN) / n_frames
    return torch.cos(math.pi * torch.outer(place, 1 + torch.arange(N_WAVES, **PLAIN)))


class Recurrent(Network):
    """Recurrent encoder of flat rows that are sequences, and decoders.

    ``shape`` is (length, channels) of a sequence, ``hidden`` are the widths of the
    recurrent layers, one at least. The encoder reads all steps but the last
    ``n_ahead``, which a second decoder answers with, and it does not read padding.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        n_components: int,
        hidden: Sequence[int],
        cell: str = "gru",
        frame_length: int = 1,
        n_ahead: int = 0,
        reverse: bool = True,
        activation: str | Callable[[], nn.Module] = "gelu",
        code_activation: str | Callable[[], nn.Module] = "identity",
    ) -> None:
        super().__init__()
        self.shape, self.widths, self.n_ahead = shape, [n_components], n_ahead
        (length, n_channels), self.n_read = shape, shape[0] - n_ahead
        sizes = n_components, cell, frame_length, activation
        self.encoder = RecurrentEncoder(n_channels, hidden, *sizes)
        self.code_activation = make_activation(code_activation)
        mirrored = n_channels, hidden[::-1], *sizes
        decoders = [RecurrentDecoder(self.n_read, *mirrored, reverse)]
        decoders += [RecurrentDecoder(n_ahead, *mirrored)] if n_ahead else []
        self.decoders = nn.ModuleList(decoders)
        n_frames = -(-length // frame_length)
        self.n_values = max(length * n_channels, 8 * n_frames * max(hidden))
        # For any default of torch; activations may have weights too.
        self.to("cpu", torch.float32)

    @property
    def n_products(self) -> int:
        # Steps follow one another, so threads can only share the work of one.
        return sum(w.numel() for w in self.parameters()) // len(self.decoders)

    @classmethod
    def count(cls, **options: Any) -> int:
        n_inputs = options["frame_length"] * options["shape"][1]
        sizes = [n_inputs, *options["hidden"]]
        n_weights = sum(b * (a + b) for a, b in pairwise(sizes))
        n_halves = 3 if options["n_ahead"] else 2
        return n_halves * N_GATES[options["cell"]] * n_weights

    def seen(self, x: Tensor) -> Tensor:
        unread = find_unread(x, self.shape, self.n_ahead)
        return x.nan_to_num().masked_fill(unread, torch.nan)

    def encode(self, x: Tensor) -> Tensor:
        steps = x.reshape(-1, *self.shape)[:, : self.n_read]
        return self.code_activation(self.encoder(steps))

    def decode(self, code: Tensor) -> Tensor:
        return torch.cat([decoder(code) for decoder in self.decoders], 1)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator, output: Tensor) -> None:
        """Draw Glorot-uniform and orthogonal weights; biases are zero, except the last.

        Recurrent weights are orthogonal, so that gradients keep their size over many
        steps (Saxe, McClelland and Ganguli, 2014).
        """
        for name, weights in self.named_parameters():
            _draw(name, weights, generator)
        sizes = [decoder.n_values for decoder in self._each_decoder()]
        for decoder, part in zip(
            self._each_decoder(), torch.split(output, sizes), strict=True
        ):
            decoder.bias.copy_(part)

    @torch.no_grad()
    def zero_last_layers(self) -> None:
        code, decoders = self.encoder.code, self._each_decoder()
        last = [w for d in decoders for w in (d.last.weight, d.last.bias, d.bias)]
        for weights in (code.weight, code.bias, *last):
            weights.zero_()

    def _each_decoder(self) -> list[Any]:
        return list(self.decoders)


def _draw(name: str, weights: Tensor, generator: torch.Generator) -> None:
    """Draw the weights of a layer, by their name."""
    if "weight_hh" in name:
        # One square matrix for each gate.
        for gate in torch.split(weights, weights.shape[1]):
            nn.init.orthogonal_(gate, generator=generator)
    elif "weight" in name.rpartition(".")[2] and weights.ndim > 1:
        nn.init.xavier_uniform_(weights, generator=generator)
    elif "bias" in name.rpartition(".")[2]:
        weights.zero_()
