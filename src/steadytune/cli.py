"""The command line. Each command imports what it needs when it runs, so that `--help` and `plan` answer at once."""

import argparse
import logging
import sys
from collections.abc import Sequence

from steadytune import __version__
from steadytune.errors import SteadyTuneError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 2 for bad input, said in one line."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return options.run(options) or 0
    except SteadyTuneError as error:
        sys.stderr.write(f"steadytune: {error}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    from steadytune.runner import run

    return run(_suite(options), options.cores, options.snakemake)


def _plan(options: argparse.Namespace) -> None:
    from steadytune.plan import describe

    sys.stdout.write(describe(_suite(options)) + "\n")


def _stage(options: argparse.Namespace) -> None:
    from steadytune.layout import LOCK
    from steadytune.store.lock import load_lock
    from steadytune.store.staging import stage

    suite, lock = _suite(options), load_lock(LOCK)
    if options.key:
        stage(options.kind, options.key, lock, suite.sources, suite.file.store)
        return
    for key in suite.datasets():
        stage("datasets", key, lock, suite.sources, suite.file.store)
    for key in suite.models():
        # An encoder that the project trains itself is the pretrain stage's.
        if lock.pretraining(key) is None:
            stage("models", key, lock, suite.sources, suite.file.store)


def _pretrain(options: argparse.Namespace) -> None:
    from steadytune.encoders.pretrain import pretrain
    from steadytune.layout import LOCK, model_folder
    from steadytune.store.lock import load_lock

    suite, config = _suite(options), load_lock(LOCK).pretraining(options.key)
    if config is None:
        raise SteadyTuneError(
            f"{options.key}: the lock has no `pretrained` entry for it; `steadytune stage` fetches it"
        )
    pretrain(config, suite.file.store, model_folder(suite.file.store, options.key))


def _variability(options: argparse.Namespace) -> None:
    from steadytune.analysis.layers import write_variability

    write_variability(_suite(options), options.encoder, options.task)


def _finetune(options: argparse.Namespace) -> None:
    from steadytune.cell import Cell
    from steadytune.training.run import run_cell

    run_cell(_suite(options), Cell.parse(options.cell))


def _collect(options: argparse.Namespace) -> None:
    from steadytune.analysis.collect import collect

    collect(_suite(options))


def _render(options: argparse.Namespace) -> None:
    from steadytune.rendering.stage import render

    render(_suite(options), options.what)


def _lock(_: argparse.Namespace) -> None:
    from steadytune.layout import LOCK
    from steadytune.store.pinning import pin_generated

    changed = pin_generated(LOCK)
    sys.stdout.write(f"{LOCK}: {', '.join(changed) or 'nothing'} changed\n")


def _methods(_: argparse.Namespace) -> None:
    from steadytune.plan import describe_methods

    sys.stdout.write(describe_methods() + "\n")


def _suite(options: argparse.Namespace):
    from steadytune.suite import find_suite, load_suite

    return load_suite(find_suite(options.suite))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="steadytune", description=(sys.modules["steadytune"].__doc__ or ""))
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function, summary: str, *, suite: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=function)
        if suite:
            added.add_argument("suite", metavar="SUITE", help="a file under config/ or its name")
        return added

    run = command("run", _run, "run a suite through Snakemake with a progress line")
    run.add_argument("--cores", default="all", help="cores to use (default: all)")
    run.add_argument("snakemake", nargs="*", metavar="-- ARGUMENT", help="further arguments for snakemake, after --")
    command("plan", _plan, "print a suite's cells and what they need")
    command("methods", _methods, "list the methods, their sources and hyper-parameters", suite=False)
    stage = command("stage", _stage, "fetch and verify a suite's data sets and encoders")
    stage.add_argument("kind", nargs="?", choices=("datasets", "models"), help="only one entry of the lock: its kind")
    stage.add_argument("key", nargs="?", help="... and its key")

    command("lock", _lock, "write the hashes of generated data into the lock", suite=False)

    # What the DAG's jobs call; each is also usable by hand.
    command("pretrain", _pretrain, "pretrain an encoder that the project makes itself").add_argument("key")
    finetune = command("finetune", _finetune, "fine-tune and evaluate one cell")
    finetune.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    variability = command("variability", _variability, "measure the layers of an encoder on a task")
    variability.add_argument("encoder")
    variability.add_argument("task")
    command("collect", _collect, "gather a suite's records into metrics.parquet")
    render = command("render", _render, "write tables, figures or the report from metrics.parquet")
    render.add_argument("what", choices=("tables", "figures", "report"))
    return parser
