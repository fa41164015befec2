"""AutoencoderOutlier: held-out scores, p-values, thresholds, the feature to blame."""

import pickle
import pickletools
import re

import numpy as np
import pytest
from scipy.stats import pareto
from sklearn import config_context
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderOutlier, UndercompleteAE
from skae._applications.conformal import surprise
from skae._applications.trimming import usual

LINEAR = PCA(0.9, svd_solver="full")
FEW = UndercompleteAE(1, max_iter=2, hidden_layer_sizes=(), early_stopping=False)
VARIANTS = [
    AutoencoderOutlier(FEW, cv=2),
    AutoencoderOutlier(LINEAR),
    AutoencoderOutlier(LINEAR, measure="error", standardize=False, contamination=0.2),
    AutoencoderOutlier(make_pipeline(MinMaxScaler(), PCA(1)), measure="density", cv=3),
]


# The checks' data have two columns at times, or are noise, and the warnings are due.
@pytest.mark.filterwarnings("ignore:n_components=. is not smaller than n_features")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(VARIANTS)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture
def normal(rng):
    """Rows near a plane, with columns in different units."""
    codes = rng.normal(size=(900, 2))
    mixed = codes @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(900, 6))
    return mixed * [1, 100, 1e-3, 5, 1, 1e4] + [0, 3, 0, 1e3, 7, 0]


def test_held_out_scores_are_those_of_models_without_the_row(normal):
    """Another road: fit the detector without the fold, and score its rows."""
    folds = [
        (np.arange(150, 300), np.arange(150)),
        (np.arange(150), np.arange(150, 300)),
    ]
    X = normal[:300]
    both = AutoencoderOutlier(LINEAR, measure="error", cv=folds).fit(X)
    for train, held in folds:
        scaler = StandardScaler().fit(X[train])
        rows, other = scaler.transform(X[train]), scaler.transform(X[held])
        pca = PCA(0.9, svd_solver="full").fit(rows)
        error = np.square(other - pca.inverse_transform(pca.transform(other))).sum(
            axis=1
        )
        order = np.argsort(both.score_samples(X[held]))
        np.testing.assert_array_equal(order, np.argsort(-error))


@pytest.mark.parametrize("measure", ["combined", "distance", "density", "error"])
def test_outliers_near_each_other_are_found(normal, rng, measure):
    """They are each other's neighbours, and an axis of PCA would go through them."""
    clump = normal.mean(axis=0) + normal.std(axis=0) * [3, -3, 3, 3, -3, 3]
    noise = 0.3 * normal.std(axis=0) * rng.normal(size=(20, 6))
    X = np.vstack([normal[:400], clump + noise])
    detector = AutoencoderOutlier(LINEAR, measure=measure, random_state=0)
    scores = detector.set_params(contamination=0.1).fit(X).score_samples(X)
    assert scores[400:].max() < np.quantile(scores[:400], 0.05)
    if measure != "error":
        scores = detector.set_params(contamination="auto").fit(X).score_samples(X)
        assert scores[400:].max() > np.quantile(scores[:400], 0.05)


def test_equal_rows_are_usual():
    X = np.ones((60, 3))
    assert usual(X, 0.1, standardize=True).all()
    X[5] = 2.0
    np.testing.assert_array_equal(np.flatnonzero(~usual(X, 0.1, True)), [5])


def test_contamination_leaves_so_many_rows_out(normal):
    X = np.sort(normal[:300], axis=0)
    for share in (0.02, 0.3):
        rows = usual(X, share, standardize=True)
        assert (~rows).sum() == share * len(X)
        # Sorted columns make one curve, whose ends are rare.
        assert {0, 299} <= set(np.flatnonzero(~rows))
        same = [(np.arange(300), np.arange(300))]
        detector = AutoencoderOutlier(LINEAR, contamination=share, cv=same).fit(X)
        assert detector.estimators_[0].n_samples_ == rows.sum()
    assert usual(X[:19], 0.3, standardize=True).all()


