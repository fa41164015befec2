"""A fitted autoencoder as one module of torch, between rows in their unit and codes."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .entries import TableEntries
from .model import Coding, FittedModel
from .refinement import Answers, improve
from .slopes import RecordedAnswers, record_slopes


class AutoencoderModule(nn.Module):
    """Reconstructs rows as a fitted autoencoder does, with a copy of its weights.

    ``forward`` is the estimator's ``reconstruct``, ``encode`` its ``transform``,
    ``decode`` its ``inverse_transform``, and ``score_samples`` its own. Rows are in
    their unit, flat or in the layout of the training data. ``entries`` encode a table.
    ``padding`` tells which entries of flat rows are after the end of a sequence.
    """

    mean: Tensor
    seen: Tensor | None
    constant: Tensor | None

    def __init__(
        self,
        model: FittedModel,
        coding: Coding,
        clip: bool,
        entries: TableEntries | None = None,
        padding: Callable[[Tensor], Tensor] | None = None,
        scores_errors: bool = True,
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(model.network).cpu().eval().requires_grad_(False)
        self.scale, self.layout, self.domain = model.scale, model.layout, model.domain
        self.allows_nan, self.coding, self.owner = model.allows_nan, coding, model.owner
        self.entries, self.padding = entries, padding
        self.scores_errors = scores_errors
        self.register_buffer("mean", torch.tensor(model.mean))
        ends = [torch.tensor(end, dtype=self.mean.dtype) for end in model.seen]
        self.register_buffer("seen", torch.stack(ends) if clip else None)
        self.register_buffer("constant", self.network.constant)
        if coding.n_steps:
            self.shares = Answers.of(self.network).shares
            self.slopes = record_slopes(self.network, len(self.mean), self.owner)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct rows."""
        rows = self._answers(x)
        if self.padding is not None:
            rows = rows.masked_fill(self.padding(x.flatten(1)), torch.nan)
        return self._in_layout(rows)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of rows, in float32."""
        rows = self._standardised(x)
        # As in training: rows may have missing values.
        seen = self.network.seen(rows) if self.allows_nan else rows
        code, n_steps = self.network.encode(seen), self.coding.n_steps
        if not n_steps:
            return code
        known = torch.ones_like(rows)
        if self.coding.by_known:
            known, rows = (~rows.isnan()).to(rows), seen
        answers = RecordedAnswers(self.network, self.shares, recorded=self.slopes)
        return improve(answers, self.constant, code, rows, n_steps, known)

    def decode(self, z: Tensor) -> Tensor:
        """Return the rows of codes."""
        if not self.network.is_invertible:
            raise NotImplementedError(
                f"The codes of {self.owner} summarise rows and cannot be decoded: call "
                "the module on rows, which reconstructs them."
            )
        return self._in_layout(self._in_unit(self.network.answer(z.to(torch.float32))))

    def score_samples(self, x: Tensor) -> Tensor:
        """Return minus the squared reconstruction error of each row, in float32."""
        if not self.scores_errors:
            raise NotImplementedError(
                f"score_samples of {self.owner} needs many draws of codes for each "
                "row: only the estimator computes it."
            )
        rows, answers = self._flat(x), self._answers(x).to(torch.float64)
        missing = rows.isnan()
        squares = ((rows - answers) / self.scale).square().masked_fill(missing, 0.0)
        errors = squares.sum(1)
        errors = torch.where(errors.isnan(), torch.inf, errors)
        # A missing value of a table is one column, however many entries it has.
        missing = missing if self.entries is None else missing[:, self.entries.starts]
        errors = errors / (1 - missing.to(torch.float64).mean(1))
        return -(errors * self.scale * self.scale).to(torch.float32)

    def _flat(self, x: Tensor) -> Tensor:
        """Return flat rows in the unit of ``mean``."""
        return x.flatten(1) if self.entries is None else self.entries.encode(x)

    def _standardised(self, x: Tensor) -> Tensor:
        # Rounded to float32 last: rows may be far from zero.
        return ((self._flat(x) - self.mean) / self.scale).to(torch.float32)

    def _answers(self, x: Tensor) -> Tensor:
        """Return flat reconstructions in the unit of ``mean``."""
        if self.network.is_invertible:
            return self._in_unit(self.network.answer(self.encode(x)))
        return self._in_unit(self.network.reconstruct(self._standardised(x)))

    def _in_unit(self, answers: Tensor) -> Tensor:
        rows = answers.to(self.mean.dtype) * self.scale + self.mean
        if self.domain is not None:
            rows = rows.clamp(*self.domain)
        return rows if self.seen is None else rows.clamp(self.seen[0], self.seen[1])

    def _in_layout(self, rows: Tensor) -> Tensor:
        if self.entries is not None:
            return self.entries.decode(rows)
        return rows.reshape(rows.shape[0], *self.layout)

    def _get_name(self) -> str:
        return f"{self.owner}Module"


def why_not_deployed(model: FittedModel, coding: Coding) -> str | None:
    """Say why a module cannot give the codes of ``transform``, if it cannot."""
    if model.neighbor_map is None or not coding.n_neighbors:
        return None
    return (
        "transform places rows among the training rows of its map, which a graph does "
        "not hold: use set_params(transform_n_neighbors=0) for the encoder's codes."
    )
