"""A suite's own tasks and encoders: what its file says of them, and the lock beside it that pins what was read."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from steadytune.errors import SteadyTuneError, nearest
from steadytune.places import NamedPath
from steadytune.safe_yaml import read_yaml
from steadytune.schema import Repo, Sha256, StrictModel, check, matching
from steadytune.suite.own_labels import expected_labels, is_label, spell
from steadytune.tasks.entries import METRICS_BY_HEADLINE
from steadytune.tasks.task import OWN, SPAN, Task

SCORES = ("pearson_spearman", "pearson", "spearman")
"""Metrics of a number: a task with one of these is a regression."""
TRAIN, EVALUATION = "train", "evaluation"


def _label(value: Any) -> Any:
    # YAML 1.1 reads an unquoted `no` or `yes` as a boolean; whoever writes `labels: [no, yes]` means the words.
    if isinstance(value, bool):
        return {False: "no", True: "yes"}[value]
    return spell(value) if is_label(value) else value


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _kind(metric: str) -> str:
    return "spans" if metric == "span_f1" else "numbers" if metric in SCORES else "classes"


def _check_metrics(metrics: tuple[str, ...]) -> None:
    known = tuple(METRICS_BY_HEADLINE)
    for name in metrics:
        if name not in known:
            raise ValueError(f"a metric of {', '.join(known)}; got '{name}'{nearest(name, known)}")
        if _kind(name) != _kind(metrics[0]):
            alike = ", ".join(other for other in known if _kind(other) == _kind(metrics[0]))
            raise ValueError(f"`metrics` beside {metrics[0]} that are of {_kind(metrics[0])}, {alike}; got '{name}'")


def _check_encoding(value: str) -> str:
    try:
        "a".encode(value)
    except LookupError:
        raise ValueError("a text encoding that Python knows, such as utf-8 or cp1252") from None
    return value


def check_commit(hub: str | None, revision: str | None, kind: Literal["datasets/", ""]) -> None:
    """Check that a repository on the hub comes with a commit, which never changes, and not with a branch.

    Raises:
        ValueError: how to find the commit.
    """
    if (hub is None) != (revision is None):
        raise ValueError("`hub` and `revision` together")
    if hub and not re.fullmatch("[0-9a-f]{40}", str(revision)):
        raise ValueError(
            f"`revision`: a commit, 40 hex digits, because a branch moves; got '{revision}'; "
            f"`git ls-remote https://huggingface.co/{kind}{hub}` lists them"
        )


class OwnTask(StrictModel):
    """A data set of the user's, or of the hub."""

    train: NamedPath | None = None
    """A csv, tsv, jsonl or parquet file, a folder of parquet files, or a folder saved by `datasets`; relative to the
    suite's file. Of a hub set the file in the repository, or a shell pattern of several; found by its name if not
    given."""
    evaluation: NamedPath | None = None
    hub: Repo | None = None
    """A data set on the hub."""
    revision: str | None = None
    """Its commit."""
    config: str | None = None
    """The folder in the repository, if it has several with the same splits."""
    holdout: float | None = Field(None, gt=0, lt=1)
    """Share of `train` that is evaluated on, in place of a file: stratified, and the same for every cell."""
    format: Literal["csv", "tsv", "jsonl", "parquet", "datasets", "squad"] | None = None
    """By the file's name if not given; `squad` is a json file as SQuAD 1.1 has it."""
    quoted: bool | None = None
    """Whether quotation marks enclose fields: by default they do in csv and do not in tsv."""
    separator: Annotated[str, matching(r'[^"\r\n]', "one character, no quotation mark or line break")] | None = None
    """Between the fields of a csv file; a comma if not given."""
    decimal: Literal[".", ","] = "."
    """Before the decimals of a label that is a number."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8-sig"
    """UTF-8, with or without a byte order mark, if not given."""
    text: Annotated[tuple[str, ...], BeforeValidator(_texts), Field(min_length=1, max_length=2)] = ()
    label: str = "label"
    labels: tuple[Annotated[str, BeforeValidator(_label)], ...] | None = Field(None, min_length=2)
    """Names of the classes in order; found in the data, and sorted, if not given. `f1` is that of the second."""
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ()
    """Further metrics that are logged."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_commit(self.hub, self.revision, "datasets/")
        if self.hub is None and (self.train is None or self.config):
            raise ValueError("`train`, a file" if self.train is None else "`config` beside `hub` alone")
        if (self.evaluation is not None) + (self.holdout is not None) != 1 and not (self.hub and not self.evaluation):
            raise ValueError("`evaluation`, a file, or `holdout`, a share of `train`: one of the two")
        if self.span != (not self.text):
            raise ValueError("`text`, one or two columns" if not self.span else "no `text`: SQuAD's columns are fixed")
        if len(set(self.text)) < len(self.text) or self.label in self.text:
            raise ValueError("columns of `text` and `label` that differ")
        if self.decimal != "." and not self.regression:
            raise ValueError("`decimal` beside a metric of numbers alone, such as pearson_spearman")
        if self.regression and self.labels:
            raise ValueError(f"no `labels` beside the metric {self.metric}, which is about numbers")
        _check_metrics((self.metric, *self.metrics))
        if expected := expected_labels(self.labels or (), (self.metric, *self.metrics)):
            raise ValueError(expected)
        if self.span != (self.metric == "span_f1"):
            raise ValueError("metric span_f1 and format squad together")
        return self

    def reading(self) -> dict[str, Any]:
        """The keys that decide which rows are read, as JSON values: a change of one is as good as other data."""
        apart = {"metric", "metrics"} | (set() if self.hub else {"train", "evaluation"})
        return self.model_dump(mode="json", exclude=apart, exclude_defaults=True) | {"scores": self.regression}

    @property
    def span(self) -> bool:
        """Whether answers are spans of a text."""
        return self.format == "squad"

    @property
    def regression(self) -> bool:
        """Whether the label is a number."""
        return self.metric in SCORES


