"""Explanations: which features make an error, and which make a component."""

import sys

import matplotlib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skae import ConvAE, DenoisingAE, SparseAE, UndercompleteAE
from skae.inspection import (
    FeatureInfluenceDisplay,
    feature_influence,
    reconstruction_errors,
)
from skae.metrics import neg_mean_squared_error

matplotlib.use("Agg")
# So few epochs and rows often leave PCA as it is.
pytestmark = pytest.mark.filterwarnings("ignore:Training did not improve on PCA")


@pytest.fixture(scope="module")
def iris():
    return load_iris(as_frame=True).data


@pytest.fixture(scope="module")
def curve():
    """Rows on a bent surface."""
    rng = np.random.default_rng(0)
    t, u = rng.uniform(-1, 1, (2, 300))
    return np.column_stack([t, 2 * t**2, np.sin(2 * t) + u, u, 2 * u * t])


@pytest.fixture(scope="module")
def autoencoder(curve):
    ae = UndercompleteAE(2, max_iter=20, random_state=0, transform_max_iter=0).fit(
        curve
    )
    assert not ae.is_pca_
    return ae


@pytest.mark.parametrize(
    "estimator",
    [
        UndercompleteAE(3, max_iter=2, random_state=0),
        SparseAE(9, max_iter=2, random_state=0),
        ConvAE(3, image_shape=(8, 8), max_iter=2, random_state=0),
        UndercompleteAE(3, loss="bernoulli", clip=True, max_iter=2, random_state=0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_of_features_are_the_score_of_the_row(estimator, dtype, digits):
    X = (digits[:300] / 16).astype(dtype)
    errors = reconstruction_errors(estimator.fit(X), X)
    np.testing.assert_allclose(
        errors.sum(axis=1), -estimator.score_samples(X), rtol=1e-6
    )


def test_gaps_raise_the_errors_of_what_is_known(digits, rng):
    X = np.where(rng.random((200, 64)) < 0.3, np.nan, digits[:200])
    X[5] = np.nan
    ae = DenoisingAE(3, max_iter=2, random_state=0).fit(X)
    errors = reconstruction_errors(ae, X)
    np.testing.assert_array_equal(errors.isna(), np.isnan(X))
    sums = errors.sum(axis=1, min_count=1)
    np.testing.assert_allclose(sums, -ae.score_samples(X), rtol=1e-6)


def test_signed_errors_tell_high_from_low(iris):
    pca = PCA(2).fit(iris)
    errors = reconstruction_errors(pca, iris, signed=True)
    difference = iris - pca.inverse_transform(pca.transform(iris))
    np.testing.assert_allclose(errors, np.sign(difference) * difference**2, atol=1e-12)
    np.testing.assert_array_equal(errors.abs(), reconstruction_errors(pca, iris))


def test_feature_that_is_wrong_has_the_largest_error(iris):
    model = make_pipeline(StandardScaler(), PCA(1)).fit(iris)
    X = iris.copy()
    X.iloc[3, 1] += 9
    X.iloc[4, 1] -= 9
    errors = reconstruction_errors(model, X, signed=True)
    assert (
        errors.abs().iloc[3].idxmax() == errors.abs().iloc[4].idxmax() == X.columns[1]
    )
    assert errors.iloc[3, 1] > 0 > errors.iloc[4, 1]


@pytest.mark.parametrize("nest", [False, True])
def test_pipeline_counts_in_the_unit_of_its_step_or_of_the_data(iris, nest):
    model = make_pipeline(StandardScaler(), PCA(2))
    model = (make_pipeline("passthrough", model) if nest else model).fit(iris)
    answers = model.inverse_transform(model.transform(iris))
    raw = reconstruction_errors(model, iris, raw_units=True)
    np.testing.assert_allclose(raw, (iris - answers) ** 2)
    scaled = reconstruction_errors(model, iris)
    np.testing.assert_allclose(scaled * iris.var(ddof=0), raw)
    assert list(scaled.columns) == list(raw.columns) == list(iris.columns)
    assert list(scaled.index) == list(iris.index)
    score = neg_mean_squared_error(model, iris)
    assert scaled.to_numpy().mean() == pytest.approx(-score)


def test_errors_of_a_pipeline_sum_to_its_scores(iris):
    ae = UndercompleteAE(2, max_iter=1, random_state=0)
    model = make_pipeline(StandardScaler(), ae).fit(iris)
    sums = reconstruction_errors(model, iris).sum(axis=1)
    np.testing.assert_allclose(sums, -model.score_samples(iris), rtol=1e-5)


def test_features_that_a_step_makes_are_not_named_after_others(iris):
    model = make_pipeline(PCA(4), UndercompleteAE(2, max_iter=1, random_state=0))
    assert list(reconstruction_errors(model.fit(iris), iris).columns) == [
        "x0",
        "x1",
        "x2",
        "x3",
    ]


def test_frames_keep_their_names(iris):
    pca = PCA(2).fit(iris)
    X = iris.set_axis([f"row {i}" for i in range(150)])
    errors = reconstruction_errors(pca, X)
    assert list(errors.index) == list(X.index)
    assert list(errors.columns) == list(X.columns)
    from_polars = reconstruction_errors(pca, pl.from_pandas(iris))
    pd.testing.assert_frame_equal(from_polars, errors.reset_index(drop=True))


def test_arrays_have_the_names_of_fit(iris):
    ae = UndercompleteAE(2, max_iter=1, random_state=0).fit(iris)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        errors = reconstruction_errors(ae, iris.to_numpy())
    assert list(errors.columns) == list(iris.columns)
    plain = reconstruction_errors(PCA(2).fit(iris.to_numpy()), iris.to_numpy())
    assert list(plain.columns) == ["x0", "x1", "x2", "x3"]
    rows = iris.to_numpy().tolist()
    assert list(reconstruction_errors(PCA(2).fit(rows), rows).index) == list(range(150))


def test_pixels_are_named_by_their_place(digits):
    images = digits[:100].reshape(-1, 8, 8)
    ae = ConvAE(2, max_iter=1, random_state=0).fit(images)
    errors = reconstruction_errors(ae, images)
    assert list(errors.columns[[0, 1, 8, 63]]) == ["x0_0", "x0_1", "x1_0", "x7_7"]
    expected = (images - ae.reconstruct(images)) ** 2
    np.testing.assert_allclose(errors, expected.reshape(100, 64))


def test_sparse_rows_have_errors(digits):
    X = csr_array(digits[:100])
    ae = UndercompleteAE(2, max_iter=1, random_state=0).fit(X)
    errors = reconstruction_errors(ae, X)
    np.testing.assert_allclose(errors, reconstruction_errors(ae, digits[:100]))


def test_reconstruction_that_is_not_finite_is_infinitely_wrong(iris):
    class Lost(PCA):
        def inverse_transform(self, X):
            rows = super().inverse_transform(X)
            rows[0, 0], rows[1, 1] = np.nan, np.inf
            return rows

    errors = reconstruction_errors(Lost(2).fit(iris), iris).to_numpy()
    np.testing.assert_array_equal(np.argwhere(np.isinf(errors)), [[0, 0], [1, 1]])


@pytest.mark.parametrize("explain", [reconstruction_errors, feature_influence])
def test_what_cannot_be_explained(explain, iris):
    with pytest.raises(TypeError, match="cannot reconstruct"):
        explain(KMeans(2).fit(iris), iris)
    with pytest.raises(NotFittedError):
        explain(UndercompleteAE(2), iris)
    for kind in (PCA, UndercompleteAE):
        with pytest.raises(TypeError, match="is a class, not an instance"):
            explain(kind, iris)
    with pytest.raises(ValueError, match="Column 0 of X holds 'a'"):
        explain(PCA(1).fit(iris), [["a", 1.0], ["b", 2.0]])


@pytest.mark.parametrize("explain", [reconstruction_errors, feature_influence])
def test_extra_that_is_missing_is_named(explain, iris, monkeypatch):
    X = iris.to_numpy()
    pca = PCA(2).fit(X)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'skae\[frames\]'"):
        explain(pca, X)


def loadings(pca, X):
    """Return what PCA's textbooks call so, of features in deviations."""
    scores = np.sqrt(pca.explained_variance_)[:, None]
    return pca.components_ * scores / X.std(axis=0, ddof=1)


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(2),
        UndercompleteAE(2, hidden_layer_sizes=(), max_iter=3, random_state=0),
        UndercompleteAE(2, max_iter=1, random_state=0, learning_rate_init=1e-9),
    ],
    ids=["PCA", "linear", "PCA kept"],
)
@pytest.mark.parametrize("average", ["mean", "rms"])
def test_influence_of_a_linear_code_is_pcas_loadings(estimator, average, iris):
    X = iris.to_numpy()
    pca = PCA(2).fit(X)
    found = feature_influence(estimator.fit(X), X, average=average)
    spread = X.std(axis=0) / pca.transform(X).std(axis=0)[:, None]
    expected = {"decoder": loadings(pca, X), "encoder": pca.components_ * spread}
    for part, values in expected.items():
        # The sign of an axis is anyone's choice.
        signs = np.sign((found[part] * values).sum(axis=1)).to_numpy()[:, None]
        values = np.abs(values) if average == "rms" else signs * values
        np.testing.assert_allclose(found[part], values, atol=2e-5)


def test_loadings_are_correlations(iris):
    pca = PCA(3).fit(iris)
    found = feature_influence(pca, iris).decoder
    correlations = np.corrcoef(pca.transform(iris).T, iris.T)[:3, 3:]
    np.testing.assert_allclose(found, correlations, atol=1e-9)


def test_influence_of_a_trained_linear_code_is_its_weights(iris):
    X = iris.to_numpy()
    options = {"hidden_layer_sizes": (), "init": "random", "max_iter": 20}
    ae = UndercompleteAE(2, **options, transform_max_iter=0, random_state=0).fit(X)
    found = feature_influence(ae, X)
    weights = ae.network_.encoder[0].weight.detach().numpy() / ae.scale_
    spread = X.std(axis=0) / ae.transform(X).std(axis=0)[:, None]
    np.testing.assert_allclose(found.encoder, weights * spread, rtol=1e-3, atol=1e-5)
    back = ae.network_.decoders[0][0].weight.detach().numpy().T * ae.scale_
    np.testing.assert_allclose(found.decoder, back / spread, rtol=1e-3, atol=1e-5)


def test_jacobian_is_what_differences_say(autoencoder, curve):
    class Other(BaseEstimator):
        """The same transformer, which does not tell its derivative."""

        fit, transform, inverse_transform = (
            autoencoder.fit,
            autoencoder.transform,
            autoencoder.inverse_transform,
        )

        def __sklearn_is_fitted__(self):
            return True

    options = {"max_rows": 50, "random_state": 0}
    ours = feature_influence(autoencoder, curve, **options)
    others = feature_influence(Other(), curve, **options)
    np.testing.assert_allclose(ours.encoder, others.encoder, atol=5e-3)
    np.testing.assert_array_equal(ours.decoder, others.decoder)
    assert list(others.encoder.index) == ["component0", "component1"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"transform_max_iter": 0},
        {"transform_max_iter": 1},
        {"neighbor_weight": 1.0},
        {"neighbor_weight": 1.0, "transform_max_iter": 0},
        {"neighbor_weight": 1.0, "transform_n_neighbors": 0, "transform_max_iter": 0},
    ],
    ids=str,
)
def test_encoder_differentiates_what_transform_does(options, curve):
    ae = UndercompleteAE(2, max_iter=10, random_state=0, **options).fit(curve)
    codes, spread = ae.transform(curve), curve.std(axis=0)
    changes = [
        (ae.transform(curve + step) - ae.transform(curve - step)) / 0.1
        for step in np.diag(0.05 * spread)
    ]
    found = feature_influence(ae, curve, max_rows=300).encoder
    expected = np.mean(changes, axis=1).T / codes.std(axis=0)[:, None]
    # At the ends of the range ours are one-sided.
    np.testing.assert_allclose(found, expected, atol=0.02)


