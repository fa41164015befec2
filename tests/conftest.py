"""Data that several test files share."""

import os

# Read when scipy is imported; without it a check of scikit-learn would be skipped.
os.environ["SCIPY_ARRAY_API"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: with several threads each they would wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import scale


@pytest.fixture(autouse=True)
def _seeded():
    """Seed numpy's own generator, which estimators without a random_state draw from."""
    np.random.seed(0)


@pytest.fixture(scope="session")
def digits():
    """Images of digits: 1797 rows of 64 grey values from 0 to 16."""
    X = load_digits().data
    X.setflags(write=False)
    return X


@pytest.fixture(scope="session")
def breast_cancer():
    """Measurements of tumours, each of the 30 columns scaled to unit variance."""
    X = scale(load_breast_cancer().data)
    X.setflags(write=False)
    return X


@pytest.fixture
def rng():
    """Numpy's generator, seeded."""
    return np.random.default_rng(0)
