"""The fixed subsets `@n`: the rule that draws them, and the index lists that the project publishes.

`published/subsets/<task>@<n>.txt` lists the rows of a training subset, for use without this project's code. Training
always follows the rule. Whenever a subset is used, its rows are compared with its published list; a list for other rows
(a copy of the data set in another order) is ignored with a warning in the log.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.layout import project_file
from steadytune.tasks.table import Task, spell_size

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

SUBSETS = Path("published/subsets")
# Changing this string draws other subsets.
SUBSET_STREAM = "steadytune subset"


def subset_rows(labels: np.ndarray, size: int, stream: str = SUBSET_STREAM) -> np.ndarray:
    """The fixed stratified subset of `size` rows of those with labels (n,): their sorted indices, shape (size,).

    Classes keep their shares, rounded by largest remainder; regression is stratified by the rounded label. Every row
    has a fixed random key, and in each class the rows with the smallest keys are taken. Smaller subsets are therefore
    contained in larger ones, except for about a row of rounding. The keys are raw output of Philox, which numpy never
    changes; another `stream` gives other keys.

    Raises:
        SteadyTuneError: `size` is below 1 or above the number of rows.
    """
    if not 0 < size <= len(labels):
        raise SteadyTuneError(f"a subset of {size} examples, but there are {len(labels)}")
    key = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:16], "little")
    keys = np.random.Philox(key=key).random_raw(len(labels))
    _, strata, counts = np.unique(np.rint(labels), return_inverse=True, return_counts=True)
    # In integers, because floating-point rounding could decide ties.
    quotas, remainders = np.divmod(counts * size, len(labels))
    quotas[np.argsort(-remainders, kind="stable")[: size - quotas.sum()]] += 1
    chosen = []
    for stratum, quota in enumerate(quotas):
        rows = np.flatnonzero(strata == stratum)
        chosen.append(rows[np.argsort(keys[rows], kind="stable")[:quota]])
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class IndexList:
    """A published subset."""

    of: str
    """`content_digest` of the split that the rows belong to."""
    rows: np.ndarray
    """(size,) int64: sorted row numbers in the split's files, from 0."""


def list_path(task: Task, size: int) -> Path:
    """The path of a subset's published list."""
    return SUBSETS / f"{task.name}@{spell_size(size)}.txt"


def content_digest(columns: Iterable[Iterable[object]]) -> str:
    """The SHA-256 of a split's texts and labels, given as columns: it depends on the rows and not on their file."""
    digest = hashlib.sha256()
    for values in columns:
        for value in values:
            digest.update(f"{value}\x1f".encode())
        digest.update(b"\x1e")
    return digest.hexdigest()


def read_list(path: Path) -> IndexList:
    """Read a published list.

    Raises:
        SteadyTuneError: the file is not such a list.
    """
    header, *lines = path.read_text(encoding="utf-8").split("\n")
    _, mark, digest = header.rpartition("SHA-256 ")
    try:
        rows = np.array([int(line) for line in lines if line], dtype=np.int64)
    except ValueError as error:
        raise SteadyTuneError(f"{path}: expected a row number in every line after the first ({error})") from None
    if not header.startswith("#") or not mark or (np.diff(rows) <= 0).any():
        raise SteadyTuneError(f"{path}: expected a header '# … SHA-256 <digest>' and ascending row numbers")
    return IndexList(digest, rows)


def check_published(task: Task, rows: np.ndarray, whole: "Dataset") -> None:
    """Compare the row numbers (n,) of a training subset with its published list, if there is one.

    `whole` is the split that they were drawn from, with the columns of `load_split`.

    Raises:
        SteadyTuneError: the list is for this split but names other rows: the rule no longer draws what was published.
    """
    path = project_file(list_path(task, len(rows)))
    if not path.is_file():
        return
    published = read_list(path)
    if published.of != split_digest(whole):
        log.warning("%s is for rows in another order or of another copy: the same rule draws from those here", path)
    elif not np.array_equal(published.rows, rows):
        raise SteadyTuneError(f"{path}: the rule draws other rows; `steadytune subsets` would write them anew")


def split_digest(whole: "Dataset") -> str:
    """`content_digest` of a split with the columns of `load_split`."""
    columns = [name for name in ("text_a", "text_b", "label") if name in whole.column_names]
    return content_digest(whole[name][:] for name in columns)
