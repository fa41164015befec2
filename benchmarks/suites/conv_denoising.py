"""Convolutions against noise and gaps: MNIST, photographs, faces.

PSNR in dB and SSIM (Wang et al., 2004) are those of scikit-image, for images of grey
values in [0, 1]. Filters have their best strength on training images for each noise.
"""

import pathlib
from typing import Any

import numpy as np
from rich.table import Table
from scipy.ndimage import median_filter
from sklearn.datasets import load_sample_image
from sklearn.decomposition import PCA

from skae import ConvAE, DenoisingAE

from ..shared.data_sets import PHOTOGRAPHS, photographs, rows
from ..shared.figures import pyplot
from ..shared.image_features import TRAINING
from ..shared.report import write_table
from ..shared.suite import Case, Options, Row, Suite

Images = np.ndarray

#: Standard deviations of the noise on MNIST, in units of ``scale_``.
LEVELS = (1.0, 2.0, 3.0)
CODE = {"n_components": 32, "init": "random", "noise": "gaussian", "random_state": 0}
DENSE = DenoisingAE(**CODE, hidden_layer_sizes=(32,))
CONV = ConvAE(
    **CODE,
    **TRAINING,
    channels=(8, 16, 16),
    kernel_size=3,
    hidden_layer_sizes=(),
)
#: Standard deviations of the noise on photographs, in 255ths.
SIGMAS = (25, 50)
SIDE, PATCHES_EACH, STEP = 16, 250, 3
PHOTO = ConvAE(
    SIDE * SIDE,
    noise="gaussian",
    hidden_layer_sizes=(512,),
    random_state=0,
    **TRAINING | {"batch_size": 128},
)
PHOTO_EPOCHS = 8
#: Side of the hidden block, and components.
BLOCKS = {"MNIST": (12, 64), "faces 64x64": (24, 64)}
METHODS = ("noisy", "dense", "conv")


def cases(options: Options) -> list[Case]:
    """Return noise on images and on photographs, and blocks to fill in."""
    if options.quick:
        short = {"data": "digits", "max_iter": 5}
        return [
            {"task": "noise", "level": 2.0, **short},
            {
                "task": "photographs",
                "data": "sample images",
                "sigma": 50,
                "max_iter": 1,
            },
            {"task": "blocks", "side": 3, "n_components": 8, **short},
        ]
    return [
        *(
            {"task": "blocks", "data": data, "side": side, "n_components": width}
            for data, (side, width) in BLOCKS.items()
        ),
        *({"task": "noise", "data": "MNIST", "level": level} for level in LEVELS),
        *({"task": "photographs", "data": PHOTOGRAPHS, "sigma": s} for s in SIGMAS),
    ]


def run(task: str, **case: Any) -> dict[str, Any]:
    """Return the figures of one task."""
    return TASKS[task](**case)


def psnr(answer: Images, truth: Images) -> float:
    """Return the mean over images of the peak signal to noise ratio."""
    from skimage.metrics import peak_signal_noise_ratio

    each = (
        peak_signal_noise_ratio(t, a, data_range=1.0)
        for a, t in zip(answer, truth, strict=True)
    )
    return round(float(np.mean(list(each))), 2)


def ssim(answer: Images, truth: Images) -> float:
    """Return the mean over images of the structural similarity."""
    from skimage.metrics import structural_similarity

    each = (
        structural_similarity(t, a, data_range=1.0)
        for a, t in zip(answer, truth, strict=True)
    )
    return round(float(np.mean(list(each))), 4)


def images(data: str) -> tuple[Images, Images, int]:
    """Return training and test images with values in [0, 1], and their side."""
    whites = {"digits": 16}
    white, (train, test) = whites.get(data, 255), rows(data)
    side = int(train.shape[1] ** 0.5)
    return (train / white).astype(np.float32), (test / white).astype(np.float32), side


