"""What is to be reached: rows, and an error that is a share of PCA's; and the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from ..shared import data_sets
from .rivals import Rows, Widths

N_COMPONENTS = {"digits": 8, "table": 5, "easy table": 4, "MNIST": 32}
N_TABLE = 20_000


def made_table(data: str) -> tuple[Rows, Rows]:
    """Return rows of even traits, seen through sines, or if easy through tanh units."""
    rng, n_traits = np.random.default_rng(0), N_COMPONENTS[data]
    traits = rng.uniform(-1, 1, (N_TABLE + N_TABLE // 4, n_traits))
    inner = traits @ (2 * rng.normal(size=(n_traits, 64)))
    if data == "table":
        seen = np.sin(inner + rng.uniform(0, 2 * np.pi, 64))
    else:
        seen = np.tanh(inner + rng.normal(size=64)) @ rng.normal(size=(64, 64)) / 8
    noise = 0.05 * seen.std() * rng.normal(size=seen.shape)
    rows = (seen + noise).astype(np.float32)
    return rows[:N_TABLE], rows[N_TABLE:]


def load(data: str) -> tuple[Rows, Rows]:
    """Return rows to train on and to test on, as float32."""
    if data in ("table", "easy table"):
        X, X_test = made_table(data)
        data_sets.remember(data, X, X_test)
    elif data == "MNIST":
        X, _, X_test, _ = data_sets.labelled(data)
        X, X_test = X / np.float32(255), X_test / np.float32(255)
    else:
        X, X_test = data_sets.rows(data)
    return X.astype(np.float32), X_test.astype(np.float32)


def error_of(reconstruct: Callable[[Rows], Rows], X: Rows) -> float:
    """Return the mean square of what is missed."""
    return float(np.square(reconstruct(X) - X).mean())


@dataclass(frozen=True)
class Problem:
    """Rows, widths, and the error to reach."""

    X: Rows
    X_test: Rows
    widths: Widths
    pca_error: float
    share: float

    @classmethod
    def of(cls, data: str, n_rows: int | None, share: float) -> "Problem":
        """Return the problem of a data set, or of its first rows."""
        X, X_test = load(data)
        X, code = X[:n_rows], N_COMPONENTS[data]
        pca = PCA(code, random_state=0).fit(X)
        missed = error_of(lambda x: pca.inverse_transform(pca.transform(x)), X_test)
        hidden = int(np.clip(4 * X.shape[1], 128, 512))
        return cls(X, X_test, Widths(hidden, code), missed, share)


class Enough(KeyboardInterrupt):
    """Ends training, in the way that skorch's callbacks may."""


class Watch:
    """Clock that stands still while it looks, and says when it has seen enough."""

    def __init__(self, problem: Problem, limit: float, stops: bool = True) -> None:
        self.problem, self.limit, self.stops = problem, limit, stops
        self.target = problem.share * problem.pca_error
        #: Until the error was reached, if it was in time.
        self.seconds: float | None = None
        self.start = time.perf_counter()

    def elapsed(self) -> float:
        """Return the seconds of training so far."""
        return time.perf_counter() - self.start

    def __call__(self, reconstruct: Callable[[Rows], Rows]) -> None:
        elapsed = self.elapsed()
        is_late = elapsed > self.limit
        if self.seconds is None and not is_late:
            is_reached = error_of(reconstruct, self.problem.X_test) <= self.target
            self.seconds = elapsed if is_reached else None
        self.start += self.elapsed() - elapsed
        if self.stops and (is_late or self.seconds is not None):
            raise Enough
