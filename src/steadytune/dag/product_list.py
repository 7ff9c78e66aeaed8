"""The products that a suite's jobs make besides records, in the order in which they are made."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from steadytune.dag.targets import Targets
from steadytune.suite.suite import Suite

Stage = Literal[
    "variability", "inside", "inside-table", "metrics", "predictions", "claims", "tables", "figures", "report"
]
Stages = Collection[Stage]
MEASUREMENTS: tuple[Stage, ...] = ("variability", "inside")
"""Stages that measure encoders, which takes long: a change of code alone does not repeat them."""
SOURCES: Mapping[Stage, Stages] = {
    "inside-table": ("inside",),
    "claims": ("metrics", "variability"),
    "tables": ("metrics", "variability", "inside-table", "predictions", "claims"),
    "figures": ("metrics", "variability", "inside-table", "claims"),
    "report": ("metrics", "variability", "inside-table", "predictions", "claims"),
}
"""The stages whose products each stage reads, besides records."""


@dataclass(frozen=True)
class Product:
    """The files that one job makes."""

    name: str
    stage: Stage
    files: tuple[Path, ...]


def products_of(suite: Suite) -> dict[str, Product]:
    """The products a suite asks for, by name."""
    return {product.name: product for product in _all(suite, Targets(suite))}


def _all(suite: Suite, targets: Targets) -> Iterator[Product]:
    for path in targets.variability_outputs:
        yield _product(_below(path, targets.folder), "variability", [path])
    for path in targets.inside_before_studies:
        yield _product(_below(path, targets.folder), "inside", [path])
    for cell in suite.inside_cells:
        paths = targets.inside_outputs(str(cell))
        yield _product(_below(paths[0], targets.folder), "inside", paths)
    yield _product("metrics", "metrics", [targets.metrics])
    yield _product("inside-table", "inside-table", targets.inside_table)
    yield _product("predictions", "predictions", targets.prediction_studies)
    yield _product("claims", "claims", targets.claims)
    yield _product("tables", "tables", [*targets.tables, *targets.latex])
    yield _product("figures", "figures", targets.figures)
    yield _product("report", "report", targets.report)


def _product(name: str, stage: Stage, files: list[str]) -> Product:
    return Product(name, stage, tuple(map(Path, files)))


def _below(path: str, folder: str) -> str:
    """A path relative to the results folder, without its suffix."""
    return Path(path).relative_to(folder).with_suffix("").as_posix()
