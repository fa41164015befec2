"""Data sets by name: what scikit-learn ships and makes, and files under ``SKAE_DATA``.

Each is a pair of training and test rows, split once and for all, so that a search for
defaults which keeps to training rows never meets the rows that judge them.
"""

import functools
import gzip
import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np
from sklearn import datasets
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

Rows = np.ndarray
Maker = Callable[[np.random.Generator], Rows]
TEST_SHARE = 0.25
PHOTOGRAPHS = "photographs"


def _lift(rows: Rows, n_features: int, rng: np.random.Generator) -> Rows:
    """Turn rows by a random rotation into more dimensions, with a little noise."""
    axes = np.linalg.qr(rng.normal(size=(n_features, rows.shape[1])))[0]
    noise = 0.05 * rows.std() * rng.normal(size=(len(rows), n_features))
    return rows @ axes.T + noise


def _low_rank(rng: np.random.Generator, noise: float, n_features: int = 50) -> Rows:
    factors = rng.normal(size=(1000, 5)) @ rng.normal(size=(5, n_features))
    return factors + noise * rng.normal(size=factors.shape)


def _waves(rng: np.random.Generator) -> Rows:
    """Sines of random frequency, phase and height."""
    t = np.linspace(0, 2 * np.pi, 64)
    frequency, phase = rng.uniform(1, 3, (2000, 1)), rng.uniform(0, 6.28, (2000, 1))
    return rng.uniform(0.5, 1.5, (2000, 1)) * np.sin(frequency * t + phase)


def _bumps(rng: np.random.Generator) -> Rows:
    """One Gaussian bump each, of random place and width."""
    place, width = rng.uniform(0, 1, (1500, 1)), rng.uniform(0.03, 0.1, (1500, 1))
    bumps = np.exp(-(((np.linspace(0, 1, 100) - place) / width) ** 2) / 2)
    return bumps + 0.02 * rng.normal(size=bumps.shape)


def _walks(rng: np.random.Generator) -> Rows:
    return rng.normal(size=(1000, 80)).cumsum(axis=1)


def _circle(rng: np.random.Generator) -> Rows:
    angle = rng.uniform(0, 2 * np.pi, (800, 1))
    harmonics = [f(k * angle) for k in range(1, 6) for f in (np.sin, np.cos)]
    return np.hstack(harmonics) + 0.05 * rng.normal(size=(800, 10))