class Bounded(PCA):
    """PCA that is defined only in the range of its training rows and their codes."""

    def fit(self, X, y=None):
        super().fit(X)
        self.codes_ = super().transform(X)
        self.rows_ = np.asarray(X)
        return self

    def transform(self, X):
        _check_within(X, self.rows_)
        return super().transform(X)

    def inverse_transform(self, X):
        _check_within(X, self.codes_)
        return super().inverse_transform(X)


def _check_within(values, others):
    assert (values >= others.min(axis=0)).all()
    assert (values <= others.max(axis=0)).all()


def test_steps_stay_in_the_range_of_the_rows_and_codes(iris):
    X = iris.to_numpy()
    found = feature_influence(Bounded(2).fit(X), X, max_rows=150)
    expected = feature_influence(PCA(2).fit(X), X, max_rows=150)
    for part in ("encoder", "decoder"):
        np.testing.assert_allclose(found[part], expected[part], atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        NMF(2, max_iter=500, tol=1e-2),
        make_pipeline(FunctionTransformer(np.sqrt, np.square), PCA(2)),
    ],
    ids=["NMF", "sqrt"],
)
def test_rows_at_the_end_of_a_domain_have_influence(model, digits):
    X = digits[:100, 2:5]
    assert (X == 0).any()
    found = feature_influence(model.fit(X), X)
    assert np.isfinite(found.encoder).all(axis=None)


