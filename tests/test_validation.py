"""Validation: gains that are luck, and gains that are not."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from skae._training.validation import geometric_mean, is_better


@pytest.mark.parametrize("gain", np.linspace(-0.05, 0.3, 15))
@pytest.mark.parametrize("n_rows", [3, 10, 200])
def test_is_students_paired_test(gain, n_rows):
    rng = np.random.default_rng(0)
    pca = torch.from_numpy(rng.uniform(0.5, 1.5, size=(n_rows, 1)))
    ours = pca - gain + 0.2 * torch.from_numpy(rng.normal(size=(n_rows, 1)))
    light = (pca + ours)[:, 0].argsort()[: -math.ceil(0.05 * n_rows)]
    values = [
        ttest_rel(pca[rows, 0], ours[rows, 0], alternative="greater").pvalue
        for rows in (slice(None), light)
    ]
    level = 0.025 * min(1, n_rows / 20)
    is_hidden = n_rows >= 20 and values[1] < 0.025 and ours.mean() < pca.mean()
    is_gain = bool(values[0] < level or is_hidden)
    assert is_better(ours, pca) == is_gain


@pytest.mark.parametrize("n_rows", [10, 100])
def test_luck_is_seldom_taken_for_a_gain(n_rows):
    """With chance 0.025 each of two tests of much the same rows would take it."""
    rng, n_tries = np.random.default_rng(0), 1000
    shares = torch.from_numpy(rng.exponential(size=(n_tries, 2, n_rows, 1)))
    assert np.mean([is_better(a, b) for a, b in shares]) < 0.05


def test_a_heavy_row_hides_no_gain_of_the_others():
    rng = np.random.default_rng(0)
    pca = torch.from_numpy(rng.uniform(0.5, 1.5, size=(100, 1)))
    ours = 0.6 * pca
    ours[3], pca[3] = 1005, 1000
    assert is_better(ours - 6 * (torch.arange(100)[:, None] == 3), pca)
    assert not is_better(ours + 60 * (torch.arange(100)[:, None] == 3), pca)


def test_one_row_tells_nothing():
    assert not is_better(torch.zeros(1, 1), torch.ones(1, 1))


def test_a_gain_at_one_width_does_not_excuse_a_loss_at_another():
    pca = 1 + 0.01 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert is_better(pca * torch.tensor([0.5, 0.9]), pca)
    assert not is_better(pca * torch.tensor([0.5, 1.1]), pca)


def test_widths_count_by_their_own_size():
    shares = torch.tensor([[0.4, 0.001], [0.6, 0.003]])
    assert geometric_mean(shares).item() == pytest.approx(np.sqrt(0.5 * 0.002))
