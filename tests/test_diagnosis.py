"""Each illness is caused on purpose, and found; healthy fits have none."""

import pickle
import re
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_swiss_roll
from sklearn.decomposition import NMF, PCA, FactorAnalysis, KernelPCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, scale
from skorch.callbacks import Callback

from skae import ContractiveAE, ConvAE, DenoisingAE, SparseAE, UndercompleteAE
from skae._rows.split import n_held_out
from skae.inspection import Diagnosis, Finding, diagnose

# What is ill on purpose warns too.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Training did not improve on PCA",
    "ignore:The loss grew without bound",
    "ignore:After .* epochs the reconstruction is worse",
    "ignore:n_components=.* is not smaller than",
    "ignore:.* units are active in no training row",
    "ignore:.*of callbacks=.* stopped training",
    "ignore:Interrupted",
    "ignore:Maximum number of iterations",
)
#: Training that ends where it stands still, soon.
SOON = {"tol": 0.01, "n_iter_no_change": 3, "max_iter": 60, "random_state": 0}
#: The same, with a smaller network.
SMALL = {**SOON, "hidden_layer_sizes": 32}
#: Training that is not looked at.
SHORT = {"max_iter": 2, "random_state": 0}
#: Training that takes whatever it learns.
BLIND = {"early_stopping": False, "learning_rate": "constant", "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return scale(load_iris().data)


@pytest.fixture(scope="module")
def curved():
    """400 rows of 12 features, near a bent surface of three dimensions."""
    rng = np.random.default_rng(0)
    X = np.tanh(rng.normal(size=(400, 3)) @ rng.normal(size=(3, 12)))
    return X + 0.05 * rng.normal(size=X.shape)


@pytest.fixture(scope="module")
def flat(curved):
    """The same rows, in a plane."""
    return curved[:, :2] @ np.random.default_rng(1).normal(size=(2, 8))


def found(diagnosis, name):
    """Return the only finding of a name."""
    (finding,) = [f for f in diagnosis if f.name == name]
    return finding


HEALTHY = {
    "PCA, digits": (PCA(8), "digits"),
    "PCA, iris": (PCA(2), "iris"),
    "NMF, digits": (NMF(4, init="nndsvda", max_iter=400, tol=1e-3), "digits"),
    "undercomplete, digits": (UndercompleteAE(8, **SMALL), "digits"),
    "undercomplete, iris": (
        UndercompleteAE(1, validation_fraction=0.3, **SMALL),
        "iris",
    ),
    "undercomplete, curved": (UndercompleteAE(3, **SMALL), "curved"),
    "ordered, curved": (UndercompleteAE(4, ordered=True, **SMALL), "curved"),
    "all rows, curved": (UndercompleteAE(2, early_stopping=False, **SMALL), "curved"),
    "neighbours, swiss roll": (
        UndercompleteAE(2, neighbor_weight=1.0, **SMALL),
        "roll",
    ),
    "sparse, digits": (SparseAE(**SOON), "digits"),
    "top k, digits": (SparseAE(24, sparsity="top_k", k=6, **SOON), "digits"),
    "denoising, digits": (DenoisingAE(8, **SMALL), "digits"),
    "denoising, wide, curved": (DenoisingAE(16, noise_level=0.5, **SMALL), "curved"),
    "contractive, curved": (
        ContractiveAE(3, init="random", **SMALL),
        "curved",
    ),
    "convolutional, digits": (
        ConvAE(8, image_shape=(8, 8), channels=(8, 16), **SMALL),
        "digits",
    ),
    "pipeline, curved": (
        make_pipeline(StandardScaler(), UndercompleteAE(2, **SMALL)),
        "curved",
    ),
}


@pytest.fixture(scope="module")
def tables(digits, iris, curved):
    roll = make_swiss_roll(400, noise=0.1, random_state=0)[0]
    return {"digits": digits[:500], "iris": iris, "curved": curved, "roll": roll}


@pytest.mark.parametrize(("estimator", "name"), HEALTHY.values(), ids=HEALTHY)
def test_healthy_fits_have_no_findings(estimator, name, tables):
    X = tables[name]
    estimator.fit(X)
    diagnosis = diagnose(estimator), diagnose(estimator, X)
    assert diagnosis == ([], [])
    assert not any(diagnosis)


def test_new_rows_of_the_same_kind_have_no_findings(digits):
    for estimator in (PCA(8), UndercompleteAE(8, **SMALL), SparseAE(**SOON)):
        estimator.fit(digits[:600])
        assert diagnose(estimator, digits[600:]) == []


class Ends(Callback):
    """Ends training as Ctrl-C would, or on purpose."""

    def on_epoch_end(self, net, **kwargs):
        raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [True, False])