@pytest.mark.parametrize("transform_max_iter", [0, "auto"])
@pytest.mark.parametrize("exponent", [-600, -130, 146, 500, 660])
def test_influence_has_no_unit(exponent, transform_max_iter, curve):
    ae = UndercompleteAE(
        2, max_iter=2, transform_max_iter=transform_max_iter, random_state=0
    )
    expected = feature_influence(ae.fit(curve), curve, random_state=0)
    X = curve * 2.0**exponent
    found = feature_influence(ae.fit(X), X, random_state=0)
    for part in ("encoder", "decoder"):
        np.testing.assert_allclose(found[part], expected[part], atol=2e-2)


@pytest.mark.parametrize("factor", [1e-200, 1e150, 1e200])
def test_errors_that_float64_cannot_square(factor, curve):
    X = curve * factor
    ae = UndercompleteAE(2, max_iter=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"largest magnitude in X is \S+, but recons"):
        reconstruction_errors(ae, X)


def test_decoder_is_differentiated_as_torch_does(autoencoder, curve):
    code = torch.tensor(autoencoder.transform(curve), requires_grad=True)
    answers = autoencoder.network_.answer(code)
    slopes = [
        torch.autograd.grad(feature.sum(), code, retain_graph=True)[0]
        for feature in answers.unbind(1)
    ]
    slopes = torch.stack(slopes, dim=2).numpy() * autoencoder.scale_
    codes = code.detach().numpy()
    expected = slopes * codes.std(axis=0)[:, None] / curve.std(axis=0)
    mean, rms = expected.mean(axis=0), np.sqrt((expected**2).mean(axis=0))
    for average, values in {"mean": mean, "rms": rms}.items():
        found = feature_influence(autoencoder, curve, average=average, max_rows=300)
        np.testing.assert_allclose(found.decoder, values, atol=5e-3)


