"""The judged claim: one frozen value from the judge to the report, stored in `analysis/claims.json`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator

from steadytune.claims.claim import ALPHA
from steadytune.files import read_json, write_json
from steadytune.layout import claims_path
from steadytune.looks import Look, Looks, name_of_pair
from steadytune.results.model import Results
from steadytune.schema import check

Verdict = Literal["reproduced", "inconclusive", "not reproduced", "not evaluated"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Unit = Literal["points", "ratio", "share"]
ROUNDING = 1e-9
"""Effects closer to 0 than this, in points, count as 0."""
Number = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""JSON has null for a number that is infinite or undefined; null is read as NaN."""
Interval = tuple[
    Annotated[float, BeforeValidator(lambda value: float("-inf") if value is None else value)],
    Annotated[float, BeforeValidator(lambda value: float("inf") if value is None else value)],
]


@dataclass(frozen=True)
class Summary:
    """Summary statistics of one cell's runs."""

    runs: int
    mean: float
    sd: float
    """Divisor runs - 1; NaN for one run."""
    median: float
    interquartile_mean: float
    """Mean without the lowest and the highest quarter of the runs, each rounded down to whole runs."""
    best: float
    worst: float


@dataclass(frozen=True)
class Finding:
    """What the runs show about a claim; effects are in its unit: points, a ratio, or a share."""

    effect: Number
    interval: Interval
    """95 % interval over seeds, uncorrected, usually inverted from the claim's test; infinite ends are null in JSON."""
    favours: bool
    """Whether the effect is on the claimed side of 0, of 1, or of the bound."""
    p: Number
    """P-value for the claim."""
    p_against: Number
    """P-value for the opposite claim, by the claim's own test."""
    needs: int | None
    """Seeds (draws, for layers) that detect an effect of the claim's size with a chance of 80 %; None if this is more
    than `power` searches."""
    detectable: Number
    """The effect, or bound, that the present seeds detect with that chance, for baseline `against`; NaN if unknown."""
    smallest_p: Number
    """The smallest p-value that these seeds could give, if all differences had one sign; 0 if there is no limit."""
    against: str = ""
    """The baseline that the finding is about: the least favourable one."""
    p_size: Number = float("nan")
    """P-value for a true effect smaller than the claim's size; NaN for a claim about a bound."""
    p_worse: Number = float("nan")
    """For a difference: p-value for a mean over tasks on the other side, by a t test, even if tasks disagree."""
    interval_examples: Interval | None = None
    """The 95 % interval over seeds and examples; None without predictions, and at an interim look."""
    e_value: Number = float("nan")
    """For a difference: the anytime-valid evidence for the claim."""
    p_adjusted: Number = float("nan")
    """`p` after Holm's correction in the claim's family."""
    needs_range: tuple[int | None, int | None] | None = None
    """`needs` with the deviation at each end of its 80 % interval; None for tests other than the claim's own."""


@dataclass(frozen=True)
class Sensitivity:
    """The verdict on a claim under another analysis of the same cells."""

    verdict: Verdict
    survives: bool
    """Whether this is also the verdict of the primary analysis."""
    finding: Finding | None


@dataclass(frozen=True)
class Detail:
    """Both sides of a comparison of scores on one stratum, in points."""

    stratum: str
    against: str
    first: Summary
    second: Summary
    improvement: float
    """The probability that a run of the first side scores higher than a run of the second."""
    difference: Finding
    """Whether the two differ on this stratum alone, and by about a point: p is two-sided and not corrected."""
    changed: float | None = None
    """Share of the task's own evaluation examples that the sides answer differently at one seed; None if unknown."""


