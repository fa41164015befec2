"""Transformers side by side: what is measured, and what is shown."""

import base64
import pickle
import re
import sys
import xml.etree.ElementTree as ET

import joblib
import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_matrix, csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, KernelPCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, trustworthiness
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import Comparison, ConvAE, DenoisingAE, UndercompleteAE, compare

matplotlib.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore:Training did not improve on PCA")
MEASURES = [
    "explained_variance",
    "mean_squared_error",
    "trustworthiness",
    "accuracy",
    "fit_seconds",
    "transform_seconds",
]


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def comparison(iris):
    estimators = {
        "PCA": PCA(1),
        "wide": PCA(3),
        "<b>$ae_1$</b>": UndercompleteAE(2, max_iter=2, random_state=0),
        "no inverse": KernelPCA(2),
    }
    return compare(estimators, *iris, cv=3, n_labels=5, random_state=0)


def test_scores_are_those_of_each_fold(iris):
    X, y = iris
    found = compare([PCA(2)], X, y, cv=3, n_labels=5, random_state=0).scores
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(X, y)
    for (train, test), (_, row) in zip(folds, found.iterrows(), strict=True):
        pca = PCA(2).fit(X[train])
        codes = pca.transform(X[test])
        errors = (X[test] - pca.inverse_transform(codes)) ** 2
        assert row["mean_squared_error"] == pytest.approx(errors.mean())
        share = errors.sum() / ((X[test] - X[test].mean(axis=0)) ** 2).sum()
        assert row["explained_variance"] == pytest.approx(1 - share)
        expected = trustworthiness(X[test], codes, n_neighbors=5)
        assert row["trustworthiness"] == pytest.approx(expected)


def test_accuracy_is_that_of_few_labels(iris):
    X, y = iris
    few, all_ = (
        compare([PCA(2)], X, y, cv=3, n_labels=n, random_state=0).scores["accuracy"]
        for n in (1, 1000)
    )
    assert few.mean() < all_.mean()
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(X, y)
    for (train, test), accuracy in zip(folds, all_, strict=True):
        model = make_pipeline(PCA(2), StandardScaler(), LogisticRegression())
        assert accuracy == pytest.approx(
            model.fit(X[train], y[train]).score(X[test], y[test])
        )


@pytest.mark.parametrize("n_labels", [1, 4])
def test_so_many_labels_of_each_class_are_known(n_labels, iris, monkeypatch):
    seen = []
    fit = LogisticRegression.fit

    def noted(self, X, y, **options):
        seen.append(np.unique(y, return_counts=True))
        return fit(self, X, y, **options)

    monkeypatch.setattr(LogisticRegression, "fit", noted)
    compare([PCA(2)], *iris, cv=2, n_labels=n_labels, random_state=0)
    assert [list(classes) for classes, _ in seen] == [[0, 1, 2]] * 2
    assert all((counts == n_labels).all() for _, counts in seen)


def test_table_has_means_and_deviations(comparison):
    scores, table = comparison.scores, comparison.table
    assert list(scores.columns) == ["estimator", "fold", *MEASURES]
    assert list(table.columns.unique(0)) == MEASURES
    assert list(table.index) == list(comparison.maps)
    for name, row in table.iterrows():
        for measure in MEASURES:
            values = scores.loc[scores["estimator"] == name, measure]
            assert len(values) == 3
            np.testing.assert_allclose(row[measure, "mean"], values.mean())
            np.testing.assert_allclose(row[measure, "std"], values.std(ddof=1))


def test_what_cannot_reconstruct_is_measured_by_its_code(comparison):
    row = comparison.table.loc["no inverse"]
    assert row[["explained_variance", "mean_squared_error"]].isna().all()
    assert row[["trustworthiness", "accuracy"]].notna().all()


def test_all_have_the_same_folds(iris):
    found = compare({"a": PCA(2), "b": PCA(2)}, *iris, cv=3).scores
    measured = found[["fold", *MEASURES[:4]]]
    first, second = (measured[found["estimator"] == name] for name in "ab")
    np.testing.assert_allclose(first, second)


def test_random_state_makes_the_folds(iris):
    first, again, other = (
        compare([PCA(1)], *iris, cv=3, random_state=seed).scores[MEASURES[:4]]
        for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first, other)


