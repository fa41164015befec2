"""Displays: the numbers that they hold, what they draw, and what they share."""

import inspect
import sys
import warnings
from fractions import Fraction

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib import pyplot as plt
from matplotlib.artist import getp
from matplotlib.colors import to_rgba_array
from matplotlib.text import Text
from scipy.sparse import coo_matrix
from sklearn.base import clone
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skae import (
    ConvAE,
    DenoisingAE,
    MaskedAE,
    SparseAE,
    StackedAE,
    TableAE,
    UndercompleteAE,
    inspection,
)
from skae.inspection import (
    CodeDisplay,
    CodeGridDisplay,
    ExplainedVarianceDisplay,
    FeatureInfluenceDisplay,
    FilterDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    SparsityDisplay,
    TraversalDisplay,
    VectorFieldDisplay,
    traverse_component,
)

IMAGE = {"image_shape": (8, 8)}
#: How each display is made of an estimator with two components, and rows.
DISPLAYS = {
    "CodeDisplay": CodeDisplay.from_estimator,
    "CodeGridDisplay": lambda e, X, **kw: CodeGridDisplay.from_estimator(
        e, X, n_steps=3, **kw
    ),
    "ExplainedVarianceDisplay": lambda e, X, **kw: (
        ExplainedVarianceDisplay.from_estimator(e, **kw)
    ),
    "FeatureInfluenceDisplay": FeatureInfluenceDisplay.from_estimator,
    "FilterDisplay": FilterDisplay.from_estimator,
    "LossCurveDisplay": lambda e, X, **kw: LossCurveDisplay.from_estimator(e, **kw),
    "ReconstructionDisplay": lambda e, X, **kw: ReconstructionDisplay.from_estimator(
        e, X, n_samples=2, **kw
    ),
    "SparsityDisplay": SparsityDisplay.from_estimator,
    "TraversalDisplay": lambda e, X, **kw: TraversalDisplay.from_estimator(
        e, X, n_steps=3, **kw
    ),
    "VectorFieldDisplay": lambda e, X, **kw: VectorFieldDisplay.from_estimator(
        e, X, n_steps=3, **kw
    ),
}
#: PCA has no epochs.
OF_PCA = sorted(DISPLAYS.keys() - {"LossCurveDisplay"})
WITH_PICTURES = [
    "CodeGridDisplay",
    "FilterDisplay",
    "ReconstructionDisplay",
    "TraversalDisplay",
]


@pytest.fixture(autouse=True)
def _closed():
    """Close the figures of a test."""
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X(digits):
    return digits[:200]


@pytest.fixture(scope="module")
def pca(X):
    return PCA(2).fit(X)


@pytest.fixture(scope="module")
def autoencoder(X):
    options = {"hidden_layer_sizes": 16, "max_iter": 8, "random_state": 0}
    return UndercompleteAE(2, ordered=True, **options).fit(X)


@pytest.fixture(scope="module")
def conv(X):
    options = {"channels": (4, 6), "max_iter": 3, "random_state": 0}
    return ConvAE(2, early_stopping=False, **options).fit(X.reshape(-1, 8, 8))


@pytest.fixture(scope="module")
def signals():
    steps = np.random.default_rng(0).normal(size=(60, 2, 20))
    return steps.cumsum(axis=2)


def drawn(figure):
    """Count what a figure shows."""
    counts = [
        (len(ax.lines), len(ax.images), len(ax.collections), len(ax.patches))
        for ax in figure.axes
    ]
    return sorted(counts)


def constructed(display):
    """Make a display anew of the numbers that another holds."""
    names = inspect.signature(type(display)).parameters
    return type(display)(**{name: getattr(display, name) for name in names})


def test_every_display_is_tested():
    names = {name for name in inspection.__all__ if name.endswith("Display")}
    assert names == set(DISPLAYS)


@pytest.mark.parametrize("name", DISPLAYS)
def test_display_of_its_numbers_is_the_same(name, autoencoder, X):
    display = DISPLAYS[name](autoencoder, X)
    again = constructed(display)
    for parameter in inspect.signature(type(display)).parameters:
        assert getattr(again, parameter) is getattr(display, parameter)
    assert not hasattr(again, "ax_")
    assert again.plot() is again
    assert again.figure_ is not display.figure_
    assert again.ax_ in again.figure_.axes
    assert drawn(again.figure_) == drawn(display.figure_)


@pytest.mark.parametrize("name", DISPLAYS)
def test_display_draws_into_axes_that_are_given(name, autoencoder, X):
    figure, (left, right) = plt.subplots(1, 2)
    display = DISPLAYS[name](autoencoder, X, ax=right)
    assert display.figure_ is figure
    figure.canvas.draw()
    assert not left.has_data()
    middle = left.get_position().x1
    assert all(ax.get_position().x0 > middle for ax in figure.axes if ax is not left)
    alone = DISPLAYS[name](autoencoder, X).figure_
    unused = {(0, 0, 0, 0)}
    assert set(drawn(figure)) - unused == set(drawn(alone)) - unused
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("name", DISPLAYS)
def test_axes_are_labelled_in_the_colour_of_the_style(name, autoencoder, X):
    with plt.style.context("dark_background"):
        figure = DISPLAYS[name](autoencoder, X).figure_
        figure.canvas.draw()
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert any(labels)
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert {text.get_color() for text in texts} == {"white"}
    with plt.style.context("default"):
        figure = DISPLAYS[name](autoencoder, X).figure_
        figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert {text.get_color() for text in texts} == {"black"}


