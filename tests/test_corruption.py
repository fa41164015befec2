"""Corruptions: their level, and their only source of chance."""

import pytest
import torch

from skae import _corruption


def corrupted(name, level, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return getattr(_corruption, name)(torch.ones(500, 200), generator, level=level)


def test_gaussian_noise_has_the_level_as_deviation():
    noise = corrupted("gaussian", 0.3) - 1
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.005)


def test_masking_hits_the_level_as_a_share_and_nothing_else():
    damaged = corrupted("masking", 0.3)
    assert (damaged == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert set(damaged.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["gaussian", "masking"])
def test_level_zero_changes_nothing(name):
    assert torch.equal(corrupted(name, 0.0), torch.ones(500, 200))


@pytest.mark.parametrize("name", ["gaussian", "masking"])
def test_chance_comes_from_the_generator_alone(name):
    before = torch.get_rng_state()
    assert torch.equal(corrupted(name, 0.5), corrupted(name, 0.5))
    assert not torch.equal(corrupted(name, 0.5), corrupted(name, 0.5, seed=1))
    assert torch.equal(before, torch.get_rng_state())