def _sphere(rng: np.random.Generator) -> Rows:
    points = rng.normal(size=(1000, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _tree(rng: np.random.Generator) -> Rows:
    """Ten branches off a stem, as in single-cell data: square roots of counts."""
    branch, along = rng.integers(0, 10, 1500), rng.uniform(0, 1, (1500, 1))
    rates = np.exp(rng.normal(size=(10, 60))[branch] * along + 1)
    return np.sqrt(rng.poisson(rates))


def _patches(rng: np.random.Generator) -> Rows:
    image = datasets.load_sample_image("china.jpg").mean(axis=2)
    patches = extract_patches_2d(image, (8, 8), max_patches=5000, random_state=0)
    return patches.reshape(len(patches), -1)


def _classes(rng: np.random.Generator) -> Rows:
    return datasets.make_classification(
        1000, 30, n_informative=10, n_redundant=10, random_state=0
    )[0]


def _checks(rng: np.random.Generator) -> Rows:
    """Answers of yes or no that depend on three hidden traits."""
    logits = 2 * rng.normal(size=(1200, 3)) @ rng.normal(size=(3, 40))
    return (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


MADE: dict[str, Maker] = {
    "swiss roll": lambda rng: datasets.make_swiss_roll(1500, noise=0.1, random_state=0)[
        0
    ],
    "swiss roll, 20-D": lambda rng: _lift(
        datasets.make_swiss_roll(1500, random_state=0)[0], 20, rng
    ),
    "S-curve": lambda rng: datasets.make_s_curve(1500, noise=0.05, random_state=0)[0],
    "S-curve, 20-D": lambda rng: _lift(
        datasets.make_s_curve(1500, random_state=0)[0], 20, rng
    ),
    "circle": _circle,
    "moons, 10-D": lambda rng: _lift(
        datasets.make_moons(800, noise=0.05, random_state=0)[0], 10, rng
    ),
    "sphere, 20-D": lambda rng: _lift(_sphere(rng), 20, rng),
    "biclusters": lambda rng: datasets.make_biclusters(
        (600, 40), 5, noise=5, random_state=0
    )[0],
    "low rank": lambda rng: _low_rank(rng, 0.5),
    "low rank, little noise": lambda rng: _low_rank(rng, 1e-3),
    "blobs": lambda rng: datasets.make_blobs(1000, 10, centers=8, random_state=0)[0],
    "pure noise": lambda rng: rng.normal(size=(500, 40)),
    "heavy tails": lambda rng: _lift(rng.standard_t(2, size=(1000, 5)), 30, rng),
    "log-normal": lambda rng: np.exp(1.5 * rng.normal(size=(1000, 20))),
    "correlated log-normal": lambda rng: np.exp(_low_rank(rng, 0.3, 20) / 3),
    "waves": _waves,
    "bumps": _bumps,
    "random walks": _walks,
    "branches": _tree,
    "classification": _classes,
    "yes or no": _checks,
    "image patches": _patches,
}
SHIPPED: dict[str, Callable[..., tuple[Rows, Rows]]] = {
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "linnerud": datasets.load_linnerud,
}
ADBENCH = [
    "2_annthyroid",
    "6_cardio",
    "20_letter",
    "23_mammography",
    "25_musk",
    "26_optdigits",
    "28_pendigits",
    "30_satellite",
    "31_satimage-2",
    "32_shuttle",
    "38_thyroid",
    "40_vowels",
]


def _idx(path: pathlib.Path) -> Rows:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)


def _labels(path: pathlib.Path) -> Rows:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=8)


def _tsv(path: pathlib.Path) -> Rows:
    return np.loadtxt(path)[:, 1:]


def _ts(path: pathlib.Path) -> Rows:
    """Read a univariate series a line, its label after the colon."""
    lines = path.read_text().splitlines()
    series = [line.split(":")[0] for line in lines if line and line[0] not in "#@"]
    return np.array([line.split(",") for line in series], float)


def _sequences(path: pathlib.Path) -> tuple[list[Rows], Rows]:
    """Read arrays (length_i, channels), a series a line, and their labels."""
    lines = path.read_text().splitlines()
    lines = [line for line in lines if line and line[0] not in "#@"]
    parts = [line.split(":") for line in lines]
    series = [np.array([c.split(",") for c in p[:-1]], float).T for p in parts]
    return series, np.array([p[-1] for p in parts])


def _mat(path: pathlib.Path, key: str) -> Rows:
    from scipy.io import loadmat

    return loadmat(path)[key]


def _windows(path: pathlib.Path) -> Rows:
    """Cut a series into days of 5-minute values, overlapping by half."""
    values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=1)
    return np.lib.stride_tricks.sliding_window_view(values, 288)[::144]


def _photos(folder: pathlib.Path) -> Rows:
    """Cut 8 x 8 patches out of the photographs of a folder."""
    from PIL import Image

    patches = [
        extract_patches_2d(
            np.asarray(Image.open(path), float), (8, 8), max_patches=50, random_state=0
        )
        for path in sorted(folder.iterdir())
    ]
    return np.concatenate(patches).reshape(-1, 64)


