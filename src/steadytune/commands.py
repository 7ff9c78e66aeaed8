"""What each command does with its options; its docstring is its help. What one needs it imports when it runs."""

import argparse
import logging
import sys
from contextlib import nullcontext

from steadytune.errors import SteadyTuneError

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    """Run a suite through Snakemake with a progress line."""
    from steadytune.dag.runner import run
    from steadytune.results.loading import load_or_empty

    suite = _pinned(options)
    status = run(suite, options.cores, options.passed, stale=options.stale)
    if not status and not options.passed:
        _say_what_was_not_learned(load_or_empty(suite))
    return status


def plan(options: argparse.Namespace) -> None:
    """Print what a suite still has to run, what that takes, and what it can show."""
    from steadytune.planning.plan import Plan, describe

    suite = _pinned(options)
    if options.cells_at_once and not options.device_stated:
        raise SteadyTuneError("--cells-at-once says how many a device of --device takes; of this machine it is known")
    if options.probe:
        from steadytune.planning.probe import probe

        probe(suite)
    plan = Plan.make(suite, options.device_stated, options.cells_at_once)
    sys.stdout.write(describe(plan, options.budget, effect=options.effect, sd=options.sd) + "\n")


def status(options: argparse.Namespace) -> None:
    """Say which cells are fresh, missing, running, stale or quarantined, and why."""
    from steadytune.dag.status import describe

    sys.stdout.write(describe(_checked(options), deep=options.deep) + "\n")


def verify(options: argparse.Namespace) -> int:
    """Run recorded cells again and say how closely they agree (exit 1: one differs)."""
    from steadytune.cells.verify import LEVELS, recorded_cells, sample_cells, verify_cell
    from steadytune.suite.cell import Cell

    suite, found = _suite(options), []
    with recorded_cells(suite, options.recorded, published=options.published) as recorded:
        cells = [Cell.parse(text) for text in options.cells]
        cells += sample_cells(suite, recorded, options.sample, options.seed) if options.sample else []
        if not cells:
            raise SteadyTuneError("verify: name a cell as ENCODER/METHOD/TASK/seed-N, or draw some with --sample N")
        try:
            for cell in cells:
                found.append(verify_cell(suite, cell, recorded))
                log.info("%s", found[-1])
        finally:
            # Worst first; what has been compared stays said if a later cell cannot be.
            found.sort(key=lambda verdict: LEVELS.index(verdict.level), reverse=True)
            sys.stdout.write("".join(f"{verdict}\n" for verdict in found))
    return int(any(verdict.level == "different" for verdict in found))


def record(options: argparse.Namespace) -> None:
    """Write a suite's recorded cells to published/recorded as three files, or restore them from there."""
    from steadytune.cells.recorded import restore, write_recorded
    from steadytune.layout import recorded_folder, results_folder

    suite = _suite(options)
    folder, results = recorded_folder(suite), results_folder(suite)
    if options.restore:
        sys.stdout.write(f"{results}: {len(restore(folder, results))} cells restored from {folder}\n")
    else:
        sys.stdout.write(f"{folder}: {write_recorded(suite, folder)} cells recorded\n")


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
    from steadytune.store.pinning_own import check_unchanged, pin_new
    from steadytune.store.staging import stage
    from steadytune.suite.loading import find_suite

    pin_new(find_suite(options.suite))
    suite = _suite(options)
    lock = suite_lock(suite)
    check_unchanged(suite)
    if options.key:
        trained = options.kind == "models" and lock.pretraining(options.key) is not None
        items = [Item(options.kind, options.key, trained)]
    else:
        items = [item for item in inventory(suite, lock) if not options.kind or item.kind == options.kind]
    if (options.source or options.check) and (options.glue or options.encoders):
        raise SteadyTuneError("--check and --from bring nothing from --glue or --encoders: stage with those first")
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
        # An encoder that the project trains itself is the pretrain stage's; asked for by name, it is refused in words.
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
    """Accept what a suite's own tasks and encoders hold now."""
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
        turn = hold(lock, said=f"{output}: waiting for another process that pretrains it")
    with turn:
        pretrain(options.config, options.store, output, options.minutes)


def pretraining_curve(options: argparse.Namespace) -> None:
    """Draw the loss curve of a pretraining."""
    from steadytune.rendering.pretraining_curve import draw_curve

    sys.stdout.write("".join(f"{path}\n" for path in draw_curve(options.curve, options.stem)))


