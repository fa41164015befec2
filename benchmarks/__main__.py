"""Run a suite: print its table, and write its record and figure."""

import argparse
import pathlib

from . import digits, epoch, floor, ordered, search

SUITES = {
    "digits": digits.main,
    "epoch": epoch.main,
    "floor": floor.main,
    "ordered": ordered.main,
    "search": search.main,
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
        "epoch: a training epoch beside a loop written by hand; "
        "floor: test errors over PCA's on many data sets; "
        "ordered: prefixes of one code beside PCA and separate fits; "
        "search: candidates for the defaults, on training rows",
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
