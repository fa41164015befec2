"""Fine-tuning: an encoder and a linear head learn from labels, and from rows without.

The head's input is ``encode(x)``. It minimises::

    loss(head(x), y) + reconstruction_weight * objective(x')
        + consistency_weight * disagreement(head(disturb(x')), belief(x'))

over labelled rows ``x`` and all rows ``x'``. ``belief`` is the output for undisturbed
rows of the model with averaged weights (Tarvainen and Valpola, 2017).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from .._machine.precision import faster_products, rounded_products
from .._training.averaging import Average
from .._training.steps import CosineRates
from .targets import Kind, Linear, adversarial

#: Steps between two evaluations on held-out labels.
N_BETWEEN = 50
#: Number of labelled rows beside others in a step.
MOST_LABELLED = 64


@dataclass(frozen=True)
class Recipe:
    """Parameters of fine-tuning."""

    kind: Kind
    learning_rate_init: float
    batch_size: int
    max_iter: int
    n_iter_no_change: int
    reconstruction_weight: float
    consistency: str | None
    consistency_weight: float
    epsilon: float
    verbose: bool

    @property
    def uses_all(self) -> bool:
        """Whether rows without labels count."""
        return self.reconstruction_weight > 0 or self.consistency is not None


class Headed(nn.Module):
    """A network whose codes have a linear head."""

    def __init__(self, network: Any, linear: Linear) -> None:
        super().__init__()
        options: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
        coef, intercept = (torch.tensor(part, **options) for part in linear)
        self.network, self.head = network, nn.Linear(*coef.T.shape, **options)
        self.head.load_state_dict({"weight": coef, "bias": intercept})

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.network.encode(self.network.seen(x))))

    @property
    def linear(self) -> Linear:
        """Return the weights of the head."""
        weights = self.head.weight, self.head.bias
        coef, intercept = (w.detach().cpu().double().numpy() for w in weights)
        return coef, intercept


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows with labels."""

    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> "Labelled":
        return Labelled(self.rows[index], self.labels[index])


