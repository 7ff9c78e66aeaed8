"""The status of the products that a suite's jobs make besides records: measurements, tables, figures, the report.

Every product has a manifest (`manifests.py`) with the hashes of its files and the digests of what it was made from. A
product is fresh if its files match and it would be made from the same now: settings, inputs, code and other products.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from steadytune.cells.file_cache import FileCache
from steadytune.cells.freshness import AS_RECORDED, NOW, CellStatus, statuses
from steadytune.dag.origins import Origins, looks_now
from steadytune.dag.ownership import own_results
from steadytune.dag.product_list import MEASUREMENTS, SOURCES, Product, Stages, products_of
from steadytune.errors import SteadyTuneError
from steadytune.layout import file_cache_path, manifest_path, results_folder
from steadytune.manifests import damage, find_manifest, write_manifest
from steadytune.store.own_changes import check_unchanged
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

State = Literal["fresh", "missing", "damaged", "stale", "other code", "recorded"]
"""`recorded`: a measurement that was restored from a recorded suite, without digests of what it was made from."""


@dataclass(frozen=True)
class ProductStatus:
    """A product's state and, if it is not fresh, why."""

    product: Product
    state: State
    why: str = ""

    @property
    def usable(self) -> bool:
        """Whether other products may be made from it."""
        return self.state in ("fresh", "missing", "other code", "recorded")


