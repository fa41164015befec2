"""ConvAE: layouts, shapes, its start from PCA, and what convolutions gain."""

import pickle

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skae import ConvAE
from skae._rows.layout import shapes_of
from skae.metrics import explained_variance

SHORT = {"max_iter": 3, "random_state": 0}
LAYOUTS = [
    ((7,), {}, (1, 7)),
    ((31,), {}, (1, 31)),
    ((3, 28), {"spatial_dims": 1}, (3, 28)),
    ((8, 7), {}, (1, 8, 7)),
    ((28, 31), {}, (1, 28, 31)),
    ((3, 8, 8), {}, (3, 8, 8)),
    ((7, 8, 7), {"spatial_dims": 3}, (1, 7, 8, 7)),
    ((3, 8, 7, 8), {}, (3, 8, 7, 8)),
]


@pytest.fixture(scope="module")
def bumps():
    """Images of one bump each, anywhere: few numbers tell it, but no few axes."""
    rng = np.random.default_rng(0)
    centre = rng.uniform(3, 13, (800, 2))
    x, y = (np.exp(-((np.arange(16) - c[:, None]) ** 2) / 4) for c in centre.T)
    return (x[:, :, None] * y[:, None, :]).astype(np.float32)


def test_images_are_clipped_to_the_range_of_each_channel(rng):
    X = rng.integers(0, 256, (40, 2, 8, 8)).astype(np.uint8)
    X[:, 1] //= 4
    ae = ConvAE(3, init="random", **SHORT).fit(X)
    far = 1e3 * ae.transform(X)
    plain = ae.inverse_transform(far)
    clipped = ae.set_params(clip=True).inverse_transform(far)
    for channel in (0, 1):
        seen = X[:, channel]
        within = np.clip(plain[:, channel], seen.min(), seen.max())
        np.testing.assert_array_equal(clipped[:, channel], within)
    assert 0 <= clipped.min() < clipped.max() <= 255


@pytest.mark.parametrize(("shape", "options", "image_shape"), LAYOUTS, ids=str)
def test_flat_rows_and_arrays_are_the_same(shape, options, image_shape, rng):
    arrays = rng.normal(size=(24, *shape)).cumsum(axis=-1)
    flat = arrays.reshape(24, -1)
    options |= {"init": "random"} | SHORT
    of_arrays = ConvAE(3, **options).fit(arrays if len(shape) > 1 else flat)
    of_flat = ConvAE(3, image_shape=shape, **options).fit(flat)
    codes = of_arrays.transform(flat)
    assert of_arrays.image_shape_ == of_flat.image_shape_ == image_shape
    np.testing.assert_array_equal(codes, of_flat.transform(flat))
    np.testing.assert_array_equal(codes, of_flat.transform(arrays))
    answer = of_arrays.reconstruct(arrays)
    assert answer.shape == arrays.shape
    np.testing.assert_array_equal(answer, of_arrays.inverse_transform(codes))
    np.testing.assert_array_equal(answer.reshape(24, -1), of_flat.reconstruct(arrays))
    assert of_arrays.score(flat) == of_flat.score(arrays)


def test_one_channel_may_be_said_or_not(digits):
    images = digits.reshape(-1, 8, 8)
    without, with_it = (ConvAE(2, **SHORT).fit(X) for X in (images, images[:, None]))
    codes = [ae.transform(images) for ae in (without, with_it)]
    np.testing.assert_array_equal(*codes)
    assert with_it.reconstruct(images[:3]).shape == (3, 1, 8, 8)


def test_derivatives_are_those_of_the_code_in_the_layout_of_images(digits):
    images = digits.reshape(-1, 8, 8)
    ae = ConvAE(2, activation="tanh", early_stopping=False, **SHORT).fit(images)
    step = np.zeros((8, 8))
    step[3, 4] = 0.01
    slope = (ae.transform(images[:5] + step) - ae.transform(images[:5] - step)) / 0.02
    derivatives = ae.jacobian(images[:5])
    assert derivatives.shape == (5, 2, 8, 8)
    np.testing.assert_allclose(derivatives[:, :, 3, 4], slope, atol=2e-3)
    tangents = ae.tangent_space(images[:5], 2)
    assert tangents.shape == (5, 2, 8, 8)


