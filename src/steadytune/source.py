"""Where this package's code is, for processes that are started to run it."""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
"""The folder that makes this package importable: `src` of a clone, or the site-packages it is installed in."""


def first_on_path(folder: Path, variable: str) -> str:
    """The value of a path variable of the environment (`PATH`, `PYTHONPATH`) with `folder` put first."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get(variable))))
