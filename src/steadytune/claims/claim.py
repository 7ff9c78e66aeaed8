"""Claims: sentences from papers as testable statements, read from `config/claims/*.yaml`.

A claim says which cells it is about, which statistic and test decide it, which family of tests it belongs to, and how
large the claimed effect is.
"""

from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from steadytune.claims.published import Row, load_published, printed_difference
from steadytune.schema import StrictModel, matching

ALPHA = 0.05
"""The family-wise error rate: the chance of any false rejection in a family of claims."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a name that is listed twice: its runs would count as evidence twice."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"each name once: '{twice}' is listed twice")
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
    """Printed columns; those in a nested list are averaged first, as the claim averages a task's evaluation sets."""


class BaseClaim(StrictModel):
    """The fields that all claims share."""

    id: Annotated[str, matching("[a-z0-9][a-z0-9.-]*", "lower-case letters, digits, . and -")]
    sentence: str
    """The claim in our words."""
    where: str
    """Table, figure or section of the paper."""
    paper: str
    """The name of its file, and of its printed numbers if there are any."""
    source: str
    """How the paper is cited."""
    suite: str | None = None
    """The suite whose grid has the claim's cells."""
    family: str
    """Claims whose p-values are corrected together."""
    encoders: Names
    tasks: Names | Every
    """Trained tasks; `*` is every one that the suite has for all sides."""
    margin: float | None = Field(None, allow_inf_nan=False)
    """The size of the claimed effect, in the unit that docs/claims.md states; ours unless it comes from `published`."""
    published: Printed | None = None
    """The printed numbers; without a `margin`, the size of the effect is their difference."""
    unreachable: str | None = None
    """Why no suite can evaluate it."""
    exploratory: bool = False
    """Whether results of this suite suggested the claim; shown next to its verdict."""
    suggested_by: tuple[int, ...] = ()
    """The seeds whose results suggested the claim: its verdict does not use them."""

    def effect(self) -> float | None:
        """The difference that the paper prints, in points."""
        if self.published is None:
            return None
        return float(printed_difference(_printed(self.paper), **self.published.model_dump()))

    def size(self) -> float:
        """The margin, or without one the effect that the paper prints."""
        size = self.margin if self.margin is not None else self.effect()
        assert size is not None, "checked when the file was read"
        return size

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that the claim is about."""
        return ()

    @model_validator(mode="after")
    def _is_exploratory(self) -> "BaseClaim":
        if self.suggested_by and not self.exploratory:
            raise ValueError("`exploratory: true` with `suggested_by`")
        return self

    @model_validator(mode="after")
    def _has_a_size(self) -> "BaseClaim":
        if self.margin is None and self.published is None and self.unreachable is None:
            raise ValueError("a `margin`, or `published` numbers to take it from")
        return self


class Comparison(BaseClaim):
    """A method compared with others on the same encoder, tasks and seeds."""

    method: str
    against: Names
    """Baselines. If there are several, the claim must hold against each; the least favourable one decides."""
    baseline_encoders: Names | None = None
    """The encoders of the methods in `against` if they differ: one for each of `encoders`."""
    seeds: int = Field(default=3, ge=2)
    """How many seeds the paper ran, and a suite should run; the claim is judged on all that a suite has."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The method and what it is compared with."""
        return (self.method, *self.against)

    @property
    def encoder_pairs(self) -> tuple[tuple[str, str], ...]:
        """(the method's encoder, its baselines' encoder) for each of `encoders`."""
        return tuple(zip(self.encoders, self.baseline_encoders or self.encoders, strict=True))

    def sides(self, encoder: str, baseline_encoder: str) -> tuple[tuple[str, str], ...]:
        """(encoder, method) of the method and of each baseline, for one of `encoder_pairs`."""
        return ((encoder, self.method), *((baseline_encoder, method) for method in self.against))

    @model_validator(mode="after")
    def _pairs_of_encoders(self) -> "Comparison":
        if self.baseline_encoders and len(self.baseline_encoders) != len(self.encoders):
            raise ValueError("as many `baseline_encoders` as `encoders`")
        return self


class ScoreComparison(Comparison):
    """A claim about a difference of mean scores."""


class MeanDifference(ScoreComparison):
    """A claim that a difference of mean scores is not 0, or exceeds a bound."""

    direction: Literal["higher", "lower", "either"] = "higher"
    test: Literal["sign-flip", "wilcoxon"] = "sign-flip"
    at_least: bool = False
    """Whether the test is for a difference of at least `margin`, and not for any difference above 0."""


class Difference(MeanDifference):
    """The method's mean score is higher (or lower), over tasks and seeds, by about (or at least) `margin` points.

    With the direction `either`, the two mean scores differ.
    """

    statistic: Literal["difference"]
    sets: dict[str, Names] | Names | Every | None = None
    """Other evaluation sets than the task's own, over which a cell's score is averaged: for all tasks, or by task; `*`
    is all that the suite has."""
    reading: Literal["headline", "two-way"] = "headline"
    """The score on each set: its headline metric, or accuracy on entailment against the rest (HyPe's Table 7)."""


class Gain(MeanDifference):
    """The difference is larger on `tasks` than on `reference`, by about `margin` points."""

    statistic: Literal["gain"]
    direction: Literal["higher", "lower"] = "higher"
    tasks: Names
    reference: Names
    """The reference task of each of `tasks`, in that order."""

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


class NotWorse(ScoreComparison):
    """The method's mean score is at most `margin` points lower."""

    statistic: Literal["not-worse"]
    direction: Literal["higher"] = "higher"
    test: Literal["t"] = "t"
    margin: float | None = Field(None, gt=0, allow_inf_nan=False)


class Equivalent(ScoreComparison):
    """The two mean scores are at most `margin` points apart."""

    statistic: Literal["equivalent"]
    direction: Literal["none"] = "none"
    test: Literal["tost"] = "tost"
    margin: float | None = Field(None, gt=0, allow_inf_nan=False)


class Cost(Comparison):
    """The cost of the method's training is at most `margin` times the baseline's."""

    statistic: Literal["cost"]
    direction: Literal["lower"] = "lower"
    test: Literal["t"] = "t"
    measure: Literal["seconds", "flops", "inference", "memory", "trainable"]
    margin: float | None = Field(None, gt=0, allow_inf_nan=False)


class LayerStability(BaseClaim):
    """In at least a share of `margin` of draws of few or unbalanced examples, l* is the same as on all data."""

    statistic: Literal["layer-stability"]
    direction: Literal["higher"] = "higher"
    test: Literal["binomial"] = "binomial"
    margin: float | None = Field(None, gt=0, lt=1)
    examples: int | None = Field(None, gt=0)
    """Scarcity: the number of examples in a draw."""
    majority: float | None = Field(None, gt=0, lt=1)
    """Imbalance: the share of the most frequent class in a draw."""

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
