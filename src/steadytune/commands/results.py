"""Commands on results: verdicts, comparisons, models, exports, the evidence page."""

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.commands.arguments import Commands, amount, count
from steadytune.commands.loading import load, load_checked
from steadytune.errors import SteadyTuneError
from steadytune.exports.registry import MODULES as EXPORTS

if TYPE_CHECKING:
    from steadytune.looks import Looks
    from steadytune.results.model import Results
    from steadytune.suite.suite import Suite


def claims(options: argparse.Namespace) -> None:
    """Print the verdict on every claim that a suite names, and record the look."""
    from steadytune.cells.freshness import NOW
    from steadytune.claims.comparisons import judge_all
    from steadytune.claims.judged import write_verdicts
    from steadytune.claims.verdicts import missing_of
    from steadytune.dag.products import Products, making
    from steadytune.layout import results_folder
    from steadytune.looks import keep_looks
    from steadytune.rendering.claims import to_text
    from steadytune.results.loading import load_or_empty
    from steadytune.results.selection import select

    suite = load_checked(options)
    if options.missing:
        sys.stdout.write("".join(f"{path}\n" for path in missing_of(suite, options.missing)))
        return
    products = Products(suite)
    products.check(("variability",))
    looks = _earlier_looks(suite)
    with making(suite, "claims", products=products) if options.write else nullcontext():
        results = load_or_empty(suite, products.found if products.judged == NOW else None)
        verdicts = judge_all(suite, results, looks)
        if _can_write(results_folder(suite)):
            keep_looks(suite, verdicts.looks())
        if options.write:
            write_verdicts(results_folder(suite), verdicts)
    warn_if_nothing_learned(select(results))
    sys.stdout.write(to_text(suite.name, verdicts.claims) + "\n")


def _earlier_looks(suite: "Suite") -> "Looks":
    """The earlier looks at a suite's questions; none, with a warning, if their file is damaged."""
    from steadytune.looks import NONE, read_looks

    try:
        return read_looks(suite)
    except SteadyTuneError as error:
        sys.stderr.write(f"steadytune: earlier looks are ignored: {error}\n")
        return NONE


def _can_write(folder: Path) -> bool:
    """Whether the results folder exists and is writable, to record a look in; other people's may be read-only."""
    if not folder.is_dir():
        return False
    if not os.access(folder, os.W_OK):
        sys.stderr.write(f"steadytune: {folder}: not writable: this look is not kept\n")
        return False
    return True


def compare(options: argparse.Namespace) -> None:
    """Compare two methods of a suite: on average over their tasks, and task by task."""
    from steadytune.claims.comparisons import against_baseline, as_reported, compare, forms, pair
    from steadytune.claims.examples import Examples
    from steadytune.claims.judged import Verdicts
    from steadytune.layout import results_folder
    from steadytune.looks import keep_looks, name_of_pair
    from steadytune.rendering.comparisons import compared_text
    from steadytune.results.loading import load_or_empty
    from steadytune.results.selection import select, selection_notes

    suite = load_checked(options)
    methods = as_reported(suite, options.first, options.second)
    questions = pair(suite, *methods, options.effect)
    results = load_or_empty(suite)
    looks, examples = _earlier_looks(suite), Examples(suite, results.folder)
    # One question at a time: p-values for one encoder are not corrected for the other encoders.
    found = tuple(one for asked in questions for one in compare(suite, results, (asked,), looks, examples))
    # A look at a pair that the report compares counts as a look at the report.
    reported = {name_of_pair(pair.id, pair.family) for pair in (*against_baseline(suite), *forms(suite))}
    seen = Verdicts(suite.name, comparisons=found).looks()
    if _can_write(results_folder(suite)):
        keep_looks(suite, {name: seen[name] for name in seen.keys() & reported})
    sides = {side for asked in questions for pair in asked.encoder_pairs for side in asked.sides(*pair)}
    compared = select(results, every=True).only(lambda key: key[:2] in sides)
    warn_if_nothing_learned(compared)
    sys.stdout.write(compared_text(suite, methods, found, selection_notes(compared)) + "\n")