@dataclass(frozen=True)
class Judged:
    """One claim, its evidence and its verdict."""

    id: str
    sentence: str
    source: str
    where: str
    statistic: str
    test: str
    direction: str
    family: str
    verdict: Verdict
    reason: str
    """Why the verdict is what it is, in a sentence."""
    unit: Unit
    margin: float | None
    """The claimed size, or bound; None if no suite can evaluate the claim."""
    margin_is: Literal["ours", "the paper's"] | None
    published: float | None
    """The difference that the paper prints, in points."""
    finding: Finding | None = None
    """None if the claim was not evaluated."""
    family_size: int = 0
    """Tests in its family."""
    strata: tuple[str, ...] = ()
    not_begun: tuple[str, ...] = ()
    """Tasks that are left out so far, because some side has not begun them."""
    seeds: tuple[int, ...] = ()
    planned: int = 0
    """Seeds that the suite plans."""
    interim: bool = False
    """Whether p-values are anytime-valid: before the planned number of seeds, or after the plan was changed."""
    looks: tuple[Look, ...] = ()
    """Every distinct look so far, this one last."""
    smaller_than_claimed: bool = False
    """Whether the effect is shown, and shown to be smaller than the claim's size."""
    exploratory: bool = False
    suggested_by: tuple[int, ...] = ()
    """Seeds that are left out, because their results suggested the claim."""
    degenerate: int = 0
    """Runs that give one answer for every example."""
    draws: int = 0
    """Number of draws, for a claim about layers."""
    left_out: tuple[int, ...] = ()
    """Planned seeds without a score on some side or task."""
    ends: dict[str, int] = field(default_factory=dict)
    """Number of runs by status, all sides together."""
    cost: int = 0
    """Number of cells that the claim needs."""
    missing: tuple[str, ...] = ()
    """Planned files that do not exist."""
    outside: tuple[str, ...] = ()
    """Cells or measurements that the claim needs and the suite does not plan."""
    command: str | None = None
    """The command that runs what is missing."""
    sensitivity: dict[str, Sensitivity] = field(default_factory=dict)
    """By the name of the analysis; analyses that could change nothing are left out."""
    details: tuple[Detail, ...] = ()

    def on_tasks(self) -> tuple[Detail, ...]:
        """The details against the baseline that the finding is about."""
        return tuple(detail for detail in self.details if self.finding and detail.against == self.finding.against)

    @property
    def on_every_task(self) -> Literal["yes", "no", "open"] | None:
        """Whether the scores differ in the same direction on every task as on average; None without scores.

        *yes* if each task alone shows it at 0.05 (all have to, so nothing is corrected); *no* if a task shows the
        opposite, at 0.05 over the number of tasks.
        """
        tasks = self.on_tasks()
        if not tasks or self.finding is None:
            return None
        same = agreeing([detail.difference.effect for detail in tasks])
        p = [detail.difference.p for detail in tasks]
        if all(same) and max(p) <= ALPHA:
            return "yes"
        opposite = (found for found, agrees in zip(p, same, strict=True) if not agrees)
        return "no" if any(found <= ALPHA / len(tasks) for found in opposite) else "open"


def count_verdicts(judged: Iterable[Judged]) -> dict[Verdict, int]:
    """Number of claims by verdict, in the order of `VERDICTS`; verdicts without a claim are left out."""
    counts = Counter(claim.verdict for claim in judged)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


@dataclass(frozen=True)
class Verdicts:
    """The content of `claims.json`."""

    suite: str
    alpha: float = ALPHA
    claims: tuple[Judged, ...] = ()
    comparisons: tuple[Judged, ...] = ()
    """Each method against the baseline, with or without a claim about it."""
    forms: tuple[Judged, ...] = ()
    """Each other form of a method against its plain form."""

    def looks(self) -> Looks:
        """The looks at every judged question, by the name under which `Judge` finds them."""
        found = {judged.id: judged.looks for judged in self.claims}
        pairs = (*self.comparisons, *self.forms)
        found |= {name_of_pair(judged.id, judged.family): judged.looks for judged in pairs}
        return {name: looks for name, looks in found.items() if looks}


def agreeing(effects: Sequence[float]) -> list[bool]:
    """Whether each task's effect has the sign of the mean effect; False for an effect that is 0 up to rounding."""
    mean = sum(effects)
    return [effect * mean > 0 and abs(effect) > ROUNDING for effect in effects]


def write_verdicts(folder: Path, verdicts: Verdicts) -> None:
    """Write `claims.json` under a suite's results."""
    write_json(claims_path(folder), verdicts)


def judged_of(results: Results) -> tuple[Judged, ...]:
    """The judged claims of a suite's results; empty if the suite names no claims, even if an earlier version did."""
    return load_verdicts(results.folder).claims if results.suite.claims else ()


def load_verdicts(folder: Path) -> Verdicts:
    """The verdicts written under a suite's results; empty if there is no file yet.

    Raises:
        SteadyTuneError: `claims.json` is damaged, or another version of this project wrote it; one line.
    """
    path = claims_path(folder)
    return check(Verdicts, read_json(path), path) if path.is_file() else Verdicts(folder.name)