def test_a_training_row_is_rarer_than_to_models_that_have_seen_it(normal):
    X = normal[:60]
    detector = AutoencoderOutlier(LINEAR, measure="distance", random_state=0).fit(X)
    nearly = detector.score_samples(X * (1 + 1e-12))
    assert detector.score_samples(X).mean() < nearly.mean() - 0.05


def test_copies_and_negative_zeros_are_the_same_row(normal):
    X = normal[:60].copy()
    X[7] = 0.0
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(X)
    assert detector.score_samples(-X[7:8]) == detector.score_samples(X[7:8])
    assert detector.score_samples(X[7:8].astype(int)) == detector.score_samples(X[7:8])


@pytest.mark.parametrize("measure", ["combined", "density", "error"])
@pytest.mark.parametrize("cv", [5, ShuffleSplit(1, test_size=0.3, random_state=0)])
def test_p_values_of_new_rows_are_uniform(normal, measure, cv):
    detector = AutoencoderOutlier(LINEAR, measure=measure, cv=cv, random_state=0)
    p_values = detector.fit(normal[:500]).p_values(normal[500:])
    n_held = len(detector.calibration_scores_)
    for level in (0.05, 0.2, 0.5):
        deviation = np.sqrt(level * (1 - level) * (1 / n_held + 1 / len(p_values)))
        assert abs((p_values <= level).mean() - level) < 3 * deviation
    assert p_values.min() >= 1 / (1 + n_held)


def test_p_values_count_held_out_rows(normal):
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:200])
    scores = detector.score_samples(normal[200:250])
    known = detector.score_samples(normal[:200])
    counts = (known <= scores[:, None]).sum(axis=1)
    np.testing.assert_allclose(detector.p_values(normal[200:250]), (1 + counts) / 201)


@pytest.mark.parametrize("n_rows", [10, 19, 57, 200])
def test_auto_is_a_p_value_of_five_per_cent(normal, n_rows):
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:n_rows])
    is_rare = detector.p_values(normal) <= max(0.05, 1 / (1 + n_rows))
    np.testing.assert_array_equal(detector.predict(normal) < 0, is_rare)


def test_contamination_is_the_share_of_training_rows(normal):
    detector = AutoencoderOutlier(LINEAR, contamination=0.1, random_state=0)
    assert (detector.fit_predict(normal[:500]) < 0).sum() == 50


def test_false_discoveries_are_few(normal, rng):
    rows = normal[500:].copy()
    is_false = rng.permutation(400) >= 60
    rows[~is_false, 3] += 60
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:500])
    found = detector.predict_fdr(rows, fdr=0.2) < 0
    assert found[~is_false].mean() > 0.9
    assert is_false[found].mean() < 0.3
    # Without outliers there is little to find, unlike by predict.
    usual = normal[500:]
    assert (detector.predict_fdr(usual, fdr=0.01) < 0).sum() == 0
    assert (detector.predict(usual) < 0).sum() > 0


@pytest.mark.parametrize("fdr", [0, 1, 5])
def test_an_fdr_that_is_no_share_is_told(normal, fdr):
    detector = AutoencoderOutlier(LINEAR).fit(normal[:50])
    with pytest.raises(ValueError, match=f"fdr={fdr} must be a share"):
        detector.predict_fdr(normal[:5], fdr)


def test_extreme_codes_are_outliers_though_well_reconstructed(normal):
    """The plain error does not see a row far out in the plane of the data."""
    pca = PCA(2).fit(normal / normal.std(axis=0))
    far = pca.inverse_transform([[9.0, 9.0]]) * normal.std(axis=0)
    for measure, sees in [("combined", True), ("mahalanobis", True), ("error", False)]:
        detector = AutoencoderOutlier(PCA(2), measure=measure, random_state=0)
        p_value = detector.fit(normal).p_values(far)
        assert (p_value < 0.01) == sees


