"""The tables of LNSR (arXiv 2107.04835, 2206.05658).

They could not be read: the layouts are ours, after the abstracts, and of the scores only those are known that HyPe's
Table 5 repeats (`published/lnsr.csv`).
"""

from steadytune.rendering.papers.layout import Average, Column, Group, Layout, columns, rows

METHODS = (("Fine-tuning", "vanilla"), ("L2-SP", "l2-sp"), ("Mixout", "mixout"), ("SMART", "smart"), ("LNSR", "lnsr"))
METHODS = (*METHODS, ("LNSR, in-manifold noise", "lnsr-in-manifold"))
ENTAILMENT = ("snli", "sick", "scitail", "hans", "qqp", "mnli")
QUESTIONS = ("bioasq", "drop", "duorc", "race", "relation-extraction", "textbookqa")

UNREAD = "The paper's tables could not be read, so that nothing printed stands beside these scores; the layout is ours."


def _sets(task: str, names: tuple[str, ...]) -> tuple[Column | Average, ...]:
    """A model of `task` on its own set and on others, and the others' mean."""
    others = tuple(Column(name, task, name, name.removeprefix("mrqa-")) for name in names)
    return (Column(task, task, heading="In domain"), *others, Average("mean", names, "Mean of the others"))


LAYOUTS = (
    Layout(
        "lnsr-tasks",
        "lnsr",
        "Methods by task",
        "Methods on four small tasks",
        (Group("bert-large-uncased", rows(METHODS), model="bert-large"),),
        columns([("STS-B", "stsb"), ("CoLA", "cola"), ("MRPC", "mrpc"), ("RTE", "rte")]),
        number="main",
        notes=(
            "The paper's tables could not be read: printed scores are those that HyPe's Table 5 repeats, of LNSR alone "
            "and without deviations; the layout is ours.",
        ),
        inconsistencies=("hype-lnsr-mrpc", "hype-lnsr-origin"),
    ),
    Layout(
        "lnsr-questions",
        "lnsr",
        "Question answering",
        "Question answering, in domain and out of it",
        (Group("bert-large-uncased", rows(METHODS)),),
        _sets("squad", tuple(f"mrqa-{name}" for name in QUESTIONS)),
        notes=(UNREAD,),
    ),
    Layout(
        "lnsr-out-of-domain",
        "lnsr",
        "Out of domain",
        "Beyond the training domain",
        tuple(
            Group("bert-large-uncased", rows(METHODS), f"trained on {task}", columns=_sets(task, ENTAILMENT))
            for task in ("rte", "mrpc")
        ),
        _sets("rte", ENTAILMENT),
        notes=(UNREAD,),
    ),
)
