"""What is told of training: the history, and lines of ``verbose``."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import skae

# So few epochs seldom gain on PCA.
pytestmark = pytest.mark.filterwarnings("ignore:Training did not improve on PCA")

FEW = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
ESTIMATORS = [
    skae.UndercompleteAE(2, **FEW),
    skae.UndercompleteAE(2, **FEW, ordered=True),
    skae.UndercompleteAE(2, **FEW, neighbor_weight=1.0),
    skae.UndercompleteAE(2, **FEW, solver="lbfgs"),
    skae.SparseAE(8, **FEW),
    skae.DenoisingAE(2, **FEW),
    skae.ContractiveAE(2, **FEW),
    skae.ConvAE(2, **FEW, image_shape=(8, 8), channels=2),
    skae.VariationalAE(2, **FEW),
    skae.MaskedAE(2, **FEW, image_shape=(8, 8)),
    skae.RecurrentAE(2, **FEW, sequence_shape=(8, 8)),
    skae.StackedAE(2, **FEW, pretraining_max_iter=1),
    skae.TableAE(2, **FEW),
]
each_estimator = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=lambda e: repr(e)[:40]
)


@each_estimator
def test_history_is_a_table_of_epochs(estimator, digits):
    estimator = clone(estimator).fit(digits[:200])
    table = pd.DataFrame(estimator.history_)
    assert table["epoch"].tolist() == list(range(1, estimator.n_iter_ + 1))
    assert table["loss"].tolist() == estimator.loss_curve_
    assert table["explained_variance"].tolist() == estimator.validation_scores_
    assert (table["seconds"] > 0).all()
    assert (table["learning_rate"] > 0).all()


def test_history_goes_on_and_starts_anew(digits):
    estimator = skae.UndercompleteAE(2, **FEW).fit(digits)
    estimator.partial_fit(digits)
    table = pd.DataFrame(estimator.history_)
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert table["explained_variance"].isna().tolist() == [False] * 3 + [True]
    assert table["validation_loss"].isna().tolist() == [False] * 3 + [True]
    assert len(estimator.fit(digits).history_["epoch"]) == 3


def test_history_has_the_rates_of_the_schedule(digits):
    options = FEW | {"max_iter": 10, "n_iter_no_change": 10}
    cosine = skae.UndercompleteAE(2, learning_rate="cosine", **options).fit(digits)
    rates = np.array(cosine.history_["learning_rate"])
    assert (np.diff(rates) < 0).all()
    constant = skae.UndercompleteAE(2, learning_rate="constant", **options).fit(digits)
    assert set(constant.history_["learning_rate"]) == {0.01}


@pytest.mark.parametrize("early_stopping", [True, False])
def test_verbose_prints_how_far_training_is(digits, capsys, early_stopping):
    options = FEW | {"early_stopping": early_stopping}
    skae.UndercompleteAE(2, **options).fit(digits)
    assert not capsys.readouterr().out
    estimator = skae.UndercompleteAE(2, verbose=1, **options).fit(digits)
    lines = capsys.readouterr().out.splitlines()
    # Nothing that a file or a pipe would not show.
    assert all(line.isprintable() for line in lines)
    assert len(lines) == estimator.n_iter_ == 3
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"Epoch {number}/3, loss ")
        told = r", (\d+\.\d\d) s, ([\d,]+) rows/s, at most \d+ s left$"
        seconds, rate = re.search(told, line).groups()
        # Training rows, in an epoch whose seconds are rounded.
        n_rows = len(digits) - (len(digits) // 10 if early_stopping else 0)
        assert abs(n_rows / float(rate.replace(",", "")) - float(seconds)) <= 0.0051
        assert ("explained variance" in line) == early_stopping
