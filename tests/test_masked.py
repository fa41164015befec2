"""The masked autoencoder: what is hidden is predicted, and never seen."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from skae import ConvAE, MaskedAE, RecurrentAE
from skae._networks.attention import Block
from skae._networks.conditional import ConditionalSkip
from skae._networks.links import Link
from skae._networks.tokens import cut, n_tokens
from skae._networks.transformer import MaskedTransformer
from skae._objectives.losses import make_loss
from skae._objectives.masked import MaskedObjective, hide_tokens
from skae.inspection import LossCurveDisplay
from skae.metrics import explained_variance

FEW = {"max_iter": 2, "random_state": 0}


def network_of(shape=(1, 8, 8), patch_size=2, shares_weights=True, mask_ratio=0.75):
    """Return a network with random weights."""
    network = MaskedTransformer(
        shape, patch_size, shares_weights, mask_ratio, 16, [32, 32], n_heads=2
    )
    n_features = network.n_features
    network.link = Link(np.zeros(n_features), 1.0)
    network.reset_parameters(torch.Generator().manual_seed(0), torch.zeros(n_features))
    return network.eval()


@pytest.fixture
def x():
    return torch.randn(20, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def fitted(digits):
    """A table's estimator, trained a little, and an estimator of images."""
    table = MaskedAE(16, early_stopping=False, **FEW).fit(digits[:400])
    return table, MaskedAE(16, image_shape=(8, 8), **FEW).fit(digits[:400])


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 8, 8), 2), ((1, 7, 5), 3), ((3, 8, 6), 4), ((2, 10), 3), ((1, 4, 5, 6), 2)],
)
def test_tokens_are_boxes_that_hold_each_feature_once(shape, size):
    places = cut(shape, size)
    n_features = int(np.prod(shape))
    assert len(places) == n_tokens(shape, size)
    inside = places[places < n_features]
    np.testing.assert_array_equal(np.sort(inside), np.arange(n_features))
    for patch in places:
        channel, *at = np.unravel_index(patch[patch < n_features], shape)
        assert set(channel) == set(range(shape[0]))
        assert all(np.ptp(a) < size and a.min() % size == 0 for a in at)


@pytest.mark.parametrize("n_visible", [1, 4, 15])
def test_as_many_tokens_are_hidden_in_each_row(x, n_visible):
    token_of = network_of().token_of
    x = x.repeat(50, 1)
    generator = torch.Generator().manual_seed(0)
    seen = hide_tokens(x, generator, token_of=token_of, n_visible=n_visible)
    hidden = torch.stack([seen[:, token_of == t].isnan().all(1) for t in range(16)])
    assert (hidden.sum(0) == 16 - n_visible).all()
    assert (seen.isnan().sum(1) == 4 * (16 - n_visible)).all()
    assert torch.equal(seen[~seen.isnan()], x[~seen.isnan()])
    np.testing.assert_allclose(hidden.float().mean(1), 1 - n_visible / 16, atol=0.06)


@pytest.mark.parametrize("mask_ratio", [0.01, 0.3, 0.5, 0.75, 0.99])
@pytest.mark.parametrize("n_columns", [2, 3, 7, 16])
def test_passes_hide_as_many_tokens_as_training_and_each_once(n_columns, mask_ratio):
    network = network_of((1, n_columns), 1, False, mask_ratio)
    hidden = network.hidden_together
    assert (hidden.sum(1) == n_columns - network.n_visible).all()
    assert hidden.any(0).all()
    visible = round(n_columns * (1 - mask_ratio))
    assert network.n_visible == min(max(visible, 1), n_columns - 1)


def test_the_encoder_sees_visible_tokens_only(x):
    network, sizes = network_of(), []
    for block in network.blocks:
        block.register_forward_hook(lambda _, args, out: sizes.append(args[0].shape[1]))
    seen = x.clone()
    seen[:, network.token_of >= 4] = torch.nan
    network.fill(seen)
    assert sizes == [4, 4]


@pytest.mark.parametrize("shares_weights", [True, False])
def test_the_code_is_the_mean_of_the_visible_tokens(x, shares_weights):
    """The second road cuts a row by hand, and runs the blocks on what is left."""
    network = network_of(shares_weights=shares_weights)
    seen = x.clone()
    for row, n_hidden in enumerate(range(0, 15)):
        seen[row, network.token_of < n_hidden] = torch.nan
    codes = network.encode(seen)
    for row, n_hidden in enumerate(range(0, 15)):
        patches = x[row][network.places]
        weight = network.inputs.weight.expand(16, -1, -1)
        tokens = torch.einsum("ti,toi->to", patches, weight) + network.inputs.bias
        tokens = tokens[None, n_hidden:]
        for block in network.blocks:
            tokens = block(tokens, None)
        torch.testing.assert_close(codes[row], network.norm(tokens).mean(1)[0])


