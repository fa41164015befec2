"""Rows in files and other stores: read in parts, shuffled in blocks, lazy for dask."""

import os
import re
import threading
import time
import tracemalloc
import warnings
import weakref
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skorch
import torch
from sklearn.decomposition import PCA
from torch.utils.data import (
    ChainDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
)

import skae
from skae._rows.batches import Batches, RawRows
from skae._rows.chunks import chunks
from skae._rows.stored import Stored, opened
from skae.rows import from_arrow

h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
dask, pa = pytest.importorskip("dask"), pytest.importorskip("pyarrow")
pq, pds = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.dataset")
da, dd = pytest.importorskip("dask.array"), pytest.importorskip("dask.dataframe")

# So few epochs seldom gain on PCA.
pytestmark = pytest.mark.filterwarnings("ignore:Training did not improve on PCA")

CPU = torch.device("cpu")
N_ROWS, WIDTH, BLOCK = 400, 12, 10
FEW = {"hidden_layer_sizes": 8, "max_iter": 2, "batch_size": 32, "random_state": 0}
NAMES = [f"c{j}" for j in range(WIDTH)]
LAZY = "transform", "reconstruct", "score_samples"


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N_ROWS, 3)) @ rng.normal(size=(3, WIDTH))
    return (rows + 0.1 * rng.normal(size=rows.shape)).astype(np.float32)


@pytest.fixture
def long(monkeypatch):
    """Let no rows be small enough to be kept."""
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 1)
    monkeypatch.setattr("skae._rows.batches.SHUFFLED_ELEMENTS", BLOCK * WIDTH)
    monkeypatch.setattr("skae._rows.batches.N_SHUFFLED", 4)


@pytest.fixture
def chunkwise(long, monkeypatch):
    """Let a long store read a chunk or a few rows at a time."""
    monkeypatch.setattr("skae._rows.stored.READ_ELEMENTS", 1)
    monkeypatch.setattr("skae._rows.chunks.CHUNK_ELEMENTS", 1)


def mapped(X, folder, n):
    np.save(folder / "rows.npy", X)
    return np.load(folder / "rows.npy", mmap_mode="r")


def hdf5(X, folder, n):
    chunk = None if n is None else (n, *X.shape[1:])
    return h5py.File(folder / "rows.h5", "w").create_dataset("x", data=X, chunks=chunk)


def zarred(X, folder, n):
    shape = (n or 7, *X.shape[1:])
    return zarr.create_array(folder / "rows.zarr", data=X, chunks=shape)


def dasked(X, folder, n):
    return da.from_array(X, chunks=(n or 7, *X.shape[1:-1], 5))


def parquet(X, folder, n):
    frame = pd.DataFrame(X, columns=NAMES)
    frame.to_parquet(folder / "rows.parquet", row_group_size=n or 7)
    return from_arrow(folder / "rows.parquet")


def dask_frame(X, folder, n):
    parts = -(-len(X) // (n or 7))
    return dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=parts)


def pairs(X, folder, n):
    return TensorDataset(torch.from_numpy(X), torch.zeros(len(X)))


STORES = hdf5, zarred, dasked, parquet, dask_frame, pairs
CHUNKED = hdf5, zarred, dasked, parquet


class Counted:
    """A store of chunks that notes how often each row is read."""

    def __init__(self, rows, n):
        self.rows, self.chunks, self.n_reads = rows, (n, *rows.shape[1:]), 0
        self.shape, self.dtype = rows.shape, rows.dtype
        self.counts = np.zeros(len(rows), int)

    def __getitem__(self, chosen):
        self.n_reads += 1
        self.counts[chosen] += 1
        return self.rows[chosen]


class Watched(Counted):
    """A store that notes which threads read, and whether two do so at once."""

    def __init__(self, rows, n):
        super().__init__(rows, n)
        self.threads, self.lock, self.is_shared = set(), threading.Lock(), False

    def __getitem__(self, chosen):
        self.threads.add(threading.current_thread())
        self.is_shared |= not self.lock.acquire(blocking=False)
        # Others get the chance to read at the same time.
        time.sleep(1e-4)
        rows = super().__getitem__(chosen)
        if self.lock.locked():
            self.lock.release()
        return rows


class Broken(Counted):
    """A store that is gone after some reads."""

    n_left = np.inf

    def __getitem__(self, chosen):
        self.n_left -= 1
        if self.n_left < 0:
            raise OSError("the disk is gone")
        return super().__getitem__(chosen)