def test_training_that_still_gains(early_stopping, digits):
    ae = UndercompleteAE(8, max_iter=3, early_stopping=early_stopping, random_state=0)
    finding = found(diagnose(ae.fit(digits[:500])), "not converged")
    assert "after 3 epochs" in finding.message
    assert finding.cure == "max_iter=6"


def test_training_that_stops_on_purpose_is_healthy(digits):
    ae = UndercompleteAE(8, callbacks=[Ends()], random_state=0)
    ae.fit(digits[:500])
    assert ae.stop_reason_ == "callback"
    assert "not converged" not in {f.name for f in diagnose(ae)}


def test_rate_that_falls_to_zero_ends_as_planned(digits):
    ae = UndercompleteAE(8, max_iter=3, learning_rate="cosine", random_state=0)
    assert diagnose(ae.fit(digits[:500])) == []


def test_parts_that_still_gain(digits):
    ae = UndercompleteAE(8, random_state=0).partial_fit(digits[:500])
    for _ in range(3):
        ae.partial_fit(digits[:500])
    assert "after 4 epochs" in found(diagnose(ae), "not converged").message


@pytest.mark.parametrize("max_iter", ["auto", 1, 5])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_partial_fit_needs_more_calls(max_iter, early_stopping, digits):
    ae = UndercompleteAE(
        8, max_iter=max_iter, early_stopping=early_stopping, random_state=0
    )
    finding = found(diagnose(ae.partial_fit(digits[:500])), "not converged")
    assert "after 1 epoch," in finding.message
    may_be_fit = max_iter == 1 and not early_stopping
    cure = "more calls of partial_fit"
    assert finding.cure == ("max_iter=2, or " + cure if may_be_fit else cure)


def test_other_transformers_that_used_all_iterations(digits):
    nmf = NMF(8, max_iter=5, init="nndsvda").fit(digits)
    assert found(diagnose(nmf, digits), "not converged").cure == "max_iter=10"


def test_training_that_diverged(digits):
    rate = {"solver": "sgd", "learning_rate_init": 30.0}
    ae = UndercompleteAE(2, **rate, max_iter=5, random_state=0).fit(digits[:300])
    assert ae.stop_reason_ == "divergence"
    diagnosis = diagnose(ae, digits[:300])
    assert found(diagnosis, "not converged").cure == "learning_rate_init=10"
    assert "learning_rate_init=10" in found(diagnosis, "PCA kept").cure


def test_training_that_was_interrupted(digits):
    class Interrupts(Callback):
        def on_epoch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ae = UndercompleteAE(8, callbacks=[Interrupts()]).fit(digits[:500])
    finally:
        signal.signal(signal.SIGINT, before)
    finding = found(diagnose(ae), "not converged")
    assert finding.message == "Training was interrupted."
    assert "warm_start=True" in finding.cure


KEPT = {
    "max_iter": ({"max_iter": 1, "learning_rate_init": 1e-9}, "max_iter=2"),
    "linear": ({"hidden_layer_sizes": (), "max_iter": 2}, "hidden_layer_sizes='auto'"),
    "few": ({"learning_rate_init": 1e-9, **SMALL}, "validation_fraction=0.2"),
}