def test_missing_pixels_of_a_visible_patch_are_read_as_the_mean(x):
    network, gaps = network_of(), x.clone()
    gaps[:, 0] = torch.nan
    zeros = x.clone()
    zeros[:, 0] = 0.0
    torch.testing.assert_close(network.encode(gaps), network.encode(zeros))
    everything = torch.full((1, 64), torch.nan)
    code = network.encode(torch.zeros(1, 64))
    torch.testing.assert_close(network.encode(everything), code)


def test_attention_is_that_of_torch():
    """Self-attention of the block is nn.MultiheadAttention with the same weights."""
    block = Block(8, 16, 2, "gelu", 8)
    nn.init.normal_(block.first_norm.weight)
    nn.init.normal_(block.first_norm.bias)
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        for p in block.parameters():
            p.normal_(generator=torch.Generator().manual_seed(p.numel()))
        theirs.in_proj_weight.copy_(torch.cat([block.query.weight, block.keys.weight]))
        theirs.in_proj_bias.copy_(torch.cat([block.query.bias, block.keys.bias]))
        theirs.out_proj.load_state_dict(block.mix.state_dict())
    tokens = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    there = torch.tensor([[True] * 5, [True, False, True, True, False], [True] * 5])
    query = block.first_norm(tokens)
    mixed = tokens + theirs(query, query, query, key_padding_mask=~there)[0]
    wanted = mixed + block.narrow(
        block.activation(block.widen(block.second_norm(mixed)))
    )
    torch.testing.assert_close(block(tokens, there), wanted)


@pytest.mark.parametrize("index", [0, 1])
def test_a_prediction_does_not_move_when_what_it_predicts_does(fitted, digits, index):
    X, ae = digits[:9], fitted[index]
    answer = ae.reconstruct(X)
    for feature in (20, 27, 60):
        changed = X.copy()
        changed[:, feature] += 50
        moved = ae.reconstruct(changed)
        np.testing.assert_array_equal(moved[:, feature], answer[:, feature])
        assert (moved != answer).any()