def _stored(root: pathlib.Path) -> dict[str, Callable[[], Rows | tuple[Rows, Rows]]]:
    """Return readers of the files of ``SKAE_DATA``; pairs have a test set already."""
    ucr, t10k = root / "ucr", "t10k-images-idx3-ubyte.gz"

    def images(name: str) -> Callable[[], tuple[Rows, Rows]]:
        folder = root / name
        return lambda: (
            _idx(folder / "train-images-idx3-ubyte.gz"),
            _idx(folder / t10k),
        )

    def series(name: str) -> Callable[[], Rows]:
        parts = [ucr / name / f"{name}_{part}.ts" for part in ("TRAIN", "TEST")]
        return lambda: np.concatenate([_ts(part) for part in parts])

    def two(name: str) -> Callable[[], Rows]:
        return lambda: np.concatenate(
            [
                _tsv(ucr / name / f"{name}_TRAIN.tsv"),
                np.load(ucr / name / f"{name}_TEST.npy")[:, 1:],
            ]
        )

    def anomalies(name: str) -> Callable[[], Rows]:
        return lambda: np.load(root / "adbench" / f"{name}.npz")["X"].astype(float)

    machine = root / "nab/data/realKnownCause/machine_temperature_system_failure.csv"
    readers: dict[str, Callable[[], Rows | tuple[Rows, Rows]]] = {
        name.split("_")[1]: anomalies(name) for name in ADBENCH
    }
    return readers | {
        "ECG5000": two("ECG5000"),
        "Wafer": two("Wafer"),
        "GunPoint": series("GunPoint"),
        "ItalyPowerDemand": series("ItalyPowerDemand"),
        "machine temperature": lambda: _windows(machine),
        "photo patches": lambda: _photos(root / "photos" / "bsd68"),
        "faces 32x32": lambda: _mat(root / "faces/ORL.mat", "X").astype(float),
        "faces 64x64": lambda: _mat(root / "faces/olivettifaces.mat", "faces").T.astype(
            float
        ),
        "COIL-20": lambda: _mat(root / "coil20/COIL20.mat", "X"),
        "Fashion-MNIST": images("fashion-mnist"),
        "MNIST": images("mnist"),
    }


HINT = "Name the folder that holds the data sets by SKAE_DATA."


class MissingData(LookupError):
    """No folder is named that holds the data sets which are not shipped."""


def stored_folder(name: str) -> pathlib.Path:
    """Return a folder of SKAE_DATA."""
    if not (folder := os.environ.get("SKAE_DATA")):
        raise MissingData(f"{name}: {HINT}")
    if not (found := pathlib.Path(folder) / name).exists():
        raise MissingData(f"SKAE_DATA={folder} holds no {name}.")
    return found


_hashes: dict[str, str] = {}


