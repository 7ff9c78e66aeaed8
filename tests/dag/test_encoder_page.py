"""The table in docs/encoders.md is what `docs/encoders.py` generates from trials."""

import subprocess
import sys

import pytest

from steadytune.trials.tiny import EVERY


@pytest.mark.long
def test_table_of_architectures_is_current(root):
    page = (root / "docs/encoders.md").read_text()
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row in EVERY] == list(EVERY)
    subprocess.run([sys.executable, root / "docs/encoders.py", "--check"], check=True)
