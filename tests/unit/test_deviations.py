"""The table of deviations in docs/methods.md agrees with the registry and the oracles."""

import re

import pytest
from oracles import all_cases

from steadytune.methods import registry


@pytest.fixture
def rows(root):
    section = (root / "docs/methods.md").read_text().partition("## Deviations from released code\n")[2]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert cells[0] == ["method", "released code", "here", "effect", "oracle"]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_every_row_names_a_known_method_or_the_protocol(rows):
    assert {row["method"].strip("`") for row in rows} <= {*registry.methods(), "protocol"}


def test_every_released_form_has_a_row_with_its_oracle(rows):
    released = {name for name in registry.methods() if name.endswith("-released")}
    named = {name for row in rows for name in re.findall(r"`([\w-]+-released)`", row["here"]) if row["oracle"] != "-"}
    assert named == released


def test_every_oracle_exists_and_tests_the_method_of_its_row(rows):
    for row in rows:
        if row["oracle"] == "-":
            continue
        label = row["oracle"].strip("`")
        assert label in all_cases(), row
        method = label.partition("/")[0]
        assert f"`{method}`" in row["here"] or method == row["method"].strip("`") or row["method"] == "protocol", row
