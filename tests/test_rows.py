"""Rows: statistics, standardising, batches."""

import mmap
import threading

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from skae._machine.processes import Part, Processes
from skae._rows.batches import Batches, read_rows, shuffle_blocks
from skae._rows.chunks import (
    BLOCK,
    N_SCATTERED,
    chunks,
    in_blocks,
    map_rows,
    release,
    take,
)
from skae._rows.split import hold_out
from skae._rows.standardise import scale_and_shift, standardise
from skae._rows.statistics import column_means, extremes, root_mean_square

CPU = torch.device("cpu")
#: Those that read a watched array.
threads: set[threading.Thread] = set()


@pytest.fixture
def sparse(rng):
    X = rng.normal(size=(200, 9))
    X[rng.random(X.shape) < 0.7] = 0
    return csr_matrix(X)


def test_statistics_equal_numpys(sparse, rng):
    X = rng.normal(5, 3, size=(100, 4))
    assert root_mean_square(X, column_means(X)) == pytest.approx(
        np.sqrt(X.var(axis=0).mean())
    )
    np.testing.assert_allclose(column_means(sparse), sparse.toarray().mean(0))


def test_sparse_and_dense_rows_are_the_same(sparse):
    mean = column_means(sparse)
    dense = read_rows(sparse.toarray(), mean, 2.0)
    index = torch.tensor([3, 199, 0])
    selected = read_rows(sparse, mean, 2.0).index_select(0, index)
    assert torch.equal(selected, dense[index])


def test_small_chunks_change_nothing(sparse, monkeypatch):
    X = sparse.toarray()
    mean = column_means(X)
    whole = read_rows(X, mean, 2.0), root_mean_square(X, mean)
    monkeypatch.setattr("skae._rows.chunks.CHUNK_ELEMENTS", 1)
    assert next(chunks(X)) == slice(0, BLOCK)
    np.testing.assert_allclose(column_means(X), mean)
    assert torch.equal(read_rows(X, mean, 2.0), whole[0])
    assert root_mean_square(X, mean) == pytest.approx(whole[1])


def test_rows_are_mapped_in_their_order(sparse):
    X = sparse.toarray()
    np.testing.assert_array_equal(map_rows(lambda x: 2 * x, sparse, 16), 2 * X)


def test_centring_precedes_rounding():
    """Float32 cannot hold 1e9 + 1, but it can hold the difference from the mean."""
    X = 1e9 + np.array([[0.0], [1.0], [2.0]])
    rows = standardise(X, X.mean(0), 1.0)
    assert rows.ravel().tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_scaled_and_shifted_rows_are_those_of_exact_arithmetic(rng, dtype):
    X, offset = rng.integers(0, 9, (40, 7)).astype(dtype), rng.normal(size=7)
    rows = scale_and_shift(X, 2.5, torch.tensor(offset).float(), lambda X: None)
    exact = X.astype(np.float64) / 2.5 + offset.astype(np.float32)
    assert abs(rows.numpy() - exact).max() < 8 * 2**-24


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1])
def test_constant_data_are_not_divided_by_rounding(value):
    X = np.full((7, 3), value)
    assert root_mean_square(X, column_means(X)) == 1.0


def test_a_constant_column_far_off_does_not_hide_a_spread(rng):
    X = np.column_stack([np.full(50, 1.7e18), 1e-6 * rng.normal(size=50)])
    expected = np.sqrt(X[:, 1].var() / 2)
    assert root_mean_square(X, column_means(X)) == pytest.approx(expected)


def test_overflow_is_an_error_that_says_what_to_do():
    X = np.array([[1e308], [-1e308]])
    with pytest.raises(ValueError, match=r"1e\+308\. Divide X"):
        root_mean_square(X, column_means(X))


@pytest.mark.parametrize("unit", [1e-170, 1e200])
def test_spread_scales_with_the_unit(rng, unit):
    X = rng.normal(size=(50, 3))
    scaled, plain = (root_mean_square(Z, column_means(Z)) for Z in (unit * X, X))
    assert scaled == pytest.approx(unit * plain)


