"""RecurrentAE: layouts, lengths, padding, its start from PCA, and what follows."""

import pickle
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skae import RecurrentAE
from skae._networks.recurrent import Recurrent, RecurrentDecoder, find_unread
from skae._objectives.losses import make_loss
from skae._objectives.sequences import SequenceObjective, hide_future
from skae._rows.sequences import count_steps, future_last

SHORT = {"hidden_layer_sizes": 8, "max_iter": 2, "random_state": 0}
ALL = {"early_stopping": False} | SHORT
LENGTH, N_CHANNELS = 10, 2


def waves(n, rng, n_channels=N_CHANNELS, length=LENGTH):
    """Return sines of any phase, one phase for all channels of a sequence."""
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    step, channel = np.arange(length)[:, None], np.arange(n_channels)
    return np.sin(0.7 * step + channel + phase)


def cut(X, rng, least=4):
    """Return sequences of different lengths; the first keeps its whole length."""
    lengths = rng.integers(least, X.shape[1] + 1, len(X))
    lengths[0] = X.shape[1]
    return [x[:n] for x, n in zip(X, lengths, strict=True)]


def padded(sequences, length=LENGTH):
    """Return an array with NaN after the end of each sequence."""
    X = np.full((len(sequences), length, *sequences[0].shape[1:]), np.nan)
    for row, sequence in zip(X, sequences, strict=True):
        row[: len(sequence)] = sequence
    return X


@pytest.fixture(scope="module")
def sequences():
    """Sequences (length, channels) of 4 to 10 steps."""
    rng = np.random.default_rng(0)
    return cut(waves(80, rng), rng)


# Layouts and lengths --------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"n_ahead": 2}, {"cell": "lstm"}], ids=str)
@pytest.mark.parametrize("frame_length", [1, 3])
def test_code_does_not_depend_on_padding(sequences, options, frame_length):
    ae = RecurrentAE(3, frame_length=frame_length, **options, **ALL).fit(sequences)
    codes, X = ae.transform(sequences), padded(sequences)
    short = [s for s in sequences if len(s) <= 7]
    objects = np.empty(len(sequences), object)
    objects[:] = sequences
    for same in (X, X.reshape(len(X), -1), padded(sequences, 14), objects):
        np.testing.assert_array_equal(ae.transform(same), codes)
    of_short = codes[[len(s) <= 7 for s in sequences]]
    for same in (short, padded(short, 7), padded(short, 9)):
        np.testing.assert_array_equal(ae.transform(same), of_short)
    np.testing.assert_allclose(ae.transform([sequences[5]])[0], codes[5], atol=1e-6)


def test_fits_of_all_layouts_are_the_same(sequences):
    X = padded(sequences)
    ae = RecurrentAE(3, **ALL)
    of_list, of_array = clone(ae).fit(sequences), clone(ae).fit(X)
    of_rows = clone(ae).set_params(sequence_shape=(LENGTH, N_CHANNELS))
    of_rows.fit(X.reshape(len(X), -1))
    answer = of_list.reconstruct(sequences)
    assert answer.shape == X.shape
    np.testing.assert_array_equal(of_array.reconstruct(X), answer)
    flat = of_rows.reconstruct(sequences)
    np.testing.assert_array_equal(flat, answer.reshape(len(X), -1))
    for fitted in (of_list, of_array, of_rows):
        assert fitted.sequence_shape_ == (LENGTH, N_CHANNELS)


def test_flat_rows_are_signals_of_one_channel(digits):
    ae = RecurrentAE(2, **ALL).fit(digits[:100])
    assert ae.sequence_shape_ == (64, 1)
    again = RecurrentAE(2, **ALL).fit(digits[:100, :, None])
    codes = ae.transform(digits[:9])
    np.testing.assert_array_equal(again.transform(digits[:9]), codes)
    assert ae.reconstruct(digits[:9]).shape == (9, 64)
    assert again.reconstruct(digits[:9]).shape == (9, 64, 1)
    # Lists may hold shorter signals; an array of fewer features is an error.
    short = [row[:40] for row in digits[:9]]
    tailed = np.where(np.arange(64) < 40, digits[:9], np.nan)
    with pytest.warns(UserWarning, match="9 of 9 .* fewer steps"):
        np.testing.assert_array_equal(ae.transform(short), ae.transform(tailed))
    with pytest.raises(ValueError, match="X has 40 features"):
        ae.transform(np.array(short))