@pytest.mark.parametrize("name", DISPLAYS)
def test_missing_matplotlib_is_named(name, autoencoder, X, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{name} needs .* 'skae\[plot\]'"):
        DISPLAYS[name](autoencoder, X)


@pytest.mark.parametrize("name", DISPLAYS)
def test_estimator_that_is_not_fitted(name, X):
    with pytest.raises(NotFittedError):
        DISPLAYS[name](UndercompleteAE(2), X)


@pytest.mark.parametrize("name", OF_PCA)
def test_display_of_pca_in_a_pipeline(name, X):
    # A scale of 1 changes no number, but the pipeline has to find the step.
    scaler = StandardScaler(with_mean=False, with_std=False)
    search = GridSearchCV(make_pipeline(scaler, PCA()), {"pca__n_components": [2]})
    search.fit(X)
    alone, within = (DISPLAYS[name](model, X) for model in (PCA(2).fit(X), search))
    assert drawn(within.figure_) == drawn(alone.figure_)


@pytest.mark.parametrize("name", ["CodeDisplay", "SparsityDisplay"])
def test_display_of_codes_needs_transform_alone(name, X):
    with pytest.raises(TypeError, match=r"MLPRegressor.* cannot encode"):
        DISPLAYS[name](MLPRegressor().partial_fit(X, X), X)


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_pictures_are_images_if_they_have_a_shape(name, autoencoder, X):
    display = DISPLAYS[name](autoencoder, X, **IMAGE)
    assert display.image_shape == (1, 8, 8)
    images = display.ax_.images
    assert {image.get_array().shape for image in images} == {(8, 8)}
    assert not display.ax_.lines
    assert not DISPLAYS[name](autoencoder, X).ax_.images


@pytest.mark.parametrize("name", WITH_PICTURES)
@pytest.mark.parametrize("step", [lambda e: e, make_pipeline])
def test_shape_of_images_is_known_to_the_estimator(name, step, conv, X):
    display = DISPLAYS[name](step(conv), X.reshape(-1, 8, 8))
    side = 3 if name == "FilterDisplay" else 8
    assert display.image_shape == (1, side, side)
    assert display.ax_.images


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_shape_that_rows_do_not_have(name, pca, X):
    with pytest.raises(ValueError, match=r"image_shape=\(5, 8\) has 40 values"):
        DISPLAYS[name](pca, X, image_shape=(5, 8))


def test_images_of_colours(digits):
    colours = np.repeat(digits[:30, None], 3, axis=1).reshape(30, -1)
    display = ReconstructionDisplay.from_estimator(
        PCA(2).fit(colours), colours, n_samples=1, image_shape=(3, 8, 8)
    )
    given, answer, error = (image.get_array() for image in display.ax_.images)
    assert given.shape == answer.shape == (8, 8, 3)
    np.testing.assert_allclose(given[..., 0], digits[0].reshape(8, 8) / digits[0].max())
    expected = display.errors[0].reshape(3, 8, 8).mean(axis=0)
    np.testing.assert_allclose(error, expected)


def test_volume_is_its_middle_slice(digits):
    volumes = digits[:30].reshape(30, 4, 4, 4)
    ae = ConvAE(2, spatial_dims=3, early_stopping=False, max_iter=1).fit(volumes)
    display = ReconstructionDisplay.from_estimator(ae, volumes, n_samples=1)
    shown = display.ax_.images[0].get_array()
    np.testing.assert_array_equal(shown, volumes[0, 2])


def test_signal_is_a_curve_for_each_channel(signals):
    ae = ConvAE(2, spatial_dims=1, early_stopping=False, max_iter=1).fit(signals)
    display = ReconstructionDisplay.from_estimator(ae, signals, n_samples=3)
    assert display.axes_.shape == (3, 3)
    first = [line.get_ydata() for line in display.axes_[0, 1].lines]
    np.testing.assert_array_equal(first, signals[1])
    answer = [line.get_ydata() for line in display.axes_[1, 1].lines]
    np.testing.assert_allclose(answer, ae.reconstruct(signals)[1], rtol=1e-5)


def test_losses_and_scores_of_epochs(autoencoder):
    display = LossCurveDisplay.from_estimator(make_pipeline(autoencoder))
    losses, scores = display.axes_[:, 0]
    n_epochs = len(autoencoder.loss_curve_)
    np.testing.assert_array_equal(losses.lines[0].get_ydata(), autoencoder.loss_curve_)
    np.testing.assert_array_equal(losses.lines[0].get_xdata(), range(1, 1 + n_epochs))
    curve, best, of_pca = scores.lines
    np.testing.assert_array_equal(curve.get_ydata(), autoencoder.validation_scores_)
    assert best.get_ydata()[0] == max(autoencoder.validation_scores_)
    assert set(of_pca.get_ydata()) == {autoencoder.pca_score_}
    labels = [text.get_text() for text in scores.get_legend().get_texts()]
    where = 1 + int(np.argmax(autoencoder.validation_scores_))
    assert labels == ["epochs", f"highest, epoch {where}", "PCA"]


def test_scores_are_those_of_the_last_epochs(X):
    options = {"init": "random", "max_iter": 8, "random_state": 0}
    ae = UndercompleteAE(2, warm_start=True, **options).fit(X)
    ae.set_params(max_iter=3).fit(X)
    curve = LossCurveDisplay.from_estimator(ae).axes_[1, 0].lines[0]
    np.testing.assert_array_equal(curve.get_xdata(), [9, 10, 11])


def test_losses_alone_where_nothing_was_held_out(conv):
    display = LossCurveDisplay.from_estimator(conv)
    assert display.axes_.shape == (1, 1)
    assert display.figure_.axes == [display.ax_]
    assert display.validation_scores is None


def test_losses_where_no_epoch_ended(X):
    options = {"solver": "sgd", "max_iter": 3, "random_state": 0}
    with pytest.warns(match="diverged|PCA"):
        ae = UndercompleteAE(2, learning_rate_init=1e6, **options).fit(X)
    with pytest.raises(ValueError, match=r"no epoch .* stop_reason_='divergence'"):
        LossCurveDisplay.from_estimator(ae)


def test_losses_before_a_fit_whose_first_epoch_did_not_end():
    display = LossCurveDisplay([3.0, 2.0], validation_scores=[], pca_score=0.5).plot()
    assert display.axes_.shape == (1, 1)


def test_random_start_has_no_line_of_pca(X):
    ae = UndercompleteAE(2, init="random", max_iter=2, random_state=0).fit(X)
    assert len(LossCurveDisplay.from_estimator(ae).axes_[1, 0].lines) == 2


def test_no_losses(pca, X):
    with pytest.raises(TypeError, match=r"PCA has no loss_curve_: only .* epochs"):
        LossCurveDisplay.from_estimator(pca)
    other = MLPRegressor().partial_fit(X, X)
    with pytest.raises(TypeError, match="cannot reconstruct"):
        LossCurveDisplay.from_estimator(other)


@pytest.mark.parametrize("is_corrupted", [False, True])
def test_reconstructions_and_errors(is_corrupted, autoencoder, X, rng):
    noisy = X + rng.normal(size=X.shape) if is_corrupted else None
    display = ReconstructionDisplay.from_estimator(
        autoencoder, X, corrupted=noisy, n_samples=3, **IMAGE
    )
    asked = noisy if is_corrupted else X
    answers = autoencoder.reconstruct(asked)[:3]
    np.testing.assert_allclose(display.reconstructions, answers, rtol=1e-5)
    np.testing.assert_allclose(display.errors, display.reconstructions - X[:3])
    images = display.ax_.images
    assert len(images) == (12 if is_corrupted else 9)
    np.testing.assert_array_equal(images[1].get_array(), X[1].reshape(8, 8))
    np.testing.assert_array_equal(
        images[-1].get_array(), display.errors[2].reshape(8, 8)
    )
    assert {image.get_clim() for image in images[:-3]} == {(X[:3].min(), X[:3].max())}
    low, high = images[-1].get_clim()
    assert -low == high == abs(display.errors).max()
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    kinds = ["Input", "Corrupted", "Reconstruction", "Error"]
    assert labels == [k for k in kinds if is_corrupted or k != "Corrupted"]


def test_images_lie_beside_and_below_each_other(pca, X):
    display = ReconstructionDisplay.from_estimator(pca, X, n_samples=2, **IMAGE)
    boxes = np.array([image.get_extent() for image in display.ax_.images])
    left, right, bottom, top = boxes.reshape(3, 2, 4).transpose(2, 0, 1)
    assert (left[:, 1] > right[:, 0]).all()
    # Rows are counted from the top.
    assert (top[1:] > bottom[:-1]).all()
    assert display.ax_.yaxis_inverted()


def test_missing_values_are_left_blank(X):
    gaps = X.copy()
    gaps[0, 3] = np.nan
    ae = DenoisingAE(2, early_stopping=False, max_iter=1).fit(gaps)
    display = ReconstructionDisplay.from_estimator(ae, gaps, n_samples=1, **IMAGE)
    shown, _, error = (image.get_array() for image in display.ax_.images)
    for image in (shown, error):
        assert np.argwhere(image.mask).tolist() == [[0, 3]]


def test_sparse_rows_are_drawn():
    X = coo_matrix(np.eye(6)[[0, 1, 2, 3, 3, 1]])
    display = ReconstructionDisplay.from_estimator(TruncatedSVD(2).fit(X), X)
    np.testing.assert_array_equal(display.inputs, X.toarray())


def test_corrupted_rows_of_another_shape(pca, X):
    message = r"corrupted have shape \(3, 64\), but those of X have \(8, 64\)"
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay.from_estimator(pca, X, corrupted=X[:3])


def test_answers_that_are_not_finite(X):
    class Lost(PCA):
        def inverse_transform(self, X):
            return np.full((len(X), 64), np.nan)

    with pytest.raises(ValueError, match="reconstructs 8 of 8 rows by NaN"):
        ReconstructionDisplay.from_estimator(Lost(2).fit(X), X)


@pytest.mark.parametrize("n_samples", [0, 2.5])
def test_number_of_rows_that_makes_no_sense(n_samples, pca, X):
    with pytest.raises(ValueError, match=f"'n_samples' .* Got {n_samples} instead"):
        ReconstructionDisplay.from_estimator(pca, X, n_samples=n_samples)


@pytest.mark.parametrize("labels", [["b", "a", "c"], [2, 0, 1], [True, False, True]])
def test_codes_by_class(labels, pca, X):
    y = np.resize(labels, len(X))
    display = CodeDisplay.from_estimator(pca, X, y)
    codes = pca.transform(X)
    np.testing.assert_allclose(display.codes, codes)
    classes = np.unique(y)
    for label, dots in zip(classes, display.ax_.collections, strict=True):
        np.testing.assert_allclose(dots.get_offsets(), codes[y == label])
    texts = display.ax_.get_legend().get_texts()
    assert [text.get_text() for text in texts] == [str(label) for label in classes]
    colors = {tuple(dots.get_facecolor()[0]) for dots in display.ax_.collections}
    assert len(colors) == len(classes)


def test_more_classes_than_colours_differ_by_marker(pca, X):
    display = CodeDisplay.from_estimator(pca, X, np.arange(len(X)) % 14)
    looks = {
        (tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes())
        for dots in display.ax_.collections
    }
    assert len(looks) == 14


@pytest.mark.parametrize("y", [np.linspace(0, 1, 200), np.arange(200)])
def test_codes_by_value(y, pca, X):
    display = CodeDisplay.from_estimator(pca, X, y)
    (dots,) = display.ax_.collections
    np.testing.assert_array_equal(dots.get_array(), y)
    assert display.ax_.get_legend() is None
    assert display.figure_.axes[1].get_ylabel() == "y"


def test_many_components_are_drawn_along_their_principal_axes(X):
    model = PCA(5, whiten=True).fit(X)
    display = CodeDisplay.from_estimator(model, X)
    codes = model.transform(X)
    centred = codes - codes.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov(codes.T))[::-1]
    np.testing.assert_allclose(display.codes.var(axis=0, ddof=1), variances[:2])
    # They are a projection of the codes.
    _, residual, *_ = np.linalg.lstsq(centred, display.codes)
    np.testing.assert_allclose(residual, 0, atol=1e-20)
    share = variances[0] / variances.sum()
    assert display.ax_.get_xlabel() == f"Principal axis 0 of codes ({share:.0%})"


