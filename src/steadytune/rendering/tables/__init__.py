"""The tables, one module a subject; `registry` finds them by name."""

from steadytune.rendering.tables import cost, coverage, layers, main, pretraining, selection
from steadytune.rendering.tables.registry import TABLES, make_table

__all__ = ["TABLES", "cost", "coverage", "layers", "main", "make_table", "pretraining", "selection"]
