"""Where tables and figures appear in the report and in the documentation."""

import re
from collections import Counter

from steadytune.rendering.figures import FIGURES
from steadytune.rendering.sections import ALWAYS, ELSEWHERE, SECTIONS, placed
from steadytune.rendering.tables import TABLES

OF_PAPERS = re.compile(r"(hype|lnsr)-|variability-strategies")


def test_every_placed_table_or_figure_exists_and_has_one_place():
    known = {f"table {name}" for name in TABLES} | {f"figure {name}" for name in FIGURES}
    items = Counter(item for items in (*(section.items for section in SECTIONS), ELSEWHERE) for item in items)
    assert set(items.values()) == {1}
    assert items.keys() <= known
    assert placed("table cells") == "coverage"
    assert placed("figure transfer") == "transfer"
    assert placed("table of-somebody-else") == "further"
    assert items.keys() >= ALWAYS


def test_config_readme_lists_every_table_and_figure(root):
    text = (root / "config" / "README.md").read_text(encoding="utf-8").partition("## Tables and figures")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = Counter(name for row in rows for name in re.findall(r"`(.+?)`", row))
    assert set(listed) == {name for name in (*TABLES, *FIGURES) if not OF_PAPERS.match(name)}