def test_clips_of_frames_keep_their_layout(rng):
    clips = rng.normal(size=(40, 6, 3, 4)).cumsum(axis=1)
    ae = RecurrentAE(2, n_ahead=2, **ALL).fit(clips)
    assert ae.sequence_shape_ == (6, 12)
    assert ae.reconstruct(clips).shape == clips.shape
    assert ae.jacobian(clips[:3]).shape == (3, 2, 6, 3, 4)
    assert ae.forecast(clips[:, :4]).shape == (40, 2, 3, 4)
    rows = clips.reshape(40, 6, 12)
    np.testing.assert_array_equal(ae.transform(rows), ae.transform(clips))


def test_tensors_and_masked_arrays_in_lists(sequences):
    ae = RecurrentAE(3, **ALL).fit(sequences)
    codes = ae.transform(sequences)
    tensors = [torch.tensor(s) for s in sequences]
    np.testing.assert_array_equal(ae.transform(tensors), codes)
    nested = [s.tolist() for s in sequences]
    np.testing.assert_array_equal(ae.transform(nested), codes)
    gap = padded(sequences)
    gap[0, 3, 1] = np.nan
    masked = [np.ma.masked_invalid(sequences[0]), *sequences[1:]]
    masked[0][3, 1] = np.ma.masked
    np.testing.assert_array_equal(ae.transform(masked), ae.transform(gap))


# Padding and missing values -------------------------------------------------------


TEXT = {
    "text": lambda x: x.astype(str),
    "bytes": lambda x: x.astype("S"),
    "objects": lambda x: x.astype(object),
    "lists of text": lambda x: x.astype(str).tolist(),
    "nullable frames": lambda x: pd.DataFrame(x).astype("Float64"),
    "frames of arrow": lambda x: pd.DataFrame(x).convert_dtypes(
        dtype_backend="pyarrow"
    ),
}


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("kind", TEXT)
def test_numbers_in_other_dtypes_are_numbers(sequences, kind, as_list):
    given = sequences if as_list else [x for x in sequences if len(x) == LENGTH]
    other = [TEXT[kind](x) for x in given]
    if not (as_list or "frames" in kind):
        given, other = np.array(given), np.array(other)
    ours, plain = (RecurrentAE(2, **ALL).fit(X) for X in (other, given))
    for X in (other, given):
        np.testing.assert_array_equal(ours.transform(X), plain.transform(given))


def test_missing_values_of_frames_in_lists_are_missing(sequences):
    missing = [np.where(x > 0.9, np.nan, x) for x in sequences]
    frames = [pd.DataFrame(x).astype("Float64") for x in missing]
    ours, plain = (RecurrentAE(2, **ALL).fit(X) for X in (frames, missing))
    np.testing.assert_array_equal(ours.transform(frames), plain.transform(missing))


@pytest.mark.parametrize("n_ahead", [0, 2])
@pytest.mark.parametrize("method", ["transform", "reconstruct", "score_samples"])
def test_lengths_that_training_has_not_seen_are_told(rng, method, n_ahead):
    X, later = waves(60, rng), waves(40, rng)
    ae = RecurrentAE(2, n_ahead=n_ahead, **ALL).fit(X)
    read = LENGTH - n_ahead
    assert ae.shortest_length_ == read
    ask = getattr(ae, method)
    ask(later[:, :read])
    with pytest.warns(UserWarning, match=rf"^40 of 40 .* which had {read} or more"):
        ask(later[:, : read - 1])
    ae.partial_fit(later[:, : read - 1])
    ask(later[:, : read - 1])


def test_channels_that_come_first_are_told(rng):
    with pytest.warns(UserWarning, match=r"one step of 10 .*transpose\(0, 2, 1\)"):
        RecurrentAE(2, **ALL).fit(waves(20, rng, 1).transpose(0, 2, 1))


