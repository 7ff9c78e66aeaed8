"""What is read of a staged folder: the files that its receipt lists, and none that came to lie beside them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

RECEIPT = "receipt.json"


def listed_files(folder: Path) -> frozenset[str] | None:
    """The names of the files that a folder's receipt lists; None if it has no receipt that can be read."""
    try:
        return frozenset(json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def listed_view(folder: Path) -> Iterator[Path]:
    """A folder of links to the listed files, for a library that reads whatever it finds; without receipt, `folder`."""
    names = listed_files(folder)
    if names is None:
        yield folder
        return
    with TemporaryDirectory() as place:
        view = Path(place)
        for name in names:
            (view / name).parent.mkdir(parents=True, exist_ok=True)
            (view / name).symlink_to((folder / name).absolute())
        yield view
