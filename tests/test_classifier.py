"""AutoencoderClassifier and AutoencoderRegressor: codes with a linear head."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from sklearn.datasets import load_digits, make_blobs
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

import skae
from skae import (
    AutoencoderClassifier,
    AutoencoderRegressor,
    DenoisingAE,
    UndercompleteAE,
)
from skae._applications.targets import Classes, adversarial

FEW = DenoisingAE(8, hidden_layer_sizes=8, max_iter=2, noise_level=0.3, init="random")
PLAIN = UndercompleteAE(4, hidden_layer_sizes=8, max_iter=2)
WIDE = UndercompleteAE(9, hidden_layer_sizes=8, max_iter=2)
ADVERSARIAL = {"consistency": "virtual_adversarial", "reconstruction_weight": 0.5}
VARIANTS = [
    AutoencoderClassifier(FEW, max_iter=60),
    AutoencoderClassifier(PLAIN, max_iter=30, early_stopping=True, **ADVERSARIAL),
    AutoencoderClassifier(PCA(0.99, svd_solver="full"), fine_tune=False),
    AutoencoderRegressor(FEW, max_iter=60),
    AutoencoderRegressor(WIDE, max_iter=60, early_stopping=True, **ADVERSARIAL),
    AutoencoderRegressor(PCA(0.99, svd_solver="full"), fine_tune=False),
]


# The checks' data have two columns at times, or are noise, and the warnings are due.
@pytest.mark.filterwarnings("ignore:n_components=. is not smaller than n_features")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(VARIANTS)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    """Digits, and labels of ten of each."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    rng = np.random.default_rng(0)
    known = [rng.permutation(np.flatnonzero(y == c))[:10] for c in range(10)]
    labels = np.full(len(y), -1)
    labels[np.concatenate(known)] = y[np.concatenate(known)]
    return X, y, labels


@pytest.fixture(scope="module")
def trained(digits):
    autoencoder = DenoisingAE(
        32, noise_level=1.0, init="random", max_iter=30, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return FrozenEstimator(autoencoder.fit(digits[0]))


def test_the_first_head_is_logistic_regression(digits, trained):
    X, _, labels = digits
    classifier = AutoencoderClassifier(trained, fine_tune=False, alpha=0.5)
    classifier.fit(X, labels)
    known = labels >= 0
    model = make_pipeline(StandardScaler(), LogisticRegression(C=2, max_iter=1000))
    codes = trained.estimator.transform(X).astype(float)
    model.fit(codes[known], labels[known])
    np.testing.assert_allclose(
        classifier.predict_proba(X), model.predict_proba(codes), atol=1e-5
    )


def test_the_first_head_is_ridge_regression(digits, trained):
    X, y, _ = digits
    targets = np.column_stack([y, 100 * X.sum(axis=1) + 7])
    labels = np.where(np.arange(len(y))[:, np.newaxis] < 500, targets, np.nan)
    regressor = AutoencoderRegressor(trained, fine_tune=False).fit(X, labels)
    codes = trained.estimator.transform(X).astype(float)
    model = make_pipeline(StandardScaler(), Ridge(1.0))
    scale = targets[:500].std(axis=0)
    expected = model.fit(codes[:500], targets[:500] / scale).predict(codes) * scale
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-5)
    single = AutoencoderRegressor(trained, fine_tune=False).fit(X, labels[:, 1])
    np.testing.assert_allclose(single.predict(X), expected[:, 1], rtol=1e-5)
    assert single.coef_.shape == (32,)
    assert np.ndim(single.intercept_) == 0


@pytest.mark.parametrize("fine_tune", [True, False])
@pytest.mark.parametrize("exponent", [-1020, -600, 600, 1020])
def test_numbers_may_have_any_size(digits, trained, fine_tune, exponent):
    """A power of two is exact, so predictions are the same but for it."""
    X, y, _ = digits
    regressor = AutoencoderRegressor(
        trained, fine_tune=fine_tune, max_iter=3, random_state=0
    )
    expected = regressor.fit(X, y).predict(X)
    found = regressor.fit(X, np.ldexp(y.astype(float), exponent)).predict(X)
    np.testing.assert_allclose(np.ldexp(found, -exponent), expected, rtol=1e-6)


def test_the_output_is_linear_in_the_code(digits, trained):
    X, _, labels = digits
    classifier = AutoencoderClassifier(trained, max_iter=20, random_state=0)
    classifier.fit(X, labels)
    codes = classifier.estimator_.transform(X)
    scores = codes @ classifier.coef_.T + classifier.intercept_
    np.testing.assert_allclose(classifier.decision_function(X), scores, atol=1e-4)
    np.testing.assert_allclose(
        classifier.predict_proba(X), softmax(scores, axis=1), atol=1e-4
    )
    assert (classifier.predict(X) == scores.argmax(axis=1)).all()