def simulate(options: argparse.Namespace) -> None:
    """Measure how often each verdict is right and wrong for a suite's numbers of tasks and seeds."""
    from steadytune.planning.simulation import describe
    from steadytune.planning.studies import Design

    suite = load(options)
    design = Design.of_suite(suite, options.seeds, options.sd, options.effect)
    sys.stdout.write(describe(suite, design, options.replicates) + "\n")


def model(options: argparse.Namespace) -> None:
    """Write a fine-tuned model to a folder that transformers opens."""
    from steadytune.exports.model import write_model

    write_model(load(options), options.cell, options.to, adapter=options.adapter)


def export(options: argparse.Namespace) -> None:
    """Write a finished suite's cells, means over seeds and verdicts in a format that other tools read."""
    from steadytune.dag.products import Products
    from steadytune.exports.registry import check, export

    suite = load_checked(options)
    check(options.form, options.to)
    # A crate holds everything; the other formats contain only records and verdicts.
    stages = None if options.form == "ro-crate" else ("claims",)
    marked = Products(suite, deep=True).finished(stages, stale=options.stale)
    export(suite, options.form, options.to, marked)


def site(options: argparse.Namespace) -> None:
    """Write the evidence page: recorded suites' claims, methods and cells as one static folder."""
    from steadytune.exports.site import write_site
    from steadytune.layout import RECORDED

    sys.stdout.write(f"{write_site(options.recorded or [RECORDED], options.to)}\n")


def warn_if_nothing_learned(results: "Results") -> None:
    """Print a warning if the models learned nothing: the numbers that follow are then meaningless."""
    from steadytune.rendering.learning import nothing_learned

    if sentence := nothing_learned(results):
        sys.stdout.write(f"{sentence}\n\n")


def add_to(commands: Commands) -> None:
    """Add the commands on results to the command line."""
    command = commands.add("claims", claims)
    command.add_argument(
        "--missing", metavar="CLAIM", help="print the files that one claim still needs, and no verdict"
    )
    command.add_argument("--write", action="store_true", help="write claims.json too")
    command = commands.add("compare", compare)
    command.add_argument(
        "first", metavar="A", help="a method or variant, as the suite's grid names it, or ENCODER/METHOD"
    )
    command.add_argument("second", metavar="B", help="the one it is compared with")
    command.add_argument(
        "--effect",
        type=amount,
        default=1.0,
        metavar="POINTS",
        help="the difference that matters, for the number of seeds needed (default: 1)",
    )
    command = commands.add("model", model, device=True)
    command.add_argument(
        "cell",
        nargs="?",
        metavar="CELL",
        help="ENCODER/METHOD/TASK/seed-N; without seed-N, the best seed; without CELL (one task only), the best cell",
    )
    command.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    command.add_argument(
        "--adapter", action="store_true", help="for LoRA: write only its matrices and the head, for peft"
    )
    command = commands.add("simulate", simulate)
    command.add_argument("--seeds", type=count, metavar="N", help="number of seeds, instead of the suite's")
    command.add_argument(
        "--sd",
        type=amount,
        default=2.0,
        metavar="POINTS",
        help="standard deviation of the difference between two methods on a task and seed (default: 2)",
    )
    command.add_argument(
        "--effect",
        type=amount,
        metavar="POINTS",
        help="the claimed difference (default: the one that these seeds show with 80 %% power)",
    )
    command.add_argument(
        "--replicates",
        type=count,
        default=2000,
        metavar="N",
        help="simulated studies for each true effect (default: 2000)",
    )
    command = commands.add("export", export)
    command.add_argument("--as", dest="form", choices=EXPORTS, required=True, metavar="FORMAT", help=", ".join(EXPORTS))
    command.add_argument(
        "--to", type=Path, required=True, metavar="PATH", help="a new folder; for ro-crate, a folder or a .zip"
    )
    command.add_argument("--stale", action="store_true", help="also export results of other code, marked as such")
    command = commands.add("site", site, suite=False)
    command.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where index.html is written")
    command.add_argument(
        "--recorded",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="a recorded suite, or a folder of them; may be given several times (default: published/recorded)",
    )