@pytest.mark.parametrize(("options", "cure"), KEPT.values(), ids=KEPT)
def test_pca_that_is_kept(options, cure, iris):
    ae = UndercompleteAE(2, **{"random_state": 0, **options}).fit(iris)
    finding = found(diagnose(ae), "PCA kept")
    assert f"PCA explains {ae.pca_score_:.4g}" in finding.message
    assert cure in finding.cure


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("n_rows", [32, 60, 150])
def test_cure_holds_out_more_rows(n_rows, fraction, iris):
    options = {**KEPT["max_iter"][0], "validation_fraction": fraction}
    ae = UndercompleteAE(2, **options, random_state=0).fit(iris[:n_rows])
    pattern = r"validation_fraction=([\d.]+)(?: \(of (\d+) rows or more\))?"
    for X in (iris[:n_rows], None):
        cure = found(diagnose(ae, X), "PCA kept").cure
        proposed = re.search(pattern, cure)
        assert proposed or "more rows" in cure
        if proposed:
            larger, n_enough = float(proposed[1]), int(proposed[2] or n_rows)
            assert n_held_out(n_enough, larger) > n_held_out(n_enough, fraction)
            assert (X is None) == (proposed[2] is not None)


REPEATED = {
    "one component": (PCA(1), slice(4), slice(300, None)),
    "one component, kept": (UndercompleteAE(1, **SHORT), slice(40), slice(40)),
    "largest fraction": (
        UndercompleteAE(1, validation_fraction=0.5, **SHORT),
        slice(40),
        slice(40),
    ),
    "lbfgs": (UndercompleteAE(2, solver="lbfgs", **SHORT), slice(300), slice(300)),
    "no decay": (
        UndercompleteAE(1, weight_decay=0.0, early_stopping=False, **SHORT),
        slice(20),
        slice(300, None),
    ),
    "all active": (SparseAE(4, sparsity="top_k", k=4, **SHORT), slice(99), slice(99)),
}


@pytest.mark.parametrize(
    ("estimator", "fitted", "asked"), REPEATED.values(), ids=REPEATED
)
def test_cures_change_something(estimator, fitted, asked, curved):
    estimator.fit(curved[fitted])
    values = estimator.get_params()
    for finding in diagnose(estimator, curved[asked]):
        cures = re.findall(r"(\w+)=([^\s,]+)", finding.cure)
        assert cures or "more rows" in finding.cure
        for name, value in cures:
            assert value != str(values[name])
            assert "lbfgs" not in str(values["solver"]) or name != "learning_rate_init"


def test_pca_that_leaves_nothing_to_gain(flat):
    ae = UndercompleteAE(4, max_iter=2, random_state=0).fit(flat)
    finding = found(diagnose(ae), "PCA kept")
    assert "training cannot improve on it" in finding.message
    assert finding.cure == "n_components=2"


def test_pca_that_is_kept_without_an_epoch(digits):
    class EndsAtOnce(Callback):
        def on_batch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    ae = UndercompleteAE(2, callbacks=[EndsAtOnce()], random_state=0).fit(digits[:300])
    finding = found(diagnose(ae), "PCA kept")
    assert finding.message == "Training did not change PCA."


UNDER_FITTED = {
    "sparse": SparseAE(200, alpha=1e3, max_iter=10, random_state=0),
    "contractive": ContractiveAE(8, alpha=1.0, init="random", **SHORT),
    "all rows": SparseAE(64, alpha=1e3, max_iter=10, early_stopping=False),
}


@pytest.mark.parametrize("ae", UNDER_FITTED.values(), ids=UNDER_FITTED)
def test_fits_that_explain_nothing(ae, digits):
    X = digits[:300]
    finding = found(diagnose(ae.fit(X), X), "under-fitted")
    assert f"explain {ae.score(X):.2g} of the variance" in finding.message
    alpha = ae.alpha / 1000
    assert finding.cure.startswith(f"alpha={alpha:g}, or learning_rate_init=0.00333")
    names = {f.name for f in diagnose(clone(ae).set_params(alpha=alpha).fit(X), X)}
    assert "under-fitted" not in names


def test_noise_that_no_few_axes_explain(rng):
    X = rng.normal(size=(2000, 300))
    finding = found(diagnose(PCA(1).fit(X)), "under-fitted")
    assert finding.cure == "n_components=2"