def test_it_stands_in_a_pipeline_after_a_scaler(digits):
    ae = ConvAE(4, image_shape=(8, 8), **SHORT)
    pipeline = make_pipeline(MinMaxScaler(), ae).fit(digits)
    assert explained_variance(pipeline, digits) > 0.3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"upsampling": "nearest"},
        {"upsampling": "linear"},
        {"normalization": "batch"},
        {"normalization": "layer"},
        {"tied_weights": True},
        {"channels": 8, "kernel_size": 3},
        {"channels": (8, 16, 16), "kernel_size": (5, 3, 3), "stride": (1, 2, 2)},
        {"hidden_layer_sizes": (32,)},
    ],
    ids=str,
)
def test_convolutions_find_what_pca_misses(bumps, options):
    options = {"batch_size": 30, "max_iter": 10, "random_state": 0} | options
    train, test = bumps[:300], bumps[600:]
    ae = ConvAE(4, **options).fit(train)
    pca = PCA(4).fit(train.reshape(300, -1))
    missed = 1 - explained_variance(pca, test.reshape(200, -1))
    assert 1 - ae.score(test) < 0.5 * missed


@pytest.mark.parametrize(
    "options",
    [{}, {"tied_weights": True}, {"upsampling": "linear"}, {"normalization": "layer"}],
    ids=str,
)
def test_line_search_works_on_images(bumps, options):
    few = {"channels": (4, 6), "hidden_layer_sizes": (), "max_iter": 30}
    ae = ConvAE(2, solver="lbfgs", init="random", random_state=0, **few)
    ae.set_params(early_stopping=False, **options).fit(bumps[:100])
    assert ae.loss_curve_[-1] < 0.9 * ae.loss_curve_[0]


def test_noise_leaves_pca(rng):
    X = rng.normal(size=(300, 6, 6))
    with pytest.warns(ConvergenceWarning, match="did not improve on PCA"):
        ae = ConvAE(3, max_iter=30, random_state=0).fit(X)
    flat = X.reshape(300, -1)
    pca = PCA(3).fit(flat)
    answer = pca.inverse_transform(pca.transform(flat)).reshape(X.shape)
    np.testing.assert_allclose(ae.reconstruct(X), answer, atol=1e-4)


def test_noise_of_images_sees_images(bumps):
    seen = []

    def noise(x, generator):
        seen.append(x.shape[1:])
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    ConvAE(2, noise=noise, init="random", **SHORT).fit(bumps[:300])
    assert set(seen) == {(1, 16, 16)}


def test_hidden_block_is_filled_in(bumps, rng):
    options = {"noise": "block", "noise_level": 0.1, "max_iter": 10, "random_state": 0}
    train, test = bumps[:600], bumps[600:]
    ae = ConvAE(8, **options).fit(train)
    hidden = np.zeros(test.shape, bool)
    hidden[:, 5:10, 5:10] = True
    mean = ae.mean_.reshape(16, 16)
    filled = ae.reconstruct(np.where(hidden, mean, test))
    error = np.square(filled - test)[hidden].mean()
    assert error < 0.3 * np.square(mean - test)[hidden].mean()
    gaps = ae.reconstruct(np.where(hidden, np.nan, test))
    np.testing.assert_allclose(gaps, filled, atol=1e-5)


def test_refined_codes_of_an_affine_decoder_are_least_squares(bumps):
    options = {"activation": "identity", "max_iter": 2, "random_state": 0}
    ae = ConvAE(4, init="random", transform_max_iter=200, **options).fit(bumps)
    X = bumps.reshape(len(bumps), -1)[:50]
    origin, *images = ae.inverse_transform(np.vstack([np.zeros(4), np.eye(4)]))
    maps = (np.stack(images) - origin).reshape(4, -1)
    codes = np.linalg.lstsq(maps.T, (X - origin.reshape(-1)).T, rcond=None)[0].T
    least = np.square(X - ae.inverse_transform(codes).reshape(50, -1)).sum(1)
    np.testing.assert_allclose(-ae.score_samples(X), least, rtol=5e-4)


def test_refined_codes_are_nearer_in_every_row(bumps):
    bumps = bumps[:300]
    ae = ConvAE(8, max_iter=4, init="random", random_state=0).fit(bumps)
    errors = [
        -ae.set_params(transform_max_iter=n).score_samples(bumps) for n in (0, 5, 20)
    ]
    assert (np.diff(errors, axis=0) <= 1e-6 * errors[0]).all()
    assert errors[2].mean() < 0.9 * errors[0].mean()


