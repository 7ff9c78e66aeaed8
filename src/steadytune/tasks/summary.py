"""What to check before training on a task: rows, classes, lengths, empty texts, duplicates, train-test overlap."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from steadytune.errors import SteadyTuneError, short
from steadytune.tasks.duplicates import key_of
from steadytune.tasks.parts import split_name
from steadytune.tasks.reading import Split, is_empty, read_split, split_files
from steadytune.tasks.task import Task
from steadytune.text import counted, listed

SHOWN_CLASSES = 12
MOSTLY = 0.5
"""Warn if at least this share of the evaluation texts is in the training split: scores then mostly reflect them."""


class EmptyTexts(SteadyTuneError):
    """Texts without a visible character, which the suite refuses; the files themselves are not damaged."""


@dataclass(frozen=True)
class Summary:
    """A summary of one split of a task."""

    split: str
    rows: int
    unlabelled: int
    """Number of rows without a gold label, which are left out."""
    classes: dict[str, int]
    """Number of rows by class; empty if the label is a number or an answer."""
    empty: dict[str, int]
    """Number of texts without a visible character by column; columns without any are left out."""
    duplicates: int
    """Number of labelled rows whose texts occur in an earlier labelled row."""
    contradictions: str
    """How many texts occur with several classes, and an example; empty if none does."""
    keys: frozenset[bytes]
    """Keys of the texts of labelled rows."""
    range: tuple[float, float] | None
    """Smallest and largest label of a regression; None for other tasks."""
    words: tuple[int, int]
    """Median and maximum number of words, split at white space, in the texts of a row."""

    @property
    def majority(self) -> float | None:
        """Accuracy of always predicting the most frequent class; None without classes."""
        return max(self.classes.values()) / sum(self.classes.values()) if self.classes else None

    def __str__(self) -> str:
        labelled = self.rows - self.unlabelled
        shares = [f"{name!r} {count / labelled:.1%}" for name, count in self.classes.items()]
        more = [f"… and {len(shares) - SHOWN_CLASSES} more classes"] if len(shares) > SHOWN_CLASSES else []
        facts = [
            f"{self.rows:,} rows",
            *([", ".join([*shares[:SHOWN_CLASSES], *more])] if shares else []),
            *([f"from {self.range[0]:g} to {self.range[1]:g}"] if self.range else []),
            *([f"{self.unlabelled:,} without a label are left out"] if self.unlabelled else []),
            *([f"empty texts: {', '.join(f'{name} {n:,}' for name, n in self.empty.items())}"] if self.empty else []),
            *([counted(self.duplicates, "duplicate")] if self.duplicates else []),
            f"{self.words[0]:,} words in the median and {self.words[1]:,} at most",
            *([f"majority {self.majority:.3f}"] if self.majority is not None else []),
        ]
        return f"{self.split}: {'; '.join(facts)}"


class Findings(NamedTuple):
    """Lines about a staged task."""

    facts: list[str]
    warnings: list[str]
    """Reasons why scores may mean less than they seem to."""


def summarise(task: Task, store: Path, *, empty_texts: str = "count") -> Findings:
    """Summarise a staged task: a line for each split, and a warning for everything that the user should look into.

    Raises:
        SteadyTuneError: one line with all mistakes in a split's files.
        EmptyTexts: there are empty texts, and `empty_texts` is `refuse`.
    """
    found = {name: _summary(name, read_split(task, split_files(task, name, store))) for name in _splits(task)}
    if empty_texts == "refuse":
        for summary in found.values():
            for column, count in summary.empty.items():
                raise EmptyTexts(
                    f"task '{task.name}', split '{summary.split}': {count} empty texts in column '{column}', "
                    "and the suite says `empty_texts: refuse`"
                )
    facts = [f"{task.name} {summary}" for summary in found.values()]
    warnings = [f"{task.name} {name}: {summary.contradictions}"
                for name, summary in found.items() if summary.contradictions]  # fmt: skip
    if len(found) == 2:
        train, evaluation = found.values()
        if shared := len(train.keys & evaluation.keys):
            mostly = shared >= MOSTLY * len(evaluation.keys)
            line = f"{task.name}: {shared:,} of {counted(len(evaluation.keys), 'text')} of {evaluation.split} "
            line += f"{'is' if shared == 1 else 'are'} in {train.split} too"
            line += ": scores on what training has seen say nothing about new texts" if mostly else ""
            (warnings if mostly else facts).append(line)
        if unseen := [name for name, count in evaluation.classes.items() if count and not train.classes[name]]:
            warnings.append(f"{task.name}: classes of {evaluation.split} that {train.split} lacks: {', '.join(unseen)}")
    return Findings(facts, warnings)


def _splits(task: Task) -> list[str]:
    """The names of the task's splits in their files, each once."""
    return list(dict.fromkeys(split_name(split)[0] for split in (task.train, task.evaluation) if split))


def _summary(name: str, split: Split) -> Summary:
    task = split.task
    labels = [label for label, kept in zip(split.labels, split.kept, strict=True) if kept]
    counts = Counter(labels)
    classes = {} if task.regression or task.span else {label: counts[i] for i, label in enumerate(task.labels)}
    empty = {column: sum(map(is_empty, split.columns[column])) for column in task.text}
    texts = list(zip(*(split.columns[column] for column in task.text), strict=True))
    words = sorted(sum(len(text.split()) for text in row) for row in texts)
    rows = [row for row, kept in enumerate(split.kept) if kept]
    keys = [key_of(texts[row]) for row in rows]
    return Summary(
        split=name,
        rows=len(split.kept),
        unlabelled=split.kept.count(False),
        classes=classes,
        empty={column: count for column, count in empty.items() if count},
        duplicates=len(keys) - len(set(keys)),
        contradictions=_contradictions(split, texts, dict(zip(rows, keys, strict=True))) if classes else "",
        keys=frozenset(keys),
        range=(min(labels), max(labels)) if task.regression else None,
        words=(words[len(words) // 2], words[-1]),
    )


def _contradictions(split: Split, texts: Sequence[Sequence[str]], keys: dict[int, bytes]) -> str:
    """How many texts occur with several classes, and the first of them with a row of each class; empty if none does.

    Args:
        split: the split, with its labels.
        texts: the texts of each row.
        keys: the keys of the texts of labelled rows, by row.
    """
    rows_of: dict[bytes, dict[float, int]] = {}
    for row, key in keys.items():
        rows_of.setdefault(key, {}).setdefault(split.labels[row], row)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    if not several:
        return ""
    by_class = [f"{split.task.labels[int(label)]} (row {row})" for label, row in several[0].items()]
    example = short(" | ".join(texts[min(several[0].values())]))
    have = "text has" if len(several) == 1 else "texts have"
    return f"{len(several):,} {have} several labels, such as {example}: {listed(by_class)}"
