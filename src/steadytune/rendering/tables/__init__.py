"""The tables, one module a subject: every module of this package is imported, and registers what it has."""

from steadytune.rendering.tables.registry import TABLES, make_table

TABLES.import_modules(__name__)

__all__ = ["TABLES", "make_table"]
