"""Where tables and figures stand in the report, and in the documentation."""

import re
from collections import Counter

from steadytune.rendering.figures import FIGURES
from steadytune.rendering.sections import ALWAYS, ELSEWHERE, SECTIONS, placed
from steadytune.rendering.tables import TABLES

OF_PAPERS = re.compile(r"(hype|lnsr)-|variability-strategies")


def test_no_name_has_two_places_and_every_place_has_a_name_that_there_is():
    known = {f"table {name}" for name in TABLES} | {f"figure {name}" for name in FIGURES}
    items = Counter(item for items in (*(section.items for section in SECTIONS), ELSEWHERE) for item in items)
    assert set(items.values()) == {1}
    assert items.keys() <= known
    assert placed("table cells") == "coverage"
    assert placed("figure transfer") == "transfer"
    assert placed("table of-somebody-else") == "further"
    assert items.keys() >= ALWAYS


def test_the_documentation_lists_every_name(root):
    text = (root / "config" / "README.md").read_text(encoding="utf-8").partition("## Tables and figures")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = Counter(name for row in rows for name in re.findall(r"`(.+?)`", row))
    assert set(listed) == {name for name in (*TABLES, *FIGURES) if not OF_PAPERS.match(name)}
