"""Run a suite: print its table, and write its record and figure."""

import argparse
import pathlib

from . import (
    alpha,
    conv,
    conv_denoising,
    conv_signals,
    denoising,
    digits,
    epoch,
    floor,
    k_sparse,
    ordered,
    overcomplete,
    search,
    steps,
)

SUITES = {
    "digits": digits.main,
    "alpha": alpha.main,
    "conv": conv.main,
    "conv_denoising": conv_denoising.main,
    "conv_signals": conv_signals.main,
    "denoising": denoising.main,
    "epoch": epoch.main,
    "floor": floor.main,
    "k_sparse": k_sparse.main,
    "ordered": ordered.main,
    "overcomplete": overcomplete.main,
    "search": search.main,
    "steps": steps.main,
}


def main() -> None:
    """Parse the command line and run the suite it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suite",
        nargs="?",
        choices=SUITES,
        default="digits",
        help="digits: PCA and UndercompleteAE on scikit-learn's digits (the default); "
        "alpha: what a penalty reaches over its weight; "
        "conv: convolutions on MNIST and Fashion-MNIST; "
        "conv_denoising: convolutions against noise, filters and gaps; "
        "conv_signals: convolutions of heartbeats and of volumes; "
        "denoising: noise and missing values, beside PCA, filters and imputers; "
        "epoch: a training epoch beside a loop written by hand; "
        "floor: test errors over PCA's on many data sets; "
        "k_sparse: frozen features of MNIST and a linear classifier; "
        "ordered: prefixes of one code beside PCA and separate fits; "
        "overcomplete: codes wider than the input, for a linear classifier; "
        "search: candidates for the defaults, on training rows; "
        "steps: the cost of a training step of each kind",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path("results"),
        help="folder for the record and the figure (default: results)",
    )
    arguments = parser.parse_args()
    SUITES[arguments.suite](arguments.output)


if __name__ == "__main__":
    main()
