"""Errors that teach: they quote what is wrong, and say what would do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from skae import ContractiveAE, ConvAE, DenoisingAE, SparseAE, UndercompleteAE
from skae.metrics import explained_variance, neg_mean_squared_error

ESTIMATORS = [UndercompleteAE, SparseAE, DenoisingAE, ContractiveAE, ConvAE]
X = np.random.default_rng(0).normal(size=(40, 4))
FEW = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1}
FEW |= {"early_stopping": False, "random_state": 0}


# Methods that are not there -------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_partial_fit_says_why_it_is_not_there(cls):
    ae = cls(solver="lbfgs")
    with pytest.raises(AttributeError, match=r"'partial_fit': .*Use solver='adam'"):
        ae.partial_fit(X)
    with pytest.raises(AttributeError, match="Use solver='adam'"):
        cls.partial_fit(ae, X)
    assert not hasattr(ae, "partial_fit")
    assert hasattr(cls(), "partial_fit")


def test_truncate_says_why_it_is_not_there():
    with pytest.raises(AttributeError, match=r"'truncate': .*Use ordered=True"):
        UndercompleteAE(**FEW).fit(X).truncate(1)
    with pytest.raises(AttributeError, match=r"'partial_fit': .*Use an integer"):
        UndercompleteAE(0.5).partial_fit(X)


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("init", ["random", "pca"])
def test_networks_can_be_called(cls, init):
    options = {} if cls is SparseAE else {"init": init}
    network = cls(**FEW, **options).fit(X).network_
    rows = torch.tensor(X[:3], dtype=torch.float32)
    expected = network.decode(network.encode(rows))
    torch.testing.assert_close(network(rows), expected)


def test_prefixes_of_networks_can_be_called():
    network = UndercompleteAE(**FEW | {"n_components": 3}, ordered=True).fit(X)
    network = network.truncate(2).network_
    rows = torch.tensor(X[:3], dtype=torch.float32)
    torch.testing.assert_close(network(rows), network.decode(network.encode(rows)))


# Text -----------------------------------------------------------------------------

WORDS = {"age": [39.0, 50.0], "work": ["State-gov", "Private"], "city": ["A", "B"]}
AS_ARRAY = np.array([[39.0, "State-gov", "A"], [50.0, "Private", "B"]], dtype=object)


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame(WORDS),
        pd.DataFrame(WORDS).astype({"work": "category"}),
        pd.DataFrame(WORDS).convert_dtypes(),
        pl.DataFrame(WORDS),
    ],
    ids=["objects", "categories", "strings", "polars"],
)
def test_columns_of_text_are_named(cls, rows):
    message = r"'work' of X holds 'State-gov', .* so do 'city': .*OneHotEncoder"
    with pytest.raises(ValueError, match=message):
        cls().fit(rows)


@pytest.mark.parametrize("rows", [AS_ARRAY, AS_ARRAY.astype(str), AS_ARRAY.tolist()])
def test_columns_without_a_name_are_numbered(rows):
    with pytest.raises(ValueError, match=r"Column 1 of X holds 'State-gov', .* do 2: "):
        UndercompleteAE().fit(rows)


@pytest.mark.parametrize("scorer", [explained_variance, neg_mean_squared_error])
def test_scorers_name_columns_of_text(scorer):
    ae = UndercompleteAE(**FEW).fit(X)
    rows = pd.DataFrame(X).astype({2: object})
    rows.iloc[0, 2] = "seven"
    with pytest.raises(ValueError, match="Column 2 of X holds 'seven'"):
        scorer(ae, rows)
    with pytest.raises(ValueError, match="Column 2 of X holds 'seven'"):
        ae.transform(rows)


def test_numbers_as_text_are_numbers():
    ae = UndercompleteAE(**FEW).fit(X)
    rows = np.round(X, 3)
    np.testing.assert_array_equal(ae.transform(rows.astype(str)), ae.transform(rows))
