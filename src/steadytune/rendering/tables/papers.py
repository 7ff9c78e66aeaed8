"""The papers' tables by name; one function builds them all from their layouts."""

from functools import partial

from steadytune.rendering.papers.build import build
from steadytune.rendering.papers.layout import load_layouts
from steadytune.rendering.tables.registry import table

LAYOUTS = load_layouts()

for _layout in LAYOUTS.values():
    table(_layout.name, every_variant=True)(partial(build, _layout))