def variability(options: argparse.Namespace) -> None:
    """Measure the layers of an encoder on a task."""
    from steadytune.dag.products import making
    from steadytune.layers.stage import write_variability

    suite = _suite(options)
    with making(suite, f"variability/{options.encoder}/{options.task}"):
        write_variability(suite, options.encoder, options.task)


def finetune(options: argparse.Namespace) -> None:
    """Fine-tune and evaluate one cell."""
    from steadytune.layout import handover_path, running_path
    from steadytune.locks import hold
    from steadytune.suite.cell import Cell
    from steadytune.training.usage import Meter

    meter = Meter()
    with meter.phase("start"):
        from steadytune.cells.run import run_cell

        suite, cell = _suite(options), Cell.parse(options.cell)
    with hold(running_path(suite, cell), said=f"{cell}: waiting for another process that trains it"):
        run_cell(suite, cell, meter, weights=handover_path(suite, cell) if options.hand_over else None)


def inside(options: argparse.Namespace) -> None:
    """Look into the encoder of a cell whose model was kept."""
    from steadytune.dag.products import making
    from steadytune.layers.inside.stage import write_inside
    from steadytune.suite.cell import Cell

    suite, cell = _suite(options), Cell.parse(options.cell)
    with making(suite, f"inside/{cell}"):
        write_inside(suite, cell)


def inside_before(options: argparse.Namespace) -> None:
    """Look into an encoder before fine-tuning."""
    from steadytune.dag.products import making
    from steadytune.layers.inside.stage import write_inside_before

    suite = _suite(options)
    with making(suite, f"inside/{options.encoder}/before/{options.task}"):
        write_inside_before(suite, options.encoder, options.task)


def inside_table(options: argparse.Namespace) -> None:
    """Gather what was measured inside into inside.parquet."""
    from steadytune.dag.products import making
    from steadytune.layers.inside.collect import collect_inside

    suite = _suite(options)
    with making(suite, "inside-table"):
        collect_inside(suite)


def collect(options: argparse.Namespace) -> None:
    """Gather a suite's records into metrics.parquet."""
    from steadytune.dag.products import making
    from steadytune.results.collect import collect

    suite = _suite(options)
    with making(suite, "metrics", as_recorded=options.as_recorded):
        collect(suite, as_recorded=options.as_recorded)


def claims(options: argparse.Namespace) -> None:
    """Print the verdict on every claim that a suite names."""
    from steadytune.claims.comparisons import judge_all
    from steadytune.claims.judged import Verdicts, load_earlier, write_verdicts
    from steadytune.claims.verdicts import missing_of
    from steadytune.dag.products import Products, making
    from steadytune.layout import results_folder
    from steadytune.rendering.claims import to_text
    from steadytune.results.loading import load_or_empty

    suite = _checked(options)
    if options.missing:
        sys.stdout.write("".join(f"{path}\n" for path in missing_of(suite, options.missing)))
        return
    products = Products(suite)
    products.check(("variability",))
    if damage := next((found.why for found in products.status(("claims",)) if found.state == "damaged"), ""):
        sys.stderr.write(f"steadytune: the earlier looks are lost: {damage}\n")
    earlier = Verdicts(suite.name) if damage else load_earlier(suite)
    with making(suite, "claims") if options.write else nullcontext():
        results = load_or_empty(suite)
        verdicts = judge_all(suite, results, earlier)
        if options.write:
            write_verdicts(results_folder(suite), verdicts)
    _say_what_was_not_learned(results)
    sys.stdout.write(to_text(suite.name, verdicts.claims) + "\n")


def compare(options: argparse.Namespace) -> None:
    """Compare two methods of a suite: on average over their tasks, and task by task."""
    from steadytune.claims.comparisons import compare, pair
    from steadytune.rendering.comparisons import compared_text
    from steadytune.results.loading import load_or_empty

    suite = _checked(options)
    questions = pair(suite, options.first, options.second, options.effect)
    results = load_or_empty(suite)
    found = compare(suite, results, questions)
    _say_what_was_not_learned(results)
    sys.stdout.write(compared_text(suite, (options.first, options.second), found) + "\n")


def simulate(options: argparse.Namespace) -> None:
    """Measure how often each verdict is right and wrong for a suite's numbers of tasks and seeds."""
    from steadytune.planning.simulation import Design, describe

    suite = _suite(options)
    design = Design.of_suite(suite, options.seeds, options.sd, options.effect)
    sys.stdout.write(describe(suite, design, options.replicates) + "\n")