def beside_dense(data: str, level: float, max_iter: Any = "auto") -> dict[str, Any]:
    """Compare a dense autoencoder with a convolutional one of half its size."""
    train, test, side = images(data)
    scale = (train - train.mean(axis=0)).std()
    noise = np.random.default_rng(0).normal(size=test.shape)
    noisy = (test + level * scale * noise).astype(np.float32)
    answers = {"noisy": noisy}
    sizes = {"noisy": 0}
    CONV.set_params(image_shape=(side, side))
    for name, ae in (("dense", DENSE), ("conv", CONV)):
        ae.set_params(noise_level=level, max_iter=max_iter).fit(train)
        answers[name] = ae.reconstruct(noisy)
        sizes[name] = sum(w.numel() for w in ae.network_.parameters())
    truth = test.reshape(-1, side, side)
    clipped = {
        name: np.clip(answer, 0, 1).reshape(truth.shape)
        for name, answer in answers.items()
    }
    return {
        "parameters": sizes,
        "psnr": {name: psnr(a, truth) for name, a in clipped.items()},
        "ssim": {name: ssim(a, truth) for name, a in clipped.items()},
        "pictures": np.stack([*(clipped[n][:10] for n in clipped), truth[:10]]),
    }


def patches(images: list[Images], rng: np.random.Generator) -> Images:
    """Return patches of random places of each image."""
    windows = [
        np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE))
        for image in images
    ]
    chosen = [
        w[rng.integers(len(w), size=n), rng.integers(w.shape[1], size=n)]
        for w, n in ((w, PATCHES_EACH) for w in windows)
    ]
    return np.concatenate(chosen)


def less_mean(patches: Images) -> tuple[Images, Images]:
    """Return patches less their mean, and the means."""
    means = patches.mean(axis=(1, 2), keepdims=True)
    return (patches - means).astype(np.float32), means


def denoise(ae: ConvAE, noisy: Images) -> Images:
    """Average what overlapping patches say of each pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(noisy, (SIDE, SIDE))
    height, width = windows.shape[:2]
    rows = sorted({*range(0, height, STEP), height - 1})
    columns = sorted({*range(0, width, STEP), width - 1})
    taken = windows[np.ix_(rows, columns)].reshape(-1, SIDE, SIDE)
    deviations, means = less_mean(taken)
    answers = ae.reconstruct(deviations) + means
    total, count = np.zeros_like(noisy), np.zeros_like(noisy)
    places = ((r, c) for r in rows for c in columns)
    for (r, c), answer in zip(places, answers, strict=True):
        total[r : r + SIDE, c : c + SIDE] += answer
        count[r : r + SIDE, c : c + SIDE] += 1
    return total / count


def with_noise(images: list[Images], sigma: float) -> list[Images]:
    """Add normal noise, the same each time."""
    rng = np.random.default_rng(0)
    return [image + sigma / 255 * rng.normal(size=image.shape) for image in images]


def best_filter(method: Any, strengths: Any, sigma: float, images: list[Images]) -> Any:
    """Return the strength that makes noisy training images best."""
    noisy = with_noise(images, sigma)

    def loss(strength: Any) -> float:
        return -psnr([method(image, strength) for image in noisy], images)

    return min(strengths, key=loss)


def sample_images() -> tuple[list[Images], list[Images]]:
    """Return tiles of scikit-learn's photograph of China, and one of its flower."""
    china, flower = (
        load_sample_image(name).mean(axis=2)[::4, ::4] / 255
        for name in ("china.jpg", "flower.jpg")
    )
    return [china[i : i + 50, :80] for i in (0, 50)], [flower[:50, :50]]


def photos(data: str, sigma: float, max_iter: int = PHOTO_EPOCHS) -> dict[str, Any]:
    """Compare a denoiser of patches with filters, on photographs."""
    from skimage.restoration import denoise_tv_chambolle

    if data == PHOTOGRAPHS:
        train, test = photographs("train400"), photographs("set12")
    else:
        train, test = sample_images()
    cut, _ = less_mean(patches(train, np.random.default_rng(0)))
    scale = (cut - cut.mean(axis=0)).std()
    level = float(sigma / 255 / scale)
    ae = PHOTO.set_params(noise_level=level, max_iter=max_iter).fit(cut)
    few, noisy = train[::20], with_noise(test, sigma)
    size = best_filter(median_filter, (3, 5, 7), sigma, few)
    weights = np.geomspace(0.02, 1.0, 18)
    weight = best_filter(denoise_tv_chambolle, weights, sigma, few)
    answers = {
        "noisy": noisy,
        "median filter": [median_filter(image, size) for image in noisy],
        "total variation": [denoise_tv_chambolle(image, weight) for image in noisy],
        "ConvAE": [denoise(ae, image) for image in noisy],
    }
    clipped = {m: [np.clip(a, 0, 1) for a in found] for m, found in answers.items()}
    return {
        "patches": len(cut),
        "weight": round(float(weight), 3),
        "size": size,
        "psnr": {m: psnr(found, test) for m, found in clipped.items()},
        "ssim": {m: ssim(found, test) for m, found in clipped.items()},
    }


