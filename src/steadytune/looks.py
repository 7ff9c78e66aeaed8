"""Looks at a suite's questions, and what was planned at the time: `looks.json` in its results.

If the plan changes after a look, p-values remain anytime-valid ones, which hold for any number of looks. Looks
therefore outlive their verdicts, and claims that the suite no longer names.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steadytune.errors import SteadyTuneError
from steadytune.files import keep_aside
from steadytune.layout import Of, looks_path, running_path
from steadytune.locks import hold
from steadytune.schema import check
from steadytune.seals import SEAL, read_sealed, write_sealed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """The plan and the scored seeds when a question was judged."""

    seeds: int
    """Number of seeds that had a score."""
    planned: int
    """Number of seeds that the suite planned."""
    plan: str
    """Digest of the question and the cells it was asked about."""
    family: int
    """Number of tests in the question's family."""
    scored: tuple[int, ...] = ()
    """The seeds that had a score; empty in looks by older versions, which did not record them."""
    sides: str = ""
    """Digest of the two sides, which identifies a question under another name."""

    def differs_from(self, now: "Look") -> bool:
        """Whether the plan has changed in a way that may help the claim; a family that has grown does not help."""
        return self.plan != now.plan or self.family > now.family

    def picked(self, scored: Iterable[int], planned: Iterable[int]) -> set[int]:
        """Seeds of this look that are no longer planned, if other seeds of this look still count.

        Seeds that nobody has looked at make a new study. If only some of the seeds already looked at remain, their
        scores may have decided which.
        """
        return set(self.scored) - set(planned) if set(self.scored) & set(scored) else set()


@dataclass(frozen=True)
class Kept:
    """The content of `looks.json`."""

    looks: Mapping[str, tuple[Look, ...]]
    """The distinct looks at each question, by its id; the latest is last."""


Looks = Mapping[str, tuple[Look, ...]]
NONE: Looks = {}


def name_of_pair(question: str, family: str) -> str:
    """The key of the looks at a pair of methods.

    It includes the family, because a method is compared with several others: the baseline and its own plain form.
    """
    return f"{question} {family}"


def is_of_a_pair(name: str) -> bool:
    """Whether a key belongs to a pair of methods rather than to a claim, whose id never has a space."""
    return " " in name


def read_looks(of: Of) -> Looks:
    """All looks so far at the questions of a suite, given by itself or by its results folder.

    Raises:
        SteadyTuneError: the file is damaged; one line.
    """
    path = looks_path(of)
    if not path.exists():
        return {}
    value = read_sealed(path)
    del value[SEAL]
    return check(Kept, value, path).looks


def keep_looks(of: Of, looks: Looks) -> None:
    """Add looks to the stored ones; a file that cannot be read is set aside."""
    # Locked, to keep the looks of both a run and a concurrent command.
    with hold(running_path(of, "looks")):
        try:
            kept = read_looks(of)
        except SteadyTuneError:
            kept, path = NONE, looks_path(of)
            aside = keep_aside(path, "damaged")
            log.warning("%s: damaged: it is kept as %s, and new looks are written", path, aside.name)
        joined = {name: join(kept.get(name, ()), looks.get(name, ())) for name in (*kept, *looks)}
        if joined != kept:
            write_sealed(looks_path(of), Kept(joined))


def join(earlier: Iterable[Look], later: Iterable[Look]) -> tuple[Look, ...]:
    """The distinct looks in order; a repeated look keeps its last place."""
    found = [*earlier, *later]
    return tuple(look for at, look in enumerate(found) if look not in found[at + 1 :])