class OwnFile(StrictModel):
    """A file of an encoder, or of a data set on the hub."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class SplitPin(StrictModel):
    """What a split was when it was pinned."""

    file_sha256: Sha256 | None = None
    """Of the file, or of the folder's files; none for a share of the training file and for what the hub has."""
    files: dict[str, OwnFile] = {}
    """Of a hub set, by their paths in the repository."""
    rows_sha256: Sha256
    rows: int


class TaskPin(StrictModel):
    """What a task was when it was pinned."""

    read: dict[str, Any]
    """How: `OwnTask.reading`."""
    labels: tuple[str, ...] = ()
    splits: dict[Literal["train", "evaluation"], SplitPin]

    @property
    def digest(self) -> str:
        """Of the rows and of what their labels mean."""
        return _short_digest([self.labels, {name: split.rows_sha256 for name, split in self.splits.items()}])


class EncoderPin(StrictModel):
    """What an encoder was when it was pinned."""

    hub: Repo | None = None
    revision: str | None = None
    max_length: int | None = None
    """Tokens that it reads at most; none if there is no limit."""
    files: dict[str, OwnFile]

    @property
    def digest(self) -> str:
        """Of the files."""
        return _short_digest({name: file.sha256 for name, file in self.files.items()})


class OwnLock(StrictModel):
    """`<suite>.lock.yaml` beside a suite's file."""

    tasks: dict[str, TaskPin] = {}
    encoders: dict[str, EncoderPin] = {}


def lock_path(suite: Path) -> Path:
    """Where a suite's own tasks and encoders are pinned."""
    return suite.with_name(f"{suite.stem}.lock.yaml")


def read_own_lock(suite: Path) -> OwnLock:
    """The lock beside a suite's file; an empty one if there is none."""
    path = lock_path(suite)
    return check(OwnLock, read_yaml(path) or {}, path) if path.is_file() else OwnLock()


def dataset_key(name: str, pin: TaskPin) -> str:
    """Where an own task lies in the store: by its content, because suites share the store."""
    return f"{OWN}/{name}/{pin.digest}"


def model_key(name: str, pin: EncoderPin) -> str:
    """Where an own encoder lies in the store."""
    return f"{OWN}/{name}-{pin.digest}"


def _short_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def to_task(where: str, name: str, entry: OwnTask, pin: TaskPin) -> Task:
    """An own task as every other, with the labels that it was pinned with.

    Raises:
        SteadyTuneError: the pinned labels read alike, or are too many for a metric.
    """
    if expected := expected_labels(pin.labels, (entry.metric, *entry.metrics)):
        raise SteadyTuneError(
            f"{where}: pinned labels: expected {expected}; `steadytune pin --accept {name}` reads them anew"
        )
    logged = (entry.metric, *METRICS_BY_HEADLINE[entry.metric], *entry.metrics)
    return Task(
        name=name,
        dataset=f"{OWN}/{name}",
        config=pin.digest,
        text=("question", "context") if entry.span else entry.text,
        label="answers" if entry.span else entry.label,
        labels=SPAN if entry.span else pin.labels,
        no_gold=(None,),
        train=TRAIN,
        evaluation=EVALUATION,
        metric=entry.metric,
        metrics=tuple(dict.fromkeys(logged)),
        citation=f"{entry.hub} on the hub, commit {entry.revision}" if entry.hub else "the user's own data",
        licence="see the hub" if entry.hub else "the user's to say",
        description=f"The suite's own task '{name}'.",
    )
