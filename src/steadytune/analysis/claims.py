"""Claims: sentences of the papers as checkable statements, read from `config/claims/*.yaml`.

A claim says which cells it is about, which statistic and test speak for it, in which family of tests it stands, and how
large an effect it means. Nothing here imports numpy: a suite that names claims is checked with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from steadytune.errors import SteadyTuneError, unknown
from steadytune.methods.registry import parse
from steadytune.published import Row, load_published, printed_difference
from steadytune.schema import Checked, check, read_yaml
from steadytune.tasks.table import parse_task

CLAIMS = Path("config/claims")
ALPHA = 0.05
"""The error that each family of claims may make, in all its tests together."""

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Every = Literal["*"]


class Printed(Checked):
    """A difference of two printed rows, averaged over tasks: the effect that a paper reports."""

    table: str
    model: str
    row: str
    against: str
    tasks: Names


class Stated(Checked):
    """What all claims have."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    sentence: str
    """The claim in our words."""
    where: str
    """Table, figure or section of the paper."""
    paper: str
    """The name of its file, and of its printed numbers if there are any."""
    source: str
    """The paper as a reader knows it."""
    suite: str | None = None
    """The suite whose grid has its cells."""
    family: str
    """Claims whose p-values are corrected together."""
    encoders: Names
    tasks: Names | Every
    """Trained tasks; `*` is every one that the suite has for all sides."""
    margin: float | None = None
    """The size that the claim is about, ours unless it comes from `published`; docs/claims.md says what of."""
    published: Printed | None = None
    """The printed numbers: where there is no `margin`, it is their difference."""
    unreachable: str | None = None
    """Why no suite can evaluate it."""

    def effect(self) -> float | None:
        """The difference that the paper prints, in points."""
        if self.published is None:
            return None
        return float(printed_difference(_printed(self.paper), **self.published.model_dump()))

    def size(self) -> float:
        """The margin, or the paper's own effect where there is none."""
        size = self.margin if self.margin is not None else self.effect()
        assert size is not None, "checked when the file was read"
        return size

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that it is about."""
        return ()

    @model_validator(mode="after")
    def _has_a_size(self) -> "Stated":
        if self.margin is None and self.published is None and self.unreachable is None:
            raise ValueError("a `margin`, or `published` numbers to take it from")
        return self


class Comparison(Stated):
    """A method held against others on the same encoder, tasks and seeds."""

    method: str
    against: Names
    """Where there are several, the claim is about each of them, and the least favourable one speaks."""
    baseline_encoders: Names | None = None
    """The encoders of the methods in `against`, where they are others: one for each of `encoders`."""
    seeds: int = Field(3, ge=2)
    """How many seeds the paper ran, and a suite should; the claim is judged on all that a suite has."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The method and what it is held against."""
        return (self.method, *self.against)

    @model_validator(mode="after")
    def _pairs_of_encoders(self) -> "Comparison":
        if self.baseline_encoders and len(self.baseline_encoders) != len(self.encoders):
            raise ValueError("as many `baseline_encoders` as `encoders`")
        return self


class Difference(Comparison):
    """The method's mean score is higher (or lower), over tasks and seeds, by about `margin` points."""

    statistic: Literal["difference"]
    direction: Literal["higher", "lower"] = "higher"
    test: Literal["sign-flip", "wilcoxon"] = "sign-flip"
    sets: dict[str, Names] | Names | Every | None = None
    """Other evaluation sets than the task's own, a mean over which is a cell's score: for all tasks, or by task; `*` is
    all that the suite has."""


class Gain(Comparison):
    """The difference is larger on `tasks` than on `reference`, by about `margin` points."""

    statistic: Literal["gain"]
    direction: Literal["higher", "lower"] = "higher"
    test: Literal["sign-flip", "wilcoxon"] = "sign-flip"
    tasks: Names
    reference: Names
    """One for each of `tasks`, in that order."""

    @model_validator(mode="after")
    def _pairs_of_tasks(self) -> "Gain":
        if len(self.reference) != len(self.tasks):
            raise ValueError("as many `reference` tasks as `tasks`")
        return self


class Spread(Comparison):
    """The method's standard deviation over seeds is smaller, by about a ratio of `margin`."""

    statistic: Literal["spread"]
    direction: Literal["lower"] = "lower"
    test: Literal["brown-forsythe"] = "brown-forsythe"
    margin: float | None = Field(None, gt=0, lt=1)


class NotWorse(Comparison):
    """The method's mean score is at most `margin` points lower."""

    statistic: Literal["not-worse"]
    direction: Literal["higher"] = "higher"
    test: Literal["t"] = "t"
    margin: float | None = Field(None, gt=0)


