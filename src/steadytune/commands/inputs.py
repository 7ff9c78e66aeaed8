"""Commands on the inputs of cells: staged and pinned data and encoders, pretraining, the lock, fixed subsets."""

import argparse
import logging
import sys
from pathlib import Path

from steadytune.commands.arguments import Commands, amount
from steadytune.commands.loading import load_pinned
from steadytune.errors import SteadyTuneError

log = logging.getLogger(__name__)


def stage(options: argparse.Namespace) -> int:
    """Fetch and verify a suite's data sets and encoders."""
    from steadytune.encoders.architectures import check_supported
    from steadytune.layout import staged_folder
    from steadytune.pretraining.settings import pretrained_otherwise
    from steadytune.store.bundle import pack, unpack
    from steadytune.store.checking import check_staged, describe_cuts
    from steadytune.store.imports import Imports
    from steadytune.store.inventory import Item, inspect, inventory
    from steadytune.store.lock import suite_lock
    from steadytune.store.staging import stage

    suite = load_pinned(options)
    lock = suite_lock(suite)
    if options.key:
        trained = options.kind == "models" and lock.pretraining(options.key) is not None
        items = [Item(options.kind, options.key, trained)]
    else:
        items = [item for item in inventory(suite, lock) if not options.kind or item.kind == options.kind]
    if (options.source or options.check) and (options.glue or options.encoders):
        raise SteadyTuneError("--check and --from cannot be combined with --glue or --encoders: stage with those first")
    if options.source:
        unpack(options.source, suite, lock, pretrained_otherwise)
    if options.source or options.check:
        findings = []
        for finding in inspect(items, suite, lock):
            sys.stdout.write(f"{finding}\n")
            findings.append(finding)
        return 0 if all(finding.good for finding in findings) else 2
    imports = Imports(options.glue, options.encoders)
    for item in items:
        # Encoders that the project pretrains are left to the pretrain stage; `stage` refuses one named by its key.
        if options.key or not item.pretrained:
            stage(item.kind, item.key, lock, suite.sources, suite.file.store, imports)
            check_staged(suite, item)
            check_supported(staged_folder(suite.file.store, item.kind, item.key))
    for line in () if options.key else describe_cuts(suite):
        log.info("%s", line)
    if options.bundle:
        pack(items, suite.file.store, options.bundle)
    return 0


def pin(options: argparse.Namespace) -> None:
    """Accept the current contents of a task or encoder that a suite brings itself."""
    from steadytune.store.pinning_own import accept
    from steadytune.suite.loading import find_suite

    accept(find_suite(options.suite), options.accept)


def pretrain(options: argparse.Namespace) -> None:
    """Pretrain an encoder from a file of config/encoders/."""
    from steadytune.locks import hold
    from steadytune.pretraining.train import pretrain
    from steadytune.store.staging import alone

    output, models = options.output, options.store / "models"
    if output.is_relative_to(models):
        turn = alone(options.store, f"models/{output.relative_to(models)}")
    else:
        lock = output.with_name(f".{output.name}.lock")
        turn = hold(lock, message=f"{output}: waiting for another process that pretrains it")
    with turn:
        pretrain(options.config, options.store, output, options.minutes)


def pretraining_curve(options: argparse.Namespace) -> None:
    """Draw the loss curve of a pretraining."""
    from steadytune.rendering.pretraining_curve import draw_curve

    sys.stdout.write("".join(f"{path}\n" for path in draw_curve(options.curve, options.stem)))


def lock(_: argparse.Namespace) -> None:
    """Write the hashes of generated data into the lock."""
    from steadytune.layout import LOCK
    from steadytune.store.pinning import pin_generated

    changed = pin_generated(LOCK)
    sys.stdout.write(f"{LOCK}: {', '.join(changed) or 'nothing'} changed\n")


def subsets(options: argparse.Namespace) -> None:
    """Write the index lists of the fixed training subsets."""
    from steadytune.tasks.publish import publish

    if not options.store.is_dir():
        raise SteadyTuneError(
            f"--store: '{options.store}': expected a folder with data sets, as `steadytune stage` makes"
        )
    written = publish(options.store)
    none = f"{options.store}: no list written: none of its data sets has a published subset\n"
    sys.stdout.write("".join(f"{path}\n" for path in written) or none)


def add_to(commands: Commands) -> None:
    """Add the commands on the inputs of cells to the command line."""
    command = commands.add("stage", stage, network=True)
    command.add_argument("kind", nargs="?", choices=("datasets", "models"), help="only these")
    command.add_argument("key", nargs="?", help="only this one: its key in the lock")
    command.add_argument("--glue", type=Path, metavar="FOLDER", help="import GLUE's tasks from its classic folder")
    command.add_argument("--encoders", type=Path, metavar="FOLDER", help="import encoders from FOLDER/<owner>/<name>/")
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="only check what is staged (exit 2: something is wrong)")
    instead.add_argument("--bundle", type=Path, metavar="FILE", help="then write everything to one tar file")
    instead.add_argument("--from", dest="source", type=Path, metavar="FILE", help="unpack such a file, then check")
    command = commands.add("pin", pin, network=True)
    command.add_argument(
        "--accept", required=True, metavar="NAME", help="a task or encoder that the suite brings itself"
    )
    commands.add("lock", lock, suite=False)
    command = commands.add("subsets", subsets, suite=False)
    command.add_argument("--store", type=Path, default=Path("store"), help="where the data sets are staged")
    command = commands.add("pretrain", pretrain, suite=False, device=True)
    command.add_argument("config", type=Path, help="a file of config/encoders/")
    command.add_argument("output", type=Path, help="the encoder's folder; an interrupted run resumes")
    command.add_argument("--store", type=Path, default=Path("store"), help="where a generated corpus is staged")
    command.add_argument("--minutes", type=amount, help="end by the clock if the tokens would take longer")
    command = commands.add("pretraining-curve", pretraining_curve, suite=False)
    command.add_argument("curve", type=Path, metavar="CSV", help="the curve.csv in an encoder's folder")
    command.add_argument("stem", type=Path, help="where the figure goes, without .pdf, .svg and .png")
