"""Maps of neighbours: which rows those are, where they lie, what codes make of it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from skae import ConvAE, UndercompleteAE
from skae._estimators.model import PULL
from skae._estimators.refinement import refine
from skae._estimators.subspace import Subspace
from skae._objectives import layout, neighbors
from skae._rows.batches import read_rows
from skae._rows.split import hold_out
from skae.metrics import explained_variance

SHORT = {"max_iter": 10, "random_state": 0}


def standardised(X):
    return read_rows(X, np.zeros(X.shape[1]), 1.0)


def drawn(X, n_neighbors=5, n_components=2, index=None):
    index = torch.arange(len(X)) if index is None else index
    rows = standardised(X)
    return neighbors.draw_map(rows, index, n_components, 1.0, n_neighbors, seed=0)


def distances_of(X):
    return np.sqrt(np.square(X[:, None] - X[None]).sum(2))


def test_neighbours_are_those_of_all_distances():
    X = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
    found, _ = drawn(X, index=torch.arange(0, 80, 2))
    assert np.array_equal(np.sort(found.places, axis=0), np.sort(X[::2], axis=0))
    distances, index = found.nearest(X[1::2], 4)
    expected = distances_of(np.concatenate([X[1::2], found.places]))[:40, 40:]
    assert np.array_equal(index, expected.argsort(axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :5], rtol=1e-5)


def test_wide_rows_are_told_apart_along_their_principal_axes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20)) @ rng.normal(size=(20, 300))
    X -= X.mean(axis=0)
    found, places = drawn(X)
    assert found.places.shape == (60, 32)
    at_places = np.sort(distances_of(found.places), axis=None)
    np.testing.assert_allclose(at_places, np.sort(distances_of(X), None), atol=1e-3)
    sparse = read_rows(csr_array(X), np.zeros(300), 1.0)
    again, _ = neighbors.draw_map(sparse, torch.arange(60), 2, 1.0, 5, seed=0)
    assert np.array_equal(again.codes, found.codes)
    np.testing.assert_array_equal(found.find(X.astype(np.float32), 5)[0], places)


def test_rows_in_the_middle_come_first():
    found, _ = drawn(np.random.default_rng(0).normal(size=(80, 5)))
    away = np.linalg.norm(found.places - found.places.mean(axis=0), axis=1)
    assert (np.diff(away) > -1e-5).all()


def test_copies_are_one_row():
    X = np.repeat(np.random.default_rng(0).normal(size=(30, 4)), 10, axis=0)
    found, places = drawn(X)
    assert len(found.places) == 30
    assert len(np.unique(places, axis=0)) == 30
    np.testing.assert_array_equal(places[::10], places[9::10])


def test_a_row_lies_at_the_weighted_median_of_its_neighbours():
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    found, _ = drawn(X[:150], n_neighbors=6)
    distances, index = found.nearest(X[150:], 6)
    for place, d, i in zip(found.find(X[150:], 6)[0], distances, index, strict=True):
        weights, codes = 1 - d / d[-1], found.codes[i].astype(float)

        def cost(z, weights=weights, codes=codes):
            return (weights * np.linalg.norm(codes - z, axis=1)).sum()

        least = minimize(cost, codes.mean(axis=0), method="Nelder-Mead").fun
        assert cost(place) <= 1.02 * least


def test_codes_do_not_jump_where_neighbours_tie():
    """On a grid rows are as far from one point as from others."""
    side = np.arange(8.0)
    X = np.stack(np.meshgrid(side, side, side), axis=-1).reshape(-1, 3)
    found, _ = drawn(X, n_neighbors=10)
    rows = np.random.default_rng(0).permutation(X)[:50].astype(np.float32) + 0.5
    moved = [found.find(rows + step * 1e-5, 10)[0] for step in (-1, 1)]
    assert np.abs(moved[0] - moved[1]).max() < 1e-3


def test_weights_of_neighbours_are_those_of_umap():
    X = np.random.default_rng(0).normal(size=(60, 4))
    distances = distances_of(X)
    np.fill_diagonal(distances, np.inf)
    index = distances.argsort(axis=1)[:, :8]
    near = np.take_along_axis(distances, index, axis=1)
    edges = layout.fuzzy_edges(near, index)
    found = np.zeros((60, 60))
    found[edges.first, edges.second] = edges.weights
    np.testing.assert_array_equal(found, found.T)
    # The nearest of a row is its neighbour for certain.
    np.testing.assert_allclose(found[np.arange(60), index[:, 0]], 1.0)
    # Undo the union a + b - a b where only one row calls the other its neighbour.
    is_own = np.zeros((60, 60), bool)
    np.put_along_axis(is_own, index, True, axis=1)
    alone = [i for i in range(60) if not (is_own.T[i] & is_own[i]).any()]
    for i in alone:
        assert found[i, index[i]].sum() == pytest.approx(np.log2(9), rel=1e-6)
    is_one_sided = ~np.take_along_axis(is_own.T, index, axis=1)
    for row, is_kept in enumerate(is_one_sided):
        beyond, weights = (near[row] - near[row, 0])[is_kept], found[row, index[row]]
        widths = -beyond[beyond > 0] / np.log(weights[is_kept][beyond > 0])
        assert len(widths) < 2 or np.ptp(widths) < 1e-6 * widths.max()


def cross_entropy(z, edges, n_rows):
    """What a layout minimises, of all pairs."""
    weights = np.zeros((n_rows, n_rows))
    weights[edges.first, edges.second] = edges.weights
    squares = np.square(z[:, None] - z[None]).sum(2)
    others = ~np.eye(n_rows, dtype=bool)
    together = weights * np.log1p(squares)
    apart = (1 - weights) * np.log1p(1 / np.maximum(squares, 1e-3))
    return (together + apart)[others].sum()


def test_a_layout_lowers_the_cross_entropy_of_umap():
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(4, 6))
    X = np.repeat(centres, 30, axis=0) + rng.normal(size=(120, 6))
    distances = distances_of(X)
    index = distances.argsort(axis=1)[:, 1:11]
    edges = layout.fuzzy_edges(np.take_along_axis(distances, index, axis=1), index)
    first = PCA(2).fit_transform(X)
    last = layout.lay_out(first, edges, seed=0)
    # In any size: PCA's codes may be too large or small.
    best = min(cross_entropy(s * first, edges, 120) for s in np.geomspace(0.01, 10, 50))
    assert cross_entropy(last, edges, 120) < 0.9 * best


def test_neighbours_move_along_the_slope_of_the_cross_entropy():
    """Where all edges are drawn, attraction is no matter of chance."""
    z = torch.tensor(np.random.default_rng(0).normal(size=(40, 2))).requires_grad_()
    first, second = torch.randint(40, (2, 300), generator=torch.Generator())
    away = z[first] - z[second]
    together = away.square().sum(1).log1p().sum()
    (slope,) = torch.autograd.grad(together, z)
    with torch.no_grad():
        # Each pair in both orders: each moves its first row.
        pairs = torch.cat([first, second]), torch.cat([second, first])
        alone = torch.full((1, 1), 1e9)
        others = torch.cat([z, alone.expand(10**6, 2)])
        moves = layout._moves(others, *pairs, torch.Generator().manual_seed(0))[:40]
    # The others are too far to repel much.
    torch.testing.assert_close(moves, -slope, rtol=0, atol=0.05)


def test_maps_are_the_same_at_any_number_of_threads(digits):
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            torch.set_num_threads(n_threads)
            found.append(picture(digits[:300], max_iter=2).transform(digits))
    np.testing.assert_array_equal(*found)


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
    assert accuracies[1] > 0.9
    assert explained[1] > explained_variance(PCA(2).fit(X[:1300]), X[1300:])


def picture(X, **options):
    return UndercompleteAE(2, **{"neighbor_weight": 1.0} | SHORT | options).fit(X)


@pytest.fixture(scope="module")
def first_picture(digits):
    return picture(digits[:900])


@pytest.fixture
def fitted(first_picture):
    return copy.deepcopy(first_picture)


def test_codes_without_neighbours_are_the_encoders(fitted, digits):
    ae = fitted.set_params(transform_n_neighbors=0, transform_max_iter=0)
    x = torch.tensor((digits[900:] - ae.mean_) / ae.scale_, dtype=torch.float32)
    with torch.no_grad():
        expected = ae.network_.encode(x)
    np.testing.assert_allclose(ae.transform(digits[900:]), expected, atol=1e-5)


def test_codes_without_steps_are_places_on_the_map(fitted, digits):
    ae = fitted.set_params(transform_max_iter=0)
    x = ((digits[900:] - ae.mean_) / ae.scale_).astype(np.float32)
    expected = ae._model.neighbor_map.find(x, 15)[0]
    np.testing.assert_allclose(ae.transform(digits[900:]), expected, atol=1e-6)
    fewer = ae.set_params(transform_n_neighbors=3).transform(digits[900:])
    assert np.abs(fewer - expected).max() > 0.01


def test_the_weight_keeps_codes_near_the_map_at_the_cost_of_the_error(fitted, digits):
    ae, rows = fitted.set_params(transform_max_iter=20), digits[900:1000]
    places = ae.set_params(neighbor_weight=1e6).transform(rows)
    distances, errors = [], []
    for weight in (1.0, 0.03, 0.001):
        codes = ae.set_params(neighbor_weight=weight).transform(rows)
        distances.append(np.linalg.norm(codes - places, axis=1).mean())
        errors.append(1 - ae.score(rows))
    assert np.all(np.diff(distances) > 0)
    assert np.all(np.diff(errors) < 0)


def test_refined_codes_minimise_what_is_documented(fitted, digits):
    """By the minimiser of scipy, from the place on the map."""
    ae = fitted.set_params(transform_max_iter=200, neighbor_weight=0.01)
    rows, drawn_map = digits[900:905], ae._model.neighbor_map
    codes = ae.transform(rows)
    places, _ = drawn_map.find(((rows - ae.mean_) / ae.scale_).astype(np.float32), 15)
    for row, code, place in zip(rows, codes, places, strict=True):

        def cost(z, row=row, place=place):
            answer = ae.inverse_transform(z[None])[0]
            error = np.square((row - answer) / ae.scale_).mean()
            distance = np.square((z - place) / drawn_map.spread).sum()
            return error + 10 * 0.01 * distance

        found = minimize(cost, place, method="Nelder-Mead")
        assert cost(code) <= found.fun * 1.01


def test_held_out_rows_train_nothing(digits):
    ae = UndercompleteAE(2, init="random", neighbor_weight=1.0, **SHORT)
    before = ae.fit(digits).loss_curve_
    _, held_out = hold_out(len(digits), 0.1, ae._state.engine.split_seed)
    changed = digits.copy()
    # Their mirror images about their mean: mean and size of all rows stay.
    changed[held_out] = 2 * digits[held_out].mean(axis=0) - digits[held_out]
    np.testing.assert_allclose(ae.fit(changed).loss_curve_, before, rtol=0.01)


def test_held_out_rows_are_judged_by_their_places(digits):
    """The score of the best weights is that of transform without steps."""
    ae = picture(digits, transform_max_iter=0)
    _, held_out = hold_out(len(digits), 0.1, ae._state.engine.split_seed)
    rows = digits[held_out]
    errors = np.square(rows - ae.reconstruct(rows)).sum()
    unexplained = errors / np.square(rows - ae.mean_).sum()
    assert ae.best_score_ == pytest.approx(1 - unexplained, abs=1e-4)


@pytest.mark.parametrize("n_rows", [2, 4])
def test_few_rows_have_few_neighbours(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    ae = UndercompleteAE(2, neighbor_weight=1.0, early_stopping=False, random_state=0)
    assert explained_variance(ae.fit(X), X) > 0.9
    n_epochs = ae.n_iter_
    assert ae.partial_fit(X[:1]).n_iter_ == n_epochs + 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_distinct_row_has_no_neighbour():
    X = np.ones((30, 3))
    ae = UndercompleteAE(2, neighbor_weight=1.0, **SHORT).fit(X)
    np.testing.assert_array_equal(ae.transform(X), 0.0)
    np.testing.assert_allclose(ae.reconstruct(X), X, atol=1e-5)


def test_a_map_has_so_many_rows_at_most(monkeypatch, digits):
    monkeypatch.setattr("skae._estimators.embedding.N_ROWS", 400)
    ae = picture(digits)
    assert len(ae._model.neighbor_map.places) == 400
    assert ae.score(digits) > explained_variance(PCA(2).fit(digits), digits)


def test_training_that_goes_on_keeps_the_map(digits):
    ae = picture(digits[:600], warm_start=True, transform_max_iter=0)
    before = ae.transform(digits)
    np.testing.assert_array_equal(ae.fit(digits[:600]).transform(digits), before)
    np.testing.assert_array_equal(
        ae.partial_fit(digits[600:]).transform(digits), before
    )
    ae.set_params(neighbor_weight=0.0).fit(digits[:600])
    assert ae.transform_n_neighbors_ == 0
    assert np.abs(ae.transform(digits) - before).max() > 0.1


def test_maps_survive_pickle_and_truncation(digits):
    ae = picture(digits[:600], ordered=True)
    again = pickle.loads(pickle.dumps(ae))
    np.testing.assert_array_equal(again.transform(digits), ae.transform(digits))
    first = ae.set_params(transform_max_iter=0).truncate(1).transform(digits)
    np.testing.assert_array_equal(first, ae.transform(digits)[:, :1])
    goes_on = again.set_params(warm_start=True).fit(digits[:600])
    assert goes_on.transform_n_neighbors_ == 15


@pytest.mark.parametrize("trains", [True, False])
def test_rows_beyond_the_map_have_the_code_of_the_encoder(trains):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6))
    far = 1000 * X[:1]
    ae = picture(np.concatenate([X, far]) if trains else X)
    assert ae.n_far_rows_ == trains
    x = torch.tensor((far - ae.mean_) / ae.scale_, dtype=torch.float32)
    with torch.no_grad():
        expected = ae.network_.encode(x)
    codes = ae.set_params(transform_max_iter=0).transform(far)
    np.testing.assert_allclose(codes, expected, rtol=1e-3)
    assert np.abs(codes).max() > 10 * np.abs(ae.transform(X)).max()


def test_rows_leave_the_map_by_and_by():
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    found, _ = drawn(X)
    apart = distances_of(X)
    np.fill_diagonal(apart, np.inf)
    assert found.gap == pytest.approx(apart.min(axis=1).max(), rel=1e-5)
    farthest = X[np.linalg.norm(X, axis=1).argmax()]
    way = farthest / np.linalg.norm(farthest)
    steps = np.array([0.0, 1.99, 3.0, 4.01], np.float32)
    rows = farthest + steps[:, None] * np.float32(found.gap) * way
    np.testing.assert_allclose(
        found.find(rows, 5)[1].ravel(), [1, 1, 0.5, 0], atol=0.02
    )


@pytest.mark.parametrize("n_features", [6, 30, 60])
@pytest.mark.parametrize("far", [1e20, 1e38])
def test_codes_of_any_row_are_finite(n_features, far):
    X = np.random.default_rng(0).normal(size=(150, n_features))
    ae = picture(X)
    rows = X[:3].copy()
    rows[0, 0] = rows[1] = far
    codes = ae.transform(rows)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes[2:], ae.transform(X[2:3]), atol=1e-5)


def test_a_map_knows_kinds_of_rows_that_come_in_turns():
    """A sample of every second row would miss one of two kinds."""
    rng = np.random.default_rng(0)
    X = np.zeros((5000, 120))
    X[::2, :60] = rng.normal(size=(2500, 60))
    groups = np.repeat(np.arange(5), 500)
    X[1::2, 60:] = rng.normal(size=(5, 60))[groups]
    X[1::2, 60:] += 0.1 * rng.normal(size=(2500, 60))
    found, places = drawn(X)
    assert len(found.places) == 5000
    judge = KNeighborsClassifier(5).fit(places[1::2], groups)
    assert judge.score(places[1::2], groups) > 0.99


def test_rows_are_placed_a_few_at_a_time(monkeypatch):
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    found, places = drawn(X)
    at_once = found.find(X, 5)[0]
    monkeypatch.setattr("skae._objectives.neighbors.n_at_once", lambda width: 16)
    np.testing.assert_array_equal(found.find(X, 5)[0], at_once)
    np.testing.assert_array_equal(drawn(X)[1], places)


def test_one_row_makes_no_map(digits):
    ae = UndercompleteAE(2, random_state=0).partial_fit(digits[:200])
    ae.set_params(neighbor_weight=1.0)
    with pytest.raises(ValueError, match=r"n_samples=1 leaves 1: pass more rows\.$"):
        ae.partial_fit(digits[:1])
    with pytest.raises(ValueError, match=r"n_samples=2 leaves 1: .*early_stopping"):
        picture(digits[:2])


def test_another_number_of_neighbours_needs_another_map(digits):
    ae = picture(digits[:300], warm_start=True).set_params(n_neighbors=3)
    with pytest.raises(
        ValueError, match="n_neighbors=3, but the map was drawn with 15"
    ):
        ae.fit(digits[:300])
    assert ae.set_params(neighbor_weight=0.0).fit(digits[:300])


def test_a_weight_without_a_map_is_told(digits):
    ae = UndercompleteAE(2, max_iter=5, random_state=0).fit(digits)
    with pytest.raises(ValueError, match=r"neighbor_weight=5.0 needs a map"):
        ae.set_params(neighbor_weight=5.0).transform(digits)
    assert ae.partial_fit(digits).transform(digits).shape == (len(digits), 2)


def test_codes_of_any_size_need_no_activation():
    ae = UndercompleteAE(
        2, neighbor_weight=0.5, init="random", code_activation="logistic"
    )
    with pytest.raises(ValueError, match=r"neighbor_weight=0.5 needs codes"):
        ae.fit(np.eye(5))


def test_a_map_may_be_learnt_by_all_rows_at_once(digits):
    X = digits[:300]
    ae = picture(X, solver="lbfgs", hidden_layer_sizes=(64,), max_iter=60)
    assert ae.score(X) > explained_variance(PCA(2).fit(X), X)
    by_batches = picture(X, max_iter=1)
    np.testing.assert_array_equal(
        *(a._model.neighbor_map.codes for a in (ae, by_batches))
    )


@pytest.fixture(params=["pca", "random"])
def wide(request):
    """A map of wide rows whose answers fill few dimensions, and rows that are new."""
    rng = np.random.default_rng(0)
    waves = np.sin(rng.uniform(-2, 2, (300, 2)) @ rng.normal(size=(2, 50)))
    X = waves + 0.05 * rng.normal(size=waves.shape)
    X = np.pad(X, ((0, 0), (0, 4)), constant_values=3.0)
    ae = picture(X[:200], hidden_layer_sizes=(12,), init=request.param)
    X[200:, -4:] += rng.normal(size=(100, 4))
    return ae, X[200:]


def refined_in_all_coordinates(ae, X):
    """Take the step of ``transform`` from the places, by all features."""
    places = copy.deepcopy(ae).set_params(transform_max_iter=0).transform(X)
    rows = torch.tensor((X - ae.mean_) / ae.scale_, dtype=torch.float32)
    spread = ae._model.neighbor_map.spread
    pull = PULL * ae.neighbor_weight * X.shape[1] / spread**2
    code = refine(ae.network_, torch.from_numpy(places), rows, 1, pull)
    return code.detach().numpy(), places


def test_few_coordinates_tell_distances_from_all_answers(wide):
    ae, X = wide
    space = Subspace.of(ae.network_)
    rows = torch.tensor((X - ae.mean_) / ae.scale_, dtype=torch.float32)
    codes = torch.from_numpy(np.random.default_rng(1).normal(size=(100, 2))).float()
    whole = (rows - ae.network_.answer(codes)).square().sum(1)
    few = (space(rows) - space.along(ae.network_).answer(codes)).square().sum(1)
    assert space(rows).shape[1] <= 21 < rows.shape[1]
    np.testing.assert_allclose(few.detach(), whole.detach(), rtol=1e-4)


def test_codes_are_refined_in_few_coordinates_as_in_all(wide):
    ae, X = wide
    expected, places = refined_in_all_coordinates(ae, X)
    np.testing.assert_allclose(ae.transform(X), expected, atol=1e-3)
    assert np.abs(expected - places).max() > 0.01


@pytest.mark.parametrize("changed", ["last", "first", "activation"])
def test_refined_codes_follow_networks_that_were_changed_by_hand(wide, changed):
    ae, X = wide
    before = ae.transform(X)
    network = ae.network_
    decoder = getattr(network, "network", network).decoders[-1]
    if changed == "last":
        decoder[-1].weight.data.mul_(0.5)
    elif changed == "first":
        decoder[0] = torch.nn.Linear(2, 12)
    else:
        decoder[1] = torch.nn.Tanh()
    expected, _ = refined_in_all_coordinates(ae, X)
    np.testing.assert_allclose(ae.transform(X), expected, atol=1e-3)
    assert np.abs(expected - before).max() > 0.01


@pytest.mark.parametrize("wide", ["pca"], indirect=True)
def test_refined_codes_follow_features_that_become_constant(wide):
    ae, X = wide
    before = ae.transform(X)
    ae.network_.deviation[:40].zero_()
    expected, _ = refined_in_all_coordinates(ae, X)
    # A step that hardly helps may be taken in one and left in the other.
    np.testing.assert_allclose(ae.transform(X), expected, atol=0.01)
    assert np.abs(expected - before).max() > 0.02
