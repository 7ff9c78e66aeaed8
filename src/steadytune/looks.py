"""When a suite's questions were looked at, and what was planned then: `looks.json` in its results.

If what is planned is changed after a look, p-values stay those that hold however often one looks. So looks outlive the
verdicts, and claims that the suite no longer names.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steadytune.errors import SteadyTuneError
from steadytune.layout import Of, looks_path, running_path
from steadytune.locks import hold
from steadytune.schema import check
from steadytune.seals import SEAL, read_sealed, write_sealed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """A time at which a question was judged."""

    seeds: int
    """That had a score."""
    planned: int
    """Seeds that the suite planned."""
    plan: str
    """Digest of what was asked, of which cells."""
    family: int
    """Tests in its family."""
    scored: tuple[int, ...] = ()
    """Which seeds had a score; empty in a look that did not say so yet."""
    sides: str = ""
    """Digest of the two sides, by which a question is known under another name."""

    def differs_from(self, now: "Look") -> bool:
        """Whether the plan is another one now, in a way that may help the claim: a family that has grown does not."""
        return self.plan != now.plan or self.family > now.family

    def picked(self, scored: Iterable[int], planned: Iterable[int]) -> set[int]:
        """The seeds that it saw and that are planned no more, if others that it saw still count.

        Seeds that nobody has looked at are a new study; some of those that somebody has are what their scores chose.
        """
        return set(self.scored) - set(planned) if set(self.scored) & set(scored) else set()


@dataclass(frozen=True)
class Kept:
    """The content of `looks.json`."""

    looks: Mapping[str, tuple[Look, ...]]
    """By the id of a question: every different look, the last one last."""


DAMAGED = ".damaged"
"""The suffix under which looks that cannot be read are set aside."""
Looks = Mapping[str, tuple[Look, ...]]
NONE: Looks = {}


def name_of_pair(question: str, family: str) -> str:
    """What looks at two methods are kept by: one is compared with several, the baseline and its own plain form."""
    return f"{question} {family}"


def is_of_a_pair(name: str) -> bool:
    """Whether looks are at two methods that nobody claims anything about: no claim's id has a space."""
    return " " in name


def read_looks(of: Of) -> Looks:
    """Every look so far at the questions of a suite, or of its results.

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
    """Write looks beside those that are kept already; a file that cannot be read is set aside."""
    # A run's look and that of a command beside it are both kept.
    with hold(running_path(of, "looks")):
        try:
            kept = read_looks(of)
        except SteadyTuneError:
            kept, path = NONE, looks_path(of)
            aside = path.with_name(f"{path.name}{DAMAGED}")
            path.replace(aside)
            log.warning("%s: damaged: it is kept as %s, and new looks are written", path, aside.name)
        joined = {name: join(kept.get(name, ()), looks.get(name, ())) for name in (*kept, *looks)}
        if joined != kept:
            write_sealed(looks_path(of), Kept(joined))


def join(earlier: Iterable[Look], later: Iterable[Look]) -> tuple[Look, ...]:
    """Every different look once, those that were taken again at their last place."""
    found = [*earlier, *later]
    return tuple(look for at, look in enumerate(found) if look not in found[at + 1 :])
