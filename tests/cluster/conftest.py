"""The drills use the copied project of the DAG's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dag"))

from dag_project import staged  # noqa: F401 (a fixture)
