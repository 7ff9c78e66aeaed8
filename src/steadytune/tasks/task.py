"""What the project knows about a task."""

from dataclasses import dataclass

SPAN = ("start", "end")
"""What stands for label names where the answer is a span: the head's two outputs at every token."""


OWN = "own"
"""The owner of a suite's own tasks and encoders in the store."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set with its label space, splits and metrics."""

    name: str
    dataset: str
    """`<owner>/<name>` on the hub and in the store."""
    config: str
    text: tuple[str, ...]
    """The one or two text columns, in the order a model reads them."""
    label: str = "label"
    """The label column."""
    labels: tuple[str, ...]
    """Label names in the order of the class index; none for regression; `SPAN` for question answering."""
    values: tuple[int | str, ...] = ()
    """What stands for each name in the file; 0, 1, ... where nothing is said."""
    no_gold: tuple[int | str | None, ...] = (None, -1, "-", "")
    """What stands where a row has no gold label: GLUE's hidden test labels, SNLI's rows without a majority."""
    train: str | None
    """The split trained on, or a part of one, `validation[train]`; None for a set that only evaluates."""
    evaluation: str
    """The split that the tables report, or a part of one."""
    group: str = ""
    """Where splits are cut into parts (`tasks/parts.py`): the column whose values are each in one part alone."""
    metric: str
    """The headline metric."""
    metrics: tuple[str, ...]
    """All metrics that are logged."""
    transfer: tuple[str, ...] = ()
    """Tasks whose evaluation split a model trained on this one is evaluated on too: its transfer group."""
    slices: tuple[str, ...] = ()
    """Columns by whose values scores are broken down: the heuristics of HANS, the constructions of AdvGLUE."""
    size: int | None = None
    """Examples of its fixed training subset: 1000 in `rte@1k`, whose `name` is `rte`; None for the whole split."""
    citation: str
    licence: str
    description: str

    def __post_init__(self) -> None:
        if not self.values:
            object.__setattr__(self, "values", tuple(range(len(self.labels))))

    @property
    def own(self) -> bool:
        """Whether it is a suite's own, and not of the task table."""
        return self.dataset.startswith(f"{OWN}/")

    @property
    def regression(self) -> bool:
        """Whether the label is a number and not a class."""
        return not self.labels

    @property
    def span(self) -> bool:
        """Whether the answer is a span of the second text: extractive question answering."""
        return self.labels == SPAN

    @property
    def num_labels(self) -> int:
        """Outputs of the model's head: the number of classes, 1 for regression, 2 at each token for a span."""
        return len(self.labels) or 1

    @property
    def dataset_key(self) -> str:
        """The folder below `store/datasets` and the key in the lock: `<owner>/<name>/<config>`."""
        return f"{self.dataset}/{self.config}"