@pytest.mark.parametrize("estimator", [LINEAR, FEW])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_changed_column_is_to_blame(normal, estimator):
    rows = normal[600:606].copy()
    columns = np.arange(6)
    rows[columns, columns] += 4 * normal.std(axis=0)[columns]
    detector = AutoencoderOutlier(estimator, cv=2, random_state=0).fit(normal[:150])
    scores = detector.feature_scores(rows)
    assert scores.shape == rows.shape
    assert (scores.argmax(axis=1) == columns).mean() > 0.8


def test_units_of_columns_do_not_matter(normal):
    """Powers of two change no bit of standardised rows."""
    units = 2.0 ** np.array([3, -9, 0, 20, -1, 5])
    one = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:100])
    other = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:100] * units)
    for method in ("score_samples", "feature_scores"):
        expected = getattr(one, method)(normal[100:150])
        found = getattr(other, method)(normal[100:150] * units)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_outliers_in_the_training_rows_are_found(normal, rng):
    """PCA alone turns an axis towards them, and reconstructs them well."""
    X = np.concatenate(
        [normal[:400], normal[:20] + 12 * normal.std(axis=0) * [1, 0, 0, 0, 0, 0]]
    )
    is_outlier = np.arange(420) >= 400
    scores = AutoencoderOutlier(LINEAR, random_state=0).fit(X).score_samples(X)
    assert roc_auc_score(is_outlier, -scores) > 0.95


def test_random_state_determines_folds_and_models(normal):
    X = normal[:80]
    one, same, other = (
        AutoencoderOutlier(FEW, cv=2, random_state=seed).fit(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.score_samples(normal), same.score_samples(normal))
    assert not np.array_equal(one.score_samples(normal), other.score_samples(normal))
    seeds = {ae.random_state for ae in one.estimators_}
    assert len(seeds) == 2


def test_a_seed_of_the_estimator_is_kept(normal):
    ae = PCA(2, random_state=7)
    detector = AutoencoderOutlier(ae, cv=KFold(3)).fit(normal[:60])
    assert [model.random_state for model in detector.estimators_] == [7, 7, 7]


def test_pickles_name_public_paths_and_keep_scores(normal):
    detector = AutoencoderOutlier(FEW, cv=2, random_state=0).fit(normal[:100])
    file = pickle.dumps(detector)
    texts = [text for _, text, _ in pickletools.genops(file) if isinstance(text, str)]
    assert {text for text in texts if text.startswith("skae")} <= {"skae"}
    again = pickle.loads(file)
    np.testing.assert_array_equal(again.p_values(normal), detector.p_values(normal))


@pytest.mark.parametrize(
    "X", [np.arange(40.0)[:, None], np.arange(40.0)[:, None] * [1, 0]]
)
def test_constant_columns_and_exact_reconstructions_have_scores(X):
    detector = AutoencoderOutlier(PCA(1), random_state=0).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    assert detector.predict(X[:1] + 1e6) == -1


def test_values_far_off_are_outliers_with_a_finite_score(normal):
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:100])
    scores = detector.score_samples(normal[100:101] + np.array([[0], [1e20], [1e120]]))
    assert np.isfinite(scores).all()
    assert scores[1] < scores[0]


def test_the_tail_is_paretos():
    values = pareto(3).ppf((np.arange(2000) + 0.5) / 2000)
    far = np.array([5.0, 50.0, 500.0])
    np.testing.assert_allclose(surprise(far, values), -pareto(3).logsf(far), rtol=0.05)
    grid = np.linspace(1, 20, 500)
    assert (np.diff(surprise(grid, values)) > -1e-12).all()


