"""Run suites, which print their tables and write records and figures.

Name one suite or more, or "all". Without a name, "digits" runs, or with --quick all of
them. A run that was stopped goes on where it stopped: finished cases are in the record,
NAME.jsonl. If the code has changed since a case was finished, it runs again.

"report" writes the tables and figures of the records anew. "check" finds out whether
today's code gives the figures of a record. It runs some cases of each kind again.
"""

import argparse
import pathlib
import sys

from rich.console import Console

from .embedding import suite as embedding
from .rivals import suite as rivals
from .shared.checking import check, report_states
from .shared.code import code_hash
from .shared.data_sets import MissingData
from .shared.report import report
from .shared.running import run_suite
from .shared.suite import Options, Suite
from .speed import suite as speed
from .suites import (
    alpha,
    contractive,
    conv,
    conv_denoising,
    conv_signals,
    denoising,
    detector,
    digits,
    dimension,
    endurance,
    few_labels,
    floor,
    hinton,
    imputer,
    k_sparse,
    labels,
    loop,
    masked,
    mixed,
    ordered,
    outliers,
    overcomplete,
    parallel,
    pretraining,
    reconstruction,
    recurrent,
    search,
    stacked,
    steps,
    stored,
    variational,
)

SUITES: dict[str, Suite] = {
    "digits": digits.SUITE,
    "alpha": alpha.SUITE,
    "contractive": contractive.SUITE,
    "conv": conv.SUITE,
    "conv_denoising": conv_denoising.SUITE,
    "conv_signals": conv_signals.SUITE,
    "denoising": denoising.SUITE,
    "detector": detector.SUITE,
    "dimension": dimension.SUITE,
    "embedding": embedding.SUITE,
    "few_labels": few_labels.SUITE,
    "endurance": endurance.SUITE,
    "floor": floor.SUITE,
    "hinton": hinton.SUITE,
    "imputer": imputer.SUITE,
    "k_sparse": k_sparse.SUITE,
    "labels": labels.SUITE,
    "loop": loop.SUITE,
    "masked": masked.SUITE,
    "mixed": mixed.SUITE,
    "ordered": ordered.SUITE,
    "outliers": outliers.SUITE,
    "overcomplete": overcomplete.SUITE,
    "parallel": parallel.SUITE,
    "pretraining": pretraining.SUITE,
    "reconstruction": reconstruction.SUITE,
    "recurrent": recurrent.SUITE,
    "rivals": rivals.SUITE,
    "search": search.SUITE,
    "speed": speed.SUITE,
    "stacked": stacked.SUITE,
    "steps": steps.SUITE,
    "stored": stored.SUITE,
    "variational": variational.SUITE,
}
RECORDS = pathlib.Path(__file__).parents[1] / "docs" / "records"


def positive(text: str) -> int:
    """Read a number of one or more."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line, and tells its options and the suites."""
    summaries = [f"{name:15} {suite.summary}" for name, suite in SUITES.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(summaries),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "report or check, and suites"
    parser.add_argument("names", nargs="*", metavar="NAME", help=what)
    parser.add_argument("--data", nargs="+", default=[], help="only these data sets")
    many = "so many seeds, of suites that repeat their cases"
    parser.add_argument("--seeds", type=positive, metavar="N", help=many)
    small = "small cases, that need no SKAE_DATA"
    parser.add_argument("--quick", action="store_true", help=small)
    long = "check: run cases of each kind again that take so long (default: 60)"
    parser.add_argument("--seconds", type=positive, default=60, help=long)
    folder = (
        "folder of records, tables and figures (default: results; of report and check: "
        "docs/records). With --quick it is the folder quick in it"
    )
    parser.add_argument("--output", type=pathlib.Path, help=folder)
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser()
    found = parser.parse_args(arguments)
    is_command = bool(found.names) and found.names[0] in ("report", "check")
    found.command = found.names[0] if is_command else ""
    names = found.names[is_command:]
    everything = names == ["all"] or (not names and (found.command or found.quick))
    names = list(SUITES) if everything else names or ["digits"]
    if unknown := [name for name in names if name not in SUITES]:
        parser.error(f"no suite is named {unknown[0]!r}: {', '.join(SUITES)}")
    found.names = names
    return found


def main() -> None:
    """Run, check or report on the suites that the command line names."""
    found, console = parse(), Console()
    folder = found.output or (RECORDS if found.command else pathlib.Path("results"))
    if found.quick:
        folder /= "quick"
    for name in found.names:
        # Files may change while suites run: their hash is that of the code in memory.
        code_hash(SUITES[name].run.__module__)
    lacking = []
    for name in found.names:
        try:
            act(found, name, folder, console)
        except MissingData as missing:
            lacking.append(missing.args[0])
    if found.command:
        console.print(report_states(SUITES, folder))
    if lacking:
        raise MissingData("\n".join(lacking))


def act(
    found: argparse.Namespace, name: str, folder: pathlib.Path, console: Console
) -> None:
    """Do what the command line asks for with one suite."""
    suite = SUITES[name]
    if found.command == "report":
        report(name, suite, folder, console)
    elif found.command == "check":
        check(name, suite, folder, found.seconds, console)
    else:
        options = Options(found.quick, found.seeds)
        run_suite(name, suite, options, found.data, folder, console)


if __name__ == "__main__":
    try:
        main()
    except MissingData as missing:
        sys.exit(missing.args[0])
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command goes on from here.")