def test_two_classes_have_one_output(digits, trained):
    X, y, _ = digits
    labels = np.where(y < 5, "low", "high")
    classifier = AutoencoderClassifier(trained, max_iter=20, random_state=0)
    classifier.fit(X, labels)
    scores = classifier.decision_function(X)
    assert scores.shape == (len(X),)
    assert classifier.coef_.shape == (1, 32)
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-scores)))
    assert (classifier.predict(X) == np.where(scores > 0, "low", "high")).all()


def test_tuning_on_unlabelled_rows_pays(digits, trained):
    X, y, labels = digits
    hidden = labels < 0
    frozen = AutoencoderClassifier(trained, fine_tune=False).fit(X, labels)
    alone = AutoencoderClassifier(trained, consistency=None, random_state=0)
    both = AutoencoderClassifier(trained, random_state=0)
    shares = [
        model.set_params(max_iter=300).fit(X, labels).score(X[hidden], y[hidden])
        for model in (frozen, alone, both)
    ]
    assert shares[2] > shares[0] + 0.03
    assert shares[2] > shares[1] + 0.02


@pytest.mark.parametrize("wrap", [lambda frozen: frozen, FrozenEstimator])
def test_an_autoencoder_inside_frozen_estimator_stays_as_it_is(digits, trained, wrap):
    X, _, labels = digits
    before = trained.estimator.transform(X)
    classifier = AutoencoderClassifier(wrap(trained), max_iter=20).fit(X, labels)
    np.testing.assert_array_equal(trained.estimator.transform(X), before)
    assert np.abs(classifier.estimator_.transform(X) - before).max() > 0.01


def test_the_decoder_follows_only_with_a_weight(digits, trained):
    X, _, labels = digits
    left = [
        AutoencoderClassifier(
            trained, reconstruction_weight=weight, max_iter=100, random_state=0
        )
        .fit(X, labels)
        .estimator_.score(X)
        for weight in (0.0, 1.0)
    ]
    assert left[1] > left[0] + 0.05


@pytest.mark.parametrize("consistency", ["noise", "virtual_adversarial"])
def test_results_are_reproducible(digits, trained, consistency):
    X, _, labels = digits
    state = torch.get_rng_state()
    classifier = AutoencoderClassifier(
        trained, consistency=consistency, max_iter=20, random_state=3
    )
    first = classifier.fit(X, labels).decision_function(X)
    np.testing.assert_array_equal(first, classifier.fit(X, labels).decision_function(X))
    assert torch.equal(torch.get_rng_state(), state)
    copy = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(copy.decision_function(X), first)


def test_the_weights_before_are_kept_if_the_loss_diverges(digits, trained):
    X, _, labels = digits
    frozen = AutoencoderClassifier(trained, fine_tune=False).fit(X, labels)
    classifier = AutoencoderClassifier(trained, learning_rate_init=1e30, max_iter=9)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init=1e"):
        classifier.fit(X, labels)
    np.testing.assert_allclose(
        classifier.decision_function(X), frozen.decision_function(X), rtol=1e-3
    )


def test_training_ends_if_held_out_labels_get_no_better(digits, trained, capsys):
    X = digits[0]
    nonsense = np.random.default_rng(0).integers(0, 2, len(X))
    classifier = AutoencoderClassifier(
        trained, consistency=None, n_iter_no_change=2, verbose=1, random_state=0
    ).fit(X, nonsense)
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.rpartition(" ")[2]) for line in lines]
    assert classifier.n_iter_ == 50 * len(losses) < 1500
    # The loss of the first weights is not printed, and is the least if all others rise.
    assert min(losses[-2:]) >= min(losses[:-2], default=0.0)
    # It learns the training labels by heart, but keeps the weights of before.
    assert classifier.score(X, nonsense) < 0.6


def test_what_gains_nothing_is_not_tuned(digits, trained):
    """Held-out numbers see that noise was learnt by heart."""
    X, _, labels = digits
    noise = np.random.default_rng(0).normal(size=len(X))
    noise = np.where(labels >= 0, noise, np.nan)
    frozen = AutoencoderRegressor(trained, fine_tune=False).fit(X, noise)
    tuned = AutoencoderRegressor(trained, random_state=0).fit(X, noise)
    assert tuned.n_iter_ > 1
    np.testing.assert_array_equal(tuned.predict(X), frozen.predict(X))