def test_only_padding_is_nan_in_reconstructions(sequences):
    X = padded(sequences)
    missing = X.copy()
    missing[::2, 1, 0] = np.nan
    ae = RecurrentAE(3, **ALL).fit(missing)
    np.testing.assert_array_equal(np.isnan(ae.reconstruct(missing)), np.isnan(X))
    codes = ae.transform(missing)
    assert np.isfinite(ae.inverse_transform(codes)).all()


def test_missing_values_are_seen_as_the_mean(sequences):
    X = padded(sequences)
    ae = RecurrentAE(3, **ALL).fit(X)
    missing, filled = X.copy(), X.copy()
    missing[:, 2, 1] = np.nan
    filled[:, 2, 1] = ae.mean_.reshape(LENGTH, N_CHANNELS)[2, 1]
    codes = ae.transform(missing)
    np.testing.assert_allclose(codes, ae.transform(filled), atol=1e-5)
    assert abs(codes - ae.transform(X)).max() > 1e-2


def test_scores_leave_padding_out(sequences):
    X = padded(sequences)
    ae = RecurrentAE(3, **ALL).fit(X)
    squares = np.square(ae.reconstruct(X) - X).reshape(len(X), -1)
    of_known = np.nansum(squares, axis=1)
    n_known = np.isfinite(squares).sum(axis=1)
    expected = -of_known * squares.shape[1] / n_known
    np.testing.assert_allclose(ae.score_samples(sequences), expected, rtol=1e-4)
    deviations = X.reshape(len(X), -1) - np.nanmean(X, 0).ravel()
    share = 1 - of_known.sum() / np.nansum(np.square(deviations))
    assert ae.score(sequences) == pytest.approx(share, abs=1e-5)


def test_values_in_padding_of_the_loss_do_not_matter(sequences, rng):
    """The objective is the mean over entries with a value."""
    x = torch.tensor(padded(sequences).reshape(80, -1), dtype=torch.float32)
    zeros = np.zeros(x.shape[1])
    unread = partial(find_unread, shape=(LENGTH, N_CHANNELS))
    objective = SequenceObjective(
        unread, make_loss("squared_error", zeros, 1.0), None, 0.0, True
    )
    output = torch.randn(x.shape, generator=torch.manual_seed(0))

    class Answer(torch.nn.Module):
        encode = decode = staticmethod(lambda _: output)

    loss = objective(Answer(), x, torch.Generator())
    assert loss.item() == pytest.approx((output - x).square().nanmean().item())


def test_steps_count_up_to_the_last_value():
    X = np.full((4, 3, 2), np.nan)
    X[1, 0, 1] = X[2, 2, 0] = 1.0
    X[3] = 0.0
    np.testing.assert_array_equal(count_steps(X.reshape(4, 6), (3, 2)), [0, 1, 3, 3])


def test_unread_entries_are_padding_and_future():
    x = torch.zeros(2, 10)
    x[0, 4:8] = torch.nan
    x[1, 2:4] = torch.nan
    unread = find_unread(x, (5, 2), n_ahead=1)
    assert unread.nonzero()[:, 1].tolist() == [4, 5, 6, 7, 8, 9, 8, 9]


# The start from PCA ---------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"n_ahead": 3}, {"cell": "lstm"}], ids=str)
def test_training_starts_from_pca_of_padded_sequences(sequences, options):
    still = ALL | {"max_iter": 1, "learning_rate_init": 1e-12}
    ae = RecurrentAE(3, **options, **still).fit(sequences)
    X, n_ahead = padded(sequences).reshape(80, -1), options.get("n_ahead", 0)
    if n_ahead:
        X = future_last(X, (LENGTH, N_CHANNELS), n_ahead)
    mean = np.nanmean(X, axis=0)
    filled = np.where(np.isnan(X), mean, X)
    pca = PCA(3).fit(filled)
    is_hidden = np.arange(len(mean)) >= len(mean) - n_ahead * N_CHANNELS
    hidden, codes = np.where(is_hidden, mean, filled), ae.transform(X)
    np.testing.assert_allclose(
        ae.inverse_transform(codes).reshape(80, -1),
        pca.inverse_transform(pca.transform(hidden)),
        atol=1e-4,
    )


