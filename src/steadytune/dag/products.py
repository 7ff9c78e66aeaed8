"""What a suite's jobs make besides records, and whether each of it may be believed: measurements, tables, the page.

Every product has a manifest (`manifests.py`) with the hashes of its files and the digests of what it was made from. It
is fresh if its files are those, and if it would be made from the same again: settings, inputs, code, other products.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from steadytune.cells.checked import Checked
from steadytune.cells.fingerprint import PACKAGE, code_digest
from steadytune.cells.freshness import digest, statuses
from steadytune.dag.ownership import own_results
from steadytune.dag.targets import Targets
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import Kind, checked_path, manifest_path, staged_folder
from steadytune.manifests import damage, read_manifest, write_manifest
from steadytune.results.collect import AS_RECORDED, NOW
from steadytune.store.own_changes import check_unchanged
from steadytune.store.receipt import read_receipt, receipt_digest
from steadytune.suite.cell import Cell, canonical_digest
from steadytune.suite.digests import inside_digest, layer_digest, suite_digest
from steadytune.suite.suite import Suite

Stage = Literal[
    "variability", "inside", "inside-table", "metrics", "predictions", "claims", "tables", "figures", "report"
]
Stages = Collection[Stage]
MEASUREMENTS: tuple[Stage, ...] = ("variability", "inside")
"""Made from encoders, which takes long: other code alone does not make them again."""
SOURCES: Mapping[Stage, Stages] = {
    "inside-table": ("inside",),
    "claims": ("metrics", "variability"),
    "tables": ("metrics", "variability", "inside-table", "predictions", "claims"),
    "figures": ("metrics", "variability", "inside-table", "claims"),
    "report": ("metrics", "variability", "inside-table", "predictions", "claims"),
}
"""The products that each is made from, besides records."""

MEASURING_CODE = ("cells/keeping.py", "cells/material.py", "encoders", "evaluation", "layers", "methods/support",
                  "streams.py", "tasks/data.py", "tasks/labels.py", "tasks/parts.py", "tasks/reading.py",
                  "tasks/subsets.py")  # fmt: skip
GATHERING_CODE = ("claims", "evaluation", "layers", "looks.py", "rendering", "results", "suite/variants.py",
                  "tasks/entries.py", "text.py")  # fmt: skip

State = Literal["fresh", "missing", "damaged", "stale", "other code", "recorded"]
"""`recorded`: a measurement that was restored, with nothing to say what it was made from."""


@dataclass(frozen=True)
class Product:
    """The files that one job makes."""

    name: str
    stage: Stage
    files: tuple[Path, ...]


@dataclass(frozen=True)
class ProductStatus:
    """A product's state and, if it is not fresh, why."""

    product: Product
    state: State
    why: str = ""

    @property
    def believed(self) -> bool:
        """Whether other products may be made from it."""
        return self.state in ("fresh", "missing", "other code", "recorded")