def test_pairs_of_components(X):
    model = PCA(4).fit(X)
    display = CodeDisplay.from_estimator(model, X, X.mean(axis=1), pairs=True)
    codes = model.transform(X)
    assert display.axes_.shape == (3, 3)
    for i, j in np.ndindex(3, 3):
        ax = display.axes_[i, j]
        assert ax.axison == (j <= i)
        if ax.axison:
            dots = ax.collections[0].get_offsets()
            np.testing.assert_allclose(dots, codes[:, [j, i + 1]])
    assert [ax.get_xlabel() for ax in display.axes_[-1]] == [
        f"Component {j}" for j in range(3)
    ]


def test_one_component_is_counted(X):
    model = PCA(1).fit(X)
    y = np.resize([0, 1], len(X))
    display = CodeDisplay.from_estimator(model, X, y)
    heights = [bar.get_height() for bar in display.ax_.patches]
    assert sum(heights) == len(X)
    assert display.ax_.get_ylabel() == "Rows"
    assert len(display.ax_.get_legend().get_texts()) == 2
    of_all = CodeDisplay.from_estimator(model, X)
    assert of_all.ax_.get_legend() is None


YEARS = np.datetime64("2020-01-01") + np.arange(200)
GAPS = np.arange(200) % 3 == 1
#: Labels whose entries are missing at GAPS.
WITH_GAPS = {
    "masked": np.ma.array(np.arange(200) % 3, mask=GAPS),
    "masked text": np.ma.array(np.resize(["0", "1", "2"], 200), mask=GAPS),
    "None": np.resize(np.array(["0", None, "2"], dtype=object), 200),
    "NaN": np.where(GAPS, np.nan, np.arange(200) % 3),
    "NaN in objects": np.resize(np.array([0, np.nan, 2], dtype=object), 200),
    "NA": pd.Series(pd.array([0, None, 2], dtype="Int64")[np.arange(200) % 3]),
    "categories": pd.Series(np.resize(["0", None, "2"], 200)).astype("category"),
    "polars": pl.Series([0, None, 2] * 66 + [0, None]),
}


