"""Networks of a user's own, which factories make."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skae
from skae.metrics import explained_variance


class Residual(nn.Module):
    """A map, and blocks that add to it."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.first, self.block = nn.Linear(n_inputs, 32), nn.Linear(32, 32)
        self.last = nn.Linear(32, n_outputs)

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.block(torch.relu(x)))


class Convolutions(nn.Sequential):
    """Convolutions over features in their order."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(
            nn.Unflatten(1, (1, n_inputs)),
            nn.Conv1d(1, 4, 3, padding=1),
            nn.BatchNorm1d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * n_inputs, n_outputs),
        )


class Transposed(nn.Sequential):
    """What undoes them."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(
            nn.Linear(n_inputs, 4 * n_outputs),
            nn.Unflatten(1, (4, n_outputs)),
            nn.ReLU(),
            nn.ConvTranspose1d(4, 1, 3, padding=1),
            nn.Flatten(),
        )


def layers(n_inputs, n_outputs):
    """What ``hidden_layer_sizes=(16,)`` makes of the encoder."""
    return nn.Sequential(nn.Linear(n_inputs, 16), nn.GELU(), nn.Linear(16, n_outputs))


FEW = {"max_iter": 3, "random_state": 0, "early_stopping": False}
OWN = {"encoder": Residual, "decoder": Residual}
ESTIMATORS = [
    skae.UndercompleteAE(4, **OWN, **FEW),
    skae.UndercompleteAE(4, encoder=Convolutions, decoder=Transposed, **FEW),
    skae.UndercompleteAE(4, encoder=Convolutions, hidden_layer_sizes=(8,), **FEW),
    skae.UndercompleteAE(4, decoder=Residual, hidden_layer_sizes=(8,), **FEW),
    skae.UndercompleteAE(4, **OWN, ordered=True, **FEW),
    skae.UndercompleteAE(4, **OWN, neighbor_weight=1.0, **FEW),
    skae.UndercompleteAE(4, **OWN, init="random", code_activation="tanh", **FEW),
    skae.UndercompleteAE(4, **OWN, solver="lbfgs", **FEW),
    skae.DenoisingAE(4, **OWN, **FEW),
    skae.ContractiveAE(4, **OWN, tied_weights=False, **FEW),
]
each_estimator = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=range(len(ESTIMATORS))
)


@each_estimator
def test_the_users_modules_are_trained(estimator, digits):
    estimator = clone(estimator).fit(digits[:300])
    network = getattr(estimator.network_, "network", estimator.network_)
    for name, half in (("encoder", network.encoder), ("decoder", network.decoders)):
        if factory := getattr(estimator, name):
            parts = [m for m in half.modules() if hasattr(m, "factory")]
            assert parts
            assert all(part.factory is factory for part in parts)
    shorter = clone(estimator).set_params(max_iter=1).fit(digits[:300])
    before = dict(shorter.network_.named_parameters())
    for name, weight in estimator.network_.named_parameters():
        assert not torch.equal(weight, before[name]), name


@each_estimator
def test_they_go_through_clones_pickles_and_seeds(estimator, digits):
    first = clone(estimator).fit(digits[:300])
    codes = first.transform(digits[:300])
    np.testing.assert_array_equal(
        clone(estimator).fit(digits[:300]).transform(digits[:300]), codes
    )
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.transform(digits[:300]), codes)
    other = clone(estimator).set_params(random_state=1).fit(digits[:300])
    assert not np.array_equal(other.transform(digits[:300]), codes)
    first.set_params(solver="adam").partial_fit(digits[:300])
    assert not np.array_equal(first.transform(digits[:300]), codes)


@pytest.mark.parametrize("options", [OWN, {"encoder": Convolutions}])
def test_they_start_as_pca(options, digits):
    frozen = skae.UndercompleteAE(
        4, **options, learning_rate_init=1e-30, weight_decay=0.0, **FEW
    ).fit(digits)
    frozen.set_params(transform_max_iter=0)
    pca = PCA(4, random_state=0).fit(digits)
    np.testing.assert_allclose(
        frozen.reconstruct(digits),
        pca.inverse_transform(pca.transform(digits)),
        atol=1e-3,
    )


def test_the_start_leaves_torchs_generator_alone(digits):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    skae.UndercompleteAE(4, **OWN, **FEW).fit(digits[:100])
    torch.testing.assert_close(torch.rand(3), expected)


def test_layers_of_a_factory_learn_as_well_as_ours(digits):
    options = {"hidden_layer_sizes": (16,), "max_iter": 60, "random_state": 0}
    ours = skae.UndercompleteAE(4, **options).fit(digits)
    theirs = skae.UndercompleteAE(4, encoder=layers, decoder=layers, **options).fit(
        digits
    )
    pca = ours.pca_score_
    assert theirs.best_score_ - pca > 0.8 * (ours.best_score_ - pca)


def test_they_go_through_a_pipeline_and_a_search(digits):
    search = GridSearchCV(
        Pipeline(
            [("scale", StandardScaler()), ("encode", skae.UndercompleteAE(**FEW))]
        ),
        {
            "encode__n_components": [2, 4],
            "encode__encoder": [None, Residual],
            "encode__decoder": [partial(Residual)],
        },
        scoring=explained_variance,
        cv=2,
        n_jobs=2,
    ).fit(digits)
    assert search.best_params_["encode__n_components"] == 4
    codes = pickle.loads(pickle.dumps(search)).transform(digits)
    np.testing.assert_array_equal(codes, search.transform(digits))


