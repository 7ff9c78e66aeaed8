"""What a person should look at before training on a task: rows, classes, lengths, empty texts, duplicates, overlap."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.tasks.duplicates import key_of
from steadytune.tasks.parts import split_name
from steadytune.tasks.reading import Split, is_empty, read_split, split_files
from steadytune.tasks.task import Task

SHOWN_CLASSES = 12


class EmptyTexts(SteadyTuneError):
    """Texts without a visible character, which a suite refuses; the files are as they should be."""


@dataclass(frozen=True)
class Summary:
    """One split of a task."""

    split: str
    rows: int
    unlabelled: int
    """Rows without a gold label, which are left out."""
    classes: dict[str, int]
    """Rows by class; none where the label is a number or an answer."""
    empty: dict[str, int]
    """Texts without a visible character, by column; columns without one are left out."""
    duplicates: int
    """Labelled rows whose texts an earlier one has too."""
    keys: frozenset[bytes]
    """Of the texts of labelled rows."""
    range: tuple[float, float] | None
    """Least and largest label where it is a number."""
    words: tuple[int, int]
    """Of the texts of a row together: the median number and the largest, between blanks."""

    @property
    def majority(self) -> float | None:
        """Accuracy of always answering the most frequent class."""
        return max(self.classes.values()) / sum(self.classes.values()) if self.classes else None

    def __str__(self) -> str:
        labelled = self.rows - self.unlabelled
        shares = [f"{name} {count / labelled:.1%}" for name, count in self.classes.items()]
        more = [f"… and {len(shares) - SHOWN_CLASSES} more classes"] if len(shares) > SHOWN_CLASSES else []
        facts = [
            f"{self.rows:,} rows",
            *([", ".join([*shares[:SHOWN_CLASSES], *more])] if shares else []),
            *([f"from {self.range[0]:g} to {self.range[1]:g}"] if self.range else []),
            *([f"{self.unlabelled:,} without a label are left out"] if self.unlabelled else []),
            *([f"empty texts: {', '.join(f'{name} {n:,}' for name, n in self.empty.items())}"] if self.empty else []),
            *([f"{self.duplicates:,} duplicates"] if self.duplicates else []),
            f"{self.words[0]:,} words in the median and {self.words[1]:,} at most",
            *([f"majority {self.majority:.3f}"] if self.majority is not None else []),
        ]
        return f"{self.split}: {'; '.join(facts)}"


def summarise(task: Task, store: Path, *, empty_texts: str = "count") -> list[str]:
    """A line for each split of a task as staged, and one for texts that stand in both.

    Raises:
        SteadyTuneError: one line with all that is wrong in a split's files.
        EmptyTexts: there are such texts, and `empty_texts` is `refuse`.
    """
    found = {name: _summary(name, read_split(task, split_files(task, name, store))) for name in _splits(task)}
    if empty_texts == "refuse":
        for summary in found.values():
            for column, count in summary.empty.items():
                raise EmptyTexts(
                    f"task '{task.name}', split '{summary.split}': {count} empty texts in column '{column}', "
                    "and the suite says `empty_texts: refuse`"
                )
    lines = [f"{task.name} {summary}" for summary in found.values()]
    if len(found) == 2:
        train, evaluation = found.values()
        if shared := len(train.keys & evaluation.keys):
            lines.append(f"{task.name}: {shared:,} texts of {evaluation.split} stand in {train.split} too")
        if unseen := [name for name, count in evaluation.classes.items() if count and not train.classes[name]]:
            lines.append(f"{task.name}: classes of {evaluation.split} that {train.split} lacks: {', '.join(unseen)}")
    return lines


def _splits(task: Task) -> list[str]:
    """The splits as their files name them, each once."""
    return list(dict.fromkeys(split_name(split)[0] for split in (task.train, task.evaluation) if split))


def _summary(name: str, split: Split) -> Summary:
    task = split.task
    labels = [label for label, kept in zip(split.labels, split.kept, strict=True) if kept]
    counts = Counter(labels)
    classes = {} if task.regression or task.span else {label: counts[i] for i, label in enumerate(task.labels)}
    empty = {column: sum(map(is_empty, split.columns[column])) for column in task.text}
    texts = list(zip(*(split.columns[column] for column in task.text), strict=True))
    words = sorted(sum(len(text.split()) for text in row) for row in texts)
    keys = [key_of(row) for row, kept in zip(texts, split.kept, strict=True) if kept]
    return Summary(
        split=name,
        rows=len(split.kept),
        unlabelled=split.kept.count(False),
        classes=classes,
        empty={column: count for column, count in empty.items() if count},
        duplicates=len(keys) - len(set(keys)),
        keys=frozenset(keys),
        range=(min(labels), max(labels)) if task.regression else None,
        words=(words[len(words) // 2], words[-1]),
    )
