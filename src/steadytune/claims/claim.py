"""Claims: sentences of the papers as checkable statements, read from `config/claims/*.yaml`.

A claim says which cells it is about, which statistic and test speak for it, in which family of tests it stands, and how
large an effect it means. A suite that names claims is checked with them.
"""

from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from steadytune.claims.published import Row, load_published, printed_difference
from steadytune.schema import StrictModel

ALPHA = 0.05
"""The error that each family of claims may make, in all its tests together."""

POINT = 1.0
"""The difference, in points, that is asked about if nobody claims another."""

Paired = Annotated[tuple[str, ...], Field(min_length=1)]
"""One for each of other names, of which several may have the same."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """A task that stands twice would count as evidence twice."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"each name once: '{twice}' stands twice")
    return names


Names = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_each_once)]
Every = Literal["*"]


class Printed(StrictModel):
    """A difference of two printed rows, averaged over tasks: the effect that a paper reports."""

    table: str
    model: str
    row: str
    against: str
    tasks: Annotated[tuple[str | Names, ...], Field(min_length=1)]
    """Printed columns; those in a group of their own are averaged first, as the claim averages a task's sets."""


class Stated(StrictModel):
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
    margin: float | None = Field(None, allow_inf_nan=False)
    """The size that the claim is about, ours unless it comes from `published`; docs/claims.md says what of."""
    published: Printed | None = None
    """The printed numbers: where there is no `margin`, it is their difference."""
    unreachable: str | None = None
    """Why no suite can evaluate it."""
    exploratory: bool = False
    """Whether results of this suite suggested the claim; said beside its verdict."""
    suggested_by: tuple[int, ...] = ()
    """The seeds whose results suggested it: they are left out of its judgement."""

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
    def _is_exploratory(self) -> "Stated":
        if self.suggested_by and not self.exploratory:
            raise ValueError("`exploratory: true` beside `suggested_by`")
        return self

    @model_validator(mode="after")
    def _has_a_size(self) -> "Stated":
        if self.margin is None and self.published is None and self.unreachable is None:
            raise ValueError("a `margin`, or `published` numbers to take it from")
        return self


class Comparison(Stated):
    """A method compared with others on the same encoder, tasks and seeds."""

    method: str
    against: Names
    """If there are several, the claim must hold against each; the least favourable one decides."""
    baseline_encoders: Paired | None = None
    """The encoders of the methods in `against`, where they are others: one for each of `encoders`."""
    seeds: int = Field(default=3, ge=2)
    """How many seeds the paper ran, and a suite should; the claim is judged on all that a suite has."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The method and what it is compared with."""
        return (self.method, *self.against)

    @model_validator(mode="after")
    def _pairs_of_encoders(self) -> "Comparison":
        if self.baseline_encoders and len(self.baseline_encoders) != len(self.encoders):
            raise ValueError("as many `baseline_encoders` as `encoders`")
        return self


class Difference(Comparison):
    """The method's mean score is higher (or lower), over tasks and seeds, by about (or at least) `margin` points.

    With the direction `either`, the two mean scores differ.
    """

    statistic: Literal["difference"]
    direction: Literal["higher", "lower", "either"] = "higher"
    test: Literal["sign-flip", "wilcoxon"] = "sign-flip"
    sets: dict[str, Names] | Names | Every | None = None
    """Other evaluation sets than the task's own, a mean over which is a cell's score: for all tasks, or by task; `*` is
    all that the suite has."""
    at_least: bool = False
    """Whether the claim is a difference of at least `margin`, and not any difference above 0: the test is that one."""
    reading: Literal["headline", "two-way"] = "headline"
    """What is read on each set: its headline metric, or accuracy on entailment against the rest (HyPe's Table 7)."""


class Differs(Difference):
    """Whether two methods differ, and by about `margin` points: what is asked if nobody claims anything."""

    id: str
    """`<encoder>/<method>`, or a task too."""
    direction: Literal["either"] = "either"

    @classmethod
    def between(cls, encoder: str, method: str, baseline: str, margin: float = POINT) -> "Differs":
        """The question about two methods on an encoder, on every task that both have."""
        return cls(
            id=f"{encoder}/{method}",
            sentence=f"{method} and {baseline} differ in their mean score over the tasks.",
            where="",
            paper="",
            source="",
            family=f"against {baseline}",
            statistic="difference",
            encoders=(encoder,),
            method=method,
            against=(baseline,),
            tasks="*",
            margin=margin,
        )


class Gain(Comparison):
    """The difference is larger on `tasks` than on `reference`, by about `margin` points."""

    statistic: Literal["gain"]
    direction: Literal["higher", "lower"] = "higher"
    test: Literal["sign-flip", "wilcoxon"] = "sign-flip"
    at_least: bool = False
    """Whether the claim is a difference of at least `margin`, and not any difference above 0: the test is that one."""
    tasks: Names
    reference: Paired
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
    margin: float | None = Field(None, gt=0, allow_inf_nan=False)


class Equivalent(Comparison):
    """The two mean scores are at most `margin` points apart."""

    statistic: Literal["equivalent"]
    direction: Literal["none"] = "none"
    test: Literal["tost"] = "tost"
    margin: float | None = Field(None, gt=0, allow_inf_nan=False)


class Cost(Comparison):
    """What the method's training takes is at most `margin` times the other's."""

    statistic: Literal["cost"]
    direction: Literal["lower"] = "lower"
    test: Literal["t"] = "t"
    measure: Literal["seconds", "flops", "inference", "memory", "trainable"]
    margin: float | None = Field(None, gt=0, allow_inf_nan=False)


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


@cache
def _printed(paper: str) -> tuple[Row, ...]:
    return load_published(paper)
