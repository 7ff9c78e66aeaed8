"""Attack a finished suite: edit, swap, copy, cut, flip, rename, move and age each kind of file, and see what notices.

`python tests/dag/attack.py` makes a small suite, runs it, attacks it and prints a table. The exit status is 1 if an
attack went unnoticed, a harmless one was reported, or a run would not repair the damage. `--finished FOLDER` attacks a
project whose suite has run, and then restores its files.
"""

import argparse
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from attacks import ATTACKS, Attack
from dag_project import copy_project
from drills import Drill

from steadytune.cells.agreement import compare
from steadytune.cells.freshness import statuses
from steadytune.cells.material import verified_inputs
from steadytune.cells.record import damaged_file, read_record
from steadytune.dag import repair
from steadytune.dag.checks import check_outputs
from steadytune.dag.product_list import SOURCES
from steadytune.dag.products import Products
from steadytune.dag.status import describe
from steadytune.errors import SteadyTuneError
from steadytune.layout import cell_folder
from steadytune.store import sources
from steadytune.store.own_changes import check_unchanged
from steadytune.suite.loading import load_suite
from steadytune.suite.suite import Suite

GRID = [
    {"encoders": ["mini"], "methods": ["vanilla", "hype-n", "noisy-words"], "tasks": ["mini-rte@100"], "seeds": 2},
    {"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["reviews"], "seeds": 2},
]
REVIEWS = {"train": "reviews.csv", "evaluation": "reviews-dev.csv", "text": "text", "labels": ["bad", "good"]}
SUITE = {
    "grid": GRID,
    "tasks": {"reviews": REVIEWS},
    "methods_from": ["noisy_words.py"],
    "transfer": {"mini-rte@100": ["mini-mrpc"]},
    "claims": ["mini-hype-n-average", "mini-hype-u-average"],
    "tables": ["main", "claims", "calibration"],
    "figures": ["seed-spread", "layer-drift"],
    "variability": {"encoders": ["mini"], "resamples": 20, "draws": 0, "selectors": False},
    "inside": {"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["mini-rte@100"], "seeds": 2, "examples": 32},
}
"""Changes to the mini suite that give a file of every kind in as few cells as possible."""
BEGIN, END = "<!-- attacks: `make attack` writes this table -->", "<!-- end of attacks -->"
COLUMNS = ("status", "run", "verify", "stages")
KEPT = ("config", "results", "store")
"""The folders that an attack may change."""


@dataclass(frozen=True)
class Outcome:
    """Which checks noticed an attack, and whether a run repairs the damage."""

    attack: Attack
    found: tuple[str, ...]
    left: str
    """The damage that a run would not repair."""

    @property
    def passed(self) -> bool:
        """Whether a run repairs the damage and the attack was noticed or, if it is harmless, was not."""
        return not self.left and bool(self.found) != self.attack.harmless


def make_target(root: Path, folder: Path) -> Path:
    """Copy the project to `folder` and run a small suite there."""
    copy_project(root, folder)
    shutil.copy(root / "tests/unit/outside/noisy_words.py", folder / "config")
    for name in (REVIEWS["train"], REVIEWS["evaluation"]):
        rows = "".join(f"{name} {i},{('bad', 'good')[i % 3 // 2]}\n" for i in range(60))
        (folder / "config" / name).write_text(f"text,label\n{rows}", encoding="utf-8")
    drill = Drill(folder)

    def shrink(suite: dict[str, Any]) -> None:
        suite.update(SUITE)
        suite["protocol"]["epochs"] = 1
        del suite["encoders"]["mini-random"]

    drill.edit("config/mini.yaml", shrink)
    drill.finish()
    return folder


def attack(project: Path, finished: Path, attack: Attack) -> Outcome:
    """Restore the finished files, attack them, and report what noticed.

    Args:
        project: where the attack takes place.
        finished: has the folders `KEPT`, as the run left them.
        attack: what to do.
    """
    restore(project, finished)
    if attack.hides:
        describe(load_suite(Path("config/mini.yaml")))
    attack.do()
    try:
        suite = load_suite(Path("config/mini.yaml"))
        check_outputs(suite)
    except SteadyTuneError as error:
        # Only a person can repair what a person wrote: every command names the file and what it expected.
        return Outcome(attack, COLUMNS, "" if str(error).startswith("config/") else str(error))
    found = []
    for name, check in zip(COLUMNS, (_status, _run, _verify, _stages), strict=True):
        try:
            noticed = check(suite, finished)
        except SteadyTuneError:
            noticed = True
        if noticed:
            found.append(name)
    return Outcome(attack, tuple(found), _after_run(suite))


def restore(project: Path, finished: Path) -> None:
    """Restore the files of the finished suite."""
    for name in KEPT:
        shutil.rmtree(project / name, ignore_errors=True)
        shutil.copytree(finished / name, project / name, symlinks=True)


def _status(suite: Suite, _: Path) -> bool:
    return describe(suite) != f"{len(suite.cells)} fresh"


def _run(suite: Suite, _: Path) -> bool:
    """Whether `steadytune run --dry-run` warns about a file."""
    check_unchanged(suite)
    with _warnings() as said:
        repair.restage(suite, dry=True)
        repair.set_aside(suite, dry=True)
    return bool(said)


def _verify(suite: Suite, finished: Path) -> bool:
    """Whether `steadytune verify` reports a cell; the finished suite's files stand in for retrained ones."""
    for cell in suite.cells:
        folder, again = cell_folder(suite, cell), finished / cell_folder(suite, cell)
        if not again.exists():
            continue
        verified_inputs(suite, suite.spec(cell))
        if damaged_file(read_record(folder / "record.json"), folder) or compare(folder, again, []).level != "identical":
            return True
    return False


def _stages(suite: Suite, _: Path) -> bool:
    """Whether collecting, judging, rendering or exporting would refuse or flag a file."""
    if any(status.state != "fresh" for status in statuses(suite, scores=True)):
        return True
    products = Products(suite)
    for stages in SOURCES.values():
        products.check(stages)
    return bool(products.finished())


def _after_run(suite: Suite) -> str:
    """What is still wrong after a run has set aside the files it rejects; empty if it rebuilds all of them."""
    try:
        check_unchanged(suite)
        for receipt in repair.restage(suite):
            # Snakemake trains the encoder again.
            receipt.unlink(missing_ok=True)
        repair.set_aside(suite, code=True)
        left = [f"{status.cell}: {status.why}" for status in statuses(suite, scores=True)
                if status.state not in ("fresh", "missing", "quarantined") and status.cause != "unstaged"]  # fmt: skip
        # Products made from a missing file are rebuilt after it.
        left += [status.why for status in Products(suite).status() if status.state == "damaged"]
        return "; ".join(left)
    except SteadyTuneError as error:
        return "" if str(error).startswith("config/") or "not what the lock says" in str(error) else str(error)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler = Kept(logging.WARNING)
    logging.getLogger("steadytune").addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger("steadytune").removeHandler(handler)


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a Markdown table."""
    lines = ["| file | attack | status | run | verify | stages | nothing |", "|---|---|:-:|:-:|:-:|:-:|:-:|"]
    for outcome in outcomes:
        marks = ["x" if name in outcome.found else "" for name in COLUMNS]
        nothing = "" if outcome.found else "no effect" if outcome.attack.harmless else "**x**"
        lines.append(f"| {outcome.attack.kind} | {outcome.attack.name} | {' | '.join(marks)} | {nothing} |")
    return "\n".join(lines)


def summary(outcomes: list[Outcome]) -> str:
    """The outcomes as a Markdown table: for each kind of file, how many of its attacks each command noticed."""
    lines = [
        "| file | attacks | status | run | verify | stages | nothing |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    harmless = [f"{outcome.attack.kind}: {outcome.attack.name}" for outcome in outcomes if outcome.attack.harmless]
    harmful = [outcome for outcome in outcomes if not outcome.attack.harmless]
    for kind in dict.fromkeys(outcome.attack.kind for outcome in harmful):
        rows = [outcome for outcome in harmful if outcome.attack.kind == kind]
        names = "; ".join(outcome.attack.name for outcome in rows)
        counts = [sum(name in outcome.found for outcome in rows) for name in COLUMNS]
        unnoticed = sum(not outcome.found for outcome in rows)
        lines.append(f"| {kind} | {names} | {' | '.join(map(str, counts))} | {unnoticed} |")
    counts = [sum(name in outcome.found for outcome in harmful) for name in COLUMNS]
    unnoticed = sum(not outcome.found for outcome in harmful)
    lines.append(f"| **all** | **{len(harmful)}** | {' | '.join(map(str, counts))} | {unnoticed} |")
    return "\n".join([*lines, "", f"Without effect, and so unnoticed: {'; '.join(harmless)}."])


def main() -> None:
    """Run the attacks that the command line selects."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    said = "a project whose suite mini has run, better a copy: it is attacked in place, and restored"
    parser.add_argument("--finished", type=Path, metavar="FOLDER", help=said)
    parser.add_argument("--only", default="", metavar="TEXT", help="attacks with this in their file or name")
    parser.add_argument("--page", type=Path, help="a Markdown page whose table of attacks is written again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = options.finished or make_target(Path(__file__).resolve().parents[2], Path(place))
        outcomes = attack_all(folder, options.only)
    sys.stdout.write(table(outcomes) + "\n")
    for outcome in outcomes:
        if not outcome.passed:
            sys.stdout.write(f"{outcome.attack.kind}: {outcome.attack.name}: {outcome.found}, left: {outcome.left}\n")
    found = sum(bool(outcome.found) for outcome in outcomes)
    sys.stdout.write(f"{len(outcomes)} attacks, {found} noticed\n")
    if options.page:
        before, _, rest = options.page.read_text(encoding="utf-8").partition(BEGIN)
        options.page.write_text(
            f"{before}{BEGIN}\n\n{summary(outcomes)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )
    sys.exit(any(not outcome.passed for outcome in outcomes))


def attack_all(project: Path, only: str = "") -> list[Outcome]:
    """Run every attack on a finished project, and restore its files at the end."""
    before = Path.cwd()
    # Many attacks cause the data to be staged again, and the generator gives the same data each time.
    sources.generate_files = cache(sources.generate_files)
    with tempfile.TemporaryDirectory() as place:
        finished = Path(place)
        for name in KEPT:
            shutil.copytree(project / name, finished / name, symlinks=True)
        os.chdir(project)
        try:
            return [attack(project, finished, one) for one in ATTACKS if only in f"{one.kind}: {one.name}"]
        finally:
            restore(project, finished)
            os.chdir(before)


if __name__ == "__main__":
    main()
