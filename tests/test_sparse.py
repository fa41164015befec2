"""SparseAE: its penalties and layers, what they do to the code, and silent units."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from skae import SparseAE, UndercompleteAE
from skae._networks.sparse import (
    BAND,
    SPARSITIES,
    BatchTopK,
    JumpReLU,
    SparseDense,
    TopK,
)
from skae._objectives.sparsity import KL, l1

SHORT = {"max_iter": 10, "random_state": 0}


@pytest.fixture
def entries():
    return torch.randn(40, 30, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sparsity", ["l1", "kl"])
@pytest.mark.parametrize("solver", ["adamw", "lbfgs"])
def test_without_penalty_it_is_the_plain_autoencoder(digits, sparsity, solver):
    options = SHORT | {"hidden_layer_sizes": (), "init": "random", "solver": solver}
    activation = {"l1": "relu", "kl": "logistic"}[sparsity]
    plain = UndercompleteAE(8, code_activation=activation, **options).fit(digits)
    ours = SparseAE(8, sparsity=sparsity, alpha=0.0, **options).fit(digits)
    for a, b in zip(
        plain.network_.parameters(), ours.network_.parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_divergence_is_zero_at_the_target_and_bernoullis_elsewhere():
    penalty = KL(3, 0.2, 0)
    assert penalty.divergence(torch.full((3,), 0.2)).item() == pytest.approx(
        0, abs=1e-7
    )
    rates = torch.tensor([0.1, 0.5, 0.9])
    target, other = (
        torch.distributions.Bernoulli(p) for p in (torch.tensor(0.2), rates)
    )
    expected = torch.distributions.kl_divergence(target, other).mean()
    torch.testing.assert_close(penalty.divergence(rates), expected)


class Constant:
    """Network that answers with the rows."""

    def encode(self, x):
        return x


def test_running_mean_has_the_slope_of_the_batch():
    penalty, generator = KL(1, 0.2, 1000), torch.Generator()
    for share in (0.1, 0.5):
        x = torch.full((100, 1), share, requires_grad=True)
        _, value = penalty(Constant(), x, generator)
    rate = torch.tensor(0.9 * 0.1 + 0.1 * 0.5, requires_grad=True)
    expected = penalty.divergence(rate[None])
    torch.testing.assert_close(value, expected)
    value.backward()
    (slope,) = torch.autograd.grad(expected, rate)
    torch.testing.assert_close(x.grad.sum(), slope)


def test_top_k_keeps_the_largest(entries):
    layer = TopK(30, 4, 2.0)
    layer.advance(0.25)
    for training, k in ((True, 10), (False, 8)):
        kept = layer.train(training)(entries)
        assert ((kept != 0).sum(dim=1) == k).all()
        largest = entries.sort(dim=1, descending=True).values[:, :k]
        assert torch.equal(kept.sort(dim=1, descending=True).values[:, :k], largest)


def test_batch_top_k_keeps_as_many_in_the_mean(entries):
    layer = BatchTopK(30, 4)
    kept = layer.train()(entries.relu())
    assert (kept != 0).sum().item() == 4 * 40
    assert layer.threshold == kept[kept > 0].min()
    assert torch.equal(layer.eval()(entries.relu()), kept)


def test_jump_relu_counts_with_the_slope_of_the_density():
    """The count's slope by the threshold is minus the density of entries there."""
    layer = JumpReLU(1)
    x = torch.linspace(0, 1, 100_001)[:, None]
    layer.active(x).mean().backward()
    low, high = (layer.log_threshold + torch.tensor([0.0, BAND])).exp().tolist()
    assert layer.log_threshold.grad.item() == pytest.approx(
        -(high - low) / BAND, rel=1e-3
    )
    assert torch.equal(layer(x), torch.where(x > layer.log_threshold.exp(), x, 0))


@pytest.mark.parametrize("hidden", [(), (20,)])
@pytest.mark.parametrize("map_", [0, -1])
def test_small_code_with_a_large_decoder_is_no_cheaper(entries, hidden, map_):
    made = SparseDense([30, *hidden, 8], "relu", "l1", 0, 1.0, activation="relu")
    generator = torch.Generator().manual_seed(0)
    made.reset_parameters(generator, torch.zeros(30))
    before = l1(made, entries, generator)[1]
    with torch.no_grad():
        made.encoder[-1].weight.mul_(0.1)
        made.decoders[0][map_].weight.mul_(10)
    torch.testing.assert_close(l1(made, entries, generator)[1], before)