class Equivalent(Comparison):
    """The two mean scores are at most `margin` points apart."""

    statistic: Literal["equivalent"]
    direction: Literal["none"] = "none"
    test: Literal["tost"] = "tost"
    margin: float | None = Field(None, gt=0)


class Cost(Comparison):
    """What the method's training takes is at most `margin` times the other's."""

    statistic: Literal["cost"]
    direction: Literal["lower"] = "lower"
    test: Literal["t"] = "t"
    measure: Literal["seconds", "flops", "inference", "memory", "trainable"]
    margin: float | None = Field(None, gt=0)


class LayerStability(Stated):
    """In at least a share of `margin` of draws of few or unbalanced examples, l* is that of all data."""

    statistic: Literal["layer-stability"]
    direction: Literal["higher"] = "higher"
    test: Literal["binomial"] = "binomial"
    margin: float | None = Field(None, gt=0, lt=1)
    examples: int | None = Field(None, gt=0)
    """Scarcity: draws of so many examples."""
    majority: float | None = Field(None, gt=0, lt=1)
    """Imbalance: draws in which the most frequent class has such a share."""

    @model_validator(mode="after")
    def _one_condition(self) -> "LayerStability":
        if (self.examples is None) == (self.majority is None):
            raise ValueError("`examples` or `majority`, and not both")
        return self


Claim = Annotated[
    Difference | Gain | Spread | NotWorse | Equivalent | Cost | LayerStability, Field(discriminator="statistic")
]


class ClaimFile(Checked):
    """A file of claims; `paper`, `source` and `suite` hold for all of them, `family` for those that name none."""

    paper: str
    source: str
    suite: str | None = None
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _share(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("claims"), list):
            return value
        shared = {key: value[key] for key in ("paper", "source", "suite") if key in value}
        shared["family"] = value.get("paper")
        each = [{**shared, **claim} if isinstance(claim, Mapping) else claim for claim in value["claims"]]
        return {**value, "claims": each}


def load_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a file.

    Raises:
        SteadyTuneError: one line naming file, claim, key, value and what was expected.
    """
    claims = check(ClaimFile, read_yaml(path), path).claims
    seen: set[str] = set()
    for claim in claims:
        try:
            if claim.id in seen:
                raise SteadyTuneError("stands twice")
            _check_names(claim)
        except SteadyTuneError as error:
            raise SteadyTuneError(f"{path}: claim '{claim.id}': {error}") from None
        seen.add(claim.id)
    return claims


def find_claims(names: Iterable[str], where: str, folder: Path = CLAIMS) -> tuple[Claim, ...]:
    """The claims that a suite names, each once: all of a file by its name, or one by its id.

    Raises:
        SteadyTuneError: a name that is neither, or a file that does not hold.
    """
    names, paths = tuple(names), {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    # An id may stand in any file.
    wanted = names if paths.keys() >= set(names) else paths
    files = {name: load_claims(paths[name]) for name in wanted}
    known: dict[str, Sequence[Claim]] = dict(files)
    for claim in (claim for claims in files.values() for claim in claims):
        if claim.id in known:
            raise SteadyTuneError(f"{folder}: claim '{claim.id}': the name stands for another claim or file too")
        known[claim.id] = (claim,)
    found: dict[str, Claim] = {}
    for name in names:
        if name not in known:
            raise unknown("claim", name, known, where)
        found |= {claim.id: claim for claim in known[name]}
    return tuple(found.values())


@cache
def _printed(paper: str) -> tuple[Row, ...]:
    return load_published(paper)


def _check_names(claim: Claim) -> None:
    """Every name in a claim that this project knows of has to exist."""
    for method in claim.methods:
        parse(method)
    names = [] if claim.tasks == "*" else [*claim.tasks]
    if isinstance(claim, Gain):
        names += claim.reference
    if isinstance(claim, Difference) and claim.sets not in (None, "*"):
        sets = claim.sets.values() if isinstance(claim.sets, dict) else [claim.sets]
        names += [name for each in sets for name in each or ()]
        if isinstance(claim.sets, dict) and set(claim.sets) != set(claim.tasks):
            raise SteadyTuneError("sets: expected an entry for each of its tasks")
    for name in names:
        parse_task(name)
    if claim.unreachable is None and isinstance(claim, Difference | Gain):
        effect = claim.size() if claim.direction == "higher" or claim.margin is not None else -claim.size()
        if effect <= 0:
            raise SteadyTuneError(f"an effect of {effect:.3g} points is none that could be {claim.direction}")
    elif claim.unreachable is None and claim.margin is None:
        raise SteadyTuneError("expected a `margin`: a printed difference is no bound and no ratio")
    # That the printed rows exist, also where a margin stands in place of their difference.
    claim.effect()