def weights(estimator):
    return [w.numpy() for w in estimator.network_.state_dict().values()]


def assert_same_fit(one, other):
    assert one.loss_curve_ == other.loss_curve_
    for ours, theirs in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", STORES)
def test_small_stores_fit_to_the_same_bits_as_arrays(make, X, tmp_path):
    store = make(X, tmp_path, 50)
    # Sums over columns of a frame have another order.
    rows = store.compute() if make is dask_frame else X
    of_store, of_rows = (skae.UndercompleteAE(2, **FEW).fit(Z) for Z in (store, rows))
    assert_same_fit(of_store, of_rows)
    assert of_store.score(store) == of_rows.score(rows)


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("n", [None, 4, BLOCK])
@pytest.mark.parametrize("make", [*CHUNKED, pairs])
def test_long_stores_of_short_chunks_fit_to_the_bits_of_a_map(make, n, X, tmp_path):
    stores = make(X, tmp_path, n), mapped(X, tmp_path, n)
    assert_same_fit(*(skae.UndercompleteAE(2, **FEW).fit(Z) for Z in stores))


@pytest.mark.usefixtures("long")
def test_long_stores_of_the_same_long_chunks_fit_to_the_same_bits(X, tmp_path):
    stores = [make(X, tmp_path, 50) for make in (*CHUNKED, dask_frame)]
    first, *others = (skae.UndercompleteAE(2, **FEW).fit(Z) for Z in stores)
    for other in others:
        assert_same_fit(first, other)


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("make", STORES)
def test_methods_of_long_stores_give_what_those_of_arrays_do(make, X, tmp_path):
    store = make(X, tmp_path, 50)
    names = X if make not in (parquet, dask_frame) else pd.DataFrame(X, columns=NAMES)
    ae = skae.UndercompleteAE(2, **FEW).fit(names)
    for method in (*LAZY, "score"):
        ours, theirs = getattr(ae, method)(store), getattr(ae, method)(names)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=method)
    before = ae.n_iter_
    assert ae.partial_fit(store).n_iter_ == before + 1


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("make", [parquet, dask_frame])
def test_names_of_columns_are_learnt_and_checked(make, X, tmp_path):
    ae = skae.UndercompleteAE(2, **FEW).fit(make(X, tmp_path, 50))
    assert ae.feature_names_in_.tolist() == NAMES
    other = pd.DataFrame(X, columns=NAMES).rename(columns={"c3": "d3"})
    with pytest.raises(ValueError, match="- d3"):
        ae.transform(other)


@pytest.mark.usefixtures("long")
@pytest.mark.filterwarnings("ignore:After 1 epochs the reconstruction is worse")
@pytest.mark.parametrize(
    "name",
    ["SparseAE", "DenoisingAE", "ContractiveAE", "VariationalAE", "StackedAE",
     "MaskedAE", "ConvAE"],
)  # fmt: skip
def test_each_estimator_fits_long_stores_to_the_bits_of_a_map(name, X, tmp_path):
    few = {"max_iter": 1, "random_state": 0}
    few |= {"pretraining_max_iter": 1} if name == "StackedAE" else {}
    stores = zarred(X, tmp_path, BLOCK), mapped(X, tmp_path, BLOCK)
    assert_same_fit(*(getattr(skae, name)(2, **few).fit(Z) for Z in stores))


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("make", [hdf5, zarred])
def test_images_are_read_in_their_layout(make, X, tmp_path):
    images = X.reshape(-1, 1, 3, 4)
    few = {"channels": 4, "max_iter": 1, "random_state": 0}
    (tmp_path / "flat").mkdir()
    store = make(images, tmp_path, 50)
    ae = skae.ConvAE(2, **few).fit(store)
    flat = skae.ConvAE(2, image_shape=(1, 3, 4), **few)
    assert_same_fit(ae, flat.fit(make(X, tmp_path / "flat", 50)))
    assert ae.image_shape_ == (1, 3, 4)
    np.testing.assert_allclose(
        ae.reconstruct(store), ae.reconstruct(images), rtol=1e-4, atol=1e-5
    )


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("name", ["RecurrentAE", "TableAE"])
def test_sequences_and_tables_are_read_into_memory(name, X, tmp_path):
    stores = zarred(X, tmp_path, 50), X
    assert_same_fit(
        *(getattr(skae, name)(2, max_iter=1, random_state=0).fit(Z) for Z in stores)
    )


