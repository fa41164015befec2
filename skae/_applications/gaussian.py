"""A Gaussian with few factors, fitted to rows with missing values.

Its covariance is ``W^T W + s I``, where ``W`` are the loadings and ``s`` is the noise.
It is a plain :class:`sklearn.utils.Bunch`, so that pickles name public paths only.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils import Bunch
from torch import Tensor

#: With up to MOST_EXACT columns there is a factor for each, else only N_FACTORS: each
#: row needs a system of so many equations.
MOST_EXACT, N_FACTORS = 64, 32
N_ITERATIONS = 15
#: Most rows that the covariance is estimated from.
MOST_ROWS = 20_000
#: Least noise in units of a column's variance.
LEAST_NOISE = 1e-3
#: Variances of the noise to choose from. With the last one the mean is predicted.
NOISES = (*(10 ** (n / 2) for n in range(-6, 4)), 1e9)
#: Most numbers in a chunk.
AT_ONCE = 2**22


def fit_gaussian(X: np.ndarray, rng: np.random.RandomState) -> Bunch:
    """Fit a Gaussian by expectation maximisation; NaN are missing values.

    The expectation counts the uncertainty of missing values (Dempster, Laird and Rubin,
    1977). The maximum with so many factors is probabilistic PCA (Tipping and Bishop,
    1999).
    """
    n_factors = _n_factors(X.shape[1])
    if not X.size:
        return Bunch(mean=np.zeros(0), loadings=np.zeros((0, 0)), noise=1.0)
    x = torch.from_numpy(X[rng.permutation(len(X))[:MOST_ROWS]])
    mean = torch.zeros(x.shape[1], dtype=x.dtype, device="cpu")
    found = _factorised(mean, torch.cov(x.nan_to_num().T, correction=0), n_factors)
    for _ in range(N_ITERATIONS):
        found = _factorised(*_moments(x, *found), n_factors)
    mean, loadings, noise = found
    return Bunch(mean=mean.numpy(), loadings=loadings.numpy(), noise=float(noise))


def _n_factors(n_columns: int) -> int:
    return n_columns if n_columns <= MOST_EXACT else N_FACTORS


def _moments(
    x: Tensor, mean: Tensor, loadings: Tensor, noise: float
) -> tuple[Tensor, Tensor]:
    """Return the expected mean and covariance of complete rows."""
    filled, total = [], x.new_zeros(x.shape[1], x.shape[1])
    for part in _chunks(x):
        factors, roots = posterior(part - mean, loadings, noise)
        missing = part.isnan()
        filled.append(torch.where(missing, mean + factors @ loadings, part))
        total += noise * _spread(missing.to(x), loadings, roots)
    rows = torch.cat(filled)
    return rows.mean(0), torch.cov(rows.T, correction=0) + total / len(x)


def _spread(missing: Tensor, loadings: Tensor, roots: Tensor) -> Tensor:
    """Return the sum of the conditional covariances of missing entries, over ``s``.

    With many columns only their variances, which cost less: this is regularised
    iterative PCA (Josse and Husson, 2012).
    """
    each = loadings.expand(len(missing), -1, -1)
    whitened = torch.linalg.solve_triangular(roots, each, upper=False)
    whitened = whitened * missing[:, None]
    if len(loadings) == loadings.shape[1]:
        flat = whitened.flatten(0, 1)
        return flat.T @ flat + missing.sum(0).diag()
    return (whitened.square().sum((0, 1)) + missing.sum(0)).diag()


def _factorised(
    mean: Tensor, covariance: Tensor, n_factors: int
) -> tuple[Tensor, Tensor, float]:
    """Return the mean, the loadings and the noise."""
    variances, axes = torch.linalg.eigh(covariance.view(len(mean), len(mean)))
    rest, kept = variances[:-n_factors], variances[-n_factors:]
    noise = max(LEAST_NOISE, float(rest.mean()) if len(rest) else 0.0)
    deviations = (kept - noise).clamp(min=0).sqrt()
    return mean, deviations[:, None] * axes[:, -n_factors:].T, noise


def posterior(x: Tensor, loadings: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Return the mean of the factors of centred rows, given what is not NaN.

    Also returns Cholesky roots of ``W_v W_v^T + s I``, where ``v`` are known entries.
    """
    n_factors = len(loadings)
    squares = (loadings[:, None] * loadings).flatten(0, 1)
    grams = ((~x.isnan()).to(x) @ squares.T).view(-1, n_factors, n_factors)
    unit = torch.eye(n_factors, dtype=x.dtype, device="cpu")
    roots, _ = torch.linalg.cholesky_ex(grams + noise * unit)
    products = x.nan_to_num() @ loadings.T
    return torch.cholesky_solve(products[:, :, None], roots)[:, :, 0], roots


