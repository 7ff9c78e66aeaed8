"""The report's sections, and where tables and figures appear in it and in Snakemake's own report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadytune.layout import listed_cells_path, report_path
from steadytune.suite.suite import Suite

MOST_CELLS = 2_000
"""Up to this many cells, the page contains their list; a longer list is a file next to it."""


@dataclass(frozen=True)
class Section:
    """A section of the report. It is left out if it has nothing to show."""

    key: str
    title: str
    text: str = ""
    items: tuple[str, ...] = ()
    """Its tables and figures, such as `table main`."""


SECTIONS: tuple[Section, ...] = (
    Section("short", "In short", "Counts and differences, computed from the tables below."),
    Section(
        "claims",
        "Does it hold?",
        "Both sides of a claim are judged on the same seeds. The interval covers 95 % over other seeds on the same "
        "tasks; p-values are corrected within a claim's family. Inconclusive: this many seeds could have missed an "
        "effect of the size in question. docs/claims.md has the rules.",
    ),
    Section(
        "papers",
        "The papers' tables",
        "In each paper's own layout: what it prints, what was measured here, and the difference.",
        (
            *(f"table hype-table-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 18)),
            "figure hype-figure-2",
            "figure hype-figure-5",
            "table variability-strategies",
            "table variability-strategies-1k",
            "table lnsr-tasks",
            "table lnsr-questions",
            "table lnsr-out-of-domain",
        ),
    ),
    Section(
        "results",
        "Results",
        items=(
            "table main",
            "table comparisons",
            "figure seed-spread",
            "figure forms",
            "table variants",
            "table calibration",
        ),
    ),
    Section(
        "selection",
        "What is a chosen number worth?",
        "The same runs, printed in the usual ways: the best epoch, the best of the seeds, their median, the best point "
        "of a grid. docs/selection.md says how to read it.",
        ("table optimism", "figure optimism", "figure expected-best", "table readings", "table selection"),
    ),
    Section(
        "pretraining",
        "Does pretraining help?",
        "A benchmark of fine-tuning means little if the pretrained weights do not help, so the same network is also "
        "trained from random weights.",
        ("table pretraining",),
    ),
    Section(
        "transfer",
        "Beyond the training task",
        "Scores of fine-tuned models on sets that they were not trained on. Labels are matched by name.",
        (
            "table transfer",
            "figure transfer",
            "table transfer-sets",
            "table two-way",
            "table hans",
            "table advglue",
        ),
    ),
    Section("curves", "Learning curves", items=("figure learning-curves", "figure size-curves")),
    Section(
        "variability",
        "Hidden-state variability",
        "Measured on the encoder before fine-tuning: how much the hidden states of one class vary, relative to the "
        "distance between classes, layer by layer.",
        ("figure variability", "table variability", "figure variability-robustness"),
    ),
    Section(
        "selectors",
        "Which layer to keep?",
        "The layer that hidden-state variability chooses, compared with other choices from the same features.",
        ("table selectors",),
    ),
    Section(
        "inside",
        "Inside the fine-tuned encoder",
        "What fine-tuning changes from layer to layer, measured in the models of some cells and, if possible, in the "
        "encoder before fine-tuning.",
        (
            "figure task-generalisation",
            "figure layer-drift",
            "figure noise-propagation",
            "figure token-similarity",
            "figure variability-after",
            "table churn",
            "table forgetting",
            "figure score-forgetting",
        ),
    ),
    Section("further", "Further tables and figures"),
    Section(
        "coverage",
        "Coverage",
        "A cell is one encoder, method, task and seed. A run that collapses, diverges or runs out of memory is a "
        "result and is counted here. Means include collapsed runs, which give one answer for every example, but not "
        "the others; a count such as 2/3 next to a mean shows that there are runs of either kind.",
        ("table coverage",),
    ),
    Section(
        "cost",
        "Cost",
        "Seconds are those of the machine named under Environment, with whatever else it was running.",
        ("table cost", "figure score-cost"),
    ),
    Section(
        "reading",
        "How to read the tables",
        "Each note holds for the tables above that link here and show what it explains.",
    ),
    Section("environment", "Environment", "As the cells recorded it."),
    Section("inputs", "Inputs", "The data sets and encoders that the cells read, and what pins each of them."),
    Section("again", "Run it again"),
)
"""In the report's order."""

ALWAYS = frozenset(
    f"table {name}" for name in ("main", "comparisons", "pretraining", "transfer", "variability", "cost", "coverage")
) | {"figure seed-spread", "figure transfer", "figure variability", "figure learning-curves"}
"""Shown even if the suite does not name them."""

ELSEWHERE = {"table claims": "claims", "table cells": "coverage"}
"""Tables that the report shows in another form, and the section that does."""


def placed(item: str) -> str:
    """The key of the section that shows an item; `further` if no section lists it."""
    found = (section.key for section in SECTIONS if item in section.items)
    return ELSEWHERE.get(item) or next(found, "further")


def report_options(kind: str, path: str) -> dict[str, Any]:
    """Caption, category and label of a table's or figure's file in Snakemake's own report.

    Captions are kept only in the code: a table's page contains its caption, and the label quotes the first sentence of
    a figure's. There is only one label, because with two labels of two values each, Snakemake 9.27's report offers all
    four combinations and breaks on those that do not exist.
    """
    from steadytune.rendering.figures import FIGURES

    version = Path(path).stem
    name = version.partition("@")[0]
    category = placed(f"{kind} {name}").capitalize()
    about = FIGURES[name].caption.partition(". ")[0] if kind == "figure" else ""
    shows = f"{kind} {version}: {about}" if about else f"{kind} {version}"
    return {"caption": f"../report/{kind}.rst", "category": category, "labels": {"shows": shows}}


def report_paths(suite: Suite) -> list[Path]:
    """The report's page, and the list of cells if it is too long for the page."""
    return [report_path(suite), *([listed_cells_path(suite)] if len(suite.cells) > MOST_CELLS else [])]
