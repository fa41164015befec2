"""Base of autoencoders of sequences, which may differ in length."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from .._machine.callers import warn_caller
from .._networks.linear_skip import LinearSkip
from .._networks.network import Network
from .._networks.recurrent import find_unread
from .._networks.sequence_skip import SequenceSkip
from .._objectives.corruption import Corruption, of_images
from .._objectives.losses import make_loss
from .._objectives.objective import Objective
from .._objectives.sequences import SequenceObjective, hide_future
from .._rows.checks import COUNT, POSITIVE_INTEGER
from .._rows.containers import as_array
from .._rows.layout import Shape, flatten
from .._rows.sequences import (
    check_reached,
    count_steps,
    find_sequence_shape,
    future_last,
    is_list,
    padded_list,
    said_sequence_shape,
    to_length,
    without_padding,
)
from .._rows.statistics import has_gaps
from .._rows.stored import in_memory
from .._training.engine import Engine
from .availability import available_unless
from .corrupting import CorruptingAutoencoder
from .data import Data
from .parameters import autoencoder


def _why_no_forecast(estimator: Any) -> str | None:
    if estimator.n_ahead:
        return None
    return "n_ahead=0 learns no steps that follow. Fit with n_ahead=1 or more."


@autoencoder
class SequenceAutoencoder(CorruptingAutoencoder):
    """Accepts sequences in several layouts, and may learn what follows them."""

    sequence_shape: int | Sequence[int] | None = None
    n_ahead: int = 0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CorruptingAutoencoder._parameter_constraints,
        "sequence_shape": ["array-like", POSITIVE_INTEGER, None],
        "n_ahead": [COUNT],
    }

    _skip_class: ClassVar[type[LinearSkip]] = SequenceSkip

    @available_unless(_why_no_forecast)
    def forecast(self, X: Any) -> np.ndarray:
        """Return the ``n_ahead`` steps that follow sequences.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_steps, n_channels), or list of arrays
            Sequences of at most ``length - n_ahead`` steps, where ``length`` is that of
            the longest sequence in ``fit``. They may be flat rows, and end with NaN.

        Returns
        -------
        future : ndarray of shape (n_samples, n_ahead, n_channels)
            Steps after the last one of each sequence, in the unit of the training data;
            flat rows if those were flat.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If a sequence has more steps, has other channels than in ``fit``, or has
            infinite values, or if ``n_ahead`` was changed after ``fit``.
        AttributeError
            If ``n_ahead=0``.
        """
        check_is_fitted(self)
        n_ahead = self._learnt_n_ahead()
        rows = self._checked(self._unflattened(X))
        self._check_given(rows)
        model, clip = self._here(), self._parameter("clip")
        n_values = n_ahead * self.sequence_shape_[1]

        def future(x: np.ndarray) -> np.ndarray:
            return model.decode(model.encode(x), clip)[:, -n_values:]

        layout = (n_ahead, *model.layout[1:]) if len(model.layout) > 1 else (-1,)
        return model.map(future, rows).reshape(rows.shape[0], *layout)

    def _learnt_n_ahead(self) -> int:
        """Return the number of steps that follow, or raise if it was changed."""
        learnt = int(self._state.network["n_ahead"])
        if self.n_ahead != learnt:
            raise ValueError(
                f"n_ahead={self.n_ahead}, but fit learned n_ahead={learnt}: fit again, "
                "or set it back."
            )
        return learnt

    def _unflattened(self, X: Any) -> Any:
        """Return flat rows without the future as sequences; others unchanged."""
        length, n_channels = self.sequence_shape_
        n_read = length - self.n_ahead
        is_flat = getattr(X, "shape", ())[1:] == (n_read * n_channels,)
        if issparse(X) or not is_flat:
            return X
        return np.asarray(X).reshape(-1, n_read, n_channels)

    def _check_given(self, X: Any) -> None:
        """Raise if sequences are so long that the network would not read their ends."""
        n_read = self.sequence_shape_[0] - self.n_ahead
        n_steps = count_steps(X, self.sequence_shape_)
        if (n_steps > n_read).any():
            row = int(n_steps.argmax())
            raise ValueError(
                f"Sequence {row} of X has {n_steps[row]} steps, but forecast reads "
                f"{n_read} at most. Without NaN at the ends of sequences, pass "
                f"[x[-{n_read}:] for x in X] to learn what follows, or "
                f"[x[:{n_read}] for x in X] to compare with the next "
                f"n_ahead={self.n_ahead}."
            )

    def _check_rows(
        self, X: Any, *, reset: bool, min_samples: int = 1
    ) -> tuple[Any, Shape]:
        X, given = flatten(self._as_array(X, reset))
        X, flat = super()._check_rows(X, reset=reset, min_samples=min_samples)
        if reset:
            shape = find_sequence_shape(self.sequence_shape, given, X.shape[1])
            if self.n_ahead >= shape[0]:
                raise ValueError(
                    f"n_ahead={self.n_ahead} leaves nothing to read of sequences of "
                    f"{shape[0]} steps, n_features={X.shape[1]}: lower it."
                )
            check_reached(X, shape)
            if shape[0] == 1 < shape[1]:
                warn_caller(
                    f"Each sequence of X has one step of {shape[1]} channels. Channels "
                    "come last: if these are steps, pass X.transpose(0, 2, 1)."
                )
            self.sequence_shape_: tuple[int, int] = shape
            self.shortest_length_ = shape[0] - self.n_ahead
        return X, given or flat

    def _checked(self, X: Any) -> Any:
        rows = super()._checked(X)
        # What is encoded depends on fit alone.
        n_ahead = int(self._state.network["n_ahead"])
        n_steps, least = self._count_read(rows, n_ahead), self.shortest_length_
        if n_short := int(np.sum((n_steps > 0) & (n_steps < least))):
            warn_caller(
                f"{n_short} of {len(n_steps)} sequences have fewer steps than any that "
                f"the encoder read in fit, which had {least} or more. Their codes may "
                "be far off: fit sequences that are as short, such as parts of yours.",
            )
        return rows

    def _count_read(self, X: Any, n_ahead: int) -> np.ndarray:
        """Return how many steps of each flat row the encoder reads."""
        length, n_channels = self.sequence_shape_
        n_read = length - n_ahead
        return count_steps(X[:, : n_read * n_channels], (n_read, n_channels))

    def _as_array(self, X: Any, reset: bool) -> Any:
        """Return lists as arrays, and all sequences as long as those in ``fit``."""
        owner, is_listed = type(self).__name__, is_list(X)
        X = as_array(padded_list(in_memory(X), owner), self._allows_nan(), owner)
        if reset or not isinstance(X, np.ndarray):
            return X
        length, n_channels = self.sequence_shape_
        if X.ndim == 2 and is_listed and n_channels == 1:
            X = X[:, :, np.newaxis]
        if X.ndim < 3:
            self._check_single(X)
            return X
        if np.prod(X.shape[2:]) != n_channels:
            raise ValueError(
                f"X has sequences of shape {X.shape[1:]}, but in fit they had "
                f"{n_channels} channels: pass the same ones."
            )
        return to_length(X, length)

    def _check_single(self, X: np.ndarray) -> None:
        """Raise if an array is a single sequence of several channels."""
        length, n_channels = self.sequence_shape_
        if X.ndim == 2 and 1 < n_channels == X.shape[1] < length * n_channels:
            raise ValueError(
                f"X has the shape {X.shape} of a single sequence: pass X[None], which "
                "is an array of one sequence."
            )

    def _training_rows(self, X: Any) -> Any:
        if not self.n_ahead:
            return X
        return future_last(X, self.sequence_shape_, self.n_ahead)

    def _finish(self, engine: Engine, data: Data) -> None:
        super()._finish(engine, data)
        n_steps = self._count_read(data.X, self.n_ahead)
        shortest = n_steps[n_steps > 0].min(initial=self.shortest_length_)
        self.shortest_length_ = int(shortest)

    def _without_padding(self, answers: np.ndarray, X: Any) -> np.ndarray:
        return without_padding(answers, X, self.sequence_shape_)

    def _torch_parts(self) -> dict[str, Any]:
        return {"padding": partial(find_unread, shape=self.sequence_shape_)}

    def _extremes(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        # A value may come at another step in new sequences.
        low, high = (e.reshape(self.sequence_shape_) for e in super()._extremes(X))
        length = self.sequence_shape_[0]
        return np.tile(np.fmin.reduce(low), length), np.tile(
            np.fmax.reduce(high), length
        )

    def _fixed_parameters(self) -> dict[str, Any]:
        shape = said_sequence_shape(self.sequence_shape)
        return super()._fixed_parameters() | {"sequence_shape": shape}

    def _hides(self) -> bool:
        return super()._hides() or self.n_ahead > 0

    def _corruption(self, data: Data) -> Corruption | None:
        corrupt = super()._corruption(data)
        if corrupt is not None and not isinstance(self.noise, str):
            corrupt = partial(of_images, corrupt=corrupt, shape=self.sequence_shape_)
        if not self.n_ahead:
            return corrupt
        n_hidden = self.n_ahead * self.sequence_shape_[1]
        return partial(hide_future, corrupt=corrupt, n_hidden=n_hidden)

    def _objective(self, network: Network, data: Data) -> Objective:
        unread = partial(find_unread, shape=self.sequence_shape_, n_ahead=self.n_ahead)
        loss = make_loss(self.loss, data.mean, data.scale)
        terms = loss, self._corruption(data), self.emphasis, has_gaps(data.X)
        return SequenceObjective(unread, *terms)
