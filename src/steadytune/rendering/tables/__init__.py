"""The tables, one module a subject; `registry` finds them by name."""

from steadytune.rendering.papers import tables as papers
from steadytune.rendering.tables import (
    calibration,
    claims,
    cost,
    coverage,
    inside,
    layers,
    main,
    pretraining,
    resources,
    selection,
    selectors,
    slices,
    transfer,
    two_way,
    variants,
)
from steadytune.rendering.tables.registry import TABLES, make_table

__all__ = [
    "TABLES",
    "calibration",
    "claims",
    "cost",
    "coverage",
    "inside",
    "layers",
    "main",
    "make_table",
    "papers",
    "pretraining",
    "resources",
    "selection",
    "selectors",
    "slices",
    "transfer",
    "two_way",
    "variants",
]
