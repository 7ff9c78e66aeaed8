"""Digests of what each product of a suite would be made from now: settings, inputs, code, records, other products."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from steadytune.cells.fingerprint import PACKAGE, code_digest
from steadytune.cells.freshness import CellStatus, digest
from steadytune.dag.product_list import SOURCES, Product
from steadytune.dag.targets import Targets
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import Kind, looks_path, staged_folder
from steadytune.manifests import read_manifest
from steadytune.store.receipt import read_receipt, receipt_digest
from steadytune.suite.cell import Cell, canonical_digest
from steadytune.suite.digests import inside_digest, suite_digest, variability_digest
from steadytune.suite.suite import Suite

MEASURING_CODE = ("cells/keeping.py", "cells/material.py", "encoders", "evaluation", "layers", "methods/support",
                  "streams.py", "tasks/data.py", "tasks/labels.py", "tasks/parts.py", "tasks/reading.py",
                  "tasks/subsets.py")  # fmt: skip
GATHERING_CODE = ("claims", "evaluation", "layers", "looks.py", "rendering", "results", "suite/variants.py",
                  "tasks/entries.py", "tasks/mini_entries.py", "text.py")  # fmt: skip


class Origins:
    """What a suite's products would be made from now.

    Args:
        suite: the suite that asks for the products.
        products: all of its products, by name.
        found: gives the statuses of its cells; called only for products that depend on them.
        judged: how the statuses were determined, as in the manifest of `metrics.parquet`.
    """

    def __init__(
        self, suite: Suite, products: Mapping[str, Product], found: Callable[[], list[CellStatus]], judged: str
    ) -> None:
        self._suite, self._products, self._found, self._judged = suite, products, found, judged
        self._receipt_digest = cache(self._read_receipt_digest)

    @cached_property
    def _cells(self) -> str:
        return digest(self._found())

    @cached_property
    def _records(self) -> dict[Cell, dict[str, Any] | None]:
        return {status.cell: status.record for status in self._found()}

    def now(self, product: Product) -> dict[str, str | None]:
        """Digests of what a product would be made from now, by name; None for what is not available for comparison."""
        match product.stage:
            case "variability":
                encoder, task = Path(product.name).parts[1:]
                found = {"settings": variability_digest(self._suite, encoder, task)}
                return found | self._inputs(encoder, task) | {"code": code_digest(MEASURING_CODE)}
            case "inside":
                return self._inside_from(product)
        wanted = SOURCES.get(product.stage, ())
        sources = [source for source in self._products.values() if source.files and source.stage in wanted]
        found: dict[str, str | None] = {source.name: self._content(source) for source in sources}
        if product.stage == "inside-table":
            found["predictions"] = canonical_digest([self._outcome(cell) for cell in self._suite.inside_cells])
        else:
            found |= {"cells": self._cells, "judged": self._judged}
        if product.stage == "claims":
            found |= {path: sha256(Path(path)) for path in Targets(self._suite).claim_files} | looks_now(self._suite)
        return found | {"settings": suite_digest(self._suite), "code": gathering_code()}

    def _inside_from(self, product: Product) -> dict[str, str | None]:
        block = self._suite.file.inside
        encoder, method, task, *seed = Path(product.name).parts[1:]
        probes = block.probes if block else ()
        found: dict[str, str | None] = {"settings": inside_digest(self._suite)}
        if seed:
            found["record"] = self._outcome(Cell.parse(f"{encoder}/{method}/{task}/{seed[0]}"))
        return found | self._inputs(encoder, task, *probes) | {"code": code_digest(MEASURING_CODE)}

    def _outcome(self, cell: Cell) -> str | None:
        """Digest of a cell's outcome, independent of when it was trained; None if it has no record to compare."""
        record = self._records.get(cell)
        return canonical_digest([record["fingerprint"], record["status"], record["files"]]) if record else None

    def _inputs(self, encoder: str, *tasks: str) -> dict[str, str | None]:
        keys: list[tuple[Kind, str]] = [("models", self._suite.model(encoder, tasks[0]))]
        keys.extend(("datasets", key) for key in sorted({self._suite.task(name).dataset_key for name in tasks}))
        return {f"{kind}/{key}": self._receipt_digest(kind, key) for kind, key in keys}

    def _read_receipt_digest(self, kind: Kind, key: str) -> str | None:
        try:
            return receipt_digest(read_receipt(staged_folder(self._suite.file.store, kind, key)))
        except SteadyTuneError:
            return None

    def _content(self, product: Product) -> str:
        """Digest of a product's files, from its manifest; "none" without a readable manifest."""
        try:
            return canonical_digest(read_manifest(self._suite, product.name).files)
        except SteadyTuneError:
            return "none"


def looks_now(suite: Suite) -> dict[str, str]:
    """The digest of the looks at a suite's questions so far. Verdicts depend on them, wherever a look was made."""
    path = looks_path(suite)
    return {"looks": sha256(path) if path.is_file() else "none"}


@cache
def gathering_code() -> str:
    """SHA-256 over every file of the code that collects, judges and renders results."""
    found = hashlib.sha256()
    places = [PACKAGE / place for place in GATHERING_CODE]
    paths = (path.relative_to(PACKAGE) for place in places for path in (place, *place.rglob("*")))
    # Skip files that Python and editors leave next to the code, such as a half-written `.pyc` with another suffix.
    for path in sorted(path for path in paths if not any(part.startswith((".", "__pycache__")) for part in path.parts)):
        if (PACKAGE / path).is_file():
            found.update(path.as_posix().encode() + b"\0" + (PACKAGE / path).read_bytes())
    return found.hexdigest()