def predictions(options: argparse.Namespace) -> None:
    """Write a cell's predictions as csv, or break a suite's scores down by slices and measure calibration."""
    if bool(options.cell) != bool(options.to):
        raise SteadyTuneError("predictions: expected a cell together with --to FILE.csv, or neither")
    suite = _suite(options)
    if options.cell:
        from steadytune.exports.predictions import write_predictions_csv
        from steadytune.suite.cell import Cell

        write_predictions_csv(suite, Cell.parse(options.cell), options.to)
    else:
        from steadytune.dag.products import making
        from steadytune.results.prediction_tables import analyse_predictions

        with making(suite, "predictions"):
            analyse_predictions(suite)


def render(options: argparse.Namespace) -> None:
    """Write tables, figures, the report or an executed notebook from metrics.parquet."""
    from steadytune.dag.products import making
    from steadytune.rendering.stage import render

    suite = _checked(options)
    with making(suite, options.what):
        render(suite, options.what, options.processes)


def model(options: argparse.Namespace) -> None:
    """Write a fine-tuned model to a folder that transformers opens."""
    from steadytune.exports.model import write_model

    write_model(_suite(options), options.cell, options.to, adapter=options.adapter)


def export(options: argparse.Namespace) -> None:
    """Write a finished suite's cells, means over seeds and verdicts in a format that other tools read."""
    from steadytune.dag.products import Products
    from steadytune.exports.registry import export

    suite = _checked(options)
    # A crate holds everything; the other formats are made of records and verdicts.
    stages = None if options.form == "ro-crate" else ("claims",)
    marked = Products(suite, deep=True).finished(stages, stale=options.stale)
    export(suite, options.form, options.to, marked)


def site(options: argparse.Namespace) -> None:
    """Write the evidence page: recorded suites' claims, methods and cells as one static folder."""
    from steadytune.exports.site import write_site
    from steadytune.layout import RECORDED

    sys.stdout.write(f"{write_site(options.recorded or [RECORDED], options.to)}\n")


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
    none = f"{options.store}: no list written: it has no data set that one is published for\n"
    sys.stdout.write("".join(f"{path}\n" for path in written) or none)


def new(options: argparse.Namespace) -> None:
    """Write a commented file to start from: a suite, a suite with your own data, a method, or a claim."""
    from pathlib import Path

    from steadytune.suite.starting import write_starting_files

    for path in write_starting_files(options.kind, options.name or f"my-{options.kind}", Path()):
        sys.stdout.write(f"{path}\n")


def methods(_: argparse.Namespace) -> None:
    """List the methods, their sources and hyper-parameters."""
    from steadytune.methods.listing import describe_methods

    sys.stdout.write(describe_methods() + "\n")


def check_method(options: argparse.Namespace) -> int:
    """Check a method on tiny encoders (exit 1: a check failed)."""
    from steadytune.methods import registry
    from steadytune.training.trial import check_method

    failed = False
    for name in registry.add(options.file):
        sys.stdout.write(f"{name}\n")
        for finding in check_method(name):
            failed |= finding.passed is False
            verdict = {True: "passed", False: "FAILED", None: "-"}[finding.passed]
            sys.stdout.write(f"  {verdict:<8}{finding.check:<42}{finding.detail}".rstrip() + "\n")
            sys.stdout.flush()
    return int(failed)


def _say_what_was_not_learned(results) -> None:
    """Before anything else: numbers of models that have learned nothing are about nothing."""
    from steadytune.rendering.learning import nothing_learned
    from steadytune.results.selection import select

    if sentence := nothing_learned(select(results)):
        sys.stdout.write(f"{sentence}\n\n")


def _suite(options: argparse.Namespace):
    from steadytune.suite.loading import find_suite, load_suite

    return load_suite(find_suite(options.suite))


def _checked(options: argparse.Namespace):
    """The suite, with the names of its claims, tables and figures checked too: training does not depend on those."""
    from steadytune.dag.checks import check_outputs

    suite = _suite(options)
    check_outputs(suite)
    return suite


def _pinned(options: argparse.Namespace):
    """The suite, checked, with its own tasks and encoders pinned where they are new, and refused where they changed."""
    from steadytune.store.pinning_own import check_unchanged, pin_new
    from steadytune.suite.loading import find_suite

    pin_new(find_suite(options.suite))
    suite = _checked(options)
    check_unchanged(suite)
    return suite