class FineTuning:
    """Trains a model with a head, from labelled rows and from all rows."""

    #: Whether the loss stayed finite, and whether the model is better than before.
    is_finite = has_gained = True

    def __init__(
        self,
        model: Headed,
        objective: Any,
        recipe: Recipe,
        rows: Any,
        generator: torch.Generator,
    ) -> None:
        self.model, self.objective, self.recipe = model, objective, recipe
        self.rows, self.generator = rows, generator
        rate = recipe.learning_rate_init
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        self.rates = CosineRates(self.optimizer, recipe.max_iter)
        self.average, self.n_iter = Average([model]), 0

    def run(self, known: Labelled, held_out: Labelled | None) -> None:
        """Train the model in place.

        The weights are the average of the last steps, or the best on held-out rows.
        """
        judge = Judge(self, held_out)
        judge.consider()
        for batch in self._batches(known):
            loss = self._step(*batch)
            self.n_iter += 1
            if not math.isfinite(loss):
                self.is_finite = False
                break
            if self.n_iter % N_BETWEEN == 0 or self.n_iter == self.recipe.max_iter:
                judge.consider()
                self._say(loss, judge)
                if judge.stands_still:
                    break
        self.average.show()
        self.has_gained = self.is_finite if held_out is None else judge.restore()
        self.model.eval()

    def _batches(self, known: Labelled) -> Iterator[tuple[Labelled, Tensor | None]]:
        """Yield labelled rows and others for each step."""
        uses_all, size = self.recipe.uses_all, self.recipe.batch_size
        labelled = self._cycle(len(known), MOST_LABELLED if uses_all else size)
        others = self._cycle(len(self.rows), size)
        device = known.rows.device
        for _ in range(self.recipe.max_iter):
            index = next(others) if uses_all else None
            some = None if index is None else self.rows.index_select(0, index)
            yield known[next(labelled)], None if some is None else some.to(device)

    def _cycle(self, n_rows: int, size: int) -> Iterator[Tensor]:
        """Yield the places of rows in random order, again and again."""
        while True:
            order = torch.randperm(n_rows, generator=self.generator, device="cpu")
            # An incomplete batch would make as large a step as the others.
            n_even = max(n_rows - n_rows % size, size)
            yield from torch.split(order[:n_even], size)

    def _step(self, known: Labelled, others: Tensor | None) -> float:
        """Take one step, and return the loss before it."""
        disturbed, belief = self._question(others)
        self.model.train()
        precision = self.objective.precision
        with faster_products(precision):
            with rounded_products(precision, known.rows.device):
                loss = self._loss(known, others, disturbed, belief)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
        self.rates.advance()
        self.optimizer.step()
        self.average.update()
        return loss.item()

    def _question(self, others: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return disturbed rows, and what the averaged weights say of clean ones."""
        if others is None or self.recipe.consistency is None:
            return None, None
        self.average.show()
        self.model.eval()
        with torch.no_grad():
            belief = self.recipe.kind.belief(self.model(others))
        disturbed = self._disturbed(others, belief)
        self.average.hide()
        return disturbed, belief

    def _disturbed(self, x: Tensor, belief: Tensor | None = None) -> Tensor:
        """Return rows as the consistency term shows them."""
        recipe = self.recipe
        if recipe.consistency == "noise":
            return cast(Tensor, self.objective.corrupted(x, self.generator))
        if belief is None:
            return x
        kind, epsilon = recipe.kind, recipe.epsilon
        x = self.model.network.seen(x)
        return adversarial(self.model, x, belief, kind, epsilon, self.generator)

    def _loss(
        self,
        known: Labelled,
        others: Tensor | None,
        disturbed: Tensor | None,
        belief: Tensor | None,
    ) -> Tensor:
        kind, recipe = self.recipe.kind, self.recipe
        rows = self._disturbed(known.rows)
        # All rows share a pass, since normalization depends on it.
        both = rows if disturbed is None else torch.cat([rows, disturbed])
        outputs = self.model(both)
        loss = kind.loss(outputs[: len(known)], known.labels)
        if belief is not None:
            missed = kind.disagreement(outputs[len(known) :], belief)
            loss = loss + recipe.consistency_weight * missed
        if recipe.reconstruction_weight:
            network, generator = self.model.network, self.generator
            own = self.objective.forward(network, others, generator)
            loss = loss + recipe.reconstruction_weight * own
        return loss

    def _say(self, loss: float, judge: "Judge") -> None:
        if not self.recipe.verbose:
            return
        parts = [f"Step {self.n_iter}/{self.recipe.max_iter}", f"loss {loss:.6g}"]
        if judge.held_out is not None:
            parts.append(f"held-out loss {judge.last.mean():.6g}")
        # Files and pipes should show it now.
        print(", ".join(parts), flush=True)


class Judge:
    """Evaluates averaged weights on held-out labels, and remembers the best."""

    def __init__(self, tuning: FineTuning, held_out: Labelled | None) -> None:
        self.tuning, self.held_out = tuning, held_out
        self.kind = tuning.recipe.kind
        self.n_stale, self.weights = 0, dict[str, Tensor]()
        #: Losses of held-out rows, by the first weights, the best and the last ones.
        self.first: Tensor | None = None
        self.best = self.last = torch.full((1,), math.inf)

    @property
    def stands_still(self) -> bool:
        """Whether nothing has improved for long enough."""
        is_judged = self.held_out is not None
        return is_judged and self.n_stale >= self.tuning.recipe.n_iter_no_change

    @torch.no_grad()
    def consider(self) -> None:
        """Evaluate the weights, if there are held-out labels."""
        if self.held_out is None:
            return
        model, average = self.tuning.model, self.tuning.average
        average.show()
        model.eval()
        self.last = self.kind.losses(model(self.held_out.rows), self.held_out.labels)
        self.first = self.last if self.first is None else self.first
        self.n_stale += 1
        if not self.weights or self.last.mean() < self.best.mean():
            self.best, self.n_stale = self.last, 0
            weights = model.state_dict().items()
            self.weights = {name: weight.clone() for name, weight in weights}
        average.hide()

    def restore(self) -> bool:
        """Return to the best weights; return whether they are better than the first."""
        self.tuning.model.load_state_dict(self.weights)
        first = cast(Tensor, self.first)
        return self.kind.is_gain(first.cpu().numpy(), self.best.cpu().numpy())
