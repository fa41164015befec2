"""Too little memory: smaller parts for answers, a clear error for a fit."""

import numpy as np
import pytest
import torch

import skae
from skae._training.engine import Engine

X = np.random.default_rng(0).normal(size=(300, 5))
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError("Unable to allocate 1.00 TiB"),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_answers_come_in_smaller_parts(error, monkeypatch):
    ae = skae.UndercompleteAE(2, max_iter=1, random_state=0).fit(X)
    expected = ae.transform(X), ae.reconstruct(X), ae.score_samples(X), ae.jacobian(X)
    decode, encode, sizes = ae.network_.decode, ae.network_.encode, set()

    def limited(function):
        def call(rows):
            if len(rows) > 40:
                raise error
            sizes.add(len(rows))
            return function(rows)

        return call

    monkeypatch.setattr(ae.network_, "decode", limited(decode))
    monkeypatch.setattr(ae.network_, "encode", limited(encode))
    found = ae.transform(X), ae.reconstruct(X), ae.score_samples(X), ae.jacobian(X)
    for ours, before in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-4, atol=1e-5)
    assert max(sizes) >= 20


@pytest.mark.parametrize("error", ERRORS)
def test_a_fit_says_what_helps(error, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    ae = skae.UndercompleteAE(2, batch_size=64, random_state=0)
    monkeypatch.setattr(Engine, "train_step", fail)
    with pytest.raises(MemoryError, match=r"a batch_size below 64, .*'cpu'") as told:
        ae.fit(X)
    assert told.value.__cause__ is error
    assert not hasattr(ae, "n_features_in_")


def test_other_errors_are_as_they_were(monkeypatch):
    ae = skae.UndercompleteAE(2, max_iter=3, early_stopping=False).fit(X)

    def fail(rows):
        raise RuntimeError("another reason")

    monkeypatch.setattr(ae.network_, "encode", fail)
    with pytest.raises(RuntimeError, match="another reason"):
        ae.jacobian(X)