def test_workers_measure_the_same(iris):
    # Threads start sooner than processes.
    with joblib.parallel_config("threading"):
        found = [
            compare([PCA(1)], *iris, cv=2, random_state=0, n_jobs=n).scores
            for n in (1, 2)
        ]
    found = [scores[MEASURES[:4]] for scores in found]
    pd.testing.assert_frame_equal(*found)


def test_estimators_are_cloned(iris):
    estimators = [UndercompleteAE(1, max_iter=1, random_state=0), PCA(2)]
    before = [repr(vars(clone(e))) for e in estimators]
    compare(estimators, *iris, cv=2)
    assert [repr(vars(e)) for e in estimators] == before


def test_transformers_do_not_see_the_classes(iris):
    class Blind(PCA):
        def fit(self, X, y=None):
            assert y is None
            return super().fit(X)

        fit_transform = None

    compare([Blind(2)], *iris, cv=2)


def test_pipelines_are_measured_in_the_unit_of_the_rows(iris):
    X = iris[0] * [1, 1, 1, 100]
    pipelines = {"plain": PCA(4), "scaled": make_pipeline(StandardScaler(), PCA(1))}
    found = compare(pipelines, X, cv=KFold(2)).scores.set_index("estimator")
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        model = clone(pipelines["scaled"]).fit(X[train])
        answers = model.inverse_transform(model.transform(X[test]))
        measured = found.loc["scaled", "mean_squared_error"].iloc[fold]
        assert measured == pytest.approx(np.square(X[test] - answers).mean())
    np.testing.assert_allclose(found.loc["plain", "mean_squared_error"], 0, atol=1e-9)


def test_names_of_a_list():
    X = np.random.default_rng(0).normal(size=(30, 4))
    steps = make_pipeline(StandardScaler(), PCA(1))
    found = compare([PCA(1), steps, KernelPCA(2)], X, cv=2)
    assert list(found.table.index) == ["PCA-1", "PCA-2", "KernelPCA"]
    idle = Pipeline([("first", PCA(1)), ("none", None), ("last", "passthrough")])
    found = compare((e for e in (idle, KernelPCA(2))), X, cv=2)
    assert list(found.table.index) == ["PCA", "KernelPCA"]


def test_without_classes_there_is_no_accuracy(iris):
    found = compare([PCA(2)], iris[0], cv=2)
    assert "accuracy" not in found.scores
    assert found.labels is None
    assert set(found.plot()) == {"scores", "maps"}


