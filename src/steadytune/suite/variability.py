"""What the variability stage measures: the `variability` key of a suite. Does not import torch."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from steadytune.schema import StrictModel

Tokens = Literal["mean_without_special", "mean_without_cls", "mean", "cls", "last"]
Regression = Literal["round", "exact"]


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("values in ascending order, each once")
    return values


Shares = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], AfterValidator(_ascending)]
Sizes = Annotated[tuple[Annotated[int, Field(gt=0)], ...], AfterValidator(_ascending)]


class NuSettings(StrictModel):
    """How nu is computed; the defaults follow the paper (arXiv 2210.10041) as far as it specifies them."""

    tokens: Tokens = "mean_without_special"
    """The vector that represents an example: the mean over the tokens that are not special (the paper says "non-CLS
    tokens", but the code behind its numbers leaves out separators too), over all but the token that the head reads, or
    over all; or only the token that the head reads, or the last token. Padding never counts."""
    regression: Regression = "round"
    """How regression scores form classes: by their nearest integer, with halves rounded up (ours), or only if equal, as
    in the paper's code."""
    weighting: Literal["class", "size"] = "class"
    """Whether classes are weighted equally, as in the paper, or by their number of examples."""
    centre: Literal["class_means", "global_mean"] = "class_means"
    """The centre that class means are compared with: their unweighted mean, as in the paper, or the mean of all
    examples."""


PAPER = NuSettings()
"""The paper's settings."""


class VariabilitySettings(NuSettings):
    """Where nu is measured, how certain its choice of a layer is, and other ways to choose; only nu is the paper's.

    In a suite's file, a plain list is read as `encoders`.
    """

    encoders: tuple[str, ...] = ()
    """Encoders whose layers are measured on every task they are fine-tuned on."""
    tasks: tuple[str, ...] = ()
    """Further tasks to measure these encoders on."""
    kept_examples: int = Field(default=2000, ge=2)
    """Maximum number of examples kept in memory for everything below: a fixed stratified subset."""
    resampling: Literal["half", "bootstrap"] = "half"
    """A resample is half of each class, drawn without replacement; or, for `bootstrap`, as many examples as each class
    has, drawn with replacement, which leaves some bias if the width is close to the number of examples."""
    resamples: int = Field(default=200, ge=0)
    """Number of resamples for the confidence bands; 0 for no bands."""
    choose_by: Literal["nu", "corrected"] = "nu"
    """Whether l* is the layer with the smallest nu, as in the paper, or with the smallest bias-corrected nu (ours;
    needs resamples). On few examples, nu is biased in favour of layers with many effective dimensions."""
    draws: int = Field(default=20, ge=0)
    """Number of draws at each point of the robustness experiments; 0 for no experiments."""
    majority_shares: Shares = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    """Class-imbalance experiment: the most frequent class's shares of the examples."""
    sizes: Sizes = (10, 20, 50, 100, 200, 500, 1000)
    """Scarcity experiment: numbers of examples."""
    selectors: bool = True
    """Whether to choose a layer also by CKA with the labels, a linear probe and the H-score."""

    @model_validator(mode="after")
    def _correction_has_resamples(self) -> "VariabilitySettings":
        if self.choose_by == "corrected" and not self.resamples:
            raise ValueError("`resamples` of at least 1 where `choose_by` is 'corrected'")
        return self

    @model_validator(mode="before")
    @classmethod
    def _encoders_alone(cls, value: Any) -> Any:
        return {"encoders": value} if isinstance(value, list | tuple) else value

    def measured(self) -> dict[str, Any]:
        """Everything that a measurement depends on, except names of encoders and tasks, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"encoders", "tasks"})