def test_pixels_that_never_varied_do_not_move_the_code(digits):
    images = digits.reshape(-1, 8, 8)
    ae = ConvAE(8, max_iter=5, random_state=0).fit(images)
    moved = images[:50].copy()
    moved[:, [0, 4], 0] += 16 * (images.std(axis=0)[[0, 4], 0] == 0)
    assert (moved != images[:50]).any()
    codes = [ae.transform(rows) for rows in (images[:50], moved)]
    np.testing.assert_array_equal(*codes)


def test_one_step_already_helps_near_pca(bumps):
    ae = ConvAE(4, normalization="layer", **SHORT).fit(bumps)
    none, one = (ae.set_params(transform_max_iter=n).score(bumps) for n in (0, 1))
    assert one > none


@pytest.mark.parametrize(
    ("options", "n_steps"),
    [
        ({}, 700),
        ({"transform_max_iter": 0}, 1400),
        ({"noise_level": 0.5}, 4000),
        ({"noise": "masking", "noise_level": 0.2}, 4000),
        ({"noise_level": 0.5, "neighbor_weight": 1.0}, 700),
    ],
    ids=str,
)
def test_automatic_epochs_are_more_where_no_steps_improve_codes(
    bumps, options, n_steps
):
    # No loss falls by all of itself: patience ends soon.
    quick = {"tol": 1.0, "n_iter_no_change": 1, "channels": 2, "random_state": 0}
    ae = ConvAE(2, early_stopping=False, **quick, **options).fit(bumps[:320])
    assert ae.n_iter_ < ae.max_iter_ == n_steps // 10


@pytest.mark.parametrize("wrong", [-1, 2.5, None])
def test_number_of_steps_is_checked_where_it_is_used(bumps, wrong):
    ae = ConvAE(2, early_stopping=False, **SHORT).fit(bumps[:50])
    ae.set_params(transform_max_iter=wrong)
    with pytest.raises(ValueError, match="'transform_max_iter' parameter of ConvAE"):
        ae.transform(bumps[:50])


def test_sparse_images_must_be_flat(bumps):
    with pytest.raises(ValueError, match=r"shape \(800, 16, 16\).*flat"):
        ConvAE(2).fit(coo_array(bumps))


def test_codes_of_rows_with_gaps_are_the_encoders(bumps):
    ae = ConvAE(2, transform_max_iter=5, early_stopping=False, **SHORT).fit(bumps)
    images = bumps[:20].copy()
    images[::2, :, :4] = np.nan
    refined = ae.transform(images)
    encoded = ae.set_params(transform_max_iter=0).transform(images)
    is_same = (refined == encoded).all(1)
    assert is_same[::2].all()
    assert not is_same[1::2].all()


def test_rows_go_through_in_bounded_memory(monkeypatch):
    X = np.random.default_rng(0).normal(size=(100, 3, 64, 64)).astype(np.float32)
    ae = ConvAE(2, hidden_layer_sizes=(), max_iter=1).partial_fit(X[:2])
    sizes = []
    encode = ae.network_.encode
    monkeypatch.setattr(
        ae.network_, "encode", lambda x: sizes.append(len(x)) or encode(x)
    )
    ae.transform(X)
    assert max(sizes) * ae.network_.n_values <= 2**21


def test_it_is_pickled_and_goes_on(bumps):
    bumps = bumps[:300]
    options = {"normalization": "batch", "early_stopping": False}
    ae = ConvAE(2, **options, **SHORT).fit(bumps)
    again = pickle.loads(pickle.dumps(ae))
    np.testing.assert_array_equal(again.transform(bumps), ae.transform(bumps))
    flat = bumps.reshape(len(bumps), -1)
    a, b = (model.partial_fit(flat).reconstruct(flat) for model in (ae, again))
    np.testing.assert_array_equal(a, b)
    assert a.shape == bumps.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (7, 9)}, r"\(7, 9\) has 63 values.*64 features.*\(8, 8\)"),
        ({"image_shape": (0, 64)}, r"image_shape=\(0, 64\) must be"),
        ({"image_shape": ()}, r"image_shape=\(\) must be"),
        ({"image_shape": (8, 8), "spatial_dims": 3}, r"\(8, 8\) do not fit"),
        ({"stride": 6}, "stride=6 leaves gaps"),
        ({"kernel_size": (3, 3, 3)}, "3 entries.*2 convolutions"),
        ({"channels": ()}, r"channels=\(\) must be"),
        ({"channels": (4, 2.5)}, r"channels=\(4, 2.5\) must be"),
        ({"upsampling": "nearest", "tied_weights": True}, "not 'nearest'"),
        ({"noise_level": 0.1, "solver": "lbfgs"}, "solver='lbfgs'"),
        ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes=\(0,\)"),
        ({"spatial_dims": 4}, "spatial_dims"),
    ],
)
def test_parameters_that_make_no_sense(digits, options, message):
    ae = ConvAE(2, **options)
    with pytest.raises(ValueError, match=message):
        ae.fit(digits)
    assert not hasattr(ae, "image_shape_")