def inpaint(
    data: str, side: int, n_components: int, max_iter: Any = "auto"
) -> dict[str, Any]:
    """Compare errors in a hidden block, at a place of its own in each test image."""
    train, test, size = images(data)
    rng = np.random.default_rng(0)
    first = rng.integers(size - side + 1, size=(2, len(test), 1))
    down, across = ((np.arange(size) - f) % size < side for f in first)
    hidden = (down[:, :, None] & across[:, None, :]).reshape(test.shape)
    mean = train.mean(axis=0)
    seen = np.where(hidden, mean, test)
    ae = ConvAE(
        n_components,
        image_shape=(size, size),
        noise="block",
        noise_level=(side / size) ** 2,
        max_iter=max_iter,
        hidden_layer_sizes=(512,),
        random_state=0,
        **TRAINING,
    ).fit(train)
    pca = PCA(n_components, random_state=0).fit(train)
    answers = {
        "mean image": np.broadcast_to(mean, test.shape),
        "PCA": pca.inverse_transform(pca.transform(seen)),
        "ConvAE": ae.reconstruct(seen),
    }
    errors = {m: np.square(a - test)[hidden].mean() for m, a in answers.items()}
    return {"errors": {m: round(float(e), 5) for m, e in errors.items()}}


TASKS = {"noise": beside_dense, "photographs": photos, "blocks": inpaint}


def noise_rows(rows: list[Row]) -> list[list[str]]:
    """Return level, and PSNR and SSIM of noisy images, dense and convolutional."""
    return [
        [
            f"{r['level']:g}",
            *(f"{r['psnr'][m]:.2f}" for m in METHODS),
            *(f"{r['ssim'][m]:.3f}" for m in METHODS),
        ]
        for r in rows
    ]


def photo_rows(rows: list[Row]) -> list[list[str]]:
    """Return sigma, method, PSNR and SSIM."""
    return [
        [str(r["sigma"]), m, f"{r['psnr'][m]:.2f}", f"{r['ssim'][m]:.3f}"]
        for r in rows
        for m in r["psnr"]
    ]


def gap_rows(rows: list[Row]) -> list[list[str]]:
    """Return data, and the mean squared error in the block of each method."""
    return [[r["data"], *(f"{e:.4f}" for e in r["errors"].values())] for r in rows]


def draw(rows: list[Row], path: pathlib.Path) -> None:
    """Draw images of each level: noisy, dense, convolutional, true."""
    plt = pyplot()

    blocks = [np.hstack(line) for r in rows for line in r["pictures"]]
    names = [
        f"{name}, {r['level']:g}" if name == "noisy" else name
        for r in rows
        for name in (*METHODS, "truth")
    ]
    figure, axes = plt.subplots(len(blocks), 1, figsize=(6, 0.6 * len(blocks)))
    for ax, block, name in zip(axes, blocks, names, strict=True):
        ax.imshow(block, cmap="gray", vmin=0, vmax=1)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set(xticks=[], yticks=[])
    figure.subplots_adjust(hspace=0.05, top=0.99, bottom=0.01, left=0.15, right=0.99)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report(rows: list[Row], folder: pathlib.Path) -> list[Table]:
    """Write the tables of each task, and the figure where its images are there."""
    of = {task: [r for r in rows if r["task"] == task] for task in TASKS}
    if of["noise"] and all("pictures" in r for r in of["noise"]):
        draw(of["noise"], folder / "conv_noise.png")
    headings = {
        "noise": ["noise", *METHODS, *(f"SSIM {m}" for m in METHODS)],
        "photographs": ["sigma", "method", "PSNR", "SSIM"],
        "blocks": ["data", "mean image", "PCA", "ConvAE"],
    }
    shown = {
        "noise": ("conv_noise.csv", "PSNR and SSIM", noise_rows),
        "photographs": ("conv_photos.csv", "Photographs", photo_rows),
        "blocks": ("conv_gaps.csv", "Error in the block", gap_rows),
    }
    return [
        write_table(folder / name, title, headings[task], table_rows(of[task]))
        for task, (name, title, table_rows) in shown.items()
        if of[task]
    ]


SUITE = Suite("convolutions against noise, filters and gaps", cases, run, report)
