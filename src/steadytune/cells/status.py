"""`steadytune status`: which cells of a suite are fresh, why the others are not, and what trains them."""

from collections import Counter

from steadytune.cells.freshness import statuses
from steadytune.store.receipt import BUNDLE
from steadytune.suite.suite import Suite


def describe(suite: Suite, *, deep: bool = False) -> str:
    """A line for each cell that is not fresh, the counts, and what brings the others up to date."""
    found = statuses(suite, deep=deep)
    lines = [
        f"{status.state:<12}{status.cell}{f': {status.why}' if status.why else ''}"
        for status in found
        if status.state != "fresh"
    ]
    counts = Counter(status.state for status in found)
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    inputs = (item for status in found for item in (status.record or {}).get("inputs", ()))
    if bundled := sorted({item["key"] for item in inputs if item["pinned_by"] == BUNDLE}):
        lines.append(f"from a bundle, for which only its maker vouches: {', '.join(bundled)}")
    causes = {status.cause for status in found}
    again = f"steadytune run {suite.name}"
    if counts.keys() & {"missing", "quarantined"} or causes & {"settings", "inputs"}:
        lines.append(f"`{again}` trains what is missing, damaged, or has other settings or inputs")
    if "code" in causes:
        lines.append(f"`{again} --stale` also trains what was trained by other code; until then tables mark it")
    if "unstaged" in causes:
        lines.append(f"`steadytune stage {suite.name}` brings inputs that are not there to compare")
    return "\n".join(lines)