def test_few_rows_learnt_by_heart(digits):
    options = {"max_iter": 50, "learning_rate": "constant", "random_state": 0}
    ae = UndercompleteAE(8, early_stopping=False, **options).fit(digits[:40])
    assert "over-fitted" not in {f.name for f in diagnose(ae, digits[:40])}
    finding = found(diagnose(ae, digits[40:400]), "over-fitted")
    assert re.search(
        r"unexplained .* is 0\.\d+ for X, but 0\.0\d+ in fit", finding.message
    )
    for cure in ("early_stopping=True", "n_components=4", "weight_decay="):
        assert cure in finding.cure


def test_few_rows_learnt_by_heart_beside_those_held_out(digits):
    options = {"init": "random", "validation_fraction": 0.5, "weight_decay": 1e-3}
    ae = UndercompleteAE(
        8, **options, learning_rate="constant", max_iter=60, random_state=0
    ).fit(digits[:60])
    finding = found(diagnose(ae), "over-fitted")
    assert f"{1 - max(ae.validation_scores_):.2g} for the held-out" in finding.message
    assert "weight_decay=0.004" in finding.cure


def test_pca_of_few_rows_is_over_fitted_too(digits):
    pca = PCA(20).fit(digits[:24])
    finding = found(diagnose(pca, digits[24:]), "over-fitted")
    assert finding.cure == "n_components=10, or more rows"


@pytest.mark.parametrize(("n_rows", "fraction"), [(150, 0.14), (60, 0.34), (30, None)])
def test_few_rows_are_held_out(n_rows, fraction, iris):
    X = iris[::5][:n_rows] if n_rows < 31 else iris[:n_rows]
    ae = UndercompleteAE(1, max_iter=2, random_state=0).fit(X)
    finding = found(diagnose(ae, X), "held-out rows too few")
    n_held_out = 15 if n_rows == 150 else 10
    assert finding.message.startswith(f"{n_held_out} of {n_rows} rows are held out")
    fraction = f"validation_fraction={fraction}, or " if fraction else ""
    assert finding.cure == f"{fraction}more rows"


def test_rows_are_those_of_fit_in_any_order_and_container(iris):
    ae = UndercompleteAE(1, max_iter=2, random_state=0).fit(iris)
    for X in (iris[::-1], iris.tolist(), iris.astype(np.float32)):
        assert found(diagnose(ae, X), "held-out rows too few")
    assert "held-out rows too few" not in {f.name for f in diagnose(ae, iris[:-1])}


def test_cure_of_few_held_out_rows_cures(iris):
    ae = UndercompleteAE(1, validation_fraction=0.14, max_iter=2, random_state=0)
    names = {f.name for f in diagnose(ae.fit(iris), iris)}
    assert "held-out rows too few" not in names


def test_values_that_the_loss_does_not_allow(digits):
    ae = UndercompleteAE(2, loss="bernoulli", max_iter=2, random_state=0)
    ae.fit(digits[:300] / 16)
    X = digits[:300] / 16
    assert "outside the output's range" not in {f.name for f in diagnose(ae, X)}
    X[:7] *= 1.5
    finding = found(diagnose(ae, X), "outside the output's range")
    assert finding.message.startswith("7 of 300 rows have values outside [0, 1]")
    assert "loss='squared_error', or a MinMaxScaler" in finding.cure


@pytest.mark.parametrize("estimator", [PCA(2), UndercompleteAE(2, **SHORT)])
def test_rows_in_another_unit(estimator, curved):
    estimator.fit(curved)
    finding = found(diagnose(estimator, 100 * curved), "outside the output's range")
    times = float(re.search(r"deviate (\S+) times", finding.message)[1])
    assert times == pytest.approx(100, rel=0.05)
    assert "the same scaler" in finding.cure


UNITS = {
    "percent": lambda X: X / 100,
    "sixteenth": lambda X: X / 16,
    "half": lambda X: X / 2,
    "minus the mean": lambda X: X - X.mean(axis=0),
    "standardised": scale,
}