def test_maps_are_codes_of_the_first_held_out_rows(comparison, iris):
    X, y = iris
    train, test = next(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    np.testing.assert_array_equal(comparison.labels, y[test])
    line = comparison.maps["PCA"]
    np.testing.assert_allclose(
        line[:, 0], PCA(1).fit(X[train]).transform(X[test])[:, 0]
    )
    assert not line[:, 1].any()
    wide = PCA(3).fit(X[train]).transform(X[test])
    expected = PCA(2).fit_transform(wide)
    np.testing.assert_allclose(comparison.maps["wide"], expected)


@pytest.mark.parametrize("cv", [KFold(2), [(range(100), range(100, 150))]])
def test_folds_may_be_given(cv, iris):
    scores = compare([PCA(2)], *iris, cv=cv).scores
    assert len(scores) == (2 if isinstance(cv, KFold) else 1)


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_with_one_class_have_no_accuracy(iris):
    y = np.zeros(150, dtype=int)
    y[7] = 1
    scores = compare([PCA(2)], iris[0], y, cv=2, random_state=0).scores
    assert scores["accuracy"].isna().sum() == 1
    assert scores["trustworthiness"].notna().all()


def test_masks_are_folds(iris):
    train = np.arange(150) % 3 > 0
    masks, indices = [(train, ~train)], [map(np.flatnonzero, (train, ~train))]
    indices = [tuple(pair) for pair in indices]
    found = [compare([PCA(2)], *iris, cv=cv, random_state=0) for cv in (masks, indices)]
    pd.testing.assert_frame_equal(*(f.scores[MEASURES[:4]] for f in found))
    np.testing.assert_array_equal(found[0].labels, found[1].labels)


def test_classes_may_be_a_column(iris):
    X, y = iris
    found = [compare([PCA(2)], X, c, cv=2, random_state=0) for c in (y, y[:, None])]
    pd.testing.assert_frame_equal(*(f.scores[MEASURES[:4]] for f in found))


@pytest.mark.parametrize("kind", ["frame", "sparse", "coo", "list", "images", "gaps"])
def test_rows_of_all_kinds(kind, digits):
    X, estimator = digits[:60], UndercompleteAE(2, max_iter=1, random_state=0)
    if kind == "frame":
        X = pd.DataFrame(X).add_prefix("p")
    elif kind == "sparse":
        X = csr_array(X)
    elif kind == "coo":
        X = coo_matrix(X)
    elif kind == "list":
        X = X.tolist()
    elif kind == "images":
        X = X.reshape(-1, 8, 8)
        estimator = ConvAE(2, channels=2, max_iter=1, random_state=0)
    else:
        X = np.where(X > 14, np.nan, X)
        estimator = DenoisingAE(2, max_iter=1, random_state=0)
    row = compare([estimator], X, np.arange(60) % 2, cv=2, n_labels=3).table.iloc[0]
    assert row.drop("trustworthiness").notna().all()
    # Distances of rows with gaps are not known.
    assert row["trustworthiness"].isna().all() == (kind == "gaps")


def test_few_rows_have_few_neighbours(iris):
    X = iris[0][:12]
    row = compare([PCA(1)], X, cv=KFold(2)).scores.iloc[0]
    pca = PCA(1).fit(X[6:])
    expected = trustworthiness(X[:6], pca.transform(X[:6]), n_neighbors=2)
    assert row["trustworthiness"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("estimators", "options", "error", "message"),
    [
        ([], {}, ValueError, "estimators is empty"),
        ({"map": TSNE()}, {}, TypeError, r"'map', TSNE\(\), cannot encode held-out"),
        (
            [PCA(1)],
            {"n_labels": 0},
            ValueError,
            "n_labels=0 must be an integer of 1 or more",
        ),
        ([PCA(1)], {"n_labels": 2.5}, ValueError, "n_labels=2.5 must be"),
        ([PCA(1)], {"n_neighbors": True}, ValueError, "n_neighbors=True must be"),
        ([PCA(1)], {"cv": 1}, ValueError, "n_splits=1"),
        ([PCA(9)], {}, ValueError, "n_components=9 must be between"),
        ([PCA(1)], {"y": np.ones(150)}, ValueError, "y has only one class, .*1.0"),
        ([PCA(1)], {"y": np.linspace(0, 1, 150)}, ValueError, "is continuous"),
        ([PCA(1)], {"y": [0, 1]}, ValueError, "inconsistent numbers of samples"),
        ([PCA(1)], {"cv": GroupKFold(2)}, ValueError, "groups"),
        ([PCA(1)], {"cv": []}, ValueError, r"cv=\[\] must be a number of folds"),
        ([PCA(1)], {"cv": [3]}, ValueError, r"cv=\[3\] must be a number of folds"),
        ([PCA(1)], {"cv": [([], [1])]}, ValueError, r"cv has the rows \[\], which"),
        ([PCA(1)], {"cv": [([0, 1], [150])]}, ValueError, r"rows \[150\].* below 150"),
        ([PCA(1)], {"cv": [([0.5], [1])]}, ValueError, r"cv has the rows \[0.5\]"),
        ([PCA(1)], {"y": [0, 1, None] * 50}, ValueError, "y has 50 missing values"),
        ([PCA(1)], {"y": [0, 1, np.nan] * 50}, ValueError, "y has 50 missing values"),
        (PCA(1), {}, TypeError, r"estimators=PCA\(.*\) must be a dict or a list"),
        (PCA, {}, TypeError, "estimators=<class .* must be a dict or a list"),
        (make_pipeline(PCA(1), PCA(1)), {}, TypeError, "must be a dict or a list"),
        ("PCA", {}, TypeError, "estimators='PCA' must be a dict or a list"),
        (None, {}, TypeError, "estimators=None must be a dict or a list"),
        ([PCA], {}, TypeError, "PCA.* must be an object with fit and transform"),
        ([("a", PCA(1))], {}, TypeError, r"tuple \('a', PCA.*pass a dict"),
        ({1: PCA(1), "1": PCA(2)}, {}, ValueError, r"names \[1, '1'\], of which two"),
    ],
)
def test_what_cannot_be_compared(estimators, options, error, message, iris):
    with pytest.raises(error, match=message):
        compare(estimators, iris[0], **options)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_rows_that_float64_cannot_square(factor, iris):
    with pytest.raises(ValueError, match=r"largest magnitude in X is \S+, but compare"):
        compare([UndercompleteAE(2, max_iter=1)], iris[0] * factor, cv=2)


def test_extra_that_is_missing_is_named(iris, monkeypatch, tmp_path):
    comparison = compare([PCA(1)], iris[0], cv=2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'skae\[plot\]'"):
        comparison.to_html(tmp_path / "page.html")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'skae\[frames\]'"):
        compare([PCA(1)], iris[0], cv=2)


def test_legend_of_maps_has_every_class(iris):
    X, y = iris
    labels = np.array(["_a", "b", "$c$"])[y]
    maps = compare([PCA(2)], X, labels, cv=2).plot().maps
    shown = {text.get_text() for text in maps.legends[0].get_texts()}
    matplotlib.pyplot.close("all")
    assert shown == {" _a", "b", r"\$c\$"}


def test_figures_show_the_scores_and_the_maps(comparison):
    figures = comparison.plot()
    panels = figures.scores.axes
    assert [ax.get_xlabel() for ax in panels] == [
        "explained variance",
        "mean squared error",
        "trustworthiness",
        "accuracy with few labels",
        "seconds to fit",
        "seconds to transform",
    ]
    dots, bar = panels[2].lines[:2]
    scores = comparison.scores.set_index("estimator")["trustworthiness"]
    np.testing.assert_array_equal(dots.get_xdata(), scores["PCA"])
    assert bar.get_xdata()[0] == scores["PCA"].mean()
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["PCA", "wide", r"<b>\$ae_1\$</b>", "no inverse"]
    maps = figures.maps.axes[: len(comparison.maps)]
    for ax, codes in zip(maps, comparison.maps.values(), strict=True):
        drawn = np.vstack([line.get_xydata() for line in ax.lines])
        np.testing.assert_allclose(sorted(drawn.tolist()), sorted(codes.tolist()))
        assert len(ax.lines) == 3
    for figure in figures.values():
        matplotlib.pyplot.close(figure)


def test_many_classes_have_colours_of_their_own(digits):
    y = np.arange(90) % 9
    maps = compare([PCA(2)], digits[:90], y, cv=2).plot().maps
    assert len({tuple(line.get_color()) for line in maps.axes[0].lines}) == 9
    matplotlib.pyplot.close("all")


def test_page_is_one_file_with_escaped_names(comparison, tmp_path):
    path = tmp_path / "page.html"
    before = matplotlib.pyplot.get_fignums()
    comparison.to_html(path)
    assert matplotlib.pyplot.get_fignums() == before
    assert list(tmp_path.iterdir()) == [path]
    page = path.read_text(encoding="utf-8")
    assert "&lt;b&gt;$ae_1$&lt;/b&gt;" in page
    assert "<b>" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    images = re.findall(r'src="data:image/png;base64,(.*?)"', page)
    assert len(images) == 2
    assert all(base64.b64decode(i).startswith(b"\x89PNG") for i in images)
    table = ET.fromstring(re.search(r"<table.*?</table>", page, re.DOTALL)[0])
    assert [th.text for th in table.iter("th")][-4:] == list(comparison.maps)


def test_comparison_reads_well(comparison):
    mean, deviation = comparison.table.loc["wide", "accuracy"]
    lines = repr(comparison).splitlines()
    assert "accuracy with few labels" in lines[0]
    assert f"{mean:.3g} ± {deviation:.1g}" in lines[2]
    assert lines[4].split()[:4] == ["no", "inverse", "-", "-"]
    html = comparison._repr_html_()
    assert "<b>" not in html
    assert f"{mean:.3g} ± {deviation:.1g}" in html


def test_one_fold_has_no_deviation(iris):
    found = compare({"PCA": PCA(2)}, *iris, cv=[(range(0, 150, 2), range(1, 150, 2))])
    assert "±" not in repr(found)
    assert f"{found.table.iloc[0, 0]:.3g}" in repr(found)


def test_comparison_is_pickled_by_its_public_name(comparison):
    again = pickle.loads(pickle.dumps(comparison))
    assert type(again) is Comparison
    pd.testing.assert_frame_equal(again.table, comparison.table)
    assert str(Comparison) == "<class 'skae.Comparison'>"