def test_what_gains_is_tuned(trained, digits):
    X, y, _ = digits
    numbers = np.where(np.arange(len(y)) < 900, y == 8, np.nan)
    frozen = AutoencoderRegressor(trained, fine_tune=False).fit(X, numbers)
    tuned = AutoencoderRegressor(trained, max_iter=300, random_state=0)
    rows = X[900:], y[900:] == 8
    assert tuned.fit(X, numbers).score(*rows) > frozen.score(*rows) + 0.1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("early_stopping", [True, False])
def test_an_interrupt_leaves_the_estimator_as_it_was(digits, early_stopping):
    X, _, labels = digits
    n_calls = 0

    def noise(x, generator):
        nonlocal n_calls
        n_calls += 1
        if n_calls > 300:
            raise KeyboardInterrupt
        return x + torch.randn(x.shape, generator=generator)

    autoencoder = DenoisingAE(4, noise=noise, max_iter=1, init="random")
    classifier = AutoencoderClassifier(autoencoder, early_stopping=early_stopping)
    before = dict(vars(classifier))
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, labels)
    assert vars(classifier) == before


def test_labels_of_any_kind(digits, trained):
    X, y, labels = digits
    classifier = AutoencoderClassifier(trained, fine_tune=False)
    numbers = classifier.fit(X, labels).predict(X)
    assert classifier.classes_.tolist() == list(range(10))
    names = np.array([*"abcdefghij", -1], dtype=object)
    mixed = names[labels]
    assert (classifier.fit(X, mixed).predict(X) == names[numbers]).all()
    assert (classifier.fit(X, labels.astype(float)).predict(X) == numbers).all()
    flags = np.array([True] * 5 + [False] * 5 + [-1], dtype=object)[labels]
    assert classifier.fit(X, flags).score(X, y < 5) > 0.8
    assert classifier.classes_.dtype == bool
    # -1 and 1 are two classes.
    signs = np.where(y < 5, -1, 1)
    assert classifier.fit(X, signs).score(X, signs) > 0.8
    assert classifier.classes_.tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(20, -1), r"labels of two classes or more, but has none: \[\]"),
        (np.full(20, 3), r"labels of two classes or more, but has 1 class: \[3\]"),
        (np.where(np.arange(20) < 9, 3, -1), r"has 1 class: \[3\]"),
        (np.where(np.arange(20) < 9, 0, -1), r"has 1 class: \[0\]"),
        (np.array(["a", -1] * 10, dtype=object), r"has 1 class: \['a'\]"),
        (np.array(["a", "b", "-1", "a"] * 5), "'-1', but the number -1 marks"),
        (np.array(["a", "b", "-1", "a"] * 5, dtype=object), "'-1', but the number"),
        (pd.Series(["a", "b", "-1", "a"] * 5), "'-1', but the number"),
        (pd.Series(["a", "b", "-1", "a"] * 5, dtype="category"), "'-1', but the num"),
        (pd.Series(["a", "b", None, "a"] * 5, dtype="string"), "NaN or None.*row 2:"),
        (pd.Series([0, 1, None, 1] * 5, dtype="Int64"), "NaN or None.*row 2: the num"),
        (np.array(["a", None] * 10, dtype=object), "NaN or None.*row 1: the number"),
        (np.array(["a", 2] * 10, dtype=object), "mixes text and other .* 'a' and 2"),
        (np.ma.array([0, 1] * 10, mask=[0, 1] * 10), "masked in 10 .* has -1 there"),
        (np.linspace(0, 1, 20), "Unknown label type: continuous"),
        (np.array([0, 1] * 9), "inconsistent numbers of samples"),
        (np.array([0, np.nan] * 10), "contains NaN"),
    ],
)
def test_bad_classes(y, message):
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=message):
        AutoencoderClassifier(PCA(1), fine_tune=False).fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(20, np.nan), "at least one row needs a number"),
        (np.array([[1, np.nan]] * 20), "some of the numbers of row 0"),
        (np.array([1, np.inf] * 10), "contains infinity"),
        (np.ma.array([0, 1] * 10, mask=[0, 1] * 10), "masked in 10 .* has nan there"),
    ],
)
def test_bad_numbers(y, message):
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=message):
        AutoencoderRegressor(PCA(1), fine_tune=False).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"estimator": PCA}, "is a class: pass an object"),
        ({"estimator": PCA(1)}, "no network that can be tuned: use an autoencoder"),
        ({"estimator": make_pipeline(PCA(1))}, "put its other steps before"),
        ({"estimator": UndercompleteAE(1)}, "consistency='noise' needs rows with"),
        ({"estimator": FrozenEstimator(FEW)}, "not fitted yet"),
        ({"priors": [0.5, 0.6]}, "must be 2 positive shares"),
        ({"priors": [1.0]}, "must be 2 positive shares"),
        ({"priors": {0: 0.5, 1: 0.5}}, "must be 2 positive shares"),
        (
            {
                "estimator": UndercompleteAE(1, neighbor_weight=0.5),
                "reconstruction_weight": 0.1,
                "consistency": None,
            },
            "neighbor_weight=0.5, while labels move them",
        ),
        ({"early_stopping": True, "estimator": FEW}, "needs two labels, of one class"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bad_parameters(parameters, message):
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = np.full(20, -1)
    y[:2] = [0, 1]
    with pytest.raises((ValueError, TypeError), match=message):
        AutoencoderClassifier(**parameters).fit(X, y)


def test_adversarial_rows_change_the_belief_most():
    """The move has its length, and changes more than random moves of that length."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3))
    x = torch.randn(50, 6, generator=generator)
    kind, belief = Classes(), model(x).softmax(1).detach()

    def change(moved):
        return kind.distance(model(moved), belief).item()

    moved = adversarial(model, x, belief, kind, 0.3, generator)
    lengths = (moved - x).square().mean(1).sqrt()
    torch.testing.assert_close(lengths, torch.full((50,), 0.3))
    noise = torch.randn(20, 50, 6, generator=generator)
    noise = 0.3 * 6**0.5 * nn.functional.normalize(noise, dim=2)
    assert change(moved) > max(change(x + move) for move in noise)


def test_aligned_beliefs_have_the_shares_of_priors():
    kind = Classes(np.array([0.2, 0.8]))
    belief = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    for _ in range(1000):
        aligned = kind.aligned(belief)
    # Odds are those of the belief, times those of the priors over those of the mean.
    odds = belief[:, 1] / belief[:, 0] * (0.8 / 0.4) / (0.2 / 0.6)
    torch.testing.assert_close(aligned[:, 1] / aligned[:, 0], odds)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_priors_move_the_shares_of_answers():
    """Where classes overlap, answers follow what is known of their shares."""
    X, y = make_blobs(600, 4, centers=2, cluster_std=6.0, random_state=0)
    labels = np.where(np.arange(600) < 40, y, -1)
    shares = [
        AutoencoderClassifier(FEW, priors=priors, max_iter=300, random_state=0)
        .fit(X, labels)
        .predict(X)
        .mean()
        for priors in ([0.8, 0.2], [0.5, 0.5], [0.2, 0.8])
    ]
    assert shares[0] + 0.05 < shares[1] < shares[2] - 0.05


@pytest.mark.parametrize("name", ["consistency_weight", "batch_size", "epsilon"])
def test_parameters_of_tuning_have_an_effect(digits, trained, name):
    X, _, labels = digits
    answers = [
        AutoencoderClassifier(
            trained,
            consistency="virtual_adversarial",
            max_iter=10,
            random_state=0,
            **{name: value},
        )
        .fit(X, labels)
        .decision_function(X)
        for value in ((16, 64) if name == "batch_size" else (0.1, 3.0))
    ]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


ANY = {
    "TableAE": {},
    "SparseAE": {"n_components": 12},
    "ContractiveAE": {},
    "VariationalAE": {},
    "StackedAE": {},
    "MaskedAE": {},
    "ConvAE": {"image_shape": (8, 8), "channels": 8},
    "RecurrentAE": {"sequence_shape": (8, 8), "hidden_layer_sizes": 16},
}


@pytest.mark.parametrize("name", ANY)
def test_any_estimator_of_the_family(digits, name):
    X, y, labels = digits
    autoencoder = getattr(skae, name)(**{"n_components": 8, "max_iter": 5} | ANY[name])
    classifier = AutoencoderClassifier(
        autoencoder, consistency="virtual_adversarial", max_iter=60, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(X, labels)
    assert classifier.score(X, y) > 0.6


@pytest.mark.parametrize("consistency", ["noise", "virtual_adversarial"])
def test_defaults_of_torch_change_no_bit(digits, trained, consistency):
    X, _, labels = digits
    classifier = AutoencoderClassifier(
        trained,
        consistency=consistency,
        priors=np.full(10, 0.1),
        reconstruction_weight=0.1,
        max_iter=5,
        random_state=0,
    )
    expected = classifier.fit(X, labels).decision_function(X)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.inference_mode():
            found = classifier.fit(X, labels).decision_function(X)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected)
