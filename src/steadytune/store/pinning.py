"""Write the hashes of generated data sets to the lock."""

import io
from pathlib import Path
from typing import Any

import yaml

from steadytune.files import write_text
from steadytune.safe_yaml import read_yaml
from steadytune.schema import check
from steadytune.store.lock import Lock, load_lock
from steadytune.store.receipt import hash_rows
from steadytune.store.sources import generate_files


def pin_generated(path: Path) -> list[str]:
    """Regenerate every generated data set of the lock at `path` and write the hashes of its rows there.

    The comment at the head of the file is kept; other comments are lost.

    Returns:
        The keys whose pins changed. If there are none, the file is not touched.

    Raises:
        SteadyTuneError: as `load_lock`.
    """
    lock = load_lock(path)
    value = read_yaml(path)
    changed = []
    for key, entry in lock.datasets.items():
        if entry.generated is None:
            continue
        generator = entry.generated.generator
        files = generate_files(generator, key.rsplit("/", 1)[-1])
        pin = {
            "generator": generator,
            "files": {name: {"rows_sha256": hash_rows(rows)} for name, rows in files.items()},
        }
        if value["datasets"][key]["generated"] != pin:
            value["datasets"][key]["generated"] = pin
            changed.append(key)
    if changed:
        check(Lock, value, path)
        write_text(path, _head(path) + to_yaml(value))
    return changed


def to_yaml(value: Any) -> str:
    """YAML in the lock's style: keys in their given order, one line per file."""
    buffer = io.StringIO()
    yaml.safe_dump(value, buffer, sort_keys=False, default_flow_style=None, allow_unicode=True, width=1000)
    return buffer.getvalue()


def _head(path: Path) -> str:
    """The comment at the head of a file."""
    head = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            break
        head.append(line)
    return "".join(head)