@pytest.mark.parametrize("kind", WITH_GAPS)
@pytest.mark.parametrize("n_components", [1, 2])
def test_rows_without_a_class_are_grey(kind, n_components, X):
    model, y = PCA(n_components).fit(X), WITH_GAPS[kind]
    display = CodeDisplay.from_estimator(model, X, y)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["0", "2", "unlabelled"]
    if n_components == 2:
        dots = display.ax_.collections[-1]
        np.testing.assert_allclose(dots.get_offsets(), model.transform(X)[GAPS])


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 200).astype(object),
        [Fraction(k, 7) for k in range(200)],
        YEARS,
        YEARS.tolist(),
        pd.Series(YEARS).dt.tz_localize("UTC"),
        np.where(GAPS, np.datetime64("NaT"), YEARS),
        np.where(GAPS, np.nan, np.linspace(0, 1, 200)),
        np.ma.array(np.linspace(0, 1, 200), mask=GAPS),
    ],
)
def test_values_and_dates_have_a_bar(y, pca, X):
    display = CodeDisplay.from_estimator(pca, X, y)
    display.figure_.canvas.draw()
    dots, *grey = display.ax_.collections
    where = ~GAPS if grey else np.full(200, True)
    np.testing.assert_allclose(dots.get_offsets(), pca.transform(X)[where])
    steps = np.diff(dots.get_array(), 2)
    assert grey or abs(steps).max() < 1e-9
    said = "y, unlabelled in 67 rows" if grey else "y"
    assert display.figure_.axes[1].get_ylabel() == said
    alone = CodeDisplay.from_estimator(PCA(1).fit(X), X, y)
    drawn = np.ma.filled(alone.ax_.collections[0].get_offsets(), np.nan)[:, 1]
    np.testing.assert_allclose(drawn[where], dots.get_array())
    assert np.isnan(drawn[~where]).all()
    assert alone.ax_.get_ylabel() == said


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([f"s{k}" for k in range(200)], ValueError, "y has 200 classes, such as 's0'"),
        (np.r_[np.inf, np.arange(199)], ValueError, "y is infinite in 1 rows"),
        (YEARS - YEARS[0], TypeError, r"timedelta64\[D\]: pass numbers"),
        (np.ones(3), ValueError, "inconsistent"),
        (3, ValueError, "y should be a 1d array"),
    ],
)
def test_labels_that_cannot_be_drawn(y, error, message, pca, X):
    with pytest.raises(error, match=message):
        CodeDisplay.from_estimator(pca, X, y)


def test_names_have_no_meaning_to_matplotlib(pca, X):
    y = np.resize(["_a", "$b$", "c"], len(X))
    display = CodeDisplay.from_estimator(pca, X, y)
    shown = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert sorted(shown) == sorted([" _a", r"\$b\$", "c"])
    bars = ExplainedVarianceDisplay.from_estimator({"_a": pca})
    assert len(bars.ax_.get_legend().get_texts()) == 2


def test_bar_is_that_of_the_values_in_used_axes(pca, X):
    ax = plt.subplots()[1]
    ax.scatter([0, 1], [0, 1], c=[7, 8])
    CodeDisplay.from_estimator(pca, X, np.linspace(0, 1, 200), ax=ax)
    assert ax.figure.axes[1].get_ylim() == (0, 1)