@pytest.mark.parametrize(
    ("estimator", "error", "match"),
    [
        (PCA, TypeError, "is a class"),
        (KFold(3), ValueError, "estimator"),
        (UndercompleteAE(2, neighbor_weight=-1), ValueError, "neighbor_weight"),
    ],
)
def test_estimators_that_do_not_fit_are_told(normal, estimator, error, match):
    with pytest.raises(error, match=match):
        AutoencoderOutlier(estimator).fit(normal[:30])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"contamination": 0.7}, "contamination"),
        ({"measure": "score"}, "measure"),
        ({"cv": 1}, "'cv' parameter"),
        ({"cv": []}, "gives no folds"),
        ({"cv": [([0, 1, 2], [30])]}, "not of the 30 rows"),
        ({"cv": [([0, 1, 2], [])]}, "3 rows to train on and 0 held out"),
        ({"cv": [([], [0, 1, 2])]}, "0 rows to train on and 3 held out"),
        ({"cv": [1, 2]}, r"cv=\[1, 2\] cannot split X"),
        ({"cv": StratifiedKFold(2)}, "pass y to fit"),
    ],
)
def test_values_that_do_not_fit_are_told(normal, options, match):
    with pytest.raises(ValueError, match=match):
        AutoencoderOutlier(LINEAR, **options).fit(normal[:30])


@pytest.mark.parametrize("fdr", ["x", None, np.array([0.1, 0.2]), 0, 1, np.nan])
def test_rates_that_are_no_share_are_quoted(normal, fdr):
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:30])
    with pytest.raises(ValueError, match=re.escape(f"fdr={fdr!r} must be a share")):
        detector.predict_fdr(normal[:5], fdr)


def test_folds_may_be_masks_lists_or_split_by_labels(normal):
    rows, y = normal[:30], np.arange(30) % 2
    first = np.arange(30) < 20
    numbers = [(np.flatnonzero(first), np.flatnonzero(~first))]
    scores = [
        AutoencoderOutlier(LINEAR, cv=cv).fit(rows).score_samples(normal[30:40])
        for cv in (numbers, [(first, ~first)], [(range(20), list(range(20, 30)))])
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])
    by_label = AutoencoderOutlier(LINEAR, cv=StratifiedKFold(2)).fit(rows, y)
    listed = AutoencoderOutlier(LINEAR, cv=[*StratifiedKFold(2).split(rows, y)])
    np.testing.assert_array_equal(
        by_label.calibration_scores_, listed.fit(rows).calibration_scores_
    )


@pytest.mark.parametrize("later", ["combined", "distance", "density", "error"])
def test_another_measure_waits_for_the_next_fit(normal, later):
    """Else scores of one measure would be held against the threshold of another."""
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(normal[:300])
    before = detector.score_samples(normal[300:])
    detector.set_params(measure=later)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(detector.score_samples(normal[300:]), before)
    np.testing.assert_array_equal(again.score_samples(normal[300:]), before)
    after = detector.fit(normal[:300]).score_samples(normal[300:])
    assert (after == before).all() == (later == "combined")


def test_a_frozen_estimator_is_not_trained_again(normal):
    rows = StandardScaler().fit_transform(normal)
    frozen = FrozenEstimator(PCA(2).fit(rows))
    detector = AutoencoderOutlier(frozen, random_state=0).fit(normal[:300])
    assert all(estimator is frozen for estimator in detector.estimators_)
    far = normal[300:301] + np.eye(6)[2]
    np.testing.assert_array_equal(detector.predict(far), [-1])


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("share", ["auto", 0.1])
def test_frames_as_output_of_transformers_change_nothing(normal, container, share):
    pipeline = make_pipeline(MinMaxScaler(), PCA(1))
    detector = AutoencoderOutlier(pipeline, contamination=share, random_state=0)
    scores = detector.fit(normal[:60]).score_samples(normal[60:])
    with config_context(transform_output=container):
        again = detector.fit(normal[:60]).score_samples(normal[60:])
    np.testing.assert_allclose(again, scores, rtol=1e-9)


def test_blobs_have_no_more_outliers_than_nominal():
    X, _ = make_blobs(1000, 5, random_state=0)
    detector = AutoencoderOutlier(LINEAR, random_state=0).fit(X[:500])
    assert 0.02 < (detector.predict(X[500:]) < 0).mean() < 0.08