class Products:
    """The products that a suite asks for, in the order in which they are made."""

    def __init__(self, suite: Suite, *, deep: bool = False, as_recorded: bool | None = None) -> None:
        """`as_recorded`: as for `statuses`; by default as `metrics.parquet` was gathered."""
        self.suite, self._targets = suite, Targets(suite)
        if as_recorded is None:
            as_recorded = self._made_from("metrics").get("judged") == AS_RECORDED
        self.judged = AS_RECORDED if as_recorded else NOW
        self.found = statuses(suite, deep=deep, scores=True, as_recorded=as_recorded)
        self._records = {status.cell: status.record for status in self.found}
        self._checked = Checked(checked_path(suite, "products"), forget=deep)
        self._receipt_digest = cache(self._read_receipt_digest)

    @cached_property
    def all(self) -> dict[str, Product]:
        """By name."""
        return {product.name: product for product in self._all()}

    def _all(self) -> Iterator[Product]:
        targets, suite = self._targets, self.suite
        for path in targets.layer_studies:
            yield self._product(_below(path, targets.folder), "variability", [path])
        for path in targets.inside_before_studies:
            yield self._product(_below(path, targets.folder), "inside", [path])
        for cell in suite.inside_cells:
            paths = targets.inside_outputs(str(cell))
            yield self._product(_below(paths[0], targets.folder), "inside", paths)
        yield self._product("metrics", "metrics", [targets.metrics])
        yield self._product("inside-table", "inside-table", targets.inside_table)
        yield self._product("predictions", "predictions", targets.prediction_studies)
        yield self._product("claims", "claims", targets.claims)
        yield self._product("tables", "tables", [*targets.tables, *targets.latex])
        yield self._product("figures", "figures", targets.figures)
        yield self._product("report", "report", targets.report)

    @staticmethod
    def _product(name: str, stage: Stage, files: list[str]) -> Product:
        return Product(name, stage, tuple(map(Path, files)))

    def status(self, stages: Stages | None = None) -> list[ProductStatus]:
        """The status of every product that has files, or of those of some stages."""
        chosen = [p for p in self.all.values() if p.files and (stages is None or p.stage in stages)]
        found = [self._judge(product) for product in chosen]
        self._checked.save()
        return found

    def check(self, stages: Stages) -> None:
        """Compare what there is of some stages with what it was made from.

        Raises:
            SteadyTuneError: a product that is damaged, or would be made from something else now; one line.
        """
        for status in self.status(stages):
            if not status.believed:
                again = f"`steadytune run {self.suite.name}` makes it again"
                raise SteadyTuneError(f"{status.why}; {again}")

    def finished(self, stages: Stages | None = None, *, stale: bool = False) -> list[str]:
        """What is not fresh about a finished suite, in sentences for its reader; empty if all of it is.

        Args:
            stages: whose products count besides the cells; all by default.
            stale: accept what other code has made, or what can no longer be compared with its inputs.

        Raises:
            SteadyTuneError: the suite is not finished, or not fresh; the line names what is not and what helps.
        """
        check_unchanged(self.suite)
        cells = [status for status in self.found if status.state != "fresh"]
        if absent := [status for status in cells if status.state in ("missing", "running")]:
            said = f"{len(absent)} of {len(self.found)} cells have no record, {absent[0].cell} first"
            raise SteadyTuneError(f"{self.suite.name}: {said}; `steadytune run {self.suite.name}` trains them")
        products = [status for status in self.status(stages) if status.state != "fresh"]
        lines = [f"{status.cell}: {status.state}: {status.why}" for status in cells]
        lines += [f"{status.state}: {status.why}" for status in products]
        lost = any(not status.shown for status in cells) or any(status.state != "other code" for status in products)
        if lines and (lost or not stale):
            more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
            helps = f"`steadytune run {self.suite.name}{'' if lost else ' --stale'}` makes it again"
            helps += "" if lost else ", and `--stale` here marks it"
            raise SteadyTuneError(f"{self.suite.name}: not fresh: {'; '.join(lines[:3])}{more}; {helps}")
        return [f"Not fresh: {line}." for line in lines]

    def made_from(self, product: Product) -> dict[str, str | None]:
        """Digests of what a product would be made from now, by name; None for what is not there to be compared."""
        match product.stage:
            case "variability":
                encoder, task = Path(product.name).parts[1:]
                found = {"settings": layer_digest(self.suite, encoder, task)}
                return found | self._inputs(encoder, task) | {"code": code_digest(MEASURING_CODE)}
            case "inside":
                return self._inside_from(product)
        wanted = SOURCES.get(product.stage, ())
        sources = [source for source in self.all.values() if source.files and source.stage in wanted]
        found: dict[str, str | None] = {source.name: self._content(source) for source in sources}
        if product.stage == "inside-table":
            found["predictions"] = canonical_digest([self._outcome(cell) for cell in self.suite.inside_cells])
        else:
            found |= {"cells": digest(self.found), "judged": self.judged}
        if product.stage == "claims":
            found |= {path: sha256(Path(path)) for path in self._targets.claim_files}
        return found | {"settings": suite_digest(self.suite), "code": gathering_code()}

    def _inside_from(self, product: Product) -> dict[str, str | None]:
        block = self.suite.file.inside
        encoder, method, task, *seed = Path(product.name).parts[1:]
        probes = block.probes if block else ()
        found: dict[str, str | None] = {"settings": inside_digest(self.suite)}
        if seed:
            found["record"] = self._outcome(Cell.parse(f"{encoder}/{method}/{task}/{seed[0]}"))
        return found | self._inputs(encoder, task, *probes) | {"code": code_digest(MEASURING_CODE)}

    def _outcome(self, cell: Cell) -> str | None:
        """What a cell came to, whenever it was trained; None if its record is not there to be compared."""
        record = self._records.get(cell)
        return canonical_digest([record["fingerprint"], record["status"], record["files"]]) if record else None

    def _inputs(self, encoder: str, *tasks: str) -> dict[str, str | None]:
        keys: list[tuple[Kind, str]] = [("models", self.suite.model(encoder, tasks[0]))]
        keys.extend(("datasets", key) for key in sorted({self.suite.task(name).dataset_key for name in tasks}))
        return {f"{kind}/{key}": self._receipt_digest(kind, key) for kind, key in keys}

    def _read_receipt_digest(self, kind: Kind, key: str) -> str | None:
        try:
            return receipt_digest(read_receipt(staged_folder(self.suite.file.store, kind, key)))
        except SteadyTuneError:
            return None

    def _content(self, product: Product) -> str:
        """A digest of a product's files, as its manifest has them."""
        try:
            return canonical_digest(read_manifest(self.suite, product.name)[0])
        except SteadyTuneError:
            return "none"

    def _made_from(self, name: str) -> dict[str, str]:
        try:
            return read_manifest(self.suite, name)[1]
        except SteadyTuneError:
            return {}

    def _judge(self, product: Product) -> ProductStatus:
        manifest = manifest_path(self.suite, product.name)
        if not any(file.exists() for file in (manifest, *product.files)):
            return ProductStatus(product, "missing", f"{product.files[0]}: not made yet")
        paths = [manifest, *product.files]
        damaged = self._checked.find(product.name, paths, lambda: damage(self.suite, product.name, product.files))
        if damaged:
            return ProductStatus(product, "damaged", damaged)
        if self.judged == AS_RECORDED and product.stage in MEASUREMENTS:
            return ProductStatus(product, "fresh")
        then, now = self._made_from(product.name), self.made_from(product)
        if product.stage in MEASUREMENTS and not then:
            why = f"{product.files[0]}: restored as it was recorded: it cannot be compared with what it was made from"
            return ProductStatus(product, "recorded", why)
        changed = [name for name, value in now.items() if value is not None and then.get(name) != value]
        changed += [name for name in then if name not in now]
        if not changed:
            return ProductStatus(product, "fresh")
        state = "other code" if changed == ["code"] and product.stage in MEASUREMENTS else "stale"
        named = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
        return ProductStatus(product, state, f"{product.files[0]}: made from other {named} than now")


