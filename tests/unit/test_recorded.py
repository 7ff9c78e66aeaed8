"""The recorded runs of published/recorded: whole, of the suites as they now are, and what the pages say of them."""

import subprocess
import sys

import pytest

from steadytune.cells.record import damaged_file, read_record
from steadytune.layout import RECORD, RECORDED
from steadytune.suite.cell import canonical_digest
from steadytune.suite.loading import load_suite

CELLS = {"mini": 24, "tiny-check": 100, "glue-tiny": 516}


@pytest.mark.parametrize("name", CELLS)
def test_recorded_cells_are_whole_and_have_the_settings_of_their_suite(root, name):
    suite = load_suite(root / f"config/{name}.yaml")
    folder = root / RECORDED / name
    recorded = {path.parent for path in folder.glob(f"cells/**/{RECORD}")}
    assert len(recorded) == CELLS[name]
    for cell in suite.cells:
        place = folder / "cells" / str(cell)
        if (place / RECORD).exists():
            recorded.remove(place)
            record = read_record(place / RECORD)
            assert damaged_file(record, place) is None
            assert canonical_digest(record.spec) == suite.spec(cell).digest(), cell
    assert not recorded, "cells that no suite plans"


def test_the_pages_have_the_tables_of_the_records(root):
    command = [sys.executable, root / "docs/tables.py", "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