@pytest.mark.parametrize("n", [1, 3, 64, 1000])
def test_slices_and_scattered_rows_are_those_of_the_array(n, X, rng):
    store = Stored(Counted(X, n))
    for first, end in [(0, 5), (3, 70), (60, 61), (65, 400), (399, 400), (10, 10)]:
        np.testing.assert_array_equal(store[first:end], X[first:end])
    for size in (0, 1, 50, 400):
        index = rng.permutation(N_ROWS)[:size]
        np.testing.assert_array_equal(store[index], X[index])
    np.testing.assert_array_equal(store[7], X[7])


@pytest.mark.parametrize("n", [3, 64, 1000])
@pytest.mark.parametrize("step", [5, 70])
def test_a_pass_reads_each_row_once(n, step, X):
    rows = Stored(Counted(X, n))
    parts = [rows[s] for s in chunks(rows, step)]
    np.testing.assert_array_equal(np.concatenate(parts), X)
    assert (rows.source.counts == 1).all()


def batches_of(X, n, index):
    rows = RawRows(Stored(Counted(X, n)), np.zeros(WIDTH, np.float32), 1.0)
    generator = torch.Generator().manual_seed(0)
    return rows, Batches(rows, index, 32, CPU, generator)


@pytest.mark.usefixtures("chunkwise")
@pytest.mark.parametrize("n_kept", [70 * WIDTH - 1, 70 * WIDTH])
def test_held_out_rows_are_read_once_if_they_are_few(n_kept, X, rng, monkeypatch):
    rows, _ = batches_of(X, 25, torch.arange(N_ROWS))
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", n_kept)
    held_out = torch.from_numpy(np.sort(rng.permutation(N_ROWS)[:70]))
    counts = []
    for size in (32, 32, 9):
        for batch, index in zip(
            Batches(rows, held_out, size, CPU), held_out.split(size), strict=True
        ):
            np.testing.assert_array_equal(batch, X[index])
            # Networks of users may do so.
            batch.zero_()
        counts.append(rows.X.source.counts.max())
    assert (counts[0] == counts[2]) == (n_kept >= 70 * WIDTH)


