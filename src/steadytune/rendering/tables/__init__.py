"""The tables, one module per subject. Importing the package imports every module, which registers its tables."""

from steadytune.rendering.tables.registry import TABLES, make_table

TABLES.import_modules(__name__)

__all__ = ["TABLES", "make_table"]