def test_colours_that_are_given(pca, X):
    values = np.linspace(0, 1, 200)
    (dots,) = CodeDisplay.from_estimator(pca, X, c=values).ax_.collections
    np.testing.assert_array_equal(dots.get_array(), values)
    with pytest.raises(ValueError, match="y and c both give a colour"):
        CodeDisplay.from_estimator(pca, X, values, c=values)


def test_one_component_is_drawn_against_values(X):
    model, y = PCA(1).fit(X), X[:, 20] + 0.5
    display = CodeDisplay.from_estimator(model, X, y)
    dots = display.ax_.collections[0].get_offsets()
    np.testing.assert_allclose(dots, np.c_[model.transform(X), y])
    assert len(display.figure_.axes) == 1


def test_codes_that_cannot_be_drawn(X, pca):
    with pytest.raises(ValueError, match=r"pairs=True draws 8 .* have 9: use pairs"):
        CodeDisplay.from_estimator(PCA(9).fit(X), X, pairs=True)
    with pytest.raises(ValueError, match="X has 1 row, but the principal axes"):
        CodeDisplay.from_estimator(PCA(3).fit(X), X[:1])
    with pytest.raises(ValueError, match="inconsistent"):
        CodeDisplay.from_estimator(pca, X, [0, 1])


@pytest.mark.parametrize("model", ["pca", "autoencoder"])
def test_traversals_are_those_of_the_walks(model, X, request):
    model = request.getfixturevalue(model)
    options = {"n_steps": 4, "origin": X[:1], "percentiles": (0.1, 0.8)}
    display = TraversalDisplay.from_estimator(
        model, X, components=[1, 0], **options, **IMAGE
    )
    for i, component in enumerate([1, 0]):
        walk = traverse_component(model, X, component, **options)
        np.testing.assert_array_equal(display.reconstructions[i], walk.reconstructions)
        np.testing.assert_array_equal(display.values[i], walk.codes[:, component])
    assert len(display.ax_.images) == 8
    shown = display.ax_.images[4].get_array()
    np.testing.assert_array_equal(shown, display.reconstructions[1, 0].reshape(8, 8))
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    low, high = display.values[0, [0, -1]]
    assert labels[0] == f"Component 1\n{low:.3g} to {high:.3g}"


def test_traversals_of_curves(X):
    model = PCA(10).fit(X)
    display = TraversalDisplay.from_estimator(model, X, n_steps=3)
    assert display.components == list(range(8))
    assert display.axes_.shape == (8, 1)
    for ax, rows in zip(display.axes_[:, 0], display.reconstructions, strict=True):
        np.testing.assert_array_equal([line.get_ydata() for line in ax.lines], rows)
        assert len({tuple(line.get_color()) for line in ax.lines}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": [2]}, "component=2 must be an index from 0 to 1"),
        ({"components": []}, r"components=\[\] must be indices"),
        ({"components": 1}, "components=1 must be indices"),
        ({"n_steps": 1}, "n_steps=1 must be an integer of 2 or more"),
        ({"percentiles": (5, 95)}, r"percentiles=\(5, 95\)"),
    ],
)
def test_traversal_that_makes_no_sense(options, message, pca, X):
    with pytest.raises(ValueError, match=message):
        TraversalDisplay.from_estimator(pca, X, **options)


@pytest.mark.parametrize("model", ["pca", "autoencoder"])
def test_grid_is_decoded_at_its_places(model, X, request):
    model = request.getfixturevalue(model)
    display = CodeGridDisplay.from_estimator(
        model, X, n_steps=4, percentiles=(0.1, 0.9), show_codes=True, **IMAGE
    )
    codes = model.transform(X).astype(float)
    for k, values in enumerate((display.first, display.second)):
        ends = np.quantile(codes[:, k], (0.1, 0.9))
        np.testing.assert_allclose(values, np.linspace(*ends, 4))
    place = [[display.first[3], display.second[1]]]
    np.testing.assert_allclose(
        display.reconstructions[1, 3], model.inverse_transform(place)[0], rtol=1e-5
    )
    image = display.ax_.images[4 * 1 + 3]
    left, right, bottom, top = image.get_extent()
    np.testing.assert_allclose([(left + right) / 2, (bottom + top) / 2], place[0])
    assert bottom < top
    shown = display.reconstructions[1, 3].reshape(8, 8)
    np.testing.assert_array_equal(image.get_array(), shown)
    np.testing.assert_allclose(display.ax_.collections[0].get_offsets(), codes)
    assert len(display.ax_.images) == 16


def test_curves_of_a_grid_have_one_scale(pca, X):
    display = CodeGridDisplay.from_estimator(pca, X, n_steps=3)
    assert len(display.ax_.lines) == 9
    # Of the largest value the curve reaches the top of what its cell is filled by.
    k = np.argmax(display.reconstructions.max(axis=2))
    i, j = np.unravel_index(k, (3, 3))
    height = np.diff(display.second)[0]
    top = display.ax_.lines[k].get_ydata().max()
    assert top == pytest.approx(display.second[i] + 0.46 * height)
    ends = display.ax_.lines[k].get_xdata()[[0, -1]]
    assert ends.mean() == pytest.approx(display.first[j])


def test_grid_needs_two_components_that_vary(X, pca):
    with pytest.raises(ValueError, match=r"2 components, .* PCA have 3: .*=2"):
        CodeGridDisplay.from_estimator(PCA(3).fit(X), X)
    with pytest.raises(ValueError, match=r"Component 0 is .* in all 5 rows"):
        CodeGridDisplay.from_estimator(pca, np.repeat(X[:1], 5, axis=0))