@pytest.mark.parametrize("n_features", [64, 75, 140, 1])
def test_shapes_that_would_do_do(n_features):
    for shape in shapes_of(n_features):
        assert np.prod(shape) == n_features


def test_images_of_another_shape(digits):
    images = digits.reshape(-1, 8, 8)
    ae = ConvAE(2, **SHORT).fit(images)
    with pytest.raises(ValueError, match=r"shape \(4, 16\).*\(1, 8, 8\) or \(8, 8\)"):
        ae.transform(digits.reshape(-1, 4, 16))
    with pytest.raises(ValueError, match=r"shape \(7, 8\)"):
        ae.transform(images[:, 1:])
    with pytest.raises(ValueError, match=r"shape \(4, 16\)"):
        ConvAE(2, image_shape=(8, 8)).fit(digits.reshape(-1, 4, 16))
    ae.set_params(image_shape=(4, 16), warm_start=True)
    with pytest.raises(ValueError, match=r"image_shape"):
        ae.fit(digits)


def test_channels_last_are_warned_about(rng):
    X = rng.normal(size=(20, 8, 8, 3))
    with pytest.warns(UserWarning, match=r"8 channels of 8 x 3.*np\.moveaxis"):
        ConvAE(2, **SHORT, init="random").fit(X)


def test_automatic_pace_is_that_of_small_batches_and_much_decay(bumps):
    """Of 720 training rows ten batches have 72 rows."""
    given = {"batch_size": 72, "weight_decay": 0.5}
    fits = [
        ConvAE(2, init="random", channels=4, **options, **SHORT).fit(bumps)
        for options in ({}, given)
    ]
    codes = [ae.transform(bumps) for ae in fits]
    np.testing.assert_array_equal(*codes)


# Shapes that can be read in two ways ----------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dims", "other"),
    [
        ((2, 64), 1, "spatial_dims=1 for signals of 2 channels and length 64"),
        ((1, 40), 1, "spatial_dims=1 for signals of 1 channels and length 40"),
        ((64, 2), 1, r"np\.moveaxis\(X, -1, 1\)"),
        ((8, 8, 8), 3, "spatial_dims=3 for volumes of 8 x 8 x 8"),
        ((12, 8, 9), 3, "spatial_dims=2 for images of 12 channels of 8 x 9"),
    ],
)
def test_shapes_that_can_be_read_in_two_ways_are_asked_about(rng, shape, dims, other):
    X = rng.normal(size=(20, *shape)).astype(np.float32)
    kw = {"channels": (3,), "hidden_layer_sizes": (), "max_iter": 1}
    kw |= {"early_stopping": False, "random_state": 0}
    flat = {"image_shape": shape, **kw}
    for ae, rows in ((ConvAE(2, **kw), X), (ConvAE(2, **flat), X.reshape(20, -1))):
        with pytest.raises(ValueError, match=other):
            ae.fit(rows)
    for n in (2, dims):
        ae = ConvAE(2, spatial_dims=n, **kw).fit(X)
        assert len(ae.image_shape_) == n + 1
        assert ae.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("shape", [(8, 60), (3, 8, 8), (4, 4, 4), (64, 8, 8)])
def test_shapes_of_images_are_images(rng, shape):
    X = rng.normal(size=(20, *shape))
    ae = ConvAE(2, channels=(3,), hidden_layer_sizes=(), max_iter=1, random_state=0)
    ae.set_params(early_stopping=False).fit(X)
    assert ae.image_shape_ == (shape if len(shape) == 3 else (1, *shape))
