"""Encoders and decoders that a user's factory makes."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .._machine.devices import seeded
from .weights import unset

Factory = Callable[[int, int], nn.Module]


class Custom(nn.Module):
    """The user's module, scaled: ``weight * module(x) + bias``.

    With zero weights its output is zero, whatever its last layer is (De and Smith,
    "Batch normalization biases residual blocks towards the identity function in deep
    networks", NeurIPS 2020). ``name`` is the parameter's name.
    """

    def __init__(
        self, name: str, factory: Factory, n_inputs: int, n_outputs: int
    ) -> None:
        super().__init__()
        self.given, self.factory = f"{name}={factory!r}", factory
        self.n_inputs, self.n_outputs = n_inputs, n_outputs
        self.module = self._make(torch.Generator("cpu"))
        self.weight, self.bias = unset(n_outputs), unset(n_outputs)
        self.n_values = self._try_out()

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, or codes, by the module."""
        try:
            answer = self.module(x)
        except Exception as error:
            when = "in training" if self.training else "after it"
            reason = f"raised {_told(error)}, {when}, for {len(x)} rows"
            raise self._unfit(reason) from error
        return torch.addcmul(self.bias, self.weight, answer)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Make the module again, with random numbers from the generator."""
        self.module = self._make(generator)
        self.weight.fill_(1.0)
        self.bias.zero_()

    def _make(self, generator: torch.Generator) -> nn.Module:
        sizes = self.n_inputs, self.n_outputs
        try:
            with seeded(generator, torch.device("cpu")):
                module = self.factory(*sizes)
        except Exception as error:
            raise self._unfit(f"{sizes} raised {_told(error)}") from error
        if not isinstance(module, nn.Module):
            raise self._unfit(f"{sizes} returned {module!r}")
        if any(map(is_lazy, module.parameters())):
            raise self._unfit(f"{sizes} returned layers of unknown sizes: {module!r}")
        try:
            return module.to("cpu", torch.float32)
        except Exception as error:
            raise self._unfit(f"{sizes}.to('cpu') raised {_told(error)}") from error

    def _try_out(self) -> int:
        """Return how many numbers a row needs in memory, or raise."""
        x = torch.zeros(2, self.n_inputs, dtype=torch.float32, device="cpu")
        counts = [self.n_inputs, self.n_outputs]

        def count(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                counts.append(output.numel() // 2)

        try:
            hooks = [m.register_forward_hook(count) for m in self.module.modules()]
            # Training may answer otherwise, and change what a module counts.
            modules = self.module.eval(), copy.deepcopy(self.module).train()
            answers = [self._answer(module, x) for module in modules]
        except Exception as error:
            reason = f"for rows of shape {tuple(x.shape)} raised {_told(error)}"
            raise self._unfit(reason) from error
        for answer, slope in answers:
            self._check_answer(answer, slope)
        for hook in hooks:
            hook.remove()
        return 2 * max(counts)

    def _answer(self, module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what a module gives for rows, and the slope of its sum."""
        with seeded(torch.Generator("cpu"), torch.device("cpu")):
            answer = module(x.requires_grad_())
        if not isinstance(answer, Tensor):
            raise TypeError(f"it gave a {type(answer).__name__}, not a tensor")
        return answer, torch.autograd.grad(answer.sum(), x, allow_unused=True)[0]

    def _check_answer(self, answer: Tensor, slope: Tensor | None) -> None:
        """Raise unless two rows got codes, or codes rows, differentiably."""
        if answer.shape != (wanted := (2, self.n_outputs)):
            given = f"{tuple(answer.shape)} for rows of shape {(2, self.n_inputs)}"
            raise self._unfit(f"gave {given}, not {wanted}")
        if answer.dtype != torch.float32:
            raise self._unfit(f"gave {answer.dtype} for torch.float32")
        if slope is None:
            raise self._unfit("has no gradient")
        if not answer.isfinite().all():
            raise self._unfit("gave NaN or infinity for rows of zeros, the mean row")

    def _unfit(self, reason: str) -> TypeError:
        return TypeError(
            f"{self.given} {reason}. Pass a function (n_inputs, n_outputs) -> "
            "torch.nn.Module, whose module maps rows of shape (n, n_inputs) to (n, "
            "n_outputs)."
        )


def _told(error: Exception) -> str:
    # torch adds lines that list all signatures of a function.
    return f"{type(error).__name__}: {error}".partition("\n")[0]
