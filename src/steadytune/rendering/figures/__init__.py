"""The figures, one module per subject. Importing the package imports every module, which registers its figures."""

from steadytune.rendering.figures.registry import FIGURES, caption, draw, figure, versions

FIGURES.import_modules(__name__)

__all__ = ["FIGURES", "caption", "draw", "figure", "versions"]
