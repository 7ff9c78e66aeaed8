"""The command line. Each command imports what it needs when it runs, so that `--help` and `plan` answer at once."""

import argparse
import errno
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from steadytune import __version__
from steadytune.errors import SteadyTuneError
from steadytune.leases import leased_gpu
from steadytune.offline import go_offline

# A disk that is full, over its quota or read-only: no fault of the program, whose traceback would say nothing more.
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 2 for bad input, said in one line."""
    own, passed = _split(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(own)
    options.passed = passed
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for library in ("httpx", "httpx2"):
        # At INFO every address that is asked for would be shown, signed ones too.
        logging.getLogger(library).setLevel(logging.WARNING)
    if options.offline:
        go_offline()
    try:
        with leased_gpu() if options.device else nullcontext():
            return options.run(options) or 0
    except SteadyTuneError as error:
        sys.stderr.write(f"steadytune: {error}\n")
        return 2
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"steadytune: {where}{error.strerror or error}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    from steadytune.runner import run

    return run(_suite(options), options.cores, options.passed)


def _plan(options: argparse.Namespace) -> None:
    from steadytune.planning.plan import Plan, describe

    suite = _suite(options)
    if options.probe:
        from steadytune.planning.probe import probe

        probe(suite)
    plan = Plan.make(suite, options.device_stated, options.cells_at_once)
    sys.stdout.write(describe(plan, options.budget) + "\n")


def _status(options: argparse.Namespace) -> None:
    from steadytune.status import describe

    sys.stdout.write(describe(_suite(options)) + "\n")


def _verify(options: argparse.Namespace) -> int:
    from steadytune.analysis.verify import recorded_cells, sample_cells, verify_cell
    from steadytune.cell import Cell

    suite = _suite(options)
    recorded = recorded_cells(suite, options.recorded, published=options.published)
    cells = [Cell.parse(text) for text in options.cells]
    cells += sample_cells(suite, recorded, options.sample, options.seed) if options.sample else []
    if not cells:
        raise SteadyTuneError("verify: name a cell as ENCODER/METHOD/TASK/seed-N, or draw some with --sample N")
    verdicts = [verify_cell(suite, cell, recorded) for cell in cells]
    sys.stdout.write("".join(f"{verdict}\n" for verdict in verdicts))
    return int(any(verdict.level == "different" for verdict in verdicts))


def _stage(options: argparse.Namespace) -> int:
    from steadytune.layout import LOCK
    from steadytune.store.bundle import pack, unpack
    from steadytune.store.imports import Imports
    from steadytune.store.inventory import Item, inspect, inventory
    from steadytune.store.lock import load_lock
    from steadytune.store.staging import stage

    suite, lock = _suite(options), load_lock(LOCK)
    if options.key:
        items = [Item(options.kind, options.key)]
    else:
        items = [item for item in inventory(suite, lock) if not options.kind or item.kind == options.kind]
    if (options.source or options.check) and (options.glue or options.encoders):
        raise SteadyTuneError("--check and --from bring nothing from --glue or --encoders: stage with those first")
    if options.source:
        unpack(options.source, suite, lock)
    if options.source or options.check:
        findings = []
        for finding in inspect(items, suite, lock):
            sys.stdout.write(f"{finding}\n")
            findings.append(finding)
        return 0 if all(finding.good for finding in findings) else 2
    imports = Imports(options.glue, options.encoders)
    for item in items:
        # An encoder that the project trains itself is the pretrain stage's.
        if not item.pretrained:
            stage(item.kind, item.key, lock, suite.sources, suite.file.store, imports)
    if options.bundle:
        pack(items, suite.file.store, options.bundle)
    return 0


def _pretrain(options: argparse.Namespace) -> None:
    from steadytune.encoders.pretrain import pretrain
    from steadytune.layout import LOCK, model_folder
    from steadytune.pretraining.train import pretrain_text
    from steadytune.schema import read_yaml
    from steadytune.store.lock import generated_corpus, load_lock

    suite, config = _suite(options), load_lock(LOCK).pretraining(options.key)
    if config is None:
        raise SteadyTuneError(
            f"{options.key}: the lock has no `pretrained` entry for it; `steadytune stage` fetches it"
        )
    output = model_folder(suite.file.store, options.key)
    if generated_corpus(read_yaml(config)) is None:
        pretrain_text(config, output)
    else:
        pretrain(config, suite.file.store, output)


def _pretrain_text(options: argparse.Namespace) -> None:
    from steadytune.pretraining.train import pretrain_text

    pretrain_text(options.config, options.output, options.minutes)


def _pretraining_curve(options: argparse.Namespace) -> None:
    from steadytune.pretraining.figure import draw_curve

    sys.stdout.write("".join(f"{path}\n" for path in draw_curve(options.curve, options.stem)))


def _variability(options: argparse.Namespace) -> None:
    from steadytune.analysis.layers import write_variability

    write_variability(_suite(options), options.encoder, options.task)


def _finetune(options: argparse.Namespace) -> None:
    from steadytune.cell import Cell
    from steadytune.layout import running_path
    from steadytune.status import running
    from steadytune.training.usage import Meter

    meter = Meter()
    with meter.phase("start"):
        from steadytune.training.run import run_cell

        suite, cell = _suite(options), Cell.parse(options.cell)
    with running(running_path(suite, cell)):
        run_cell(suite, cell, meter, keep_model=options.keep_model)


def _inside(options: argparse.Namespace) -> None:
    from steadytune.analysis.inside.stage import write_inside
    from steadytune.cell import Cell

    write_inside(_suite(options), Cell.parse(options.cell))


def _inside_before(options: argparse.Namespace) -> None:
    from steadytune.analysis.inside.stage import write_inside_before

    write_inside_before(_suite(options), options.encoder, options.task)


def _inside_table(options: argparse.Namespace) -> None:
    from steadytune.analysis.inside.collect import collect_inside

    collect_inside(_suite(options))


def _collect(options: argparse.Namespace) -> None:
    from steadytune.analysis.collect import collect

    collect(_suite(options))


def _claims(options: argparse.Namespace) -> None:
    from steadytune.analysis.verdicts import judge, load_or_none, missing_of, write_claims
    from steadytune.rendering.claims import to_text

    suite = _suite(options)
    if options.missing:
        sys.stdout.write("".join(f"{path}\n" for path in missing_of(suite, options.missing)))
        return
    judged = judge(suite, load_or_none(suite))
    if options.write:
        write_claims(suite, judged)
    sys.stdout.write(to_text(suite.name, judged) + "\n")


def _predictions(options: argparse.Namespace) -> None:
    from steadytune.analysis.predictions import analyse_predictions

    analyse_predictions(_suite(options))


def _render(options: argparse.Namespace) -> None:
    from steadytune.rendering.stage import render

    render(_suite(options), options.what)


def _export(options: argparse.Namespace) -> None:
    from steadytune.export import export

    export(_suite(options), options.ro_crate)


def _lock(_: argparse.Namespace) -> None:
    from steadytune.layout import LOCK
    from steadytune.store.pinning import pin_generated

    changed = pin_generated(LOCK)
    sys.stdout.write(f"{LOCK}: {', '.join(changed) or 'nothing'} changed\n")


def _subsets(options: argparse.Namespace) -> None:
    from steadytune.tasks.subsets import publish

    sys.stdout.write("".join(f"{path}\n" for path in publish(options.store)))


def _methods(_: argparse.Namespace) -> None:
    from steadytune.methods.listing import describe_methods

    sys.stdout.write(describe_methods() + "\n")


def _suite(options: argparse.Namespace):
    from steadytune.suite import find_suite, load_suite

    return load_suite(find_suite(options.suite))


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The arguments of `run`, and what is Snakemake's; argparse takes `--` only where no option stands before it."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, ()
    at = list(arguments).index("--")
    return arguments[:at], arguments[at + 1 :]


def _hours(text: str) -> float:
    """Hours from `40h` or `40`."""
    hours = float(text.removesuffix("h"))
    if not 0 < hours < float("inf"):
        raise ValueError(text)
    return hours


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="steadytune", description=(sys.modules["steadytune"].__doc__ or ""))
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, function, summary: str, *, suite: bool = True, device: bool = False
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        # Staging reaches out, and a run starts its jobs, staging among them; every other command is a job itself.
        added.set_defaults(run=function, device=device, offline=name not in ("run", "stage"))
        if suite:
            added.add_argument("suite", metavar="SUITE", help="a file under config/ or its name")
        return added

    run = command("run", _run, "run a suite through Snakemake with a progress line")
    run.add_argument("--cores", default="all", help="cores to use (default: all)")
    run.epilog = "What follows -- goes to snakemake: targets, or more options."
    plan = command("plan", _plan, "print what a suite still has to run, what that takes, and what it can show")
    plan.add_argument("--device", dest="device_stated", metavar="NAME=FLOPS", help="for a device on which a cell is "
                      "taken to reach so many FLOP/s (H100=2e14), in place of this machine")  # fmt: skip
    plan.add_argument("--cells-at-once", type=int, metavar="N", help="on that device or devices (default: 1)")
    plan.add_argument("--budget", type=_hours, metavar="40h", help="choose the cells that decide most claims in so "
                      "many hours of a device, and write them down as targets")  # fmt: skip
    plan.add_argument("--probe", action="store_true", help="first run short cells here, to know what cells take")
    command("status", _status, "say which cells are fresh, missing, running, stale or quarantined, and why")
    verify = command(
        "verify",
        _verify,
        "run recorded cells again and say how closely they agree (exit 1: one differs)",
        device=True,
    )
    verify.add_argument("cells", nargs="*", metavar="ENCODER/METHOD/TASK/seed-N")
    verify.add_argument("--sample", type=int, default=0, metavar="N", help="draw N recorded cells at random")
    verify.add_argument("--seed", type=int, default=None, help="draw the same ones again")
    against = verify.add_mutually_exclusive_group()
    against.add_argument("--recorded", type=Path, metavar="FOLDER", help="its records, in place of results/<suite>")
    against.add_argument("--published", action="store_true", help="those of published/recorded/<suite>")
    claims = command("claims", _claims, "print the verdict on every claim that a suite names")
    claims.add_argument("--missing", metavar="CLAIM", help="print the files that one claim still needs, and no verdict")
    claims.add_argument("--write", action="store_true", help="write claims.json too")
    exported = command("export", _export, "write a finished suite, its records and its report as an RO-Crate")
    exported.add_argument("--ro-crate", type=Path, required=True, metavar="TARGET", help="a new folder, or a .zip file")
    command("methods", _methods, "list the methods, their sources and hyper-parameters", suite=False)
    stage = command("stage", _stage, "fetch and verify a suite's data sets and encoders")
    stage.add_argument("kind", nargs="?", choices=("datasets", "models"), help="only these")
    stage.add_argument("key", nargs="?", help="of these only one: its key in the lock")
    stage.add_argument("--glue", type=Path, metavar="FOLDER", help="import GLUE's tasks from its classic folder")
    stage.add_argument("--encoders", type=Path, metavar="FOLDER", help="import encoders from FOLDER/<owner>/<name>/")
    instead = stage.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="only check what is staged; 2 where something is wrong")
    instead.add_argument("--bundle", type=Path, metavar="FILE", help="then write everything to one tar file")
    instead.add_argument("--from", dest="source", type=Path, metavar="FILE", help="unpack such a file, then check")

    command("lock", _lock, "write the hashes of generated data into the lock", suite=False)
    subsets = command("subsets", _subsets, "write the index lists of the fixed training subsets", suite=False)
    subsets.add_argument("--store", type=Path, default=Path("store"), help="where the data sets are staged")
    text = command("pretrain-text", _pretrain_text, "pretrain an encoder on plain text", suite=False, device=True)
    text.add_argument("config", type=Path, help="a file of config/encoders/ that names a corpus file")
    text.add_argument("output", type=Path, help="the encoder's folder; a run that was cut goes on beside it")
    text.add_argument("--minutes", type=float, help="end the schedule by the clock if the tokens would take longer")
    curve = command("pretraining-curve", _pretraining_curve, "draw the loss curve of a pretraining", suite=False)
    curve.add_argument("curve", type=Path, metavar="CSV", help="the curve.csv in an encoder's folder")
    curve.add_argument("stem", type=Path, help="where the figure goes, without .pdf, .svg and .png")

    # What the DAG's jobs call; each is also usable by hand.
    command("pretrain", _pretrain, "pretrain an encoder that the project makes itself", device=True).add_argument("key")
    finetune = command("finetune", _finetune, "fine-tune and evaluate one cell", device=True)
    finetune.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    finetune.add_argument("--keep-model", action="store_true", help="keep the fine-tuned weights beside the record")
    variability = command("variability", _variability, "measure the layers of an encoder on a task", device=True)
    variability.add_argument("encoder")
    variability.add_argument("task")
    inside = command("inside", _inside, "look into the encoder of a cell whose model was kept", device=True)
    inside.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    inside_before = command("inside-before", _inside_before, "look into an encoder before fine-tuning", device=True)
    inside_before.add_argument("encoder")
    inside_before.add_argument("task")
    command("inside-table", _inside_table, "gather what was measured inside into inside.parquet")
    command("collect", _collect, "gather a suite's records into metrics.parquet")
    command("predictions", _predictions, "break scores down by slices and measure calibration, from predictions")
    render = command("render", _render, "write tables, figures or the report from metrics.parquet")
    render.add_argument("what", choices=("tables", "figures", "report"))
    return parser