@pytest.mark.parametrize("hidden", [(), (32,)])
def test_columns_have_unit_norm_and_the_reconstruction_stays(digits, hidden):
    ae = SparseAE(32, hidden_layer_sizes=hidden, **SHORT).fit(digits)
    columns = ae.network_.decoder_weights()[0]
    torch.testing.assert_close(columns.norm(dim=0), torch.ones(32))
    before = ae.reconstruct(digits)
    with torch.no_grad():
        columns.mul_(3)
    ae.network_.normalise()
    torch.testing.assert_close(columns.norm(dim=0), torch.ones(32))
    last = ae.network_.encoder[-1]
    with torch.no_grad():
        for part in (last.weight, last.bias):
            part.div_(3)
    np.testing.assert_allclose(ae.reconstruct(digits), before, atol=1e-3)


def test_code_gets_sparser_as_alpha_grows(digits):
    active = [
        SparseAE(64, alpha=a, max_iter=25, random_state=0).fit(digits).mean_active_
        for a in (0.03, 0.1, 0.3)
    ]
    assert all(np.diff(active) < 0)


def test_mean_activation_nears_the_target_as_alpha_grows(digits):
    options = {"sparsity": "kl", "target_sparsity": 0.1, "max_iter": 25}
    distances = [
        abs(ae.fit(digits).mean_active_ / 32 - 0.1)
        for ae in (
            SparseAE(32, alpha=a, random_state=0, **options) for a in (0, 0.1, 1)
        )
    ]
    assert all(np.diff(distances) < 0)


@pytest.mark.parametrize("k", [1, 7])
def test_codes_of_top_k_have_exactly_k_entries(digits, k):
    ae = SparseAE(32, sparsity="top_k", k=k, **SHORT).fit(digits)
    assert ((ae.transform(digits) != 0).sum(axis=1) == k).all()
    assert ae.mean_active_ == k


def test_support_widens_the_code_that_was_trained(digits):
    fits = [
        SparseAE(32, sparsity="top_k", k=4, support=s, **SHORT).fit(digits)
        for s in (1.0, 2.5)
    ]
    narrow, wide = (ae.transform(digits) for ae in fits)
    assert ((wide != 0).sum(axis=1) == 10).all()
    np.testing.assert_allclose(np.where(narrow, wide, 0), narrow)


def test_batch_top_k_keeps_its_mean_on_new_rows(digits):
    ae = SparseAE(64, sparsity="batch_top_k", k=6, max_iter=20, random_state=0)
    codes = ae.fit(digits[::2]).transform(digits[1::2])
    assert (codes != 0).sum(axis=1).mean() == pytest.approx(6, rel=0.25)
    assert (codes != 0).sum(axis=1).std() > 0


@pytest.mark.parametrize("sparsity", ["l1", "jump_relu"])
@pytest.mark.parametrize("alpha", [0.01, 1.0])
def test_alpha_adapts_to_the_target(digits, sparsity, alpha):
    # It adapts in each step, and steps of small batches take less time.
    options = {"batch_size": 33, "max_iter": 60, "random_state": 0}
    ae = SparseAE(64, sparsity=sparsity, alpha=alpha, target_sparsity=0.1, **options)
    ae.fit(digits)
    assert ae.mean_active_ == pytest.approx(6.4, rel=0.1)
    assert ae.alpha_ != alpha


def test_warning_where_the_target_is_not_reached(digits):
    ae = SparseAE(64, target_sparsity=0.05, **SHORT)
    with pytest.warns(ConvergenceWarning, match=r"=0.05 is not reached: 0\.\d+ of"):
        ae.fit(digits)


def test_active_entries_of_rates_are_their_sum(digits):
    ae = SparseAE(32, sparsity="kl", **SHORT).fit(digits)
    total = ae.transform(digits).sum(axis=1).mean()
    assert ae.mean_active_ == pytest.approx(total, rel=1e-5)


def test_target_sparsity_rounds_k(digits):
    ae = SparseAE(64, sparsity="top_k", target_sparsity=0.1, **SHORT).fit(digits)
    assert ae.mean_active_ == 6


def test_silent_units_are_revived(digits, monkeypatch):
    options = {"sparsity": "batch_top_k", "k": 2, "max_iter": 100, "random_state": 1}
    options |= {"learning_rate": "cosine"}
    revived = SparseAE(128, **options).fit(digits)
    monkeypatch.setattr("skae._objectives.sparsity.REVIVAL_WEIGHT", 0.0)
    with pytest.warns(ConvergenceWarning, match="active in no training row"):
        left = SparseAE(128, **options).fit(digits)
    assert len(revived.dead_units_) < 0.2 * len(left.dead_units_)
    assert revived.score(digits) > left.score(digits)