@pytest.mark.parametrize("name", ["encoder", "decoder"])
@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (nn.Linear(64, 2), "raised TypeError"),
        (lambda n_inputs, n_outputs: 3, "returned 3"),
        (lambda n_inputs, n_outputs: nn.Linear(n_inputs, 7), r"gave \(2, 7\) for rows"),
        (lambda n_inputs, n_outputs: nn.Linear(7, n_outputs), "raised RuntimeError"),
        (lambda n_inputs, n_outputs: nn.LSTM(n_inputs, n_outputs), "it gave a tuple"),
        (lambda n_inputs: nn.Linear(n_inputs, 2), "raised TypeError"),
    ],
    ids=["module", "number", "width", "inputs", "tuple", "arguments"],
)
def test_a_factory_of_the_wrong_kind_is_told(name, factory, reason, digits):
    estimator = skae.UndercompleteAE(2, **{name: factory}, **FEW)
    with pytest.raises(TypeError, match=rf"^{name}=.*{reason}.*Pass a function"):
        estimator.fit(digits)
    assert not hasattr(estimator, "n_features_in_")


class Detached(nn.Linear):
    """Lets no gradient through."""

    def forward(self, x):
        return super().forward(x.detach())


class Double(nn.Linear):
    """Answers in another precision."""

    def forward(self, x):
        return super().forward(x).double()


class Logarithm(nn.Linear):
    """Answers infinity."""

    def forward(self, x):
        return super().forward(x - x).log() - torch.inf


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (Detached, "has no gradient"),
        (Double, "gave torch.float64"),
        (Logarithm, "gave NaN or infinity"),
        (lambda n_inputs, n_outputs: nn.LazyLinear(n_outputs), "unknown sizes"),
        (partial(nn.Linear, device="meta"), "raised NotImplementedError"),
    ],
    ids=["detached", "double", "logarithm", "lazy", "meta"],
)
def test_modules_that_cannot_be_trained_are_told(factory, reason, digits):
    with pytest.raises(TypeError, match=rf"^encoder=.*{reason}.*Pass a function"):
        skae.UndercompleteAE(2, encoder=factory, **FEW).fit(digits[:100])


class InTraining(nn.Linear):
    """Answers otherwise in training."""

    def __init__(self, n_inputs, n_outputs, answer):
        super().__init__(n_inputs, n_outputs)
        self.answer = answer

    def forward(self, x):
        y = super().forward(x)
        return self.answer(y) if self.training else y


@pytest.mark.parametrize("name", ["encoder", "decoder"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda y: (y, y), "gave a tuple"),
        (lambda y: y[:, :1], r"gave \(2, 1\) for rows"),
        (lambda y: y.log() - torch.inf, "gave NaN or infinity"),
    ],
    ids=["tuple", "width", "infinity"],
)
def test_answers_in_training_are_tried_out_too(name, answer, reason, digits):
    factory = partial(InTraining, answer=answer)
    with pytest.raises(TypeError, match=rf"^{name}=.*{reason}.*Pass a function"):
        skae.UndercompleteAE(2, **{name: factory}, **FEW).fit(digits[:100])


def test_what_only_training_shows_is_told(digits):
    def normalised(n_inputs, n_outputs):
        return nn.Sequential(nn.BatchNorm1d(n_inputs), nn.Linear(n_inputs, n_outputs))

    estimator = skae.UndercompleteAE(2, encoder=normalised, **FEW).fit(digits[:33])
    with pytest.raises(TypeError, match=r"^encoder=.*in training, for 1 rows"):
        estimator.partial_fit(digits[:1])


def test_no_batch_has_one_row_alone(digits):
    seen = []

    class Counting(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append(len(x))
            return super().forward(x)

    options = FEW | {"max_iter": 1, "batch_size": 16}
    skae.UndercompleteAE(2, encoder=Counting, **options).fit(digits[:33])
    # First two rows try it out.
    assert seen == [2, 16, 17]


def test_modules_that_draw_do_so_by_random_state(digits):
    def dropping(n_inputs, n_outputs):
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(n_inputs, n_outputs))

    torch.manual_seed(0)
    first, second = (
        skae.UndercompleteAE(2, encoder=dropping, **FEW).fit_transform(digits[:200])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    torch.testing.assert_close(drawn, torch.rand(3))


def test_tied_weights_have_no_layers_to_tie(digits):
    for estimator in (
        skae.ContractiveAE(2, encoder=Residual),
        skae.UndercompleteAE(2, decoder=Residual, tied_weights=True),
    ):
        with pytest.raises(ValueError, match="use tied_weights=False"):
            estimator.fit(digits)


def test_going_on_with_another_factory_is_told(digits):
    estimator = skae.UndercompleteAE(2, encoder=layers, **FEW).fit(digits)
    estimator.set_params(encoder=Residual)
    with pytest.raises(ValueError, match=r"Cannot continue training: .*encoder from"):
        estimator.partial_fit(digits)