@contextmanager
def making(suite: Suite, name: str, *, as_recorded: bool = False, products: Products | None = None) -> Iterator[None]:
    """Around the job that makes a product: what it reads is checked, and the product's manifest is written last.

    A product that the suite does not ask for has no manifest. `products`: if a command has just looked at them.

    Raises:
        SteadyTuneError: what it would be made from is damaged or stale; one line.
    """
    own_results(suite)
    products = products or Products(suite, as_recorded=as_recorded if name == "metrics" else None)
    product = products.all.get(name)
    # The notebook reads what the report does.
    stage = "report" if name == "notebook" else product.stage if product else None
    products.check(SOURCES.get(stage, ()) if stage else ())
    if product is None or not product.files:
        yield
        return
    made_from = products.made_from(product)
    manifest_path(suite, name).unlink(missing_ok=True)
    yield
    write_manifest(suite, name, product.files, {key: value for key, value in made_from.items() if value is not None})


@cache
def gathering_code() -> str:
    """The SHA-256 of every file of the code that gathers, judges and renders."""
    found = hashlib.sha256()
    places = [PACKAGE / place for place in GATHERING_CODE]
    paths = (path.relative_to(PACKAGE) for place in places for path in (place, *place.rglob("*")))
    # What Python and editors leave beside the code comes and goes, also as half a `.pyc` under another suffix.
    for path in sorted(path for path in paths if not any(part.startswith((".", "__pycache__")) for part in path.parts)):
        if (PACKAGE / path).is_file():
            found.update(path.as_posix().encode() + b"\0" + (PACKAGE / path).read_bytes())
    return found.hexdigest()


def _below(path: str, folder: str) -> str:
    """A path below the results, without its suffix."""
    return Path(path).relative_to(folder).with_suffix("").as_posix()