def test_missing_values_are_predicted_by_all_others(fitted, digits):
    """One pass with everything that is known, whatever other rows miss."""
    ae, X = fitted[0], digits[:9].copy()
    X[::2, 10:20] = np.nan
    seen = torch.from_numpy((X - ae.mean_) / ae.scale_).float()
    with torch.no_grad():
        filled = ae.network_.fill(seen).numpy() * ae.scale_ + ae.mean_
    missing = np.isnan(X)
    answer = ae.reconstruct(X)
    np.testing.assert_allclose(answer[missing], filled[missing], rtol=1e-4, atol=1e-4)
    known = ae.reconstruct(X[1::2])
    np.testing.assert_allclose(answer[1::2], known, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("index", [0, 1])
def test_scores_are_errors_of_predictions(fitted, digits, index):
    X, ae = digits[400:500], fitted[index]
    errors = np.square(ae.reconstruct(X) - X).sum(axis=1)
    np.testing.assert_allclose(ae.score_samples(X), -errors, rtol=1e-4)
    total = np.square(X - X.mean(axis=0)).sum()
    assert ae.score(X) == pytest.approx(1 - errors.sum() / total, rel=1e-4)


def test_the_loss_counts_hidden_entries_that_are_known(x):
    network = network_of()
    loss = make_loss("squared_error", np.zeros(64), 1.0)
    x[0, :10] = torch.nan
    generator = torch.Generator().manual_seed(0)
    seen = hide_tokens(x, generator, token_of=network.token_of, n_visible=4)
    objective = MaskedObjective(loss)
    found = objective.reconstruction_loss(network, seen, x, seen)
    counts = seen.isnan() & ~x.isnan()
    torch.testing.assert_close(found, (network.fill(seen) - x)[counts].square().mean())


@pytest.mark.parametrize("token", [1, 4])
@pytest.mark.parametrize("partial", [False, True])
def test_the_linear_part_is_the_conditional_mean_of_a_gaussian(x, token, partial):
    network = network_of((1, 64), token, shares_weights=False)
    skip = ConditionalSkip(network, 16, 64)
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(64, 16)))[0].T
    variances, centre = np.linspace(3, 0.1, 16), rng.normal(size=64)
    ones = np.ones(64)
    skip.become_linear(axes, centre, ones, variances, ones[:16])
    skip.noise.fill_(0.2)
    hidden = np.repeat(rng.random((20, 64 // token)) < 0.5, token, axis=1)
    hidden[:, 0] ^= partial
    rows, filled = x.numpy().astype(float), []
    covariance = axes.T @ (variances[:, None] * axes) + 0.2 * np.eye(64)
    for row, h in zip(rows, hidden, strict=True):
        inverse = np.linalg.inv(covariance[np.ix_(~h, ~h)])
        known = (row - centre)[~h]
        filled.append(centre[h] + covariance[np.ix_(h, ~h)] @ inverse @ known)
    seen = x.masked_fill(torch.from_numpy(hidden), torch.nan)
    answers = skip.expand(seen).numpy()
    np.testing.assert_allclose(answers[hidden], np.concatenate(filled), atol=1e-4)
    torch.testing.assert_close(skip.fill(seen), skip.expand(seen))


@pytest.mark.filterwarnings("ignore:Training did not improve on PCA")
def test_if_pca_is_kept_the_code_is_that_of_pca(breast_cancer):
    ae = MaskedAE(8, learning_rate_init=1e-9, **FEW).fit(breast_cancer)
    assert ae.is_pca_
    assert ae.best_score_ == ae.pca_score_
    pca = PCA(8).fit(breast_cancer / ae.scale_)
    wanted = pca.transform(breast_cancer / ae.scale_)
    codes = ae.transform(breast_cancer)
    signs = np.sign((codes * wanted).sum(axis=0))
    np.testing.assert_allclose(codes, signs * wanted, atol=2e-3)


def test_the_linear_part_fills_gaps_of_a_table(breast_cancer, rng):
    """Even before training it is better than the mean, by far."""
    gaps = rng.random(breast_cancer.shape) < 0.2
    seen = np.where(gaps, np.nan, breast_cancer)
    ae = MaskedAE(32, early_stopping=False, **FEW).fit(seen)
    error = np.square(ae.reconstruct(seen) - breast_cancer)[gaps].mean()
    assert error < 0.3 * np.square(breast_cancer[gaps]).mean()


def test_training_predicts_hidden_patches(digits):
    images = digits.reshape(-1, 8, 8)
    ae = MaskedAE(32, max_iter=60, random_state=0).fit(images[:1000])
    assert ae.pca_score_ is None
    assert ae.best_score_ > 0.2
    seen = images[1000:].copy()
    seen[:, :, 4:6] = np.nan
    error = ae.reconstruct(seen)[:, :, 4:6] - images[1000:, :, 4:6]
    means = ae.mean_.reshape(8, 8)[:, 4:6] - images[1000:, :, 4:6]
    assert np.square(error).mean() < 0.7 * np.square(means).mean()


def test_arrays_of_images_are_flat_rows_with_a_shape(fitted, digits):
    images = digits.reshape(-1, 8, 8)
    flat = fitted[1]
    ae = MaskedAE(16, **FEW).fit(images[:400])
    np.testing.assert_array_equal(ae.transform(images[:9]), flat.transform(digits[:9]))
    assert ae.reconstruct(images[:9]).shape == (9, 8, 8)
    assert ae.image_shape_ == (1, 8, 8)
    assert ae.network_.inputs.weight.shape[0] == 1


def test_a_table_has_weights_for_each_column(fitted, digits):
    ae = fitted[0]
    assert ae.network_.network.inputs.weight.shape == (64, 16, 1)
    assert ae.image_shape_ == (1, 64)
    order = np.random.default_rng(0).permutation(500)
    wide = MaskedAE(4, **FEW | {"max_iter": 1}, early_stopping=False)
    wide.fit(order.reshape(10, 50) @ np.ones((50, 500)) + np.eye(10, 500))
    assert wide.network_.network.inputs.weight.shape == (63, 4, 8)


def test_clip_keeps_columns_of_a_table_in_their_range(fitted, digits):
    ae, X = fitted[0], digits[:400]
    low, high = X.min(axis=0), X.max(axis=0)
    answers = ae.reconstruct(X)
    assert ((answers < low - 1e-5) | (answers > high + 1e-5)).any()
    ae.clip = True
    np.testing.assert_array_equal(ae.reconstruct(X), np.clip(answers, low, high))
    ae.clip = False


def test_the_jacobian_is_that_of_the_code(fitted, digits):
    ae, X = fitted[1], digits[:2].copy()
    X[:, :2] = np.nan
    jacobian = ae.jacobian(X)
    assert (jacobian[:, :, :2] == 0).all()
    step = np.zeros(64)
    step[20] = 0.05
    slopes = (ae.transform(X + step) - ae.transform(X - step)) / 0.1
    np.testing.assert_allclose(jacobian[:, :, 20], slopes, atol=1e-3)


def test_there_is_no_inverse(fitted, digits):
    ae = fitted[0]
    assert not hasattr(ae, "inverse_transform")
    assert not hasattr(MaskedAE(), "inverse_transform")
    with pytest.raises(AttributeError, match="Use reconstruct"):
        ae.inverse_transform(ae.transform(digits))
    with pytest.raises(TypeError, match="cannot reconstruct"):
        explained_variance(ae, digits)


def test_its_loss_curve_needs_no_inverse(fitted):
    plt = pytest.importorskip("matplotlib.pyplot")
    display = LossCurveDisplay.from_estimator(fitted[0])
    np.testing.assert_array_equal(display.loss_curve, fitted[0].loss_curve_)
    plt.close(display.figure_)


@pytest.mark.parametrize(
    ("cls", "sizes"), [(MaskedAE, (8, 8)), (RecurrentAE, 8), (ConvAE, 8)]
)
def test_a_change_of_layers_is_told_by_the_name_of_the_parameter(cls, sizes, digits):
    options = {"image_shape": (8, 8)} if cls is not RecurrentAE else {}
    ae = cls(8, hidden_layer_sizes=sizes, max_iter=1, early_stopping=False, **options)
    ae.fit(digits[:50])
    with pytest.raises(ValueError, match=r"change hidden_layer_sizes from \["):
        ae.set_params(hidden_layer_sizes=3).partial_fit(digits[:50])


def test_parameters_shape_the_network(digits):
    options = {"hidden_layer_sizes": (3, 5, 7), "n_heads": 4, "patch_size": 4}
    ae = MaskedAE(8, image_shape=(8, 8), activation="relu", **options, **FEW)
    network = ae.fit(digits[:100]).network_
    assert [block.widen.out_features for block in network.blocks] == [3, 5, 7]
    assert [block.n_heads for block in network.blocks] == [4, 4, 4]
    assert isinstance(network.decoder.activation, nn.ReLU)
    assert network.places.shape == (4, 16)
    few = MaskedAE(8, image_shape=(8, 8), mask_ratio=0.5, **FEW).fit(digits[:100])
    assert few.network_.n_visible == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tied_weights": True}, "tied_weights.*Got True"),
        ({"code_activation": "tanh"}, "code_activation.*Got 'tanh'"),
        ({"mask_ratio": 1.0}, "mask_ratio.*Got 1.0"),
        ({"n_heads": 3}, "n_heads=3 does not divide n_components=64"),
        ({"solver": "lbfgs"}, "solver='lbfgs' needs a deterministic objective"),
        ({"patch_size": 99}, "patch_size=99 makes one token"),
        ({"init": "zeros"}, "init.*Got 'zeros'"),
        ({"n_components": 10**9}, "n_components=1000000000.*bytes"),
    ],
)
def test_parameters_that_cannot_work_are_told(digits, options, message):
    with pytest.raises(ValueError, match=message):
        MaskedAE(**options).fit(digits[:50])


def test_a_single_column_has_nothing_to_be_predicted_from(digits):
    with pytest.raises(ValueError, match="n_features=1, and no other"):
        MaskedAE().fit(digits[:50, 20:21])


def test_mask_ratio_stays_in_further_training(digits):
    ae = MaskedAE(8, warm_start=True, early_stopping=False, **FEW).fit(digits[:100])
    ae.mask_ratio = 0.5
    with pytest.raises(ValueError, match=r"mask_ratio from 0\.75 to 0\.5"):
        ae.fit(digits[:100])


def test_no_global_random_number_is_drawn(digits):
    before = torch.get_rng_state()
    for init in ("pca", "random"):
        one, other = (
            MaskedAE(8, init=init, early_stopping=False, **FEW).fit(digits[:200])
            for _ in range(2)
        )
        np.testing.assert_array_equal(
            one.reconstruct(digits), other.reconstruct(digits)
        )
    assert torch.equal(torch.get_rng_state(), before)
