"""The figures, one module a subject: every module of this package is imported, and registers what it has."""

from steadytune.rendering.figures.registry import FIGURES, caption, draw, figure, versions

FIGURES.import_modules(__name__)

__all__ = ["FIGURES", "caption", "draw", "figure", "versions"]