def test_an_epoch_holds_each_row_once_in_a_new_order():
    rows = torch.arange(10.0)[:, None]
    batches = Batches(rows, torch.arange(10), 4, CPU, torch.Generator())
    assert [len(b) for b in batches] == [4, 4, 2]
    first, second = (torch.cat(list(batches)).ravel() for _ in range(2))
    assert torch.equal(first.sort().values, rows.ravel())
    assert torch.equal(second.sort().values, rows.ravel())
    assert not torch.equal(first, second)


def test_batches_without_a_generator_keep_the_order_and_the_index():
    rows = torch.arange(10.0)[:, None]
    batches = Batches(rows, torch.tensor([7, 2, 5]), 2, CPU)
    assert [b.ravel().tolist() for b in batches] == [[7, 2], [5]]


@pytest.mark.parametrize("n_rows", [1, 2, 15, 16, 17, 100])
def test_a_rows_result_does_not_depend_on_its_company(n_rows):
    generator = torch.Generator().manual_seed(0)
    rows, weight = (torch.randn(128, 50, generator=generator) for _ in range(2))
    whole = in_blocks(lambda x: x @ weight.T, rows, 32)
    part = in_blocks(lambda x: x @ weight.T, rows[:n_rows], 32)
    # Bit for bit with MKL; other libraries make no promise.
    torch.testing.assert_close(part, whole[:n_rows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("n_rows", "n_held_out"), [(2, 1), (3, 1), (9, 3), (20, 6), (50, 10), (1000, 100)]
)
def test_rows_held_out(n_rows, n_held_out):
    training, held_out = hold_out(n_rows, 0.1, seed=0)
    assert len(held_out) == n_held_out
    assert sorted([*training, *held_out]) == list(range(n_rows))
    assert not torch.equal(held_out, hold_out(n_rows, 0.1, seed=1)[1]) or n_rows < 10


def test_the_same_rows_are_held_out_by_the_same_seed():
    assert torch.equal(hold_out(50, 0.2, seed=3)[1], hold_out(50, 0.2, seed=3)[1])


@pytest.fixture
def mapped(rng, tmp_path):
    """Rows in a file that is mapped into memory."""
    np.save(tmp_path / "rows.npy", rng.normal(size=(500, 64)).astype(np.float32))
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


@pytest.fixture
def long_from_one_number(monkeypatch):
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 1)
    monkeypatch.setattr("skae._rows.batches.SHUFFLED_ELEMENTS", 10 * 64)
    monkeypatch.setattr("skae._rows.batches.N_SHUFFLED", 4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_rows_read_for_a_batch_are_those_kept(rng, dtype, long_from_one_number):
    X = rng.integers(0, 256, (40, 7)).astype(dtype)
    mean = column_means(X).astype(np.float32)
    rows, index = read_rows(X, mean, 3.0), torch.tensor([7, 2, 39])
    expected = standardise(X, mean, 3.0)
    assert torch.equal(rows.index_select(0, index), expected[index])
    assert torch.equal(rows.to(CPU), expected)
    assert rows.nbytes == expected.nbytes


def test_integers_are_not_copied(rng):
    X = rng.integers(0, 256, (40, 7), dtype=np.uint8)
    assert read_rows(X, X.mean(0), 1.0).X is X


def test_rows_taken_from_a_file_are_those_of_the_array(mapped, rng):
    index = rng.permutation(500)[: 2 * N_SCATTERED + 1]
    np.testing.assert_array_equal(take(mapped, index), np.array(mapped)[index])


class Announced(mmap.mmap):
    """A mapped file that notes which bytes the system was told to read or release."""

    def madvise(self, option, start, length):
        if option == mmap.MADV_WILLNEED:
            vars(self).setdefault("bytes", set()).update(range(start, start + length))
        if option == mmap.MADV_DONTNEED:
            released = start, min(start + length, len(self))
            vars(self).setdefault("released", []).append(released)
        return super().madvise(option, start, length)


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="POSIX only")
@pytest.mark.parametrize("cut", [np.s_[:], np.s_[7:], np.s_[::3], np.s_[:, 1:3]])
@pytest.mark.parametrize("n_columns", [3, 1500])
def test_the_system_is_told_of_the_rows_of_a_file_and_of_few_others(
    cut, n_columns, tmp_path, monkeypatch, rng
):
    rows = rng.normal(size=(6_000_000 // n_columns, n_columns)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    monkeypatch.setattr("mmap.mmap", Announced)
    X, rows = np.load(tmp_path / "rows.npy", mmap_mode="r")[cut], rows[cut]
    announced = vars(vars(X)["_mmap"])
    index = np.concatenate([np.arange(40, 60), rng.permutation(len(X))[:9], [0, -1]])
    index %= len(X)
    np.testing.assert_array_equal(take(X, index), rows[index])
    offset = X.ctypes.data - np.frombuffer(X._mmap, np.uint8).ctypes.data
    for start in offset + X.strides[0] * index:
        assert announced["bytes"] >= set(range(start, start + X[0].nbytes))
    around = 2 * mmap.PAGESIZE + X[0].nbytes
    assert len(announced["bytes"]) <= 12 * around + 20 * X.strides[0]


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="POSIX only")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("cut", [np.s_[:, :5], np.s_[::2], np.s_[::-1]])
def test_rows_far_from_each_other_in_a_file_map_few_pages_at_once(
    cut, order, tmp_path, monkeypatch, rng, long_from_one_number
):
    rows = np.asarray(rng.normal(size=(400, 1000)), order=order)
    np.save(tmp_path / "rows.npy", rows)
    monkeypatch.setattr("mmap.mmap", Announced)
    X, rows = np.load(tmp_path / "rows.npy", mmap_mode="r")[cut], rows[cut]
    monkeypatch.setattr("skae._rows.batches.N_SHUFFLED", 100)
    read = read_rows(X, np.zeros(X.shape[1]), 1.0)
    index = torch.arange(N_SCATTERED + 72)
    batches = list(Batches(read, index, len(index), CPU, torch.Generator()))
    expected = np.sort(rows[: len(index)].astype(np.float32), axis=0)
    np.testing.assert_array_equal(np.sort(torch.cat(batches), axis=0), expected)
    assert len(vars(vars(X)["_mmap"])["released"]) >= 2


@pytest.fixture
def noted(rng, tmp_path, monkeypatch, long_from_one_number):
    """Rows of two pages in a file that notes what the system was told."""
    np.save(tmp_path / "rows.npy", rng.normal(size=(400, 1024)))
    monkeypatch.setattr("mmap.mmap", Announced)
    monkeypatch.setattr("skae._rows.batches.SHUFFLED_ELEMENTS", 10 * 1024)
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="POSIX only")
def test_the_system_is_told_of_a_window_before_the_last_one_is_used(noted):
    read, index = read_rows(noted, np.zeros(1024), 1.0), torch.arange(len(noted))
    first, second, third, *_ = shuffle_blocks(
        *read.blocks(index), torch.Generator().manual_seed(0)
    )
    batches = Batches(read, index, 40, CPU, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(next(iter(batches)), noted[first].astype(np.float32))
    told = vars(vars(noted)["_mmap"])["bytes"]
    offset = noted.ctypes.data - np.frombuffer(noted._mmap, np.uint8).ctypes.data
    bytes_of = offset + noted.strides[0] * np.arange(len(noted)) + noted.strides[0] // 2
    assert {*bytes_of[torch.cat([first, second])].tolist()} <= told
    assert not {*bytes_of[third].tolist()} <= told


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="POSIX only")
def test_pages_far_from_the_rows_that_were_read_are_not_looked_at(noted, monkeypatch):
    monkeypatch.setattr("skae._rows.chunks.N_AROUND", mmap.PAGESIZE)
    n_bytes = 20 * noted.strides[0]
    assert len([*chunks(noted, 20)]) == 20
    released = np.array(vars(vars(noted)["_mmap"])["released"])
    assert (released[1:, 0] <= released[:-1, 1]).all()
    assert [*released[[0, -1], [0, 1]]] == [0, len(noted._mmap)]
    assert (np.diff(released) <= n_bytes + 4 * mmap.PAGESIZE).all()


