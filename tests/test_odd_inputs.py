"""Generated inputs: shapes, dtypes, containers, parameters, and calls in any order.

``python tests/test_odd_inputs.py 5000`` tries so many cases, and counts what came.
"""

import copy
import pickle
import sys
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

import skae

ESTIMATORS = {
    skae.UndercompleteAE: {
        "ordered": [False, True],
        "n_components": [1, 2, 5, 0.5, None],
        "neighbor_weight": [0.0, 1.0],
        "transform_max_iter": [0, 2],
    },
    skae.SparseAE: {
        "sparsity": ["l1", "kl", "top_k", "batch_top_k", "jump_relu"],
        "target_sparsity": [None, 0.3],
        "alpha": [0.0, 0.1, 100.0],
    },
    skae.DenoisingAE: {
        "noise": [
            "gaussian",
            "uniform",
            "masking",
            "gaps",
            "salt_and_pepper",
            "block",
            "swap",
        ],
        "noise_level": [0.0, 0.3, 1.0],
        "emphasis": [0.0, 0.5],
    },
    skae.ContractiveAE: {
        "alpha": [0.0, 0.01, 10.0],
        "jacobian_norm": ["auto", "exact", "hutchinson"],
    },
    skae.ConvAE: {
        "channels": [2, (2, 3)],
        "normalization": [None, "batch", "layer"],
        "upsampling": ["transpose", "nearest"],
        "noise_level": [0.0, 0.3],
    },
    skae.RecurrentAE: {
        "cell": ["gru", "lstm"],
        "n_ahead": [0, 1],
        "frame_length": ["auto", 2],
        "noise_level": [0.0, 0.3],
    },
    skae.VariationalAE: {
        "beta": [1e-6, 1.0, 1e6],
        "free_bits": [0.0, 0.1, 1e6],
        "n_importance": [1, 3],
        "tied_weights": [False],
    },
    skae.MaskedAE: {
        "mask_ratio": [0.01, 0.5, 0.99],
        "patch_size": ["auto", 1, 3],
        "init": ["auto", "pca", "random"],
    },
    skae.TableAE: {
        "noise": ["swap", "gaps"],
        "noise_level": [0.0, 0.3, 1.0],
        "scaling": ["standard", "quantiles"],
        "categorical_features": ["from_dtype", [0]],
        "transform_max_iter": ["auto", 0],
    },
    skae.StackedAE: {
        "pretraining": ["plain", "denoising", "sparse", "contractive"],
        "pretraining_max_iter": [0, 2],
        "max_iter": [0, 3],
        "alpha": [0.0, 0.01, 1e6],
        "noise": ["gaussian", "masking", "gaps", "swap"],
        "noise_level": [0.0, 0.3, 1.0],
        "init": ["pca", "random"],
    },
}
SHARED = {
    "n_components": [1, 2, 5],
    "hidden_layer_sizes": [(), 4, (5, 3), "auto"],
    "activation": ["relu", "tanh", "gelu"],
    "loss": ["squared_error", "absolute_error", "gaussian", "bernoulli", "poisson"],
    "tied_weights": [False, True],
    "solver": ["adamw", "adam", "sgd", "rmsprop", "lbfgs"],
    "learning_rate_init": [1e-6, 0.01, 1.0, 1e6],
    "learning_rate": ["cosine", "constant"],
    "weight_decay": ["auto", 0.0, 0.1],
    "batch_size": ["auto", 1, 7, 1000],
    "early_stopping": [False, True],
    "validation_fraction": [0.1, 0.5],
    "warm_start": [False, True],
}
CONTAINERS = {
    "array": lambda X: X,
    "fortran": np.asfortranarray,
    "list": lambda X: X.tolist(),
    "frame": pd.DataFrame,
    "csr": lambda X: csr_array(X.astype(float)),
    "csc": lambda X: csc_array(X.astype(float)),
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "read only": lambda X: _read_only(X),
}
CALLS = ["fit", "partial_fit", "set_params", "clone", "pickle", "copy", "truncate"]
#: What may be raised: errors that the documentation names.
EXPECTED = ValueError, TypeError, AttributeError


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


