"""Corruptions: their level, what they leave, and their only source of chance."""

import pytest
import torch

from skae._objectives.corruption import NOISES, SHARES, make_corruption


def corrupted(noise, level, seed=0, x=None, zero=-0.5):
    generator = torch.Generator().manual_seed(seed)
    x = torch.ones(500, 200) if x is None else x
    zeros = torch.full(x.shape[1:], zero).flatten()
    corrupt = make_corruption(noise, level, zeros)
    return x.clone() if corrupt is None else corrupt(x, generator)


@pytest.fixture
def rows():
    return torch.randn(400, 60, generator=torch.Generator().manual_seed(1))


def test_gaussian_noise_has_the_level_as_deviation():
    noise = corrupted("gaussian", 0.3) - 1
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.005)


def test_uniform_noise_reaches_the_level_on_both_sides_evenly():
    noise = corrupted("uniform", 0.3) - 1
    assert noise.min().item() == pytest.approx(-0.3, abs=1e-3)
    assert noise.max().item() == pytest.approx(0.3, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.3 / 3**0.5, rel=0.01)


@pytest.mark.parametrize("noise", sorted(SHARES))
@pytest.mark.parametrize("level", [0.3, 1.0])
def test_level_is_the_share_of_entries_that_change(rows, noise, level):
    changed = corrupted(noise, level, x=rows) != rows
    # A row may be drawn for its own donor.
    assert changed.float().mean().item() == pytest.approx(level, abs=0.03)
    assert changed.float().mean(0).min() > level - 0.15


@pytest.mark.parametrize("noise", ["gaps", "block"])
def test_masked_entries_are_zero_and_others_stay(rows, noise):
    damaged = corrupted(noise, 0.3, x=rows)
    assert torch.equal(damaged, torch.where(damaged == 0, 0.0, rows))


@pytest.mark.parametrize("zero", [-1.5, 0.0, 2.0])
def test_masking_sets_entries_to_zero_in_the_unit_of_the_data(rows, zero):
    damaged = corrupted("masking", 0.3, x=rows, zero=zero)
    masked = damaged != rows
    torch.testing.assert_close(damaged[masked], torch.full_like(damaged, zero)[masked])


@pytest.mark.parametrize("zero", [-1.5, 0.0, 2.0])
def test_masked_zeros_differ_from_zeros(zero):
    """Else they would not count as corrupted, and every masked entry as not zero."""
    changed = corrupted("masking", 0.3, x=torch.full((500, 200), zero), zero=zero)
    assert (changed != zero).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_salt_and_pepper_are_the_extremes_as_often_each(rows):
    damaged = corrupted("salt_and_pepper", 0.4, x=rows)
    for extreme in (rows.min(), rows.max()):
        hit = (damaged == extreme) & (rows != extreme)
        assert hit.float().mean().item() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("shape", [(3, 40), (1, 10, 12), (2, 6, 8, 10)], ids=str)
def test_block_hides_a_box_inside_images(shape):
    hidden = corrupted("block", 0.3, x=torch.ones(300, *shape)) == 0
    assert (hidden == hidden[:, :1]).all()
    share = 0.3 ** (1 / len(shape[1:]))
    for axis, size in enumerate(shape[1:], 2):
        others = [a for a in range(1, hidden.ndim) if a != axis]
        along = hidden.amax(others)
        assert (along.sum(1) == round(share * size)).all()
        # In one piece: hidden places begin once, or at the edge.
        assert (along[:, 1:] & ~along[:, :-1]).sum(1).add(along[:, 0]).eq(1).all()
        assert along.any(0).all()


def test_block_hides_neighbours_on_a_ring(rows):
    hidden = corrupted("block", 0.3, x=rows) == 0
    starts = hidden & ~hidden.roll(1, dims=1)
    assert (hidden.sum(1) == 18).all()
    assert (starts.sum(1) == 1).all()


def test_swapped_values_are_of_the_same_feature():
    x = torch.arange(60.0) + 1000 * torch.arange(400.0)[:, None]
    damaged = corrupted("swap", 0.5, x=x)
    assert torch.equal(damaged % 1000, x % 1000)
    donors = damaged.div(1000, rounding_mode="floor")
    assert min(len(row.unique()) for row in donors) > 10


@pytest.mark.parametrize("noise", NOISES)
def test_level_zero_changes_nothing(rows, noise):
    assert torch.equal(corrupted(noise, 0.0, x=rows), rows)


@pytest.mark.parametrize("noise", NOISES)
def test_chance_comes_from_the_generator_alone(rows, noise):
    before = torch.get_rng_state()
    first = corrupted(noise, 0.5, x=rows)
    assert torch.equal(first, corrupted(noise, 0.5, x=rows))
    assert not torch.equal(first, corrupted(noise, 0.5, seed=1, x=rows))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("noise", NOISES)
def test_rows_that_are_given_stay_as_they_were(rows, noise):
    before = rows.clone()
    corrupted(noise, 0.5, x=rows)
    assert torch.equal(rows, before)