class Watched(np.ndarray):
    """An array that notes which threads read it."""

    def __getitem__(self, chosen):
        threads.add(threading.current_thread())
        return super().__getitem__(chosen)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_thread_reads_an_array_only_while_a_device_trains(
    device, rng, long_from_one_number
):
    threads.clear()
    X = rng.normal(size=(200, 64))
    read = read_rows(X.view(Watched), np.zeros(64), 1.0)
    windows = torch.arange(200).split(50)
    batches = [*read.read_ahead(windows, [40] * 5, torch.device(device))]
    np.testing.assert_array_equal(torch.cat(batches), X.astype(np.float32))
    assert (threads == {threading.current_thread()}) == (device == "cpu")


@pytest.mark.parametrize(
    "turned", [lambda X: X[::-1], lambda X: X.T, lambda X: X[:, ::2]]
)
def test_rows_that_lie_in_no_order_are_taken_too(mapped, turned, rng):
    X, rows = turned(mapped), turned(np.array(mapped))
    index = rng.permutation(len(X))[:50]
    np.testing.assert_array_equal(take(X, index), rows[index])


@pytest.mark.parametrize("n_rows", [1, 9, 995])
def test_rows_shuffled_nearby_are_all_rows(n_rows):
    blocks = torch.arange(n_rows).split(10)
    order = torch.cat(shuffle_blocks(blocks, 5, torch.Generator().manual_seed(0)))
    assert torch.equal(order.sort().values, torch.arange(n_rows))