def test_dead_units_are_those_that_are_never_active(digits):
    ae = SparseAE(64, alpha=0.5, max_iter=15, random_state=0).fit(digits)
    codes = ae.transform(digits)
    assert np.array_equal(ae.dead_units_, np.flatnonzero((codes == 0).all(axis=0)))
    assert ae.mean_active_ == pytest.approx((codes != 0).sum(axis=1).mean())


def test_warning_where_most_units_are_dead(digits):
    with pytest.warns(ConvergenceWarning, match=r"of 64 units are active in no"):
        SparseAE(64, alpha=300.0, learning_rate_init=0.1, **SHORT).fit(digits)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_jacobian_is_that_of_finite_differences(digits, sparsity):
    ae = SparseAE(32, sparsity=sparsity, **SHORT).fit(digits)
    row, step = digits[:1] + 0.01, 1e-2
    ahead, behind = (ae.transform(row + s * np.eye(64)) for s in (step, -step))
    expected = (ahead.astype(float) - behind).T / (2 * step)
    # A threshold may lie between the two.
    close = np.isclose(ae.jacobian(row)[0], expected, atol=2e-3)
    assert close.mean() > 0.98


def test_width_is_the_input_by_default(digits):
    assert SparseAE(**SHORT).fit(digits[:30]).n_components_ == 64


@pytest.mark.parametrize("sparsity", ["l1", "kl", "top_k"])
def test_line_search_minimises_what_is_deterministic(digits, sparsity):
    ae = SparseAE(
        32, sparsity=sparsity, solver="lbfgs", early_stopping=False, **SHORT
    ).fit(digits[:300])
    assert (np.diff(ae.loss_curve_) <= 0).all()
    assert ae.loss_curve_[-1] < 0.9 * ae.loss_curve_[0]


@pytest.mark.parametrize(
    "options",
    [
        {"sparsity": "jump_relu"},
        {"sparsity": "batch_top_k"},
        {"target_sparsity": 0.1},
    ],
)
def test_line_search_refuses_what_moves(digits, options):
    with pytest.raises(ValueError, match="'lbfgs' needs a fixed objective"):
        SparseAE(solver="lbfgs", **options).fit(digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sparsity": "kl", "code_activation": "relu"},
            r"'relu' does not work with .*kl",
        ),
        ({"sparsity": "top_k", "k": 3, "target_sparsity": 0.1}, "k=3 and target_spars"),
        ({"sparsity": "top_k", "k": 65}, r"k=65 must be an integer from 1 to 64"),
        ({"target_sparsity": 0.1, "alpha": 0.0}, "cannot grow from 0.0"),
        ({"target_sparsity": 0.1, "code_activation": "tanh"}, "'tanh' does not work"),
        ({"init": "pca"}, "'init' parameter"),
        ({"support": 0.5}, "'support' parameter"),
    ],
)
def test_parameters_that_contradict(digits, options, message):
    with pytest.raises(ValueError, match=message):
        SparseAE(**options).fit(digits)


@pytest.mark.parametrize("sparsity", ["l1", "kl", "batch_top_k", "jump_relu"])
def test_training_in_parts_goes_on(digits, sparsity):
    ae = SparseAE(32, sparsity=sparsity, random_state=0)
    for _ in range(8):
        ae.partial_fit(digits)
    assert ae.loss_curve_[-1] < 0.8 * ae.loss_curve_[0]


@pytest.mark.parametrize("sparsity", ["l1", "jump_relu"])
@pytest.mark.filterwarnings("ignore:target_sparsity=0.05 is not reached")
def test_an_alpha_that_was_adapted_can_be_given(digits, sparsity):
    """Else what it was adapted by would count twice."""
    options = {"sparsity": sparsity, "target_sparsity": 0.05, "random_state": 0}
    ae = SparseAE(20, **options, max_iter=10, warm_start=True).fit(digits[:500])
    adapted = ae.alpha_
    assert abs(adapted - 0.1) > 0.02
    again = pickle.loads(pickle.dumps(ae))
    assert again.partial_fit(digits[:500]).alpha_ == pytest.approx(adapted, rel=0.1)
    ae.set_params(alpha=adapted, max_iter=1).fit(digits[:500])
    assert ae.alpha_ == pytest.approx(adapted, rel=0.1)
    ae.set_params(alpha=0.1).partial_fit(digits[:500])
    assert ae.alpha_ == pytest.approx(0.1, rel=0.1)