def test_explained_variance_is_that_of_the_estimators(autoencoder, pca):
    named = {"PCA": pca, "ordered": make_pipeline(autoencoder)}
    display = ExplainedVarianceDisplay.from_estimator(named)
    bars, lines = display.ax_.containers, display.ax_.lines
    models = pca, autoencoder
    for model, name, bar, line in zip(models, named, bars, lines, strict=True):
        ratio = model.explained_variance_ratio_
        np.testing.assert_array_equal(display.ratios[name], ratio)
        np.testing.assert_array_equal([b.get_height() for b in bar], ratio)
        np.testing.assert_array_equal(line.get_ydata(), np.cumsum(ratio))
        np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    labels = {text.get_text() for text in display.ax_.get_legend().get_texts()}
    assert labels == {f"{n}, {kind}" for n in named for kind in ("each", "cumulative")}
    # Bars lie beside each other.
    first, second = (bar[0] for bar in bars)
    assert first.get_x() + first.get_width() == pytest.approx(second.get_x())


def test_explained_variance_of_one_is_named_by_its_class(pca):
    display = ExplainedVarianceDisplay.from_estimator(pca)
    assert list(display.ratios) == ["PCA"]


def test_codes_without_order(conv):
    message = "ConvAE has no explained_variance_ratio_: .* ordered=True"
    with pytest.raises(TypeError, match=message):
        ExplainedVarianceDisplay.from_estimator(conv)


def test_activity_is_that_of_the_codes(X):
    options = {"sparsity": "top_k", "k": 3, "max_iter": 3, "random_state": 0}
    ae = SparseAE(40, **options).fit(X)
    display = SparsityDisplay.from_estimator(ae, X)
    is_active = ae.transform(X) != 0
    np.testing.assert_allclose(display.active_share, is_active.mean(axis=0))
    np.testing.assert_array_equal(display.n_active, 3)
    np.testing.assert_array_equal(display.dead_units, ae.dead_units_)
    shares, counts = display.axes_[0]
    n_dead = len(ae.dead_units_)
    assert shares.get_title() == f"{n_dead} of 40 units are dead"
    drawn_shares = shares.patches[0].get_data().values
    np.testing.assert_allclose(drawn_shares, np.sort(display.active_share)[::-1])
    histogram = counts.patches[0].get_data()
    assert histogram.values.sum() == len(X)
    np.testing.assert_array_equal(histogram.edges, [2.5, 3.5])


def test_activity_above_a_threshold(pca, X):
    threshold = np.median(abs(pca.transform(X)))
    display = SparsityDisplay.from_estimator(pca, X, threshold=threshold)
    assert display.n_active.mean() == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"'threshold' .* Got -1 instead"):
        SparsityDisplay.from_estimator(pca, X, threshold=-1)


def test_histogram_holds_every_row(X):
    counts = np.arange(200)
    _, ax = SparsityDisplay(np.ones(200), counts).plot().axes_[0]
    histogram = ax.patches[0].get_data()
    assert histogram.values.sum() == 200
    assert len(histogram.values) <= 40


def test_codes_that_are_not_finite(X):
    class Lost(PCA):
        def transform(self, X):
            codes = super().transform(X)
            codes[3] = np.nan
            return codes

    model = Lost(2).fit(X)
    for display in (CodeDisplay, SparsityDisplay):
        with pytest.raises(ValueError, match=r"Lost\.transform encodes 1 of 200 rows"):
            display.from_estimator(model, X)


@pytest.fixture(scope="module")
def moons():
    angle = np.linspace(0, np.pi, 80)
    return np.c_[3 * np.cos(angle), np.sin(angle)]


def test_arrows_are_what_reconstruction_moves(moons):
    ae = DenoisingAE(1, early_stopping=False, max_iter=3, random_state=0).fit(moons)
    display = VectorFieldDisplay.from_estimator(ae, moons, n_steps=4)
    points = np.array([[a, b] for b in display.second for a in display.first])
    moved = ae.reconstruct(points) - points
    np.testing.assert_allclose(display.arrows.reshape(-1, 2), moved, atol=1e-5)
    quiver = display.ax_.collections[-1]
    np.testing.assert_allclose(np.c_[quiver.U, quiver.V], moved, atol=1e-5)
    np.testing.assert_allclose(quiver.get_offsets(), points)
    np.testing.assert_array_equal(display.ax_.collections[0].get_offsets(), moons)
    assert display.first[[0, -1]] == pytest.approx([-3.6, 3.6])
    assert display.ax_.get_ylabel() == "Feature 1"


def test_other_features_are_at_their_mean(pca, X):
    display = VectorFieldDisplay.from_estimator(pca, X, features=(20, 13), n_steps=3)
    point = X.mean(axis=0)
    point[[20, 13]] = display.first[2], display.second[1]
    moved = pca.inverse_transform(pca.transform(point[None]))[0] - point
    np.testing.assert_allclose(display.arrows[1, 2], moved[[20, 13]])
    np.testing.assert_array_equal(display.rows, X[:, [20, 13]])


def test_pca_leaves_its_own_plane_alone(X):
    for n_components, moves in [(2, [0, 0]), (1, [0, 1])]:
        model = PCA(n_components).fit(X)
        display = VectorFieldDisplay.from_estimator(model, X, n_steps=3)
        places = np.stack(np.meshgrid(display.first, display.second), axis=-1)
        np.testing.assert_allclose(display.arrows, -places * moves, atol=1e-10)
        np.testing.assert_allclose(
            abs(display.rows), abs(PCA(2).fit_transform(X)), atol=1e-10
        )
    assert display.names == ["Principal axis 0", "Principal axis 1"]


@pytest.mark.parametrize("features", [None, (1, 0)])
@pytest.mark.parametrize("library", [pd, pl])
def test_frames_keep_their_columns(library, features, moons):
    frame = library.DataFrame(dict(zip(["width", "height"], moons.T, strict=True)))
    pipeline = make_pipeline(StandardScaler(), PCA(1)).fit(frame)
    display = VectorFieldDisplay.from_estimator(pipeline, frame, features=features)
    names = [display.ax_.get_xlabel(), display.ax_.get_ylabel()]
    assert names == (["height", "width"] if features else ["width", "height"])


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (slice(None), {"features": (0, 64)}, "features=64 must be an index"),
        (slice(None), {"features": (3, 3)}, r"features=\(3, 3\) must be two"),
        (slice(None), {"features": 3}, "features=3 must be two indices"),
        (slice(None), {"n_steps": 0}, "'n_steps' .* Got 0 instead"),
        (slice(1), {}, "1 sample"),
    ],
)
def test_plane_that_makes_no_sense(rows, options, message, pca, X):
    with pytest.raises(ValueError, match=message):
        VectorFieldDisplay.from_estimator(pca, X[rows], **options)


