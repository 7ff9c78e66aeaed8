"""`steadytune status`: which parts of a suite are fresh, why the rest are not, and how to make them again."""

from collections import Counter

from steadytune.dag.products import Products
from steadytune.layout import RECORD, cells_folder, record_path
from steadytune.store.own_changes import changes
from steadytune.store.receipt import BUNDLE
from steadytune.suite.suite import Suite
from steadytune.text import counted


def describe(suite: Suite, *, deep: bool = False) -> str:
    """One line for each cell, product and own file that is not fresh, then the counts and the commands that help."""
    products = Products(suite, deep=deep)
    found, made = products.found, products.status()
    lines = [
        f"{status.state:<12}{status.cell}{f': {status.why}' if status.why else ''}"
        for status in found
        if status.state != "fresh"
    ]
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


def _count_unplanned(suite: Suite) -> int:
    planned = {record_path(suite, cell) for cell in suite.cells}
    return sum(path not in planned for path in cells_folder(suite).glob(f"*/*/*/seed-*/{RECORD}"))