@pytest.mark.filterwarnings("ignore:Training did not improve on PCA")
def test_pca_of_all_sequences_is_kept(sequences):
    ae = RecurrentAE(2, max_iter=1, learning_rate_init=1e-9).fit(sequences)
    X = padded(sequences).reshape(80, -1)
    filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    pca = PCA(2).fit(filled)
    assert ae.is_pca_
    answer = pca.inverse_transform(pca.transform(filled))
    known = ~np.isnan(X)
    ours = ae.reconstruct(X).reshape(80, -1)
    np.testing.assert_allclose(ours[known], answer[known], atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "lstm"},
        {"reverse": False},
        {"hidden_layer_sizes": (12, 8)},
        {"frame_length": 4},
        {"init": "random"},
    ],
    ids=str,
)
def test_recurrent_layers_find_what_pca_misses(options, rng):
    """A bump at any place: few numbers tell it, but no few axes."""
    place = rng.uniform(2, 10, (300, 1))
    X = np.exp(-np.square(np.arange(12) - place) / 3)
    train, test = X[:200], X[200:]
    options = {"hidden_layer_sizes": 12, "max_iter": 20} | options
    ae = RecurrentAE(2, batch_size=20, frame_length=2, random_state=0)
    ae.set_params(early_stopping=False, **options).fit(train)
    pca = PCA(2).fit(train)
    answer = pca.inverse_transform(pca.transform(test))
    missed = np.square(answer - test).sum() / np.square(test - train.mean(0)).sum()
    assert 1 - ae.score(test) < 0.6 * missed


# What follows ---------------------------------------------------------------------


def test_future_does_not_change_the_code(rng):
    X = waves(60, rng)
    ae = RecurrentAE(3, n_ahead=3, **ALL).fit(X)
    other = X.copy()
    other[:, -3:] = 5.0
    np.testing.assert_array_equal(ae.transform(other), ae.transform(X))
    np.testing.assert_array_equal(ae.transform(X[:, :-3]), ae.transform(X))
    assert not ae.jacobian(X[:5])[:, :, -3:].any()
    assert ae.jacobian(X[:5])[:, :, :-3].any(axis=(1, 3)).all()


def test_forecast_is_the_end_of_the_reconstruction(rng):
    X = waves(60, rng)
    ae = RecurrentAE(3, n_ahead=3, **ALL).fit(X)
    future = ae.forecast(X[:, :-3])
    np.testing.assert_array_equal(future, ae.reconstruct(X)[:, -3:])
    flat = X[:, :-3].reshape(60, -1)
    np.testing.assert_array_equal(ae.forecast(flat), future)
    np.testing.assert_array_equal(ae.forecast(list(X[:, :-3])), future)


def test_futures_of_short_sequences_are_trained_as_those_of_long_ones(sequences):
    """A list is the same as rows whose last two steps stand at the end."""
    X = np.full((80, LENGTH, N_CHANNELS), np.nan)
    for row, s in zip(X, sequences, strict=True):
        row[: len(s) - 2], row[-2:] = s[:-2], s[-2:]
    ae = RecurrentAE(3, n_ahead=2, **ALL)
    of_list, by_hand = clone(ae).fit(sequences), clone(ae).fit(X)
    assert of_list.loss_curve_ == by_hand.loss_curve_
    given = [s[:-2] for s in sequences]
    np.testing.assert_array_equal(of_list.forecast(given), by_hand.forecast(given))


def test_sequences_without_a_past_are_read_as_they_are():
    X = padded([np.ones((n, 1)) * n for n in (1, 2, 3, 4, 5)], 5)
    rows = future_last(X.reshape(5, 5), (5, 1), 2)
    np.testing.assert_array_equal(rows[:2], X[:2, :, 0])
    nan = np.nan
    np.testing.assert_array_equal(rows[2], [3, nan, nan, 3, 3])
    np.testing.assert_array_equal(rows[3], [4, 4, nan, 4, 4])
    np.testing.assert_array_equal(rows[4], X[4, :, 0])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("lengths", ["equal", "different"])