@st.composite
def rows(draw):
    """Return rows of any shape, dtype and size, in any container."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    kind = draw(st.sampled_from(["normal", "constant", "rank one", "share", "counts"]))
    X = {
        "normal": lambda: rng.normal(size=shape),
        "constant": lambda: np.ones(shape),
        "rank one": lambda: np.outer(rng.normal(size=shape[0]), np.arange(shape[1])),
        "share": lambda: rng.uniform(size=shape),
        "counts": lambda: rng.poisson(2.0, size=shape).astype(float),
    }[kind]()
    X = X * draw(st.sampled_from([1.0, 1e-200, 1e-30, 1e30, 1e150]))
    X = X + draw(st.sampled_from([0.0, 1.0, 1e6]))
    if draw(st.integers(0, 5)) == 0:
        X[rng.random(shape) < 0.2] = draw(st.sampled_from([np.nan, np.inf, 1e300]))
    dtype = draw(st.sampled_from(["f8", "f4", "f2", "u1", "i4", "?"]))
    with np.errstate(all="ignore"):
        X = X.astype(dtype)
    return CONTAINERS[draw(st.sampled_from(sorted(CONTAINERS)))](X)


@st.composite
def estimators(draw):
    """Return an estimator with some parameters that are not its defaults."""
    cls = draw(st.sampled_from(sorted(ESTIMATORS, key=lambda c: c.__name__)))
    return cls(**draw(parameters(cls)))


def parameters(cls):
    """Return a strategy for some parameters of an estimator."""
    options = SHARED | ESTIMATORS[cls]
    chosen = {name: st.sampled_from(values) for name, values in options.items()}
    epochs = chosen.pop("max_iter", st.sampled_from([1, 3]))
    few = {"max_iter": epochs, "random_state": st.just(0)}
    return st.fixed_dictionaries(few, optional=chosen)


def call(estimator, name, X, changes):
    """Do what a user may do next; return the estimator to go on with."""
    if name == "set_params":
        return estimator.set_params(**changes)
    if name == "clone":
        return clone(estimator)
    if name == "pickle":
        return pickle.loads(pickle.dumps(estimator))
    if name == "copy":
        return copy.deepcopy(estimator)
    if name == "truncate":
        return estimator.truncate(1)
    return getattr(estimator, name)(X)


def check_answers(estimator, X):
    """Answers to rows that were fitted are finite, and of the right shape."""
    codes = estimator.transform(X)
    assert np.isfinite(codes).all()
    if hasattr(estimator, "inverse_transform"):
        assert np.isfinite(np.asarray(estimator.inverse_transform(codes))).all()
    # NaN at the end of a sequence is padding.
    if not isinstance(estimator, skae.RecurrentAE):
        assert np.isfinite(np.asarray(estimator.reconstruct(X))).all()
    assert codes.shape == (np.shape(X)[0], estimator.n_components_)
    # Per unit of the data, which may be tiny.
    if hasattr(estimator, "jacobian"):
        assert not np.isnan(estimator.jacobian(X)).any()
    assert estimator.score_samples(X).shape == (len(codes),)


def play(estimator, steps):
    """Make calls one after the other; return what became of each."""
    outcomes = []
    for name, X, changes in steps:
        before = dict(vars(estimator))
        try:
            estimator = call(estimator, name, X, changes)
        except EXPECTED as error:
            outcomes.append(f"{name}: {type(error).__name__}")
            told = len(str(error)) > 20
            kept = {n: id(v) for n, v in vars(estimator).items()}
            if not told or kept != {n: id(v) for n, v in before.items()}:
                raise AssertionError(f"{name} left something behind") from error
        else:
            outcomes.append(name)
            if name in ("fit", "partial_fit"):
                check_answers(estimator, X)
    return outcomes


@st.composite
def stories(draw):
    """Return an estimator and what a user does with it."""
    estimator = draw(estimators())
    first, other = draw(rows()), draw(rows())
    changes = draw(parameters(type(estimator)))
    names = draw(st.lists(st.sampled_from(CALLS), max_size=4))
    steps = [("fit", first, {})]
    for name in names:
        X = draw(st.sampled_from([first, other]))
        steps.append((name, X, changes))
    return estimator, steps


def quietly(story):
    """Play a story; only our own warnings and scikit-learn's may come."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for category in (ConvergenceWarning, UndefinedMetricWarning):
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", "n_components=.* is not smaller")
        warnings.filterwarnings("ignore", "The shape .* is read as")
        return play(*story)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@given(stories())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_odd_inputs_get_answers_or_errors_that_say_why(story):
    quietly(story)


if __name__ == "__main__":
    counts = Counter()
    many = settings(
        max_examples=int(sys.argv[1]),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    many(given(stories())(lambda story: counts.update(quietly(story))))()
    for outcome, count in sorted(counts.items()):
        print(f"{count:7} {outcome}")
