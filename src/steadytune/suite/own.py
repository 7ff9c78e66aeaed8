"""A suite's own tasks and encoders: what its file says of them, and the lock beside it that pins what was read."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from steadytune.schema import Checked, check, read_yaml
from steadytune.tasks.entries import METRICS_BY_HEADLINE
from steadytune.tasks.task import OWN, SPAN, Task

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
SCORES = ("pearson_spearman", "pearson", "spearman")
"""Metrics of a number: a task with one of these is a regression."""
TRAIN, EVALUATION = "train", "evaluation"


def _label(value: Any) -> Any:
    # YAML 1.1 reads an unquoted `no` or `yes` as a boolean; whoever writes `labels: [no, yes]` means the words.
    return {False: "no", True: "yes"}[value] if isinstance(value, bool) else str(value)


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class OwnTask(Checked):
    """A data set of the user's."""

    train: Path
    """A csv, tsv, jsonl or parquet file, a folder of parquet files, or a folder saved by `datasets`; relative to the
    suite's file."""
    evaluation: Path | None = None
    holdout: float | None = Field(None, gt=0, lt=1)
    """Share of `train` that is evaluated on, in place of a file: stratified, and the same for every cell."""
    format: Literal["csv", "tsv", "jsonl", "parquet", "datasets", "squad"] | None = None
    """By the file's name if not given; `squad` is a json file as SQuAD 1.1 has it."""
    quoted: bool | None = None
    """Whether quotation marks enclose fields: by default they do in csv and do not in tsv."""
    encoding: str = "utf-8-sig"
    text: Annotated[tuple[str, ...], BeforeValidator(_texts), Field(min_length=1, max_length=2)] = ()
    label: str = "label"
    labels: tuple[Annotated[str, BeforeValidator(_label)], ...] | None = Field(None, min_length=2)
    """Names of the classes in order; found in the data, and sorted, if not given. `f1` is that of the second."""
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ()
    """Further metrics that are logged."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.evaluation is None) == (self.holdout is None):
            raise ValueError("`evaluation`, a file, or `holdout`, a share of `train`: one of the two")
        if self.span != (not self.text):
            raise ValueError("`text`, one or two columns" if not self.span else "no `text`: SQuAD's columns are fixed")
        if len(set(self.text)) < len(self.text) or self.label in self.text:
            raise ValueError("columns of `text` and `label` that differ")
        if self.regression and self.labels:
            raise ValueError(f"no `labels` beside the metric {self.metric}, which is about numbers")
        known = tuple(METRICS_BY_HEADLINE)
        for name in (self.metric, *self.metrics):
            if name not in known:
                raise ValueError(f"a metric of {', '.join(known)}; got '{name}'")
        if self.span != (self.metric == "span_f1"):
            raise ValueError("metric span_f1 and format squad together")
        return self

    @property
    def span(self) -> bool:
        """Whether answers are spans of a text."""
        return self.format == "squad"

    @property
    def regression(self) -> bool:
        """Whether the label is a number."""
        return self.metric in SCORES


class SplitPin(Checked):
    """What a split was when it was pinned."""

    file_sha256: Sha256 | None = None
    """Of the file, or of the folder's files; none for a share of the training file."""
    rows_sha256: Sha256
    rows: int


class TaskPin(Checked):
    """What a task was when it was pinned."""

    labels: tuple[str, ...] = ()
    splits: dict[Literal["train", "evaluation"], SplitPin]


class OwnFile(Checked):
    """A file of an encoder."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class OwnLock(Checked):
    """`<suite>.lock.yaml` beside a suite's file."""

    tasks: dict[str, TaskPin] = {}
    encoders: dict[str, dict[str, OwnFile]] = {}


def lock_path(suite: Path) -> Path:
    """Where a suite's own tasks and encoders are pinned."""
    return suite.with_name(f"{suite.stem}.lock.yaml")


def read_own_lock(suite: Path) -> OwnLock:
    """The lock beside a suite's file; an empty one if there is none."""
    path = lock_path(suite)
    return check(OwnLock, read_yaml(path) or {}, path) if path.is_file() else OwnLock()


def dataset_key(suite: str, name: str) -> str:
    """Where an own task lies in the store."""
    return f"{OWN}/{suite}/{name}"


def model_key(suite: str, name: str) -> str:
    """Where an own encoder lies in the store."""
    return f"{OWN}/{suite}.{name}"


def to_task(suite: str, name: str, entry: OwnTask, labels: tuple[str, ...]) -> Task:
    """An own task as every other, with the labels that it was pinned with."""
    logged = (entry.metric, *METRICS_BY_HEADLINE[entry.metric], *entry.metrics)
    return Task(
        name=name,
        dataset=f"{OWN}/{suite}",
        config=name,
        text=("question", "context") if entry.span else entry.text,
        label="answers" if entry.span else entry.label,
        labels=SPAN if entry.span else labels,
        no_gold=(None,),
        train=TRAIN,
        evaluation=EVALUATION,
        metric=entry.metric,
        metrics=tuple(dict.fromkeys(logged)),
        citation="the user's own data",
        licence="the user's to say",
        description=f"The suite's own task '{name}'.",
    )