def test_waves_are_continued(cell, lengths, rng):
    X = waves(400, rng)
    train = X if lengths == "equal" else cut(X, rng, least=6)
    options = {"hidden_layer_sizes": 16, "max_iter": 12, "batch_size": 20}
    # Different lengths need two more numbers: phases at both ends.
    width = 2 if lengths == "equal" else 4
    ae = RecurrentAE(width, n_ahead=2, cell=cell, random_state=0, **options)
    ae.set_params(early_stopping=False).fit(train)
    test = waves(100, rng)
    for n in (8, 5) if lengths == "different" else (8,):
        future, truth = ae.forecast(test[:, :n]), test[:, n : n + 2]
        persistence = np.square(test[:, [n - 1]] - truth).mean()
        assert np.square(future - truth).mean() < 0.1 * min(persistence, truth.var())


def test_emphasis_of_one_learns_the_future_alone(rng):
    x = torch.tensor(waves(20, rng).reshape(20, -1), dtype=torch.float32)
    unread = partial(find_unread, shape=(LENGTH, N_CHANNELS), n_ahead=3)
    loss = make_loss("squared_error", np.zeros(x.shape[1]), 1.0)
    corrupt = partial(hide_future, corrupt=None, n_hidden=6)
    objective = SequenceObjective(unread, loss, corrupt, 1.0)
    network = Recurrent((LENGTH, N_CHANNELS), 3, [8], n_ahead=3)
    network.reset_parameters(torch.Generator().manual_seed(0), torch.zeros(20))
    answer = network.decode(network.encode(network.seen(x)))
    expected = (answer - x)[:, -6:].square().mean().item()
    value = objective(network, x, torch.Generator()).item()
    assert value == pytest.approx(expected, rel=1e-5)
    RecurrentAE(3, n_ahead=3, emphasis=1.0, **ALL).fit(waves(20, rng))


def test_forecast_exists_only_with_n_ahead(rng):
    ae = RecurrentAE(2, **ALL).fit(waves(30, rng))
    assert not hasattr(ae, "forecast")
    with pytest.raises(AttributeError, match="n_ahead=0 learns no steps"):
        ae.forecast(waves(3, rng))
    with pytest.raises(NotFittedError):
        RecurrentAE(2, n_ahead=2).forecast(waves(3, rng))


def test_forecast_needs_the_number_of_steps_that_was_learnt(rng):
    X = waves(30, rng)
    ae = RecurrentAE(2, n_ahead=3, **ALL).fit(X)
    with pytest.raises(ValueError, match="n_ahead=2, but fit learned n_ahead=3"):
        ae.set_params(n_ahead=2).forecast(X[:, :5])


def test_forecast_refuses_steps_that_it_would_not_read(sequences):
    ae = RecurrentAE(2, n_ahead=3, **ALL).fit(sequences)
    with pytest.raises(ValueError, match=r"10 steps, but forecast reads 7 at") as told:
        ae.forecast(sequences)
    # What it says works, for sequences of any length.
    advices = re.findall(r"\[x\[.*?\] for x in X\]", str(told.value))
    assert len(advices) == 2
    for advice in advices:
        X = [row[~np.isnan(row).any(axis=1)] for row in sequences]
        assert ae.forecast(eval(advice, {"X": X})).shape[1] == 3


@pytest.mark.parametrize("later", [0, 2])
def test_what_is_encoded_does_not_depend_on_a_later_number_of_steps(rng, later):
    X = waves(30, rng)
    ae = RecurrentAE(2, n_ahead=1, **ALL).fit(X)
    codes, score = ae.transform(X), ae.score(X)
    ae.set_params(n_ahead=later)
    np.testing.assert_array_equal(ae.transform(X), codes)
    assert ae.score(X) == score


# The network ----------------------------------------------------------------------