def test_filters_of_pca_are_its_components(X):
    model = PCA(5).fit(X)
    display = FilterDisplay.from_estimator(model, n_filters=8, **IMAGE)
    np.testing.assert_array_equal(display.filters, model.components_)
    shown = [image.get_array().ravel() for image in display.ax_.images]
    np.testing.assert_array_equal(shown, model.components_)
    low, high = display.ax_.images[0].get_clim()
    assert low == -high
    first = FilterDisplay.from_estimator(model, n_filters=3).filters
    np.testing.assert_array_equal(first, model.components_[:3])


def test_filters_are_the_slopes_of_the_first_layer(X):
    # One linear layer: its weights are the Jacobian of the encoder.
    options = {"sparsity": "l1", "code_activation": "identity", "alpha": 0.0}
    ae = SparseAE(6, max_iter=20, random_state=0, **options).fit(X)
    display = FilterDisplay.from_estimator(ae)
    slopes = ae.jacobian(X[:1])[0] * ae.scale_
    np.testing.assert_allclose(display.filters, slopes, rtol=1e-4, atol=1e-6)
    # Two rows of filters have a line at zero each.
    assert len(display.ax_.lines) == 6 + 2


def test_filters_are_those_of_the_network_beside_pca(autoencoder):
    filters = FilterDisplay.from_estimator(autoencoder).filters
    assert not autoencoder.is_pca_
    weights = autoencoder.network_.network.encoder[0].weight.detach().numpy()
    np.testing.assert_array_equal(filters, weights)


def test_filters_where_pca_was_kept_are_its_axes(X):
    options = {"max_iter": 2, "learning_rate_init": 1e-9, "random_state": 0}
    with pytest.warns(match="PCA"):
        ae = UndercompleteAE(2, **options).fit(X)
    assert ae.is_pca_
    filters = FilterDisplay.from_estimator(ae).filters
    axes = filters / np.linalg.norm(filters, axis=1, keepdims=True)
    alignment = abs(axes @ PCA(2).fit(X).components_.T)
    np.testing.assert_allclose(alignment, np.eye(2), atol=1e-3)


#: How much is trained, so that PCA is kept or not.
TRAINING = {"PCA": {"learning_rate_init": 1e-9}, "trained": {"early_stopping": False}}
KINDS = {
    "undercomplete": UndercompleteAE(2, ordered=True),
    "convolutions": ConvAE(2, image_shape=(4, 4), channels=2),
    "masked": MaskedAE(2),
    "stacked": StackedAE(2, pretraining_max_iter=1),
    "table": TableAE(2),
    "pipeline": make_pipeline(StandardScaler(), UndercompleteAE(2, ordered=True)),
    "frames inside": make_pipeline(
        StandardScaler(), UndercompleteAE(2, ordered=True)
    ).set_output(transform="pandas"),
}