class Products:
    """The products that a suite asks for, in the order in which they are made."""

    def __init__(
        self,
        suite: Suite,
        *,
        cells: Sequence[Cell] | None = None,
        deep: bool = False,
        as_recorded: bool | None = None,
        found: list[CellStatus] | None = None,
    ) -> None:
        """Find out nothing yet.

        Args:
            suite: the suite that asks for the products.
            cells: judge only these cells, for products that depend on no others.
            deep: as for `statuses`.
            as_recorded: as for `statuses`; by default, the value with which `metrics.parquet` was collected.
            found: the result of `statuses` with `scores`, and code and inputs compared, if the caller has it.
        """
        self.suite, self.all = suite, products_of(suite)
        if as_recorded is None:
            as_recorded = find_manifest(suite, "metrics").made_from.get("judged") == AS_RECORDED
        self.judged = AS_RECORDED if as_recorded else NOW
        self._cells, self._deep, self._found = cells, deep, None if as_recorded else found
        self.origins = Origins(suite, self.all, lambda: self.found, self.judged)
        self._file_cache = FileCache(file_cache_path(suite, "products"), forget=deep)

    @cached_property
    def found(self) -> list[CellStatus]:
        """The statuses of the cells; judged on first use, because that takes long and not every product needs them."""
        if self._found is not None:
            return self._found
        as_recorded = self.judged == AS_RECORDED
        return statuses(self.suite, self._cells, deep=self._deep, scores=True, as_recorded=as_recorded)

    def status(self, stages: Stages | None = None) -> list[ProductStatus]:
        """The status of every product that has files, in all stages or in `stages`."""
        chosen = [p for p in self.all.values() if p.files and (stages is None or p.stage in stages)]
        found = [self._judge(product) for product in chosen]
        self._file_cache.save()
        return found

    def check(self, stages: Stages) -> None:
        """Check that the existing products of some stages are intact and up to date.

        Raises:
            SteadyTuneError: a product is damaged, or would be made from something else now; one line.
        """
        for status in self.status(stages):
            if not status.usable:
                again = f"`steadytune run {self.suite.argument}` makes it again"
                raise SteadyTuneError(f"{status.why}; {again}")

    def finished(self, stages: Stages | None = None, *, stale: bool = False) -> list[str]:
        """What is not fresh in a finished suite, in sentences for the reader; empty if everything is fresh.

        Args:
            stages: the stages whose products must be fresh besides the cells; all by default.
            stale: accept cells and measurements made by other code, and cells that can no longer be compared with their
                inputs.

        Raises:
            SteadyTuneError: the suite is not finished or not fresh; the line says what is wrong and how to fix it.
        """
        check_unchanged(self.suite)
        cells = [status for status in self.found if status.state != "fresh"]
        if absent := [status for status in cells if status.state in ("missing", "running")]:
            said = f"{len(absent)} of {len(self.found)} cells have no record, {absent[0].cell} first"
            raise SteadyTuneError(f"{self.suite.name}: {said}; `steadytune run {self.suite.argument}` trains them")
        products = [status for status in self.status(stages) if status.state != "fresh"]
        lines = [f"{status.cell}: {status.state}: {status.why}" for status in cells]
        lines += [f"{status.state}: {status.why}" for status in products]
        lost = any(not status.shown for status in cells) or any(status.state != "other code" for status in products)
        if lines and (lost or not stale):
            more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
            # Cells of other code are trained again only on request.
            asked = not lost or any(status.cause == "code" for status in cells)
            helps = f"`steadytune run {self.suite.argument}{' --stale' if asked else ''}` makes it again"
            helps += "" if lost else ", and `--stale` here marks it"
            raise SteadyTuneError(f"{self.suite.name}: not fresh: {'; '.join(lines[:3])}{more}; {helps}")
        return [f"Not fresh: {line}." for line in lines]

    def _judge(self, product: Product) -> ProductStatus:
        manifest = manifest_path(self.suite, product.name)
        if not any(file.exists() for file in (manifest, *product.files)):
            return ProductStatus(product, "missing", f"{product.files[0]}: not made yet")
        said, root = find_manifest(self.suite, product.name), results_folder(self.suite)
        asked = {file: file.relative_to(root).as_posix() for file in product.files}
        if new := [file for file, name in asked.items() if said.files and name not in said.files and not file.exists()]:
            return ProductStatus(product, "stale", f"{new[0]}: not made yet")
        paths = [manifest, *product.files]
        damaged = self._file_cache.find(product.name, paths, lambda: damage(self.suite, product.name, product.files))
        if damaged:
            return ProductStatus(product, "damaged", damaged)
        if self.judged == AS_RECORDED and product.stage in MEASUREMENTS:
            return ProductStatus(product, "fresh")
        then, now = said.made_from, self.origins.now(product)
        if product.stage in MEASUREMENTS and not then:
            why = f"{product.files[0]}: restored as it was recorded: it cannot be compared with what it was made from"
            return ProductStatus(product, "recorded", why)
        changed = [name for name, value in now.items() if value is not None and then.get(name) != value]
        changed += [name for name in then if name not in now]
        if not changed:
            return ProductStatus(product, "fresh")
        state = "other code" if changed == ["code"] and product.stage in MEASUREMENTS else "stale"
        named = " and ".join(changed) if len(changed) < 3 else ", ".join(changed[:3]) + ", …" * (len(changed) > 3)
        return ProductStatus(product, state, f"{product.files[0]}: made from other {named} than now")


@contextmanager
def making(
    suite: Suite,
    name: str,
    *,
    cells: Sequence[Cell] | None = None,
    as_recorded: bool = False,
    products: Products | None = None,
) -> Iterator[None]:
    """Around the job that makes a product: check what the job reads first, and write the product's manifest last.

    A product that the suite does not ask for gets no manifest.

    Args:
        suite: the suite.
        name: the product.
        cells: the cells that it depends on, if not on all.
        as_recorded: for `metrics`, as for `statuses`.
        products: the products, if already loaded.

    Raises:
        SteadyTuneError: a product that the job reads is damaged or stale; one line.
    """
    own_results(suite)
    products = products or Products(suite, cells=cells, as_recorded=as_recorded if name == "metrics" else None)
    product = products.all.get(name)
    # The notebook reads what the report reads.
    stage = "report" if name == "notebook" else product.stage if product else None
    products.check(SOURCES.get(stage, ()) if stage else ())
    if product is None or not product.files:
        yield
        return
    now = products.origins.now(product)
    manifest_path(suite, name).unlink(missing_ok=True)
    yield
    if product.stage == "claims":
        # The job has added its own look at the data.
        now |= looks_now(suite)
    write_manifest(suite, name, product.files, {key: value for key, value in now.items() if value is not None})
