"""What a suite's file says about claims, tables and figures: checked apart from what its cells need."""

import re
from pathlib import Path

from steadytune.claims.files import suite_claims
from steadytune.errors import SteadyTuneError, unknown
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.suite.suite import Suite


def check_outputs(suite: Suite) -> None:
    """Check the names of the claims, tables and figures in a suite's file, and that its results are its own.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    suite_claims(suite)
    for kind, names, known in (("table", suite.file.tables, TABLES), ("figure", suite.file.figures, FIGURES)):
        for name in names:
            if name not in known:
                raise unknown(kind, name, known, f"{suite.path}: {kind}s")
    _check_alone(suite)


def _check_alone(suite: Suite) -> None:
    """Look for another suite's file of this name, beside this one or in `config/`: it would have the same results."""
    # Read as text, because YAML takes a hundred times as long.
    line = re.compile(rf"""^suite:\s*(["']?){re.escape(suite.name)}\1\s*(#.*)?$""", re.MULTILINE)
    for folder in (suite.path.parent, Path("config")):
        for other in sorted(folder.glob("*.y*ml")):
            if not other.samefile(suite.path) and line.search(other.read_text(encoding="utf-8", errors="replace")):
                said = f"{other} has the same name, and so the same results"
                raise SteadyTuneError(f"{suite.path}: suite: '{suite.name}': {said}")