@pytest.fixture(scope="module")
def frame():
    rows = np.random.default_rng(0).normal(size=(100, 16))
    return pd.DataFrame(rows, columns=[f"column {i}" for i in range(16)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", TRAINING)
def test_fit_to_a_frame_is_drawn_without_warnings(kind, training, frame):
    model = clone(KINDS[kind])
    step = model[-1] if hasattr(model, "steps") else model
    step.set_params(max_iter=1, random_state=0, **TRAINING[training])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(frame)
    assert step.is_pca_ == (training == "PCA")
    names = {"FilterDisplay", "LossCurveDisplay", "CodeDisplay", "SparsityDisplay"}
    names |= set(DISPLAYS) if hasattr(step, "explained_variance_ratio_") else set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in sorted(names):
            DISPLAYS[name](model, frame)
        FilterDisplay.from_estimator(model)


def test_filters_of_a_table_are_those_of_its_coded_columns(frame):
    table = frame.assign(kind=pd.Categorical(list("abcab") * 20))
    for options in TRAINING.values():
        ae = TableAE(2, max_iter=1, random_state=0, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            filters = FilterDisplay.from_estimator(ae.fit(table)).filters
        assert filters.shape[1] == 16 + 3


def test_filters_of_a_frozen_pipeline(X):
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    frozen = make_pipeline(*map(FrozenEstimator, pipeline))
    wanted = FilterDisplay.from_estimator(pipeline, X).filters
    for model in (FrozenEstimator(pipeline), FrozenEstimator(frozen)):
        found = FilterDisplay.from_estimator(model, X).filters
        np.testing.assert_array_equal(found, wanted)


def test_kernels_of_convolutions(conv, X):
    display = FilterDisplay.from_estimator(conv, X)
    kernels = conv.network_.network.convolutions[0][0].weight.detach().numpy()
    np.testing.assert_array_equal(display.filters, kernels)
    assert display.image_shape == (1, 3, 3)


def test_largest_filters_are_chosen_and_weighted(X):
    pipeline = make_pipeline(MinMaxScaler(), PCA(6)).fit(X)
    display = FilterDisplay.from_estimator(pipeline, X, n_filters=2)
    weighted = pipeline[1].components_ * pipeline[0].transform(X).std(axis=0)
    norms = np.linalg.norm(weighted, axis=1)
    chosen = weighted[np.sort(np.argsort(-norms)[:2])]
    np.testing.assert_allclose(display.filters, chosen)


def test_no_filters(X):
    scaler = StandardScaler().fit(X)
    with pytest.raises(TypeError, match="StandardScaler has no components_: filters"):
        FilterDisplay.from_estimator(scaler)


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_options_reach_what_is_drawn(name, pca, X):
    images = DISPLAYS[name](pca, X, cmap="cividis", **IMAGE).ax_.images
    assert {image.get_cmap().name for image in images} == {"cividis"}
    lines = DISPLAYS[name](pca, X, linestyle=":").ax_.lines
    assert ":" in {line.get_linestyle() for line in lines}


#: Options of what each display draws: short names, and what they mean.
OF_LINES = [
    ({"lw": 3.5}, "linewidth"),
    ({"c": "r"}, "color"),
    ({"ls": ":"}, "linestyle"),
]
OF_AREAS = [
    ({"lw": 3.5}, "linewidth"),
    ({"fc": "r"}, "facecolor"),
    ({"ec": "r"}, "edgecolor"),
]
OF_DOTS = [*OF_AREAS, ({"linewidths": 3.5}, "linewidth"), ({"color": "r"}, "facecolor")]
SHORT_NAMES = {
    "CodeDisplay": [*OF_DOTS, ({"c": "r"}, "facecolor")],
    "ExplainedVarianceDisplay": [*OF_AREAS, ({"width": 0.5}, "width")],
    "SparsityDisplay": OF_AREAS,
    "VectorFieldDisplay": OF_DOTS,
    "FeatureInfluenceDisplay": [],
}


@pytest.mark.parametrize(
    ("name", "options", "meaning"),
    [(n, *case) for n in DISPLAYS for case in SHORT_NAMES.get(n, OF_LINES)],
)
def test_short_names_of_options(name, options, meaning, autoencoder, X):
    figure = DISPLAYS[name](autoencoder, X, **options).figure_
    (value,) = options.values()
    artists = figure.findobj(lambda artist: hasattr(artist, f"get_{meaning}"))
    shown = [getp(artist, meaning) for artist in artists]
    if value == "r":
        colors = [tuple(row) for s in shown for row in to_rgba_array(s)[:, :3]]
        assert (1, 0, 0) in colors
    else:
        assert value in [np.ravel(s)[0] for s in shown]


@pytest.mark.parametrize("y", [None, np.arange(200) % 3, np.linspace(0, 1, 200)])
@pytest.mark.parametrize("option", ["c", "color", "fc"])
def test_one_colour_for_all_labels(y, option, pca, X):
    display = CodeDisplay.from_estimator(pca, X, y, **{option: "r"})
    colors = {tuple(d.get_facecolor()[0][:3]) for d in display.ax_.collections}
    assert colors == {(1, 0, 0)}
    assert display.figure_.axes == [display.ax_]


@pytest.mark.parametrize(
    "options", [{"vmin": 0, "vmax": 1}, {"norm": plt.Normalize(0, 1)}]
)
@pytest.mark.parametrize("name", WITH_PICTURES)
def test_limits_of_pictures(name, options, pca, X):
    images = DISPLAYS[name](pca, X, **IMAGE, **options).ax_.images
    assert {image.get_clim() for image in images} == {(0, 1)}


@pytest.mark.parametrize("name", DISPLAYS)
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("numpy.ndarray", lambda: plt.subplots(1, 2)[1]),
        ("matplotlib.figure.Figure", plt.figure),
        ("builtins.str", lambda: "ax"),
        (".*Axes3D", lambda: plt.figure().add_subplot(projection="3d")),
        (".*PolarAxes", lambda: plt.figure().add_subplot(projection="polar")),
    ],
)
def test_axes_of_another_kind(name, kind, make, autoencoder, X):
    with pytest.raises(TypeError, match=rf"ax is .* {kind}, but {name} draws into one"):
        DISPLAYS[name](autoencoder, X, ax=make())


def test_integers_on_axes_that_are_not_linear(pca):
    ax = plt.subplots()[1]
    ax.set_xscale("log")
    assert ExplainedVarianceDisplay.from_estimator(pca, ax=ax).ax_.get_xscale() == "log"


BAD_ROWS = {
    "features": (lambda X: X[:, :5], "X has 5 features, but .* expecting 64"),
    "none": (lambda X: X[:0], r"0 sample|shape=\(0, 64\)"),
    "infinite": (lambda X: np.where(X == 16, np.inf, X), "infinit"),
    "flat": (lambda X: X[0], r"1D array instead|X has the shape \(64,\)"),
    "None": (lambda X: None, r"X is None|scalar array instead"),
    "number": (lambda X: 5, r"X is 5|scalar array instead"),
}


OF_ROWS = sorted(DISPLAYS.keys() - {"LossCurveDisplay", "ExplainedVarianceDisplay"})
OF_BAD_ROWS = {(kind, name) for kind in BAD_ROWS for name in OF_ROWS}


# X of FilterDisplay is optional.
@pytest.mark.parametrize(
    ("kind", "name"), sorted(OF_BAD_ROWS - {("None", "FilterDisplay")})
)
@pytest.mark.parametrize("model", ["pca", "autoencoder"])
def test_rows_that_make_no_sense(kind, name, model, X, request):
    make, message = BAD_ROWS[kind]
    with pytest.raises(ValueError, match=message):
        DISPLAYS[name](request.getfixturevalue(model), make(X))


def test_spread_needs_two_rows_and_values(pca, X):
    with pytest.raises(ValueError, match=r"shape=\(1, 64\)"):
        FilterDisplay.from_estimator(pca, X[:1])
    gaps = X.copy()
    gaps[:, 3] = np.nan
    with pytest.raises(ValueError, match="Feature 3 is missing in all 200 rows"):
        FilterDisplay.from_estimator(pca, gaps)


def test_axes_without_a_place_in_a_grid(autoencoder):
    ax = plt.figure().add_axes((0, 0, 1, 1))
    message = "LossCurveDisplay divides ax into 2 x 1 parts"
    with pytest.raises(ValueError, match=message):
        LossCurveDisplay.from_estimator(autoencoder, ax=ax)