def fill(gaussian: Bunch, X: np.ndarray) -> np.ndarray:
    """Return rows where NaN are replaced by the conditional mean."""
    mean, loadings = _tensors(gaussian)
    parts = [
        mean + posterior(part - mean, loadings, gaussian.noise)[0] @ loadings
        for part in _chunks(torch.from_numpy(X))
    ]
    return np.where(np.isnan(X), torch.cat(parts).numpy(), X)


def deviations(gaussian: Bunch, X: np.ndarray) -> np.ndarray:
    """Return the conditional standard deviation of each entry."""
    mean, loadings = _tensors(gaussian)
    parts = []
    for part in _chunks(torch.from_numpy(X)):
        _, roots = posterior(part - mean, loadings, gaussian.noise)
        each = loadings.expand(len(part), -1, -1)
        whitened = torch.linalg.solve_triangular(roots, each, upper=False)
        parts.append((gaussian.noise * (1 + whitened.square().sum(1))).sqrt())
    return torch.cat(parts).numpy()


def draw_errors(
    gaussian: Bunch, X: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Draw how far entries are from the conditional mean, together for each row."""
    mean, loadings = _tensors(gaussian)
    parts = []
    for part in _chunks(torch.from_numpy(X)):
        _, roots = posterior(part - mean, loadings, gaussian.noise)
        normal = torch.from_numpy(rng.standard_normal((len(part), len(loadings), 1)))
        factors = torch.linalg.solve_triangular(roots.mT, normal, upper=True)[:, :, 0]
        own = torch.from_numpy(rng.standard_normal(part.shape))
        parts.append(gaussian.noise**0.5 * (factors @ loadings + own))
    return torch.cat(parts).numpy()


def in_unit(gaussian: Bunch, origin: np.ndarray, unit: float) -> Bunch:
    """Return the Gaussian of ``(x - origin) / unit``."""
    return Bunch(
        mean=(gaussian.mean - origin) / unit,
        loadings=gaussian.loadings / unit,
        noise=gaussian.noise / unit**2,
    )


def hide_and_fill(
    x: Tensor, generator: torch.Generator, *, gaussian: Bunch, level: float
) -> Tensor:
    """Replace random entries of rows by their conditional mean, given the others.

    Entries that are zero, the mean, are replaced too: they may be missing.
    """
    flat = x.flatten(1)
    options: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}
    draws = torch.rand((len(x), 1 + flat.shape[1]), generator=generator, **options)
    hidden = (draws[:, 1:] < level * (0.5 + draws[:, :1])) | (flat == 0)
    mean, loadings = (values.to(flat) for values in _tensors(gaussian))
    seen = (flat - mean).masked_fill(hidden, math.nan)
    answers = mean + posterior(seen, loadings, gaussian.noise)[0] @ loadings
    return torch.where(hidden, answers, flat).view_as(x)


def choose_noise(gaussian: Bunch, seen: np.ndarray, truth: np.ndarray) -> None:
    """Set the noise to the one that predicts hidden entries best."""
    hidden = np.isnan(seen) & ~np.isnan(truth)
    errors: dict[float, Any] = {}
    for noise in NOISES:
        gaussian.noise = noise
        errors[noise] = np.square(fill(gaussian, seen) - truth)[hidden].mean()
    gaussian.noise = min(errors, key=errors.__getitem__)


def _tensors(gaussian: Bunch) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(gaussian.mean), torch.from_numpy(gaussian.loadings)


def _chunks(x: Tensor) -> Iterator[Tensor]:
    width = x.shape[1]
    n_rows = max(1, AT_ONCE // (width * _n_factors(width)))
    return (x[i : i + n_rows] for i in range(0, len(x), n_rows))