def test_decoder_in_reverse_is_the_mirror_image():
    options = (2, [6], 3, "gru", 2, "gelu")
    forwards, backwards = (RecurrentDecoder(8, *options, r) for r in (False, True))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in forwards.parameters():
            weights.normal_(generator=generator)
        forwards.bias.zero_()
    backwards.load_state_dict(forwards.state_dict())
    code = torch.randn(5, 3, generator=generator)
    frames = forwards(code).view(5, 4, 4)
    torch.testing.assert_close(backwards(code).view(5, 4, 4), frames.flip(1))


def test_widths_of_layers_are_mirrored(rng):
    ae = RecurrentAE(2, **ALL | {"hidden_layer_sizes": (7, 5)})
    network = ae.fit(waves(30, rng)).network_.network
    widths = [layer.hidden_size for layer in network.encoder.layers]
    assert widths == [7, 5]
    assert [layer.hidden_size for layer in network.decoders[0].layers] == [5, 7]


@pytest.mark.parametrize("frame_length", [1, 3])
def test_derivatives_are_those_of_the_code(rng, frame_length):
    X = waves(60, rng)
    ae = RecurrentAE(2, frame_length=frame_length, **ALL).fit(X)
    step = np.zeros((LENGTH, N_CHANNELS))
    step[4, 1] = 0.01
    slope = (ae.transform(X[:9] + step) - ae.transform(X[:9] - step)) / 0.02
    np.testing.assert_allclose(ae.jacobian(X[:9])[:, :, 4, 1], slope, atol=2e-3)


def test_noise_of_a_callable_sees_sequences_and_keeps_padding(sequences):
    seen = []

    def noise(x, generator):
        seen.append(x.shape[1:])
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    ae = RecurrentAE(2, noise=noise, **ALL).fit(sequences)
    assert set(seen) == {(LENGTH, N_CHANNELS)}
    assert np.isfinite(ae.loss_curve_).all()


@pytest.mark.parametrize("noise", ["swap", "salt_and_pepper", "block", "masking"])
def test_noise_leaves_padding_unread(sequences, noise):
    ae = RecurrentAE(2, noise=noise, noise_level=0.3, **ALL).fit(sequences)
    assert np.isfinite(ae.loss_curve_).all()
    assert np.isfinite(ae.transform(sequences)).all()


def test_reconstructions_are_clipped_to_the_range_of_each_channel(rng):
    X = waves(40, rng) * [1.0, 3.0]
    X[:, 0] *= 0.1
    ae = RecurrentAE(2, clip=True, init="random", **ALL).fit(X)
    clipped = ae.inverse_transform(1e3 * ae.transform(X))
    plain = ae.set_params(clip=False).inverse_transform(1e3 * ae.transform(X))
    low, high = X.min(axis=(0, 1)), X.max(axis=(0, 1))
    np.testing.assert_array_equal(clipped, np.clip(plain, low, high))
    ae.partial_fit(padded(list(5 * X[:, :4])))
    assert (ae._model.seen[1].reshape(LENGTH, 2) == 5 * X[:, :4].max((0, 1))).all()


# As an estimator ------------------------------------------------------------------


def test_it_is_pickled_and_goes_on(sequences):
    ae = RecurrentAE(2, n_ahead=2, cell="lstm", **ALL).fit(sequences)
    again = pickle.loads(pickle.dumps(ae))
    np.testing.assert_array_equal(again.transform(sequences), ae.transform(sequences))
    short = [s for s in sequences if len(s) < 8]
    a, b = (model.partial_fit(short).transform(short) for model in (ae, again))
    np.testing.assert_array_equal(a, b)


def test_lists_are_searched_and_stand_in_a_pipeline(sequences):
    pipeline = make_pipeline(FunctionTransformer(), RecurrentAE(2, **ALL))
    grid = {"recurrentae__cell": ["gru", "lstm"]}
    search = GridSearchCV(pipeline, grid, cv=2)
    # Each fold has a sequence of the whole length.
    search.fit([*sequences, *sequences])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("name", ["n_ahead", "cell", "frame_length", "sequence_shape"])