@pytest.mark.parametrize("convert", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("estimator", [PCA(3), UndercompleteAE(3, **SHORT)])
def test_smaller_unit_or_other_mean_is_not_over_fitted(convert, estimator, digits):
    estimator.fit(digits[:900])
    names = {f.name for f in diagnose(estimator, convert(digits[900:]))}
    assert "over-fitted" not in names
    assert "outside the output's range" in names


def test_few_rows_may_vary_less_by_chance(digits):
    pca = PCA(3).fit(digits)
    for start in range(0, 1700, 5):
        names = {f.name for f in diagnose(pca, digits[start : start + 5])}
        assert "outside the output's range" not in names


def test_row_far_from_all_others(curved):
    X = curved.copy()
    X[7] = 1000
    ae = UndercompleteAE(2, max_iter=2, random_state=0).fit(X)
    alone = found(diagnose(ae), "rows that outweigh all")
    assert alone.message.startswith("n_far_rows_=1:")
    assert "RobustScaler" in alone.cure
    assert "validation_fraction=0.2" in alone.cure
    messages = [
        f.message for f in diagnose(ae, X) if f.name == "rows that outweigh all"
    ]
    assert any(m.startswith("Row 7 of X alone makes 100% of the var") for m in messages)


def test_row_that_makes_most_of_the_error(curved):
    pca = PCA(3).fit(curved)
    X = curved.copy()
    X[11, 3] += 8
    finding = found(diagnose(pca, X), "rows that outweigh all")
    assert finding.message.startswith("Row 11 of X alone makes ")
    assert finding.message.endswith("of the squared error.")
    assert finding.cure.startswith("X without row 11")


COPIES = {
    "PCA": (PCA(4), "n_components=2"),
    "undercomplete": (UndercompleteAE(5, **SHORT), "n_components=2"),
    "sparse": (SparseAE(8, alpha=1e-6, **SOON), "alpha=1e-05"),
    "no penalty": (ContractiveAE(5, alpha=0.0, **SHORT), "alpha=0.001"),
    "no noise": (DenoisingAE(5, noise_level=0.0, **SHORT), "noise_level=0.1"),
}


@pytest.mark.parametrize(("estimator", "cure"), COPIES.values(), ids=COPIES)
def test_codes_that_can_copy(estimator, cure, iris):
    finding = found(diagnose(estimator.fit(iris)), "code wide enough to copy")
    assert f"{estimator.n_components_} components" in finding.message
    assert cure in finding.cure


@pytest.mark.parametrize(
    "estimator",
    [
        SparseAE(8, **SHORT),
        ContractiveAE(5, **SHORT),
        DenoisingAE(5, **SHORT),
        UndercompleteAE(4, ordered=True, **SHORT),
    ],
)
def test_wide_codes_that_are_held_back(estimator, iris):
    names = {f.name for f in diagnose(estimator.fit(iris))}
    assert "code wide enough to copy" not in names


@pytest.mark.parametrize("estimator", [PCA(6), UndercompleteAE(6, **SHORT)])
def test_axes_that_collapse(estimator, flat):
    finding = found(diagnose(estimator.fit(flat), flat), "collapsed axes")
    assert finding.message.startswith("6 components vary in 2 directions only")
    assert "n_components=2" in finding.cure


def test_components_that_repeat_others(curved):
    class Twice(PCA):
        """A code that has everything twice, in another unit."""

        def transform(self, X):
            codes = super().transform(X)
            return np.hstack([codes, 7 - 3 * codes])

        def inverse_transform(self, X):
            return super().inverse_transform(X[:, :2])

    finding = found(diagnose(Twice(2).fit(curved), curved), "collapsed axes")
    assert finding.message.startswith("4 components vary in 2 directions only")
    assert finding.cure == "n_components=2"


def test_penalty_that_collapses_the_code(breast_cancer):
    ae = ContractiveAE(8, alpha=0.3, init="random", max_iter=40, random_state=0)
    finding = found(diagnose(ae.fit(breast_cancer), breast_cancer), "collapsed axes")
    assert "alpha=0.1" in finding.cure


def test_dead_components(iris):
    ae = SparseAE(40, sparsity="top_k", k=3, max_iter=5, random_state=0).fit(iris)
    n_dead = len(ae.dead_units_)
    assert n_dead > 4
    for X in (None, iris):
        finding = found(diagnose(ae, X), "dead units")
        assert finding.message == f"{n_dead} of 40 components are active in no row."
        for cure in (
            "k=6",
            "learning_rate_init=0.00333",
            f"n_components={40 - n_dead}",
        ):
            assert cure in finding.cure


def test_dead_components_of_others(digits):
    nmf = NMF(4, init="nndsvda", max_iter=400, tol=1e-3).fit(digits)
    nmf.components_[2:] = 0
    finding = found(diagnose(nmf, digits), "dead units")
    assert finding.message == "2 of 4 components are active in no row."
    assert finding.cure == "n_components=2"


def test_dead_hidden_units(digits):
    options = {"activation": "relu", "init": "random", "max_iter": 10, **BLIND}
    ae = UndercompleteAE(2, learning_rate_init=1.0, **options).fit(digits[:300])
    finding = found(diagnose(ae, digits[:300]), "dead units")
    assert "hidden units are zero in every row" in finding.message
    assert finding.cure == "learning_rate_init=0.333, or activation='gelu'"


def test_dead_channels(digits):
    ae = ConvAE(
        2, channels=(4, 4), hidden_layer_sizes=(), activation="relu", image_shape=(8, 8)
    )
    ae.set_params(init="random", max_iter=1, random_state=0).fit(digits[:300])
    assert "dead units" not in {f.name for f in diagnose(ae, digits[:300])}
    for layer in ae.network_.modules():
        if hasattr(layer, "kernel_size"):
            layer.bias.data[:] = -100
    assert found(diagnose(ae, digits[:300]), "dead units")


def test_saturated_hidden_units(digits):
    options = {"activation": "tanh", "init": "random", "max_iter": 10, **BLIND}
    ae = UndercompleteAE(2, learning_rate_init=3.0, **options).fit(digits[:300])
    finding = found(diagnose(ae, digits[:300]), "saturated units")
    assert "hidden units lie at a bound" in finding.message
    assert finding.cure == "learning_rate_init=1, or activation='gelu'"


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_saturated_components(activation, digits):
    options = {"code_activation": activation, "init": "random", "max_iter": 10, **BLIND}
    ae = UndercompleteAE(2, learning_rate_init=1.0, **options).fit(digits[:300])
    finding = found(diagnose(ae, digits[:300]), "saturated units")
    assert "2 of 2 components lie at a bound" in finding.message
    assert "code_activation='identity'" in finding.cure


def test_rates_near_zero_are_what_kl_asks_for(digits):
    ae = SparseAE(sparsity="kl", code_activation="logistic", **SHORT)
    X = digits[:300]
    assert "saturated units" not in {f.name for f in diagnose(ae.fit(X), X)}


def test_listening_leaves_no_trace(digits):
    ae = UndercompleteAE(2, activation="relu", early_stopping=False, **SHORT).fit(
        digits[:300]
    )
    before = pickle.dumps(ae)
    diagnose(ae, digits[:300])
    assert pickle.dumps(ae) == before
    assert not any(m._forward_hooks for m in ae.network_.modules())


def test_pipelines_and_searches_are_asked_for_the_step_that_reduces(flat):
    step = UndercompleteAE(6, max_iter=2, random_state=0)
    steps = StandardScaler(), step, MinMaxScaler()
    pipeline = make_pipeline(*steps).fit(flat)
    expected = diagnose(pipeline[1], pipeline[0].transform(flat))
    assert {f.name for f in expected} == {"PCA kept", "collapsed axes"}
    assert diagnose(pipeline, flat) == expected
    assert [f.name for f in diagnose(pipeline)] == ["PCA kept"]
    search = GridSearchCV(pipeline, {"undercompleteae__n_components": [6]}, cv=2)
    search.set_params(scoring=lambda e, X, y=None: 0.0).fit(flat)
    assert {f.name for f in diagnose(search, flat)} >= {"collapsed axes"}


WRAPPED = {
    "frozen": FrozenEstimator,
    "twice": lambda pipeline: FrozenEstimator(FrozenEstimator(pipeline)),
    "steps": lambda pipeline: make_pipeline(*map(FrozenEstimator, pipeline)),
    "all": lambda pipeline: FrozenEstimator(WRAPPED["steps"](pipeline)),
}


@pytest.fixture(scope="module")
def pipelines(curved):
    """Fits with held-out rows and without."""
    fits = (
        UndercompleteAE(3, early_stopping=stops, **SHORT) for stops in (False, True)
    )
    return [make_pipeline(StandardScaler(), ae).fit(curved) for ae in fits]


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_what_is_frozen_is_seen_through(wrap, pipelines, curved):
    for pipeline in pipelines:
        for X in (None, curved):
            assert diagnose(wrap(pipeline), X) == diagnose(pipeline, X)


def test_frozen_estimators_in_searches(curved):
    ae = FrozenEstimator(UndercompleteAE(3, early_stopping=False, **SHORT).fit(curved))
    search = GridSearchCV(Pipeline([("ae", ae)]), {"ae": [ae]}, cv=2)
    search.set_params(scoring=lambda e, X, y=None: 0.0).fit(curved)
    assert diagnose(search, curved) == diagnose(ae.estimator, curved)


#: Parameters of a fit with findings, and others that are set afterwards.
CHANGES = {
    "validation_fraction": ({}, {"validation_fraction": 0.005}),
    "random start": ({"init": "random"}, {"validation_fraction": 0.005}),
    "batches that tell nothing": (
        {"solver": "adam", "batch_size": 16, "learning_rate_init": 1e-4},
        {"validation_fraction": 0.005},
    ),
    "loss": ({}, {"loss": "bernoulli"}),
    "code_activation": ({}, {"code_activation": "tanh"}),
    "n_components": ({}, {"n_components": 0.9}),
    "ordered": ({"n_components": 12}, {"ordered": True}),
    "neighbors": (
        {"neighbor_weight": 1.0, "hidden_layer_sizes": 8},
        {"neighbor_weight": 0.0},
    ),
    "cosine": (
        {"learning_rate": "cosine", "max_iter": 4},
        {"learning_rate": "constant"},
    ),
    "constant": (BLIND, {"learning_rate": "cosine"}),
}


@pytest.mark.parametrize(("options", "changes"), CHANGES.values(), ids=CHANGES)
def test_what_is_set_after_fit_is_not_taken_for_the_fit(options, changes, curved):
    ae = UndercompleteAE(**{"n_components": 3, **SHORT, **options}).fit(curved)
    before = diagnose(ae, curved)
    after = diagnose(ae.set_params(**changes), curved)
    assert [f.name for f in after] == [f.name for f in before]
    assert [f.message for f in after] == [f.message for f in before]


def test_number_of_held_out_rows_that_is_not_known_is_not_told(iris):
    ae = UndercompleteAE(1, max_iter=2, random_state=0).fit(iris)
    message = found(diagnose(ae, iris), "held-out rows too few").message
    assert "15 of 150 rows are held out with validation_fraction=0.1." in message
    for fraction in (0.005, 0.3):
        ae.set_params(validation_fraction=fraction)
        assert "held-out rows too few" not in {f.name for f in diagnose(ae, iris)}


def test_number_of_held_out_rows_is_known_from_those_of_pca(curved):
    X = curved[:190]
    ae = UndercompleteAE(2, neighbor_weight=1.0, batch_size=32, **SHORT).fit(X)
    assert not ae.is_pca_
    message = found(diagnose(ae, X), "held-out rows too few").message
    assert message.startswith("19 of 190 rows")
    # It would make as many batches.
    ae.set_params(validation_fraction=0.08)
    assert "held-out rows too few" not in {f.name for f in diagnose(ae, X)}


@pytest.mark.filterwarnings("ignore:target_sparsity=0.1 is not reached")
def test_penalty_that_was_adapted_is_known_afterwards(digits):
    options = {"sparsity": "l1", "target_sparsity": 0.1, **SHORT}
    ae = SparseAE(24, **options).fit(digits[:300])
    ae.set_params(target_sparsity=None)
    assert "not converged" not in {f.name for f in diagnose(ae)}


def test_most_iterations_that_were_set_after_fit(digits):
    nmf = NMF(2, init="nndsvda", max_iter=5).fit(digits[:100])
    assert found(diagnose(nmf), "not converged")
    for most in (3, 9):
        assert diagnose(nmf.set_params(max_iter=most)) == []


def test_gaps_are_no_illness(curved, rng):
    X = np.where(rng.random(curved.shape) < 0.05, np.nan, curved)
    ae = DenoisingAE(3, **{**SMALL, "max_iter": 120}).fit(X)
    assert diagnose(ae, X) == []


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_pca_of_equal_rows_says_nothing_of_others(iris):
    pca = PCA(1).fit(np.ones((20, 4)))
    assert diagnose(pca, iris) == []


def test_images_are_diagnosed_as_flat_rows(digits):
    images = digits[:300].reshape(-1, 8, 8)
    ae = ConvAE(8, channels=4, max_iter=1, random_state=0).fit(images)
    diagnosis = diagnose(ae, images)
    assert diagnosis == diagnose(ae, digits[:300])
    assert [f.name for f in diagnosis] == ["PCA kept"]


@pytest.mark.parametrize(
    "estimator",
    [
        FactorAnalysis(2),
        KMeans(2),
        KernelPCA(2),
        ColumnTransformer([("some", PCA(2), [0, 1, 2])]),
        FeatureUnion([("pca", PCA(2))]),
        make_pipeline(PCA(2), LogisticRegression()),
        make_pipeline(StandardScaler(), FactorAnalysis(2)),
        GridSearchCV(PCA(), {"n_components": [1, 2]}, cv=2, refit=False),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_cannot_reconstruct(estimator, iris):
    estimator.fit(iris, np.arange(150) % 3)
    with pytest.raises(TypeError, match="cannot reconstruct"):
        diagnose(estimator, iris)
    assert diagnose(estimator) == []


@pytest.mark.parametrize("estimator", [PCA(2), UndercompleteAE(2, **SHORT)])
def test_rows_of_other_features(estimator, iris):
    estimator.fit(iris)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 4"):
        diagnose(estimator, iris[:, :3])


def test_what_cannot_be_diagnosed(iris):
    for kind in (PCA, UndercompleteAE):
        with pytest.raises(TypeError, match="is a class, not an instance"):
            diagnose(kind, iris)
    with pytest.raises(NotFittedError):
        diagnose(UndercompleteAE(2))
    pca = PCA(2).fit(iris)
    for X in (iris[:1], np.repeat(iris[:1], 5, axis=0)):
        with pytest.raises(ValueError, match=f"X has {len(X)} rows, of which no two"):
            diagnose(pca, X)

    class Lost(PCA):
        def transform(self, X):
            return np.full((len(X), 2), np.nan)

    with pytest.raises(
        ValueError, match=r"Lost\.transform encodes 150 of 150 rows as NaN"
    ):
        diagnose(Lost(2).fit(iris), iris)


SICK = Diagnosis(
    [
        Finding("dead units", "9 < 10.", "alpha=0.1"),
        Finding("not converged", "It gained.", "max_iter=400"),
    ]
)


def test_diagnosis_is_a_list_that_reads_well():
    assert repr(Diagnosis()) == "healthy: nothing found"
    assert repr(SICK).splitlines() == [
        "2 findings",
        "- dead units: 9 < 10. Try: alpha=0.1.",
        "- not converged: It gained. Try: max_iter=400.",
    ]
    assert SICK
    assert len(SICK) == 2
    assert SICK[1].cure == "max_iter=400"
    assert pickle.loads(pickle.dumps(SICK)) == SICK


def test_diagnosis_is_a_table_in_notebooks():
    html = SICK._repr_html_()
    assert "<td>9 &lt; 10.</td>" in html
    assert html.count("<tr>") == 3
    assert Diagnosis()._repr_html_() == "<p>healthy: nothing found</p>"
