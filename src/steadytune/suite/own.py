"""A suite's own tasks and encoders: their keys in its file, and the lock next to it that pins what was read."""

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
"""Metrics of numeric labels: a task with one of them is a regression."""
TRAIN, EVALUATION = "train", "evaluation"


def _label(value: Any) -> Any:
    # YAML 1.1 reads unquoted `no` and `yes` as booleans, but `labels: [no, yes]` means the words.
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
            raise ValueError(f"`metrics` for {_kind(metrics[0])}, as {metrics[0]} is: {alike}; got '{name}'")


def _check_encoding(value: str) -> str:
    try:
        "a".encode(value)
    except LookupError:
        raise ValueError("a text encoding that Python knows, such as utf-8 or cp1252") from None
    return value


def check_commit(hub: str | None, revision: str | None, kind: Literal["datasets/", ""]) -> None:
    """Check that a repository on the hub is given with a commit, because a branch can move.

    Raises:
        ValueError: the commit is missing or malformed; says how to find it.
    """
    if (hub is None) != (revision is None):
        raise ValueError("`hub` and `revision` together")
    if hub and not re.fullmatch("[0-9a-f]{40}", str(revision)):
        raise ValueError(
            f"`revision`: a commit, 40 hex digits, because a branch moves; got '{revision}'; "
            f"`git ls-remote https://huggingface.co/{kind}{hub}` lists them"
        )


class OwnTask(StrictModel):
    """A task on the user's own files or on a data set on the hub."""

    train: NamedPath | None = None
    """A csv, tsv, jsonl or parquet file, a folder of parquet files, or a folder saved by `datasets`; relative to the
    suite's file. For a hub data set, the file in the repository or a shell pattern for several; if not given, files are
    found by their names."""
    evaluation: NamedPath | None = None
    hub: Repo | None = None
    """A data set on the hub."""
    revision: str | None = None
    """The repository's commit."""
    config: str | None = None
    """The folder in the repository, if several have the same splits."""
    holdout: float | None = Field(None, gt=0, lt=1)
    """Share of `train` to evaluate on if there is no evaluation file: stratified, and the same for every cell."""
    format: Literal["csv", "tsv", "jsonl", "parquet", "datasets", "squad"] | None = None
    """File format, by default that of the file's name; `squad` is a json file in the format of SQuAD 1.1."""
    quoted: bool | None = None
    """Whether quotation marks enclose fields; by default yes for csv and no for tsv."""
    separator: Annotated[str, matching(r'[^"\r\n]', "one character, no quotation mark or line break")] | None = None
    """Field separator of a csv file; a comma by default."""
    decimal: Literal[".", ","] = "."
    """Decimal mark of numeric labels."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8-sig"
    """Text encoding; by default UTF-8 with or without a byte order mark."""
    text: Annotated[tuple[str, ...], BeforeValidator(_texts), Field(min_length=1, max_length=2)] = ()
    label: str = "label"
    labels: tuple[Annotated[str, BeforeValidator(_label)], ...] | None = Field(None, min_length=2)
    """Class names in order; if not given, those found in the data, sorted. The metric `f1` scores the second class."""
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ()
    """Further metrics to log."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_commit(self.hub, self.revision, "datasets/")
        if self.hub is None and (self.train is None or self.config):
            raise ValueError("`train`, a file" if self.train is None else "`config` only with `hub`")
        if (self.evaluation is not None) + (self.holdout is not None) != 1 and not (self.hub and not self.evaluation):
            raise ValueError("either `evaluation`, a file, or `holdout`, a share of `train`")
        if self.span != (not self.text):
            raise ValueError("`text`, one or two columns" if not self.span else "no `text`: SQuAD's columns are fixed")
        if len(set(self.text)) < len(self.text) or self.label in self.text:
            raise ValueError("columns of `text` and `label` that differ")
        if self.decimal != "." and not self.regression:
            raise ValueError("`decimal` only with a metric for numbers, such as pearson_spearman")
        if self.regression and self.labels:
            raise ValueError(f"no `labels`, because {self.metric} is a metric for numbers")
        _check_metrics((self.metric, *self.metrics))
        if expected := expected_labels(self.labels or (), (self.metric, *self.metrics)):
            raise ValueError(expected)
        if self.span != (self.metric == "span_f1"):
            raise ValueError("metric span_f1 and format squad together")
        return self

    def reading(self) -> dict[str, Any]:
        """The keys that decide which rows are read, as JSON values; changing one amounts to changing the data."""
        apart = {"metric", "metrics"} | (set() if self.hub else {"train", "evaluation"})
        return self.model_dump(mode="json", exclude=apart, exclude_defaults=True) | {"scores": self.regression}

    @property
    def span(self) -> bool:
        """Whether the answers are spans of a text."""
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
    """The content of a split when it was pinned."""

    file_sha256: Sha256 | None = None
    """Hash of the file, or of the folder's files; None for a share of the training file and for hub data sets."""
    files: dict[str, OwnFile] = {}
    """The files of a hub data set, by path in the repository."""
    rows_sha256: Sha256
    rows: int


class TaskPin(StrictModel):
    """The content of a task when it was pinned."""

    read: dict[str, Any]
    """How the data were read: `OwnTask.reading`."""
    labels: tuple[str, ...] = ()
    splits: dict[Literal["train", "evaluation"], SplitPin]

    @property
    def digest(self) -> str:
        """Digest of the rows and of the label names."""
        return _short_digest([self.labels, {name: split.rows_sha256 for name, split in self.splits.items()}])


class EncoderPin(StrictModel):
    """The content of an encoder when it was pinned."""

    hub: Repo | None = None
    revision: str | None = None
    max_length: int | None = None
    """Maximum number of tokens that the encoder can read; None if there is no limit."""
    files: dict[str, OwnFile]

    @property
    def digest(self) -> str:
        """Digest of the files."""
        return _short_digest({name: file.sha256 for name, file in self.files.items()})


class OwnLock(StrictModel):
    """The contents of `<suite>.lock.yaml`, next to the suite's file."""

    tasks: dict[str, TaskPin] = {}
    encoders: dict[str, EncoderPin] = {}


def lock_path(suite: Path) -> Path:
    """Path of the lock that pins a suite's own tasks and encoders."""
    return suite.with_name(f"{suite.stem}.lock.yaml")


def read_own_lock(suite: Path) -> OwnLock:
    """Read the lock next to a suite's file; an empty lock if there is none."""
    path = lock_path(suite)
    return check(OwnLock, read_yaml(path) or {}, path) if path.is_file() else OwnLock()


def dataset_key(name: str, pin: TaskPin) -> str:
    """The store key of an own task; it includes a digest of the content, because suites share the store."""
    return f"{OWN}/{name}/{pin.digest}"


def model_key(name: str, pin: EncoderPin) -> str:
    """The store key of an own encoder."""
    return f"{OWN}/{name}-{pin.digest}"


def _short_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def to_task(where: str, name: str, entry: OwnTask, pin: TaskPin) -> Task:
    """An own task as a `Task`, with its pinned labels.

    Raises:
        SteadyTuneError: some pinned labels read alike, or there are too many for a metric.
    """
    if expected := expected_labels(pin.labels, (entry.metric, *entry.metrics)):
        raise SteadyTuneError(
            f"{where}: pinned labels: expected {expected}; `steadytune pin --accept {name}` reads them again"
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
