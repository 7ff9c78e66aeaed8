"""What the variability stage measures: the `variability` key of a suite. Free of torch, as the suite is."""

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
    """How nu is computed; the defaults are those of the paper (arXiv 2210.10041) as far as it says."""

    tokens: Tokens = "mean_without_special"
    """What stands for an example: the mean over the tokens that are not special (the paper speaks of "non-CLS tokens",
    the code behind its numbers leaves out separators too), over all but the one that the head reads, or over all; or
    the token that the head reads, or the last one, alone. Padding never counts."""
    regression: Regression = "round"
    """Which scores make one class of a regression target: those with the same nearest integer, halves up (ours), or
    equal ones, as in the paper's code."""
    weighting: Literal["class", "size"] = "class"
    """Whether each class weighs the same, as in the paper, or by its number of examples."""
    centre: Literal["class_means", "global_mean"] = "class_means"
    """What class means are held against: their own unweighted mean, as in the paper, or the mean of all examples."""


PAPER = NuSettings()
"""nu as in the paper."""


class VariabilitySettings(NuSettings):
    """nu on which encoders, how sure its choice of a layer is, and what else would choose one; all but nu is ours.

    In a suite's file a plain list stands for `encoders`.
    """

    encoders: tuple[str, ...] = ()
    """Encoders whose layers are measured on every task that they are fine-tuned on."""
    tasks: tuple[str, ...] = ()
    """Further tasks that they are measured on."""
    kept_examples: int = Field(default=2000, ge=2)
    """So many examples at most, a fixed stratified subset, are kept in memory for everything below."""
    resampling: Literal["half", "bootstrap"] = "half"
    """A resample is half of each class, drawn without replacement, or as many examples with replacement. The latter
    does not take away all bias where the width comes near the number of examples."""
    resamples: int = Field(default=200, ge=0)
    """Resamples behind the bands; 0 for no bands."""
    choose_by: Literal["nu", "corrected"] = "nu"
    """Whether l* is the layer of least nu, as in the paper, or of least nu without its bias from few examples, which
    favours wide layers (ours; needs resamples)."""
    draws: int = Field(default=20, ge=0)
    """Draws at each point of the robustness experiments; 0 for no experiments."""
    majority_shares: Shares = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    """Class imbalance: the most frequent class's share of the examples."""
    sizes: Sizes = (10, 20, 50, 100, 200, 500, 1000)
    """Scarcity: numbers of examples."""
    selectors: bool = True
    """Whether CKA with the labels, a linear probe and the H-score choose a layer too."""

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
        """All that a measurement depends on, the names of encoders and tasks aside, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"encoders", "tasks"})
