"""Parts of a split that have no group in common, such as an article or a text.

They replace a missing training split if only an evaluation split is available. They also separate held-out training
data if examples about the same text would leak into each other.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from steadytune.errors import unknown

# From which to which share of the groups. Changing a share, or the string below, changes the training data. `larger` is
# slightly more than half, to have at least 5,000 of the 9,815 rows of MNLI's matched development set.
PARTS = {"train": (0.0, 0.75), "rest": (0.75, 1.0), "larger": (0.0, 0.52), "smaller": (0.52, 1.0)}
STREAM = "steadytune part"


def split_name(split: str) -> tuple[str, str]:
    """The split's name in its files, and the part or an empty string: `validation[train]` -> (validation, train)."""
    name, bracket, part = split.partition("[")
    return name, part.removesuffix("]") if bracket else ""


def part_rows(groups: Sequence[str], part: str) -> np.ndarray:
    """The rows of a part of a split, as sorted indices; `groups` (n,) gives the group of each row.

    Raises:
        SteadyTuneError: an unknown part.
    """
    if part not in PARTS:
        raise unknown("part", part, PARTS)
    return rows_between(groups, *PARTS[part])


def rows_between(groups: Sequence[str], start: float, end: float, stream: str = STREAM) -> np.ndarray:
    """The rows, as sorted indices, of the groups between the shares `start` and `end` of all groups.

    Groups are ordered by the SHA-256 of `stream` and their name.
    """
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{stream}/{name}".encode()).digest())
    chosen = set(names[round(start * len(names)) : round(end * len(names))])
    return np.flatnonzero([group in chosen for group in groups])