def test_influence_does_not_depend_on_units(iris):
    X = iris.to_numpy()
    plain = feature_influence(make_pipeline(StandardScaler(), PCA(2)).fit(X), X)
    X = X * [1, 1e3, 1e-3, 7] + [0, 5, 5, -100]
    other = feature_influence(make_pipeline(StandardScaler(), PCA(2)).fit(X), X)
    for part in ("encoder", "decoder"):
        np.testing.assert_allclose(plain[part], other[part], atol=1e-8)


def test_pipeline_that_picks_columns_gets_frames(iris):
    pick = ColumnTransformer([("some", "passthrough", list(iris.columns))])
    pick.inverse_transform = lambda X: X
    found = feature_influence(make_pipeline(pick, PCA(2)).fit(iris), iris)
    assert list(found.decoder.columns) == list(iris.columns)
    assert list(found.decoder.index) == ["pca0", "pca1"]
    np.testing.assert_allclose(
        found.decoder.abs(), np.abs(loadings(PCA(2).fit(iris), iris.to_numpy()))
    )


def test_what_never_varies_has_no_unit(iris):
    X = np.column_stack([iris, np.full(150, 0.1)])
    model = NMF(2, random_state=0, max_iter=500, init="nndsvda").fit(X)
    model.components_[1] = 0
    found = feature_influence(model, X)
    assert found.decoder.iloc[:, 4].isna().all()
    assert (found.decoder.iloc[1, :4] == 0).all()
    assert found.encoder.iloc[1].isna().all()
    assert found.encoder.iloc[0, 4] == 0