def remember(name: str, *arrays: Rows) -> None:
    """Keep a short hash of the arrays of a data set, for the record."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    _hashes[name] = digest.hexdigest()[:12]


def hash_of(name: str | None) -> str | None:
    """Return the hash of a data set, as it was last read."""
    return _hashes.get(name) if name else None


def photographs(name: str) -> list[Rows]:
    """Return grey photographs of a folder under SKAE_DATA, with values in [0, 1]."""
    from PIL import Image

    folder = stored_folder("photos") / name
    images = [np.asarray(Image.open(f), float) / 255 for f in sorted(folder.iterdir())]
    remember(PHOTOGRAPHS, *images)
    return images


def split_digits(seed: int) -> list[Rows]:
    """Return training and test images of digits, and the labels of both."""
    X, y = datasets.load_digits(return_X_y=True)
    remember("digits", X)
    return train_test_split(X, y, test_size=TEST_SHARE, stratify=y, random_state=seed)


def labelled_sequences(name: str) -> tuple[list[Rows], Rows, list[Rows], Rows]:
    """Return sequences and labels to train on, and those to test on, of the UCR."""
    folder = stored_folder("ucr") / name
    parts = [_sequences(folder / f"{name}_{part}.ts") for part in ("TRAIN", "TEST")]
    remember(name, *(sequence for series, _ in parts for sequence in series))
    (train, y), (test, y_test) = parts
    return train, y, test, y_test


def labelled_heartbeats() -> tuple[Rows, Rows]:
    """Return the heartbeats of ECG5000, and their classes: 1 is normal."""
    folder = stored_folder("ucr") / "ECG5000"
    train = np.loadtxt(folder / "ECG5000_TRAIN.tsv")
    rows = np.concatenate([train, np.load(folder / "ECG5000_TEST.npy")])
    remember("ECG5000", rows)
    return rows[:, 1:], rows[:, 0].astype(int)


def labelled_rows(name: str) -> tuple[Rows, Rows]:
    """Return rows and classes of a data set under SKAE_DATA.

    Of those of ADBench the classes are normal rows and anomalies.
    """
    if name == "ECG5000":
        return labelled_heartbeats()
    if name == "COIL-20":
        path = stored_folder("coil20") / "COIL20.mat"
        rows, classes = _mat(path, "X"), _mat(path, "Y").ravel()
    else:
        (file,) = stored_folder("adbench").glob(f"*_{name}.npz")
        with np.load(file) as arrays:
            rows, classes = arrays["X"].astype(float), arrays["y"]
    remember(name, rows)
    return rows, classes


def labelled(name: str) -> tuple[Rows, Rows, Rows, Rows]:
    """Return images (0 to 255) and labels to train on, and those to test on.

    "MNIST" and "Fashion-MNIST" need SKAE_DATA, "digits" is scikit-learn's.
    """
    if name == "digits":
        X, y = datasets.load_digits(return_X_y=True)
        grey = np.round(X * (255 / 16)).astype(np.uint8)
        X, X_test, y, y_test = train_test_split(
            grey, y, test_size=TEST_SHARE, random_state=0
        )
    else:
        folder = stored_folder(name.lower())
        X, X_test = (
            _idx(folder / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k")
        )
        y, y_test = (
            _labels(folder / f"{part}-labels-idx1-ubyte.gz")
            for part in ("train", "t10k")
        )
    remember(name, X, X_test)
    return X, y, X_test, y_test


def _split(rows: Rows, scale: bool = False) -> tuple[Rows, Rows]:
    train, test = train_test_split(rows, test_size=TEST_SHARE, random_state=0)
    if scale:
        scaler = StandardScaler().fit(train)
        return scaler.transform(train), scaler.transform(test)
    return train, test


def names() -> list[str]:
    """Return the names of all data sets, those of SKAE_DATA too."""
    return [*_loaders(), *_stored_loaders(pathlib.Path())]


def load() -> dict[str, Callable[[], tuple[Rows, Rows]]]:
    """Return what reads training and test rows, by name; raw units, or scaled."""
    loaders = _loaders()
    if folder := os.environ.get("SKAE_DATA"):
        loaders |= _stored_loaders(pathlib.Path(folder))
    return {
        name: functools.partial(_remembered, name, read)
        for name, read in loaders.items()
    }


def is_missing(name: str | None) -> bool:
    """Tell whether a data set wants SKAE_DATA, which is not set."""
    is_stored = name == PHOTOGRAPHS or name in _stored_loaders(pathlib.Path())
    return is_stored and not os.environ.get("SKAE_DATA")


def rows(name: str) -> tuple[Rows, Rows]:
    """Return training and test rows of one data set."""
    if is_missing(name):
        raise MissingData(f"{name}: {HINT}")
    return load()[name]()


def _remembered(name: str, read: Callable[[], tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
    """Read training and test rows, and keep their hash."""
    train, test = read()
    remember(name, train, test)
    return train, test


def _loaders() -> dict[str, Callable[[], tuple[Rows, Rows]]]:
    """Return readers of what scikit-learn ships, and of what is made."""
    loaders: dict[str, Callable[[], tuple[Rows, Rows]]] = {}
    for name, ship in SHIPPED.items():
        loaders[name] = lambda ship=ship: _split(ship(return_X_y=True)[0])
    for name in ("wine", "breast cancer", "linnerud"):
        ship = SHIPPED[name]
        loaders[f"{name}, scaled"] = lambda ship=ship: _split(
            ship(return_X_y=True)[0], scale=True
        )
    for name, make in MADE.items():
        loaders[name] = lambda make=make: _split(make(np.random.default_rng(0)))
    return loaders


def _stored_loaders(
    folder: pathlib.Path,
) -> dict[str, Callable[[], tuple[Rows, Rows]]]:
    """Return readers of the files of SKAE_DATA."""
    readers = _stored(folder)
    loaders: dict[str, Callable[[], tuple[Rows, Rows]]] = {
        name: lambda read=read: (
            found if isinstance(found := read(), tuple) else _split(found)
        )
        for name, read in readers.items()
    }
    for name in ("shuttle", "mammography", "annthyroid"):
        read = readers[name]
        loaders[f"{name}, scaled"] = lambda read=read: _split(read(), scale=True)
    return loaders
