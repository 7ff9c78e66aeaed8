"""Which table and figure stands where: in the report and in Snakemake's."""

from pathlib import Path
from typing import Any

SECTIONS: dict[str, tuple[str, ...]] = {
    "papers": (
        *(f"table hype-table-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 18)),
        "figure hype-figure-2",
        "figure hype-figure-5",
        "table variability-strategies",
        "table variability-strategies-1k",
        "table lnsr-tasks",
        "table lnsr-questions",
        "table lnsr-out-of-domain",
    ),
    "results": ("table main", "figure seed-spread", "table variants", "table selection", "table calibration"),
    "pretraining": ("table pretraining",),
    "transfer": (
        "table transfer",
        "figure transfer",
        "table transfer-sets",
        "table two-way",
        "table hans",
        "table advglue",
    ),
    "variability": ("figure variability", "table variability", "figure variability-robustness"),
    "selectors": ("table selectors",),
    "inside": (
        "figure task-generalisation",
        "figure layer-drift",
        "figure noise-propagation",
        "figure token-similarity",
        "figure variability-after",
        "table churn",
    ),
    "curves": ("figure learning-curves", "figure size-curves"),
    "cost": ("table cost", "figure score-cost"),
    "coverage": ("table coverage",),
}
"""Tables and figures, as `table main`, by the section that they stand in."""

ALWAYS = frozenset(
    f"table {name}" for name in ("main", "pretraining", "transfer", "variability", "cost", "coverage")
) | {"figure seed-spread", "figure transfer", "figure variability", "figure learning-curves"}
"""Shown whether a suite names it or not."""

ELSEWHERE = {"table claims": "claims", "table cells": "coverage"}
"""What the report shows in a form of its own, and where."""


def placed(item: str) -> str:
    """The section that an item stands in; empty for those without a place, which come together at the end."""
    return ELSEWHERE.get(item) or next((name for name, items in SECTIONS.items() if item in items), "")


def report_options(kind: str, path: str) -> dict[str, Any]:
    """What Snakemake's own report says of the file of a table or figure: caption, section, and what it shows.

    The caption is its own or its kind's, as a path from the rules. The label is one only: where each of two has two
    values, Snakemake 9.27's report offers all four and breaks on the combinations that are not there.
    """
    item = f"{kind} {Path(path).stem}"
    own = f"report/{kind}-{Path(path).stem}.rst"
    caption = f"../{own}" if Path("workflow", own).exists() else f"../report/{kind}.rst"
    return {"caption": caption, "category": (placed(item) or "further").capitalize(), "labels": {"shows": item}}