def test_further_training_needs_the_same_sequences(sequences, name):
    ae = RecurrentAE(2, **ALL).fit(sequences)
    other = {"n_ahead": 1, "cell": "lstm", "frame_length": 2}
    ae.set_params(**{name: other.get(name, (LENGTH, N_CHANNELS))})
    with pytest.raises(ValueError, match="Cannot continue training"):
        ae.partial_fit(sequences)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_shape": (7, 9)}, r"\(7, 9\) has 63 values.*64 features"),
        ({"sequence_shape": (0, 64)}, r"sequence_shape=\(0, 64\) must be"),
        ({"sequence_shape": 63}, "63 values"),
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes=\(\) leaves no recurrent"),
        ({"n_ahead": 64}, "n_ahead=64 leaves nothing to read of sequences of 64"),
        ({"n_ahead": -1}, "n_ahead"),
        ({"cell": "rnn"}, "cell"),
        ({"frame_length": 0}, "frame_length"),
        ({"tied_weights": True}, "tied_weights=True"),
        ({"noise_level": 0.1, "solver": "lbfgs"}, "solver='lbfgs'"),
        ({"emphasis": 1.0}, "emphasis=1.0"),
    ],
    ids=str,
)
def test_parameters_that_make_no_sense(digits, options, message):
    ae = RecurrentAE(2, **options)
    with pytest.raises(ValueError, match=message):
        ae.fit(digits)
    assert not hasattr(ae, "sequence_shape_")


def last_steps_empty(X):
    X[:, 8:] = np.nan
    return X


def infinite(X):
    X[3, 2] = np.inf
    return X


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: [X[0], X[1, :, :1]], r"Sequence 1 of X has the shape \(10, 1\)"),
        (lambda X: [X[0], X[1, :0]], "Sequence 1 of X has no steps"),
        (
            lambda X: [X[0], np.full((4, 2), "low")],
            "holds 'low', which is not a number",
        ),
        (lambda X: [X[0], None], "Sequence 1 of X is None, but others are arrays"),
        (lambda X: [2.5, X[0]], "Sequence 0 of X is 2.5, but others are arrays"),
        (lambda X: [X[0], "low"], "Sequence 1 of X is a value of type builtins.str"),
        (lambda X: [X[0], csr_array(X[1])], r"Sequence 1 .* sparse: pass its toarray"),
        (lambda X: [X[0].tolist(), [[1, 2], [3]]], "Sequence 1 .* steps that differ"),
        (lambda X: [X[0].tolist(), [[10**400, 2]]], "an integer that is larger"),
        (last_steps_empty, r"10 steps, but none .* first 8.*X\[:, :8\]"),
        (infinite, "infinity"),
        (lambda X: X[:1], "minimum of 2"),
        (lambda X: [X[0]], "minimum of 2"),
        (lambda X: [], "(?i)expected 2d array|0 sample"),
    ],
)
def test_sequences_that_cannot_be_fitted(rng, change, message):
    with pytest.raises(ValueError, match=message):
        RecurrentAE(2, **ALL).fit(change(waves(20, rng)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: np.pad(X, ((0, 0), (0, 2), (0, 0))), "has 12 steps, but .* had 10"),
        (lambda X: [*X[:3], np.ones((11, 2))], "Sequence 3 of X has 11 steps"),
        (lambda X: X[:, :, :1], r"shape \(10, 1\), but in fit they had 2 channels"),
        (lambda X: X[0], r"shape \(10, 2\) of a single sequence: pass X\[None\]"),
        (lambda X: X[:, 0], "X has 2 features|single sequence"),
        (lambda X: X.reshape(20, -1)[:, :6], "X has 6 features"),
        (lambda X: np.full(X.shape, "low"), "holds 'low', which is not a number"),
        (lambda X: [np.array([[1.0, "low"]], object)], "Column 1 of X holds 'low'"),
        (infinite, "infinity"),
    ],
)
def test_sequences_that_cannot_be_encoded(rng, change, message):
    X = waves(20, rng)
    ae = RecurrentAE(2, **ALL).fit(X)
    with pytest.raises(ValueError, match=message):
        ae.transform(change(X.copy()))