def test_rows_are_shuffled_among_a_few_runs_at_a_time():
    generator = torch.Generator().manual_seed(0)
    parts = shuffle_blocks(torch.arange(1000).split(10), 5, generator)
    assert all(len((part // 10).unique()) == 5 for part in parts)
    # Runs come from anywhere, and within them rows are shuffled.
    assert len({int(part.min()) for part in parts} & set(range(0, 1000, 50))) < 10
    assert not any(torch.equal(part, part.sort().values) for part in parts)


def test_an_epoch_of_a_long_file_holds_each_row_once(mapped, long_from_one_number):
    rows = read_rows(mapped, np.zeros(64, np.float32), 1.0)
    index = torch.arange(3, 500)
    batches = list(Batches(rows, index, 40, CPU, torch.Generator()))
    seen = torch.cat(batches).numpy()
    np.testing.assert_array_equal(np.sort(seen[:, 0]), np.sort(mapped[3:, 0]))


@pytest.mark.parametrize("is_long", [False, True])
def test_processes_read_parts_of_the_same_batches(mapped, is_long, monkeypatch):
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 1 if is_long else 2**27)
    rows, index = read_rows(mapped, np.zeros(64, np.float32), 1.0), torch.arange(500)
    kinds = [None, *(Part(Processes(rank, 2, CPU)) for rank in range(2))]
    whole, *parts = (
        Batches(rows, index, 41, CPU, torch.Generator(), part=part) for part in kinds
    )
    for batch, first, second in zip(whole, *parts, strict=True):
        assert len(first) - len(second) in (0, 1)
        assert torch.equal(torch.cat([first, second]), batch)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_released_pages_keep_what_was_written(tmp_path, mode):
    np.save(tmp_path / "rows.npy", np.zeros((4096, 4)))
    X = np.load(tmp_path / "rows.npy", mmap_mode=mode)
    if mode != "r":
        X[7] = 5.0
    release(np.asarray(X)[3:], slice(None))
    assert X.sum() == (0.0 if mode == "r" else 20.0)


class Locked(mmap.mmap):
    """A mapped file that takes no advice, as one whose pages are locked."""

    def madvise(self, option, start, length):
        raise OSError(22, "Invalid argument")


def test_files_that_take_no_advice_are_read_too(mapped, tmp_path, monkeypatch):
    monkeypatch.setattr("mmap.mmap", Locked)
    np.save(tmp_path / "locked.npy", mapped)
    X, index = np.load(tmp_path / "locked.npy", mmap_mode="r"), np.array([7, 2, 499])
    np.testing.assert_array_equal(take(X, index), mapped[index])
    assert len([*chunks(X, 100)]) == 5


def test_a_copy_of_a_file_has_no_pages_to_release(mapped):
    copied = mapped.copy()
    release(copied, slice(None))
    np.testing.assert_array_equal(copied, mapped)


def test_smallest_and_largest_value(rng):
    X = rng.normal(size=(50, 3))
    X[4, 1] = np.nan
    assert extremes(X) == (np.nanmin(X), np.nanmax(X))
    assert extremes(csr_matrix(np.eye(3))) == (0.0, 1.0)
