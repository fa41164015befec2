"""Links lead to the output of a reconstruction, and back."""

import numpy as np
import pytest
import torch

from skae._networks.links import Link, Log, Logit


@pytest.mark.parametrize("link_class", [Link, Logit, Log])
def test_inverse_undoes(link_class):
    rng = np.random.default_rng(0)
    data = torch.from_numpy(rng.uniform(0.1, 0.9, size=(20, 4)).astype(np.float32))
    mean = np.array([0.2, 0.4, 0.6, 0.8])
    link = link_class(mean, 0.3)
    rows = (data - torch.tensor(mean, dtype=torch.float32)) / 0.3
    torch.testing.assert_close(link.inverse(link(rows)), rows, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("link_class", "low", "high"), [(Logit, 0, 1), (Log, 0, 9)])
def test_reconstructions_out_of_the_domain_are_clipped(link_class, low, high):
    mean = torch.tensor([0.2, 0.5])
    link = link_class(mean.numpy(), 1.0)
    data = link.inverse(link(torch.tensor([[-3.0, -0.6], [8.0, 0.1]]))) + mean
    expected = [[low, low], [min(8.2, high), 0.6]]
    torch.testing.assert_close(data, torch.tensor(expected), atol=1e-3, rtol=1e-3)


def test_a_count_that_is_always_zero_stays_zero():
    link = Log(np.array([0.0, 1.0]), 1.0)
    output = link(torch.tensor([[0.0, 0.5]]))
    assert torch.isfinite(output).all()
    assert link.inverse(output)[0, 0] == 0
