"""`steadytune status`: which parts of a suite are fresh, why the rest are not, and how to make them again."""

from collections import Counter
from collections.abc import Iterator, Sequence

from steadytune.cells.freshness import NO_RECORD, CellStatus
from steadytune.dag.products import Products
from steadytune.layout import record_files, record_path
from steadytune.methods.registry import composition
from steadytune.store.own_changes import changes
from steadytune.store.receipt import BUNDLE
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.text import counted


def describe(suite: Suite, *, deep: bool = False) -> str:
    """The cells, products and own files that are not fresh, then the counts and the commands that help.

    One line for each, except for cells without a record: these have one line for each encoder and method.
    """
    products = Products(suite, deep=deep)
    found, made = products.found, products.status()
    lines = [
        f"{status.state:<12}{status.cell}{f': {status.why}' if status.why else ''}"
        for status in found
        if status.state != "fresh" and status.why != NO_RECORD
    ]
    lines += _missing_lines(found)
    inputs = (item for status in found for item in (status.record or {}).get("inputs", ()))
    bundled = sorted({item["key"] for item in inputs if item["pinned_by"] == BUNDLE})
    old = [status for status in made if status.state not in ("fresh", "missing")]
    lines += [f"{status.state:<12}{status.why}" for status in old]
    lines += [f"{'changed':<12}{said}" for said in changes(suite)]
    counts = Counter(status.state for status in found)
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    if unplanned := _count_unplanned(suite):
        lines.append(f"{counted(unplanned, 'record')} more of cells that the suite does not plan: no table has them")
    if old:
        lines.append(f"{len(old)} of {len(made)} files or groups of files that are made from cells are not fresh")
    absent = [status.product.name for status in made if status.state == "missing"]
    if absent and len(absent) < len(made):
        lines.append(f"not made yet: {', '.join(absent[:5])}{', …' if len(absent) > 5 else ''}")
    if bundled:
        lines.append(f"from a bundle, for which only its maker vouches: {', '.join(bundled)}")
    plans = [status.record.get("analysis_plan") for status in found if status.record]
    if other := sum(plan != suite.analysis_plan for plan in plans):
        lines.append(f"{counted(other, 'cell')} ran under another version of the analysis plan, or none")
    causes = {status.cause for status in found}
    again = f"steadytune run {suite.argument}"
    if counts.keys() & {"missing", "quarantined"} or causes & {"settings", "inputs"}:
        lines.append(f"`{again}` trains what is missing, damaged, or has other settings or inputs")
    if any(not status.usable for status in old):
        lines.append(f"`{again}` makes files again that are damaged or stale")
    if "code" in causes or any(status.state == "other code" for status in old):
        lines.append(f"`{again} --stale` also trains what was trained by other code; until then tables mark it")
    if "unstaged" in causes:
        lines.append(f"`steadytune stage {suite.argument}` stages the inputs that cannot be compared")
    return "\n".join(lines)


def _missing_lines(found: Sequence[CellStatus]) -> Iterator[str]:
    """The cells that have no record, as counts by encoder and method; variants count as their method."""
    planned = Counter(_group(status.cell) for status in found)
    missing: dict[str, list[Cell]] = {}
    for status in found:
        if status.why == NO_RECORD:
            missing.setdefault(_group(status.cell), []).append(status.cell)
    for group, cells in missing.items():
        if len(cells) == 1:
            said = f"{cells[0]}: {NO_RECORD}"
        elif len(cells) == planned[group]:
            said = f"{group}: none of {len(cells)} cells has a record"
        else:
            said = f"{group}: {len(cells)} of {planned[group]} cells have no record, {cells[0]} first"
        yield f"{'missing':<12}{said}"


def _group(cell: Cell) -> str:
    return f"{cell.encoder}/{composition(cell.method)}"


def _count_unplanned(suite: Suite) -> int:
    planned = {record_path(suite, cell) for cell in suite.cells}
    return sum(path not in planned for path in record_files(suite))