@pytest.mark.usefixtures("chunkwise")
def test_a_pass_that_is_broken_off_keeps_nothing(X):
    rows, _ = batches_of(X, 25, torch.arange(N_ROWS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skae._rows.batches.KEPT_ELEMENTS", X.size)
        batches = Batches(rows, torch.arange(N_ROWS), 32, CPU)
        next(iter(batches))
        np.testing.assert_array_equal(torch.cat(list(batches)), X)
        np.testing.assert_array_equal(torch.cat(list(batches)), X)


@pytest.mark.usefixtures("chunkwise")
def test_rows_are_released_with_their_last_reference(X):
    rows, batches = batches_of(X, 25, torch.arange(N_ROWS))
    seen, store = len(list(batches)), weakref.ref(rows.X)
    del rows, batches
    assert (seen, store()) == (13, None)


@pytest.mark.usefixtures("chunkwise")
@pytest.mark.parametrize("is_kept", [False, True])
def test_one_thread_reads_at_a_time_and_none_is_left(is_kept, X, monkeypatch):
    if is_kept:
        monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", X.size // 2)
    before = set(threading.enumerate())
    ae = skae.UndercompleteAE(2, **FEW).fit(store := Watched(X, 25))
    assert len(store.threads) > 2
    assert not store.is_shared
    assert set(threading.enumerate()) == before
    with monkeypatch.context() as patch:
        patch.setattr("skae._rows.ahead.available_threads", lambda: 1)
        alone = skae.UndercompleteAE(2, **FEW).fit(other := Watched(X, 25))
    assert other.threads == {threading.current_thread()}
    assert_same_fit(ae, alone)


class Ends(skorch.callbacks.Callback):
    """Reads in the middle of an epoch, and raises an error."""

    def __init__(self, error):
        self.error = error

    def on_batch_end(self, net, training, **kwargs):
        if training:
            net.rows.index_select(0, torch.arange(N_ROWS))
            raise self.error


@pytest.mark.usefixtures("chunkwise")
@pytest.mark.filterwarnings("ignore:.*stopped training before its first epoch ended")
@pytest.mark.parametrize("error", [ZeroDivisionError("stop"), KeyboardInterrupt()])
def test_no_thread_outlives_a_fit_that_ends_early(error, X):
    before, store = set(threading.enumerate()), Watched(X, 25)
    ae = skae.UndercompleteAE(2, callbacks=[Ends(error)], **FEW)
    # An interrupt keeps what was trained.
    is_kept = isinstance(error, KeyboardInterrupt)
    with nullcontext() if is_kept else pytest.raises(ZeroDivisionError):
        ae.fit(store)
    assert not store.is_shared
    # The traceback of an error keeps batches that nobody asks for.
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
@pytest.mark.usefixtures("chunkwise")
def test_a_fork_reads_what_a_thread_of_its_parent_began(X):
    _, batches = batches_of(X, 25, torch.arange(N_ROWS))
    expected = torch.cat(list(batches))
    _, again = batches_of(X, 25, torch.arange(N_ROWS))
    passing = iter(again)
    first = next(passing)
    if not (child := os.fork()):
        os._exit(not torch.equal(torch.cat([first, *passing]), expected))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Items(Dataset):
    """Rows of which it notes how often each is read."""

    def __init__(self, rows):
        self.rows, self.counts = rows, np.zeros(len(rows), int)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        self.counts[place] += 1
        return self.rows[place]


@pytest.mark.usefixtures("long")
def test_only_wanted_items_of_a_data_set_are_read(X, rng):
    store, index = opened(items := Items(X)), rng.permutation(N_ROWS)[:30]
    items.counts[:] = 0
    np.testing.assert_array_equal(store[index], X[index])
    assert items.counts.sum() == items.counts[index].sum() == 30


def test_chunks_that_are_too_large_are_not_kept(X, monkeypatch):
    monkeypatch.setattr("skae._rows.stored.MOST_ELEMENTS", 99 * WIDTH)
    monkeypatch.setattr("skae._rows.stored.READ_ELEMENTS", 10 * WIDTH)
    store = Stored(Counted(X, 100))
    np.testing.assert_array_equal(np.concatenate([store[:40], store[40:]]), X)
    assert store.chunk_rows == 1
    np.testing.assert_array_equal(store[np.array([5, 395])], X[[5, 395]])
    assert store._kept.shape == (10, WIDTH)


@pytest.mark.usefixtures("long")
def test_an_epoch_reads_each_chunk_once_however_rows_are_held_out(X):
    index = torch.arange(N_ROWS)[torch.arange(N_ROWS) % 7 > 0]
    rows, batches = batches_of(X, 25, index)
    seen = torch.cat(list(batches)).numpy()
    np.testing.assert_array_equal(np.sort(seen[:, 0]), np.sort(X[index, 0]))
    assert (rows.X.source.counts == 1).all()


@pytest.mark.usefixtures("long")
def test_whole_chunks_are_shuffled_a_few_at_a_time(X):
    _, batches = batches_of(X, 25, torch.arange(N_ROWS))
    windows = batches._windows()
    assert [len(window) for window in windows] == [100] * 4
    found = [set((window // 25).tolist()) for window in windows]
    # Whole chunks, from anywhere, with their rows mixed.
    assert all(len(chunks) == 4 for chunks in found)
    assert any(max(chunks) - min(chunks) > 3 for chunks in found)
    assert len(set((windows[0][:25] // 25).tolist())) == 4


@pytest.mark.parametrize("make", [hdf5, zarred])
def test_a_fit_keeps_little_in_memory(make, tmp_path, monkeypatch):
    monkeypatch.setattr("skae._rows.chunks.CHUNK_ELEMENTS", 2**15)
    monkeypatch.setattr("skae._rows.batches.KEPT_ELEMENTS", 2**15)
    rows = np.random.default_rng(0).normal(size=(20_000, 50)).astype(np.float32)
    store = make(rows, tmp_path, 500)
    del rows
    ae = skae.UndercompleteAE(2, **FEW | {"batch_size": 5000, "max_iter": 1})
    tracemalloc.start()
    ae.fit(store).transform(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The rows take 4 MB, and their places 8 bytes each.
    assert peak < 3e6


def test_a_store_that_breaks_off_leaves_the_estimator_as_it_was(X, chunkwise):
    ae, store = skae.UndercompleteAE(2, **FEW).fit(X[:100]), Broken(X, 25)
    skae.UndercompleteAE(2, **FEW).fit(store)
    before, n_reads = vars(ae).copy(), store.n_reads
    for share in (0.1, 0.5, 0.9):
        store.n_left = int(share * n_reads)
        with pytest.raises(OSError, match="the disk is gone"):
            ae.fit(store)
        assert vars(ae) == before


def test_a_read_that_failed_can_be_repeated(X, monkeypatch):
    monkeypatch.setattr("skae._rows.stored.READ_ELEMENTS", 1)
    store = Stored(Broken(X, 25))
    np.testing.assert_array_equal(store[:30], X[:30])
    store.source.n_left = 0
    with pytest.raises(OSError, match="the disk is gone"):
        store[100:130]
    store.source.n_left = np.inf
    np.testing.assert_array_equal(store[100:130], X[100:130])


@pytest.mark.usefixtures("long")
def test_a_checkpoint_tells_stores_apart_by_their_values(X, tmp_path):
    ae = skae.UndercompleteAE(2, checkpoint=tmp_path / "fit.safetensors", **FEW)
    first = ae.fit(Counted(X, 25)).loss_curve_
    assert ae.fit(Counted(X, 25)).loss_curve_ == first
    with pytest.raises(ValueError, match="other rows"):
        ae.fit(Counted(X + 1, 25))


class Ragged(Dataset):
    """Rows of which one has another length or another dtype."""

    def __init__(self, odd):
        self.odd = odd

    def __len__(self):
        return 5

    def __getitem__(self, place):
        return self.odd if place == 3 else np.zeros(4, np.float32)


class Stream(IterableDataset):
    """Rows without a length."""

    def __iter__(self):
        yield np.zeros(4)


class SizedStream(Stream):
    """A stream that knows its length, as that of a sampler."""

    def __len__(self):
        return 1


class Given(Dataset):
    """Any items."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, place):
        return self.items[place]


def sparse_blocks():
    return da.ones((9, 2), chunks=3).map_blocks(scipy.sparse.csr_matrix)


def arrow_columns(*names):
    columns = [pa.array(np.arange(9.0)) for _ in names]
    return pds.dataset(pa.Table.from_arrays(columns, names=list(names)))


@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: Ragged(np.zeros(5)), r"Item 3 of X, .*\(5,\).*\(4,\): cut or fill"),
        (lambda _: Ragged(np.zeros(4)), "Item 3 of X, .*float64.*float32: convert"),
        (lambda _: Stream(), "Stream, is a stream .*partial_fit"),
        (lambda _: ChainDataset([Stream()]), "ChainDataset, is a stream"),
        (lambda _: SizedStream(), "SizedStream, is a stream"),
        (lambda _: Given([{"x": np.zeros(4)}]), r"Item 0 of X, .* is \{'x': array"),
        (
            lambda _: Given([[np.zeros(4), 1]]),
            r"Item 0 .*, is \[array.*begin with a row",
        ),
        (lambda _: Given([0.5]), "Item 0 .*, is 0.5: items must be rows"),
        (lambda _: sparse_blocks(), "Array, has sparse blocks, of type csr_matrix"),
        (lambda _: arrow_columns("a", "a"), "several columns named 'a': rename"),
        (lambda f: zarred(np.empty((0, 4)), f, 1), r"0 sample\(s\).*minimum of 2"),
        (lambda f: hdf5(np.empty((0, 4)), f, None), r"0 sample\(s\).*minimum of 2"),
        (lambda f: hdf5(np.zeros(9), f, None), "Expected 2D array, got 1D"),
        (lambda f: hdf5(np.zeros((9, 2, 2)), f, None), "takes flat rows"),
        (lambda f: hdf5(np.zeros((9, 2), complex), f, None), "Complex data"),
        (lambda f: hdf5(np.full((9, 2), np.nan), f, None), "contains NaN"),
        (lambda f: hdf5(np.full((9, 2), np.inf), f, None), "contains infinity"),
        (lambda f: zarred(np.full((9, 2), "a"), f, 3), "text first"),
        (lambda f: da.full((9, 2), "a", dtype=object, chunks=3), "text first"),
        (
            lambda f: da.zeros((9, 2), chunks=3)[da.ones(9, chunks=3) > 0],
            r"shape \(nan, 2\).*compute_chunk_sizes",
        ),
    ],
)
def test_unusable_stores_are_refused(make, told, is_long, tmp_path, request):
    if is_long:
        request.getfixturevalue("long")
    ae = skae.UndercompleteAE(2, **FEW)
    before = vars(ae).copy()
    with pytest.raises(ValueError, match=re.compile(told, re.DOTALL)):
        ae.fit(make(tmp_path))
    assert vars(ae) == before


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda f: str(f / "rows.npy"), "type str, .*np.load.*from_arrow"),
        (lambda f: f / "rows.npy", "Path, .*np.load.*from_arrow"),
        (lambda f: hdf5(np.zeros((9, 2)), f, None).file, r"File, .*\['x'\]"),
        (lambda f: zarr.group(), "Group, .*pass one of its arrays"),
        (lambda f: DataLoader(Given([0])), r"DataLoader, .*pass X\.dataset"),
    ],
)
@pytest.mark.parametrize("cls", [skae.UndercompleteAE, skae.TableAE])
def test_what_only_leads_to_rows_is_refused(cls, make, told, tmp_path):
    with pytest.raises(TypeError, match=told):
        cls(2, max_iter=2).fit(make(tmp_path))


def delayed(rows, shape, dtype):
    return da.from_delayed(dask.delayed(rows), shape=shape, dtype=dtype)


@pytest.mark.usefixtures("long")
def test_stores_that_are_not_what_they_say_are_refused(X):
    ae = skae.UndercompleteAE(2, **FEW)
    with pytest.raises(ValueError, match=r"shape \(500, 12\), but gave 400 rows"):
        ae.fit(delayed(X, (500, WIDTH), "f4"))
    # Fractions would be cut off, integers wrap, and large numbers overflow.
    for given, said in (("float32", "int8"), ("int64", "int8"), ("float64", "float16")):
        told = f"dtype {said}, but gave rows of {given}"
        with pytest.raises(ValueError, match=told):
            ae.fit(delayed(X.astype(given), X.shape, said))
    wider = delayed(X.astype(float), X.shape, "f4")
    assert ae.fit(wider).loss_curve_ == ae.fit(da.from_array(X, X.shape)).loss_curve_


@pytest.mark.parametrize("is_long", [False, True])
def test_masked_blocks_are_missing_values(is_long, X, request):
    if is_long:
        request.getfixturevalue("long")
    hidden = X > 1
    masked = da.ma.masked_where(hidden, da.from_array(X, chunks=(BLOCK, WIDTH)))
    with pytest.raises(ValueError, match=r"X is masked|contains NaN"):
        skae.UndercompleteAE(2, **FEW).fit(masked)
    gaps = da.from_array(np.where(hidden, np.nan, X), chunks=(BLOCK, WIDTH))
    ae = skae.MaskedAE(2, **FEW)
    assert ae.fit(masked).loss_curve_ == ae.fit(gaps).loss_curve_
    whole = da.ma.masked_where(hidden, (10 * masked).astype("i4"))
    with pytest.raises(ValueError, match="X is masked"):
        skae.UndercompleteAE(2, **FEW).fit(whole)


@pytest.mark.parametrize("is_long", [False, True])
def test_files_of_arrow_may_lack_columns_that_the_data_set_has(
    is_long, tmp_path, request
):
    if is_long:
        request.getfixturevalue("long")
    for part, names in enumerate(["ab", "a"]):
        (tmp_path / f"part={part}").mkdir()
        table = arrow_columns(*names).to_table()
        pq.write_table(table, tmp_path / f"part={part}" / "x.parquet")
    schema = pa.schema([(name, pa.float64()) for name in ("a", "b", "part")])
    data = pds.dataset(tmp_path, schema=schema, partitioning="hive")
    rows, expected = from_arrow(data), data.to_table().to_pandas()
    np.testing.assert_array_equal(rows[0 : len(expected)], expected)
    assert expected["b"].isna().sum() == 9
    ae = skae.DenoisingAE(2, **FEW).fit(data)
    np.testing.assert_allclose(ae.transform(data), ae.transform(expected), atol=1e-5)


def test_tensors_of_any_float_dtype_are_items(X):
    rows = Given(list(torch.from_numpy(X).bfloat16()))
    np.testing.assert_array_equal(opened(rows), torch.from_numpy(X).bfloat16().float())


@pytest.mark.filterwarnings("ignore:n_components=12 is not smaller")
@pytest.mark.parametrize("make", [*STORES[:3], pairs, parquet])
def test_codes_may_be_stored(make, X, tmp_path):
    ae = skae.UndercompleteAE(WIDTH, max_iter=1, random_state=0).fit(X)
    codes = ae.transform(X)
    back = ae.inverse_transform(make(codes, tmp_path, 50))
    np.testing.assert_allclose(back, ae.inverse_transform(codes), atol=1e-5)


def test_columns_of_frames_of_dask_are_converted_by_the_user(X, long):
    mixed = pd.DataFrame(X).add_prefix("c").assign(flag=X[:, 0] > 0)
    frame = dd.from_pandas(mixed, npartitions=3)
    with pytest.raises(ValueError, match=r"DataFrame, has the dtype object.*astype"):
        skae.UndercompleteAE(2, **FEW).fit(frame)
    skae.UndercompleteAE(2, **FEW).fit(frame.astype("float32"))


def test_a_closed_file_is_refused(X, tmp_path):
    store = hdf5(X, tmp_path, None)
    store.file.close()
    with pytest.raises(ValueError, match=r"Dataset, cannot be read.*closed, open it"):
        skae.UndercompleteAE(2, **FEW).fit(store)


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("make", [hdf5, zarred, dasked])
def test_other_features_are_refused_as_for_arrays(make, is_long, X, tmp_path, request):
    if is_long:
        request.getfixturevalue("long")
    ae = skae.UndercompleteAE(2, **FEW).fit(X)
    with pytest.raises(ValueError, match=r"X has 5 features, but .* expecting 12"):
        ae.score(make(X[:, :5], tmp_path, 50))


@pytest.mark.parametrize("is_long", [False, True])
def test_columns_of_arrow_are_chosen_and_checked(is_long, tmp_path, request):
    if is_long:
        request.getfixturevalue("long")
    frame = pd.DataFrame({"a": [1.5, None, 3.0], "b": [1, 2, 3], "t": ["x", "y", "z"]})
    frame.astype({"b": "int8"}).to_parquet(tmp_path / "t.parquet", row_group_size=2)
    with pytest.raises(ValueError, match=r"'t' is of type .*string.*columns=\["):
        from_arrow(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"'c', but those .*\['a', 'b', 't'\]"):
        from_arrow(tmp_path / "t.parquet", columns=["c"])
    rows = from_arrow(tmp_path / "t.parquet", columns=["b", "a"])
    assert (rows.shape, rows.dtype) == ((3, 2), np.float64)
    np.testing.assert_array_equal(rows[1:3], [[2, np.nan], [3, 3]])
    with pytest.raises(ValueError, match="contains NaN"):
        skae.UndercompleteAE(1, **FEW).fit(rows)
    skae.DenoisingAE(1, max_iter=1, random_state=0).fit(rows)


def test_what_is_no_store_is_left_alone(X):
    for rows in (X, X.tolist(), torch.from_numpy(X), pd.DataFrame(X), X[0, 0], None):
        assert opened(rows) is rows


@pytest.mark.parametrize("method", LAZY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_results_for_dask_are_lazy_and_those_in_memory(method, dtype, X):
    rows = (X - X.min()).astype(dtype)
    ae = skae.UndercompleteAE(2, **FEW).fit(rows)
    expected = getattr(ae, method)(rows)
    lazy = getattr(ae, method)(da.from_array(rows, chunks=(70, 5)))
    assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
    assert lazy.chunks[0] == (70,) * 5 + (50,)
    computed = lazy.compute()
    assert computed.dtype == expected.dtype
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_computed_before_it_is_asked_for(X):
    def fail(block):
        raise RuntimeError("computed")

    ae = skae.UndercompleteAE(2, **FEW).fit(X)
    rows = da.from_array(X, chunks=(70, 5)).map_blocks(fail, meta=X[:0])
    codes = ae.transform(rows)
    answers = ae.inverse_transform(codes)
    assert (codes.shape, answers.shape) == ((N_ROWS, 2), X.shape)
    with pytest.raises(RuntimeError, match="computed"):
        answers.compute()


def test_unknown_numbers_of_rows_stay_unknown(X):
    ae = skae.UndercompleteAE(2, **FEW).fit(X)
    rows = da.from_array(X, chunks=(70, 12))
    codes = ae.transform(rows[rows[:, 0] > 1.0])
    assert np.isnan(codes.shape[0])
    assert codes.shape[1] == 2
    expected = ae.transform(X[X[:, 0] > 1.0])
    np.testing.assert_allclose(codes.compute(), expected, rtol=1e-5, atol=1e-6)


def test_blocks_are_checked_and_a_later_fit_changes_no_lazy_result(X):
    ae = skae.UndercompleteAE(2, **FEW).fit(X)
    expected, codes = ae.transform(X), ae.transform(da.from_array(X, chunks=(70, 12)))
    ae.fit(2 - X[:100])
    np.testing.assert_allclose(codes.compute(), expected, rtol=1e-5, atol=1e-6)
    bad = X.copy()
    bad[300, 3] = np.nan
    lazy = ae.transform(da.from_array(bad, chunks=(70, 12)))
    with pytest.raises(ValueError, match="contains NaN"):
        lazy.compute()
    with pytest.raises(ValueError, match="X has 5 features"):
        ae.transform(da.from_array(X[:, :5], chunks=(70, 5)))


@pytest.mark.parametrize("method", LAZY)
def test_frames_of_dask_keep_their_index_and_get_names(method, X):
    frame = pd.DataFrame(X, columns=NAMES, index=3 * np.arange(N_ROWS))
    ae = skae.UndercompleteAE(2, **FEW).fit(frame)
    lazy = getattr(ae, method)(dd.from_pandas(frame, npartitions=4))
    names = {"transform": ae.get_feature_names_out().tolist(), "reconstruct": NAMES}
    if method in names:
        assert lazy.columns.tolist() == names[method]
        assert set(lazy.dtypes) == {np.dtype(np.float32)}
    else:
        assert lazy.dtype == np.float32
    computed = lazy.compute()
    assert computed.index.equals(frame.index)
    expected = getattr(ae, method)(frame)
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6)


def test_lazy_images_and_tables_have_their_layout(X):
    images = X.reshape(-1, 3, 4)
    ae = skae.ConvAE(2, channels=4, max_iter=1, random_state=0).fit(images)
    lazy = ae.reconstruct(da.from_array(X, chunks=(70, 12)))
    assert lazy.shape == images.shape
    np.testing.assert_allclose(lazy.compute(), ae.reconstruct(X), rtol=1e-4, atol=1e-5)
    frame = pd.DataFrame(X[:, :3]).set_axis(["a", "b", "c"], axis=1)
    frame["kind"] = np.where(X[:, 0] > 0, "plus", "minus")
    table = skae.TableAE(2, max_iter=1, random_state=0).fit(frame)
    lazy = table.reconstruct(dd.from_pandas(frame, npartitions=3))
    pd.testing.assert_frame_equal(
        lazy.compute(), table.reconstruct(frame), rtol=1e-4, check_dtype=False
    )


def test_lazy_results_have_no_other_container(X):
    ae = skae.UndercompleteAE(2, **FEW).fit(X).set_output(transform="pandas")
    with pytest.raises(ValueError, match=r"transform='pandas'.*transform='default'"):
        ae.transform(da.from_array(X, chunks=(70, 12)))


ASKED = {
    "explained variance": skae.metrics.explained_variance,
    "squared error": skae.metrics.neg_mean_squared_error,
    "errors": lambda ae, X: skae.inspection.reconstruction_errors(ae, X).squeeze(),
    "comparison": lambda ae, X: skae.compare(
        {"PCA": PCA(2)}, X, cv=2, random_state=0
    ).scores[["explained_variance", "mean_squared_error"]],
}


@pytest.mark.parametrize("name", ASKED)
def test_scorers_and_inspection_read_stores(name, X):
    frame = pd.DataFrame(X, columns=NAMES)
    ae, stores = skae.UndercompleteAE(2, **FEW).fit(frame), [frame]
    stores += [dd.from_pandas(frame, npartitions=3), TensorDataset(torch.from_numpy(X))]
    with warnings.catch_warnings():
        # Arrays have no names.
        warnings.simplefilter("ignore", UserWarning)
        wanted, *found = (np.asarray(ASKED[name](ae, store)) for store in stores)
    for answer in found:
        np.testing.assert_allclose(answer, wanted, rtol=1e-5, atol=1e-6)
