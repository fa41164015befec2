"""Neighbours: which they are, that they keep together, and whom they never meet."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from skae import ConvAE, UndercompleteAE
from skae._objectives import neighbors
from skae._rows.batches import read_rows
from skae._rows.split import hold_out
from skae.metrics import explained_variance

SHORT = {"max_iter": 10, "random_state": 0}


def standardised(X):
    return read_rows(X, np.zeros(X.shape[1]), 1.0)


def by_hand(X, index, n):
    """Indices of the nearest rows, by all distances."""
    distances = np.square(X[index][:, None] - X[index][None]).sum(2)
    np.fill_diagonal(distances, np.inf)
    return index[distances.argsort(axis=1)[:, :n]]


def test_nearest_rows_are_those_of_all_distances():
    X = np.random.default_rng(0).normal(size=(80, 5))
    index = torch.arange(0, 80, 2)
    found = neighbors.nearest(standardised(X), index, 4, seed=0)
    assert np.array_equal(found, by_hand(X, index.numpy(), 4))


def test_wide_rows_are_near_along_their_principal_axes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20)) @ rng.normal(size=(20, 300))
    X -= X.mean(axis=0)
    index = torch.arange(60)
    found = neighbors.nearest(standardised(X), index, 4, seed=0)
    assert np.array_equal(found, by_hand(X, index.numpy(), 4))
    sparse = read_rows(csr_array(X), np.zeros(300), 1.0)
    assert np.array_equal(neighbors.nearest(sparse, index, 4, seed=0), found)


def test_no_row_is_its_own_neighbour_even_among_copies():
    X = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 10, axis=0)
    found = neighbors.nearest(standardised(X), torch.arange(30), 5, seed=0)
    assert found.shape == (30, 5)
    assert (found != torch.arange(30)[:, None]).all()
    assert np.array_equal(X[found], np.repeat(X[:, None], 5, axis=1))


def test_of_many_rows_a_sample_is_searched(monkeypatch):
    monkeypatch.setattr("skae._objectives.neighbors.N_CANDIDATES", 20)
    X = np.random.default_rng(0).normal(size=(100, 3))
    found = neighbors.nearest(standardised(X), torch.arange(100), 4, seed=0)
    assert found.unique().numel() <= 20
    assert (found != torch.arange(100)[:, None]).all()


def test_pairs_are_neighbours_and_each_row_comes_once():
    X = np.random.default_rng(0).normal(size=(50, 3))
    rows, index = standardised(X), torch.arange(5, 45)
    table = neighbors.nearest(rows, index, 3, seed=0)
    generator = torch.Generator().manual_seed(0)
    settings = rows, index, 16, torch.device("cpu"), generator
    batches = list(neighbors.PairedBatches(*settings, neighbors=table))
    assert [len(batch) for batch in batches] == [32, 32, 16]
    place = {tuple(row): i for i, row in enumerate(rows.numpy())}
    pairs = [
        (place[tuple(a)], place[tuple(b)])
        for batch in batches
        for a, b in zip(*batch.numpy().reshape(2, -1, 3), strict=True)
    ]
    assert sorted(a for a, _ in pairs) == index.tolist()
    assert all(b in table[a - 5] for a, b in pairs)


def test_attraction_is_the_cross_entropy_of_umap():
    first, second = np.random.default_rng(0).normal(size=(2, 6, 2))
    q = 1 / (1 + np.square(first[:, None] - second[None]).sum(2))
    # The chance of no edge, 1 - q, is d^2 / (1 + d^2).
    distances = 1 / q - 1
    others = -np.log((1e-3 + distances) / (1 + distances))[~np.eye(6, dtype=bool)]
    expected = -np.log(np.diag(q)).mean() + 5 * others.mean()
    found = neighbors.neighbor_cross_entropy(
        torch.tensor(np.concatenate([first, second]))
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


IMAGES = {"channels": 8, "learning_rate_init": 0.01, "max_iter": 20}
IMAGES |= {"learning_rate": "cosine"}


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (UndercompleteAE, {"hidden_layer_sizes": (256,), "max_iter": 30}),
        (ConvAE, IMAGES),
    ],
    ids=["UndercompleteAE", "ConvAE"],
)
def test_neighbours_tell_classes_in_a_picture(cls, options):
    X, y = load_digits(return_X_y=True)
    accuracies, explained = [], []
    for weight in (0.0, 1.0):
        ae = cls(2, neighbor_weight=weight, random_state=0, **options)
        codes = ae.fit(X[:1300]).transform(X)
        judge = KNeighborsClassifier(5).fit(codes[:1300], y[:1300])
        accuracies.append(judge.score(codes[1300:], y[1300:]))
        explained.append(explained_variance(ae, X[1300:]))
    assert accuracies[1] > accuracies[0] + 0.05
    assert explained[1] > explained_variance(PCA(2).fit(X[:1300]), X[1300:])


def test_held_out_rows_train_nothing(digits):
    ae = UndercompleteAE(2, init="random", neighbor_weight=1.0, **SHORT)
    before = ae.fit(digits).loss_curve_
    _, held_out = hold_out(len(digits), 0.1, ae._state.engine.split_seed)
    changed = digits.copy()
    # Their mirror images about their mean: mean and size of all rows stay.
    changed[held_out] = 2 * digits[held_out].mean(axis=0) - digits[held_out]
    np.testing.assert_allclose(ae.fit(changed).loss_curve_, before, rtol=0.01)


def test_few_rows_have_few_neighbours():
    X = np.random.default_rng(0).normal(size=(4, 3))
    ae = UndercompleteAE(2, neighbor_weight=1.0, early_stopping=False, **SHORT)
    assert ae.fit(X).transform(X).shape == (4, 2)
    assert ae.partial_fit(X[:1]).n_iter_ == 11


def test_neighbours_need_chance():
    ae = UndercompleteAE(2, neighbor_weight=0.5, solver="lbfgs")
    with pytest.raises(ValueError, match=r"neighbor_weight=0.5 draws"):
        ae.fit(np.eye(5))


def test_neighbours_are_the_same_at_any_number_of_threads(digits):
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            rows, index = standardised(digits), torch.arange(len(digits))
            found.append(neighbors.nearest(rows, index, 15, seed=0))
    assert torch.equal(*found)


def test_attraction_does_not_depend_on_the_origin():
    codes = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    slopes = []
    for origin in (0.0, 1000.0):
        # Numbers that stay exact a thousand away from zero.
        at = (codes.mul(64).round() / 64 + origin).requires_grad_()
        slopes += torch.autograd.grad(neighbors.neighbor_cross_entropy(at), at)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-4)