def test_images_have_influence(digits):
    images = digits[:100].reshape(-1, 8, 8)
    ae = ConvAE(2, max_iter=1, random_state=0).fit(images)
    found = feature_influence(ae, images, max_rows=10, random_state=0)
    flat = feature_influence(ae, digits[:100], max_rows=10, random_state=0)
    assert found.decoder.columns[9] == "x1_1"
    for part in ("encoder", "decoder"):
        np.testing.assert_allclose(found[part], flat[part])


def test_rows_are_drawn_by_random_state(autoencoder, curve):
    options = {"max_rows": 5, "random_state": 3}
    first, again = (feature_influence(autoencoder, curve, **options) for _ in range(2))
    pd.testing.assert_frame_equal(first.encoder, again.encoder)
    other = feature_influence(autoencoder, curve, max_rows=5, random_state=4)
    assert not np.allclose(first.encoder, other.encoder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "median"}, "average='median' must be one of 'mean', 'rms'"),
        ({"average": ["mean"]}, r"average=\['mean'\] must be one of 'mean', 'rms'"),
        ({"max_rows": True}, "max_rows=True must be an integer of 1 or more"),
        ({"max_rows": 0}, "max_rows=0 must be an integer of 1 or more"),
        ({"max_rows": 2.5}, "max_rows=2.5 must be an integer of 1 or more"),
    ],
)
def test_influence_that_makes_no_sense(options, message, iris):
    with pytest.raises(ValueError, match=message):
        feature_influence(PCA(2).fit(iris), iris, **options)


def test_rows_without_influence(iris):
    pca = PCA(2).fit(iris.to_numpy())
    with pytest.raises(ValueError, match="at least two rows"):
        feature_influence(pca, iris.to_numpy()[:1])
    ae = DenoisingAE(2, max_iter=1, random_state=0).fit(iris)
    with pytest.raises(ValueError, match="X has 1 missing or infinite value"):
        feature_influence(ae, iris.mask(iris == iris.iloc[131, 0]))


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_heat_map_shows_the_influence(part, iris):
    pca = PCA(2).fit(iris)
    display = FeatureInfluenceDisplay.from_estimator(pca, iris, part=part)
    expected = feature_influence(pca, iris)[part]
    np.testing.assert_allclose(display.image_.get_array(), expected)
    low, high = display.image_.get_clim()
    assert -low == high == pytest.approx(expected.abs().to_numpy().max())
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == list(iris.columns)
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["pca0", "pca1"]
    assert display.ax_.figure is display.figure_


def test_heat_map_is_drawn_where_it_is_told_to(iris):
    figure, ax = matplotlib.pyplot.subplots()
    parts = feature_influence(PCA(2).fit(iris), iris)
    display = FeatureInfluenceDisplay(**parts).plot(ax=ax, cmap="gray", vmax=2)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.image_.get_cmap().name == "gray"
    assert display.image_.get_clim()[1] == 2
    for part in ("code", ["decoder"]):
        with pytest.raises(ValueError, match="must be one of 'decoder', 'encoder'"):
            display.plot(part=part)
