"""Every table of the papers, by name; one function makes them all from their layouts."""

from functools import partial

from steadytune.rendering.papers import hype, lnsr, variability
from steadytune.rendering.papers.build import build
from steadytune.rendering.papers.layout import Layout
from steadytune.rendering.tables.registry import table

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (*hype.LAYOUTS, *variability.LAYOUTS, *lnsr.LAYOUTS)}

for _layout in LAYOUTS.values():
    table(_layout.name, every_variant=True)(partial(build, _layout))
