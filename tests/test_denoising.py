"""DenoisingAE: it denoises, fills gaps, and is plain without noise."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.impute import SimpleImputer
from torch.nn.functional import mse_loss as squared_error

from skae import ConvAE, DenoisingAE, UndercompleteAE
from skae._objectives.corruption import NOISES
from skae.metrics import explained_variance, neg_mean_squared_error

SHORT = {"max_iter": 5, "random_state": 0}


def with_gaps(X, share, seed=0):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


@pytest.mark.parametrize(
    ("noise", "options"),
    [("gaussian", {}), *((noise, {"max_iter": 2}) for noise in NOISES)],
)
@pytest.mark.filterwarnings("ignore:Training did not improve")
@pytest.mark.parametrize("n_rows", [200, 400])
def test_without_noise_it_is_the_plain_autoencoder(noise, options, n_rows, rng):
    """With every parameter left open, of few rows and of more."""
    X = np.tanh(rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, 6)))
    X += 0.1 * rng.normal(size=X.shape)
    plain = UndercompleteAE(random_state=0, **options).fit(X)
    silent = {"noise": noise, "noise_level": 0.0}
    ours = DenoisingAE(random_state=0, **silent, **options).fit(X)
    for name, weight in plain.network_.state_dict().items():
        assert torch.equal(weight, ours.network_.state_dict()[name])


def test_it_denoises_better_than_pca(digits, rng):
    train, test = digits[:1400], digits[1400:]
    ae = DenoisingAE(16, noise_level=1.0, max_iter=30, random_state=0).fit(train)
    noisy = test + rng.normal(scale=ae.scale_, size=test.shape)
    pca = PCA(16).fit(train)
    of_pca = np.square(pca.inverse_transform(pca.transform(noisy)) - test).mean()
    assert np.square(ae.reconstruct(noisy) - test).mean() < 0.8 * of_pca


def test_encoding_corrupts_nothing(digits):
    ae = DenoisingAE(8, noise_level=3.0, **SHORT).fit(digits)
    rows = torch.tensor((digits - ae.mean_) / ae.scale_, dtype=torch.float32)
    with torch.no_grad():
        codes = ae.network_.encode(rows)
    np.testing.assert_allclose(ae.transform(digits), codes, atol=1e-5)


def test_wide_code_learns_though_pca_misses_nothing(digits):
    ae = DenoisingAE(None, noise_level=1.0, **SHORT).fit(digits)
    assert ae.n_components_ == 64
    assert ae.best_score_ > ae.pca_score_ + 0.3


def test_field_points_to_the_curve(rng):
    """The mean of ``reconstruct(x) - x`` leads back to where rows are dense."""
    t = rng.uniform(0, 2 * np.pi, 2000)
    X = np.column_stack([np.cos(t), np.sin(t)])
    ae = DenoisingAE(2, noise_level=0.3, max_iter=40, random_state=0).fit(X)
    for radius in (0.8, 1.2):
        arrows = ae.reconstruct(radius * X) - radius * X
        outwards = (arrows * X).sum(axis=1)
        assert np.sign(1 - radius) * outwards.mean() > 0.03


def test_it_fills_gaps_better_than_the_mean(digits):
    X = with_gaps(digits, 0.2)
    ae = DenoisingAE(32, noise="gaps", max_iter=50, random_state=0).fit(X)
    gaps = np.isnan(X)
    filled, means = ae.reconstruct(X), SimpleImputer().fit_transform(X)
    errors = [np.square(Y - digits)[gaps].mean() for Y in (filled, means)]
    assert errors[0] < 0.5 * errors[1]


def test_gap_is_seen_as_the_mean(digits):
    X = with_gaps(digits, 0.2)
    ae = DenoisingAE(8, **SHORT).fit(X)
    np.testing.assert_allclose(ae.mean_, np.nanmean(X, axis=0))
    np.testing.assert_allclose(ae.scale_, np.sqrt(np.nanmean((X - ae.mean_) ** 2)))
    filled = np.where(np.isnan(X), ae.mean_, X)
    np.testing.assert_array_equal(ae.transform(X), ae.transform(filled))
    np.testing.assert_array_equal(ae.jacobian(X[:9]), ae.jacobian(filled[:9]))


def test_scores_leave_gaps_out(digits):
    X = with_gaps(digits, 0.2)
    ae = DenoisingAE(8, **SHORT).fit(X)
    squares = np.square(X - ae.reconstruct(X))
    np.testing.assert_allclose(
        ae.score_samples(X), -64 * np.nanmean(squares, axis=1), rtol=1e-4
    )
    total = np.nansum(np.square(X - np.nanmean(X, axis=0)))
    assert ae.score(X) == pytest.approx(1 - np.nansum(squares) / total, rel=1e-5)


def test_feature_without_a_value(digits):
    X = digits.copy()
    X[:, [3, 5]] = np.nan
    with pytest.raises(
        ValueError, match=r"No row of X has a value in columns \[3, 5\]"
    ):
        DenoisingAE().fit(X)


def test_gaps_in_sparse_rows(digits):
    X = csr_matrix(with_gaps(digits, 0.1))
    with pytest.raises(ValueError, match="NaN"):
        DenoisingAE(**SHORT).fit(X)


def test_masking_is_what_zeros_in_the_data_are(digits, rng):
    """Vincent et al. (2008) set inputs to 0; the mean is what gaps look like."""
    train, test = digits[:1400] / 16, digits[1400:] / 16
    seen = np.where(rng.random(test.shape) < 0.3, 0.0, test)
    errors = {
        noise: np.square(
            DenoisingAE(32, noise=noise, noise_level=0.3, max_iter=60, random_state=0)
            .fit(train)
            .reconstruct(seen)
            - test
        ).mean()
        for noise in ("masking", "gaps")
    }
    pca = PCA(32).fit(train)
    linear = np.square(pca.inverse_transform(pca.transform(seen)) - test).mean()
    assert errors["masking"] < 0.5 * min(linear, errors["gaps"])


def test_plain_autoencoder_refuses_gaps(digits):
    with pytest.raises(ValueError, match="NaN"):
        UndercompleteAE().fit(with_gaps(digits, 0.1))


def test_emphasis_learns_more_of_corrupted_entries(digits):
    """They come out better then, and the others worse."""
    options = {"noise": "gaps", "max_iter": 20, "random_state": 0}
    plain, keen = (
        DenoisingAE(16, noise_level=0.3, emphasis=e, **options).fit(digits)
        for e in (0.0, 0.5)
    )
    hidden = np.random.default_rng(0).random(digits.shape) < 0.3
    seen = np.where(hidden, digits.mean(axis=0), digits)
    errors = [np.square(ae.reconstruct(seen) - digits) for ae in (plain, keen)]
    assert errors[1][hidden].mean() < errors[0][hidden].mean()
    assert errors[1][~hidden].mean() > errors[0][~hidden].mean()


def double(x, generator):
    return 2 * x


def test_function_as_noise(digits):
    ae = DenoisingAE(32, noise=double, max_iter=20, random_state=0).fit(digits)
    far = digits + (digits - ae.mean_)
    assert np.square(ae.reconstruct(far) - digits).mean() < 2


def hide_in_place(x, generator):
    return x.mul_(torch.rand(x.shape, generator=generator) > 0.3)


def hide(x, generator):
    return x * (torch.rand(x.shape, generator=generator) > 0.3)


def test_function_may_change_its_rows(digits):
    fits = [DenoisingAE(8, noise=n, **SHORT).fit(digits) for n in (hide, hide_in_place)]
    assert fits[0].loss_curve_ == fits[1].loss_curve_


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x,
        lambda x, generator: x[:, :1],
        lambda x, generator: x[:1],
        lambda x, generator: 1.0,
        lambda x, generator: x / 0,
    ],
)
def test_function_that_is_no_noise(digits, wrong):
    ae = DenoisingAE(random_state=0).partial_fit(digits)
    before = ae.transform(digits)
    with pytest.raises(TypeError, match=r"noise=.* must map"):
        ae.set_params(noise=wrong).fit(digits)
    assert np.array_equal(ae.transform(digits), before)


def test_emphasis_on_nothing(digits):
    with pytest.raises(ValueError, match=r"emphasis=1.0 counts corrupted"):
        DenoisingAE(noise_level=0.0, emphasis=1.0).fit(digits)


def test_noise_variance_where_pca_stays_is_that_of_clean_rows(rng):
    X = rng.normal(size=(12, 10))
    fits = [
        cls(8, loss="gaussian", learning_rate_init=1.0, max_iter=50, random_state=0)
        for cls in (UndercompleteAE, DenoisingAE)
    ]
    with pytest.warns(ConvergenceWarning, match="did not improve on PCA"):
        plain, ours = (ae.fit(X).noise_variance_ for ae in fits)
    assert ours == plain


@pytest.mark.filterwarnings("ignore:After . epochs the reconstruction is worse")
def test_first_rows_without_a_value(rng):
    X = rng.normal(size=(40, 70_000))
    X[:16] = np.nan
    # So many features: steps must be small.
    ae = DenoisingAE(
        2, max_iter=1, hidden_layer_sizes=(4,), init="random", learning_rate_init=1e-4
    ).fit(X)
    assert ae.scale_ == pytest.approx(np.sqrt(np.nanmean((X - ae.mean_) ** 2)))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("options", [{}, {"noise": "masking", "emphasis": 0.5}])
def test_function_as_loss_leaves_gaps_out(digits, reduction, options):
    """Whether it tells of entries or their mean, it is the named loss."""
    loss = partial(squared_error, reduction=reduction)
    X = with_gaps(digits, 0.1)
    named, ours = (
        DenoisingAE(8, loss=kind, **options, **SHORT).fit(X).loss_curve_
        for kind in ("squared_error", loss)
    )
    np.testing.assert_allclose(ours, named, rtol=1e-3)


@pytest.mark.parametrize("cls", [DenoisingAE, ConvAE])
@pytest.mark.parametrize("options", [{}, {"noise": "masking", "emphasis": 0.5}])
def test_function_of_rows_as_loss_sees_rows(digits, cls, options):
    widths = set()

    def euclidean(reconstruction, rows):
        widths.add(tuple(rows.shape[1:]))
        return (reconstruction - rows).norm(dim=-1)

    X = with_gaps(digits[:200], 0.1)
    ae = cls(8, loss=euclidean, noise_level=0.2, max_iter=2, random_state=0)
    ae.set_params(early_stopping=False, **options)
    if cls is ConvAE:
        ae.set_params(image_shape=(8, 8), channels=(3, 4))
    assert np.isfinite(ae.fit(X).loss_curve_).all()
    assert widths == {(64,)}


@pytest.mark.parametrize("scorer", [explained_variance, neg_mean_squared_error])
def test_scorers_leave_gaps_out(digits, scorer):
    X = with_gaps(digits, 0.1)
    ae = DenoisingAE(8, **SHORT).fit(X)
    squares = np.square(X - ae.reconstruct(X))
    total = np.nansum(np.square(X - np.nanmean(X, axis=0)))
    expected = {
        explained_variance: 1 - np.nansum(squares) / total,
        neg_mean_squared_error: -np.nanmean(squares),
    }
    assert scorer(ae, X) == pytest.approx(expected[scorer], rel=1e-5)


@pytest.mark.parametrize("cls", [DenoisingAE, ConvAE])
def test_gaps_do_not_make_outliers_look_normal(rng, cls):
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 12))
    X += 0.3 * rng.normal(size=X.shape)
    ae = cls(2, max_iter=5, early_stopping=False, random_state=0).fit(X)
    outliers = 6 * rng.normal(size=(50, 12))
    complete = np.median(ae.score_samples(outliers))
    outliers[:, 2:] = np.nan
    assert np.median(ae.score_samples(outliers)) < 0.5 * complete
    outliers[3] = np.nan
    assert np.flatnonzero(np.isnan(ae.score_samples(outliers))) == [3]


def test_rows_without_a_value_have_no_score(digits):
    ae = DenoisingAE(8, **SHORT).fit(digits)
    nothing = np.full((5, 64), np.nan)
    scorers = explained_variance, neg_mean_squared_error
    for score in (ae.score, *(partial(scorer, ae) for scorer in scorers)):
        with pytest.warns(UndefinedMetricWarning, match="of 5 rows without a value"):
            assert np.isnan(score(nothing))


def test_share_above_one(digits):
    with pytest.raises(ValueError, match=r"noise_level=1.5 must be a share"):
        DenoisingAE(noise="masking", noise_level=1.5).fit(digits)


@pytest.mark.parametrize("noise", ["swap", double])
def test_line_search_refuses_noise(digits, noise):
    with pytest.raises(ValueError, match="'lbfgs' needs a deterministic objective"):
        DenoisingAE(solver="lbfgs", noise=noise).fit(digits)


def test_partial_fit_takes_gaps_that_come_later(digits):
    ae = DenoisingAE(8, random_state=0).partial_fit(digits[:200])
    ae.partial_fit(with_gaps(digits[200:400], 0.1))
    assert np.isfinite(ae.loss_curve_).all()
