"""Commands that the workflow's jobs run; each can also be run by hand."""

import argparse
from pathlib import Path

from steadytune.commands.arguments import Commands, count
from steadytune.commands.loading import load, load_checked
from steadytune.errors import SteadyTuneError


def finetune(options: argparse.Namespace) -> None:
    """Fine-tune and evaluate one cell."""
    from steadytune.dag.ownership import own_results
    from steadytune.layout import handover_path
    from steadytune.suite.cell import Cell
    from steadytune.training.usage import Meter

    meter = Meter()
    # Imports take seconds, which count as part of a cell's start.
    with meter.phase("start"):
        from steadytune.cells.attempts import (
            alone,
            check_places,
            clear_partial_files,
            refuse_crowded,
            trained_by_another,
        )
        from steadytune.cells.run import run_cell

        suite, cell = load(options), Cell.parse(options.cell)
        own_results(suite)
    if trained_by_another(suite, cell, hand_over=options.hand_over):
        return
    with alone(suite, cell):
        check_places(suite, cell)
        clear_partial_files(suite, cell)
        handed = handover_path(suite, cell)
        # Weights of an earlier training do not belong to the record that is written now.
        handed.unlink(missing_ok=True)
        run_cell(suite, cell, meter, weights=handed if options.hand_over else None)
        refuse_crowded(suite, cell)


def variability(options: argparse.Namespace) -> None:
    """Measure the layers of an encoder on a task."""
    from steadytune.dag.products import making
    from steadytune.layers.stage import write_variability

    suite = load(options)
    with making(suite, f"variability/{options.encoder}/{options.task}"):
        write_variability(suite, options.encoder, options.task)


def inside(options: argparse.Namespace) -> None:
    """Analyse the encoder of a cell whose model was kept."""
    from steadytune.dag.products import making
    from steadytune.layers.inside.stage import write_inside
    from steadytune.suite.cell import Cell

    suite, cell = load(options), Cell.parse(options.cell)
    with making(suite, f"inside/{cell}", cells=[cell]):
        write_inside(suite, cell)


def inside_before(options: argparse.Namespace) -> None:
    """Analyse an encoder before fine-tuning."""
    from steadytune.dag.products import making
    from steadytune.layers.inside.stage import write_inside_before

    suite = load(options)
    with making(suite, f"inside/{options.encoder}/before/{options.task}"):
        write_inside_before(suite, options.encoder, options.task)


def inside_table(options: argparse.Namespace) -> None:
    """Gather the measurements inside encoders into inside.parquet."""
    from steadytune.dag.products import making
    from steadytune.layers.inside.collect import collect_inside

    suite = load(options)
    if not suite.inside_cells:
        raise SteadyTuneError(f"{suite.path}: inside: missing: expected this block, with the cells to measure")
    with making(suite, "inside-table"):
        collect_inside(suite)


def collect(options: argparse.Namespace) -> None:
    """Gather a suite's records into metrics.parquet."""
    from steadytune.dag.products import making
    from steadytune.results.collect import collect

    suite = load(options)
    with making(suite, "metrics", as_recorded=options.as_recorded):
        collect(suite, as_recorded=options.as_recorded)


def predictions(options: argparse.Namespace) -> None:
    """Write a cell's predictions as csv, or break a suite's scores down by slices and measure calibration."""
    if bool(options.cell) != bool(options.to):
        raise SteadyTuneError("predictions: expected a cell together with --to FILE.csv, or neither")
    suite = load(options)
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

    suite = load_checked(options)
    with making(suite, options.what):
        render(suite, options.what, options.processes)


def add_to(commands: Commands) -> None:
    """Add the commands that the workflow's jobs run to the command line."""
    command = commands.add("finetune", finetune, device=True)
    command.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    command.add_argument(
        "--hand-over",
        action="store_true",
        help="also write the fine-tuned weights, for the inside stage or for cells that start from this one",
    )
    command = commands.add("variability", variability, device=True)
    command.add_argument("encoder")
    command.add_argument("task")
    command = commands.add("inside", inside, device=True)
    command.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    command = commands.add("inside-before", inside_before, device=True)
    command.add_argument("encoder")
    command.add_argument("task")
    commands.add("inside-table", inside_table)
    command = commands.add("collect", collect)
    command.add_argument(
        "--as-recorded", action="store_true", help="for recorded suites: compare neither code nor inputs"
    )
    command = commands.add("predictions", predictions)
    command.add_argument("cell", nargs="?", metavar="ENCODER/METHOD/TASK/seed-N", help="for --to")
    command.add_argument(
        "--to", type=Path, metavar="FILE.csv", help="a new file for the cell's predictions, with texts and label names"
    )
    command = commands.add("render", render)
    command.add_argument("what", choices=("tables", "figures", "report", "notebook"))
    command.add_argument(
        "--processes", type=count, default=1, metavar="N", help="processes that draw figures (default: 1)"
    )
