"""The tables of the variability paper (arXiv 2210.10041).

They could not be read: rows follow the strategies of its Figure 2 and of its released code, columns are ours, and
nothing printed stands beside the scores.
"""

from steadytune.rendering.papers.layout import Average, Group, Layout, columns, rows

STRATEGIES = rows(
    [
        ("All layers", "vanilla"),
        ("Up to l*, head at l*", "variability-tune"),
        ("Up to l*, head on top", "variability-tune~head=top"),
        ("Two layers up to l*, head at l*", "variability-tune~count=2"),
        ("Two layers up to l*, head on top", "variability-tune~count=2~head=top"),
        ("Two top layers", "layer-tune~count=2"),
        ("Adapters in all layers", "adapter-sequential"),
        ("Adapters up to l*, head at l*", "adapter-sequential~layer=selected"),
        ("Adapters in two layers up to l*, head at l*", "adapter-sequential~count=2~layer=selected"),
        ("Adapters in two layers up to l*, head on top", "adapter-sequential~count=2~head=top~layer=selected"),
        ("Adapters in the two top layers", "adapter-sequential~count=2~layer=top"),
    ]
)
TASKS = (("RTE", "rte"), ("MRPC", "mrpc"), ("CoLA", "cola"), ("SST-2", "sst2"), ("QNLI", "qnli"), ("QQP", "qqp"))
TASKS = (*TASKS, ("MNLI", "mnli"))
AVERAGE = Average("mean", tuple(printed for printed, _ in TASKS))

NOTES = (
    "The paper's tables could not be read, so that nothing printed stands beside these scores: rows follow its Figure "
    "2 and its released code, columns are ours.",
    "l*: the layer of least variability on the training set, before any training. Cost: table cost.",
)


def _layout(name: str, title: str, suffix: str = "") -> Layout:
    groups = (Group("roberta-large", STRATEGIES),)
    shown = (*columns(TASKS, suffix), AVERAGE)
    return Layout(name, "variability", "Strategies by task", title, groups, shown, notes=NOTES)


LAYOUTS = (
    _layout("variability-strategies", "Strategies by task"),
    _layout("variability-strategies-1k", "Strategies by task, 1,000 training examples", "@1k"),
)
