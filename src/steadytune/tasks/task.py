"""The description of a task."""

from dataclasses import dataclass

SPAN = ("start", "end")
"""The labels of a task whose answers are spans: the head's two outputs at every token."""


OWN = "own"
"""The owner name of a suite's own tasks and encoders in the store."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set with its label space, splits and metrics."""

    name: str
    dataset: str
    """`<owner>/<name>` on the hub and in the store."""
    config: str
    text: tuple[str, ...]
    """The one or two text columns, in the order in which a model reads them."""
    label: str = "label"
    """The label column."""
    labels: tuple[str, ...]
    """Label names in the order of the class index; empty for regression; `SPAN` for question answering."""
    values: tuple[int | str, ...] = ()
    """The value of each label in the file; 0, 1, ... by default."""
    no_gold: tuple[int | str | None, ...] = (None, -1, "-", "")
    """Values that mean no gold label, as in GLUE's hidden test labels and SNLI's rows without a majority."""
    train: str | None
    """The training split, or a part of a split: `validation[train]`; None for a set that is only evaluated on."""
    evaluation: str
    """The split that tables report, or a part of a split."""
    group: str = ""
    """If splits are cut into parts (`tasks/parts.py`), the column whose values may not be in two parts."""
    metric: str
    """The headline metric."""
    metrics: tuple[str, ...]
    """All metrics to log."""
    transfer: tuple[str, ...] = ()
    """Other tasks on whose evaluation splits a model of this task is evaluated: its transfer group."""
    slices: tuple[str, ...] = ()
    """Columns by which scores are broken down, such as the heuristics of HANS or the constructions of AdvGLUE."""
    size: int | None = None
    """Size of the fixed training subset: 1000 for `rte@1k`, whose `name` is `rte`; None for the whole split."""
    citation: str
    licence: str
    description: str

    def __post_init__(self) -> None:
        if not self.values:
            object.__setattr__(self, "values", tuple(range(len(self.labels))))

    @property
    def own(self) -> bool:
        """Whether the task is a suite's own, and not in the task table."""
        return self.dataset.startswith(f"{OWN}/")

    @property
    def regression(self) -> bool:
        """Whether the label is a number, not a class."""
        return not self.labels

    @property
    def span(self) -> bool:
        """Whether the answer is a span of the second text: extractive question answering."""
        return self.labels == SPAN

    @property
    def num_labels(self) -> int:
        """Outputs of the model's head: one per class, 1 for regression, 2 per token for spans."""
        return len(self.labels) or 1

    @property
    def dataset_key(self) -> str:
        """The folder below `store/datasets` and the key in the lock: `<owner>/<name>/<config>`."""
        return f"{self.dataset}/{self.config}"
