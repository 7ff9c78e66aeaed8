"""How far two seeds of one method agree."""

import math
import statistics
from typing import Any

from steadytune.rendering.entries import block_title
from steadytune.rendering.table import Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.inside import Inside, every_inside
from steadytune.results.model import Results


@table("churn", empty="This suite compares no seeds.")
def churn(results: Results) -> Table:
    """How often the answers of two seeds differ, and how similar their last layers are: means over pairs of seeds."""
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    for encoder, inside in every_inside(results):
        found = [(method, task, _between(inside, method, task)) for method in inside.methods for task in inside.tasks]
        found = [(method, task, means) for method, task, means in found if means["pairs"]]
        rows: list[Line] = [
            (
                method,
                task,
                number(100 * means["churn"]),
                number(100 * means["one_right"]),
                number(means["cka"], 3),
                str(means["pairs"]),
            )
            for method, task, means in found
        ]
        data += [{"encoder": encoder, "method": method, "task": task, **means} for method, task, means in found]
        blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    notes = (
        "Churn: share of the evaluation split on which two seeds answer differently; regression scores are rounded to "
        "the nearest integer first. One right: the share where exactly one of the two answers is right.",
        "CKA: similarity of the two seeds' last layers on the same examples (linear, unbiased estimate); 1 is equal "
        "but for rotation and scale.",
    )
    return Table(
        name="churn",
        title="Agreement between seeds",
        caption="Two seeds of one method compared: means over all pairs of seeds that left a model.",
        columns=(
            "Method",
            "Task",
            ("Churn", "% of examples"),
            ("One right", "% of examples"),
            ("CKA", "last layer"),
            "Pairs",
        ),
        blocks=tuple(blocks),
        align="llrrrr",
        notes=notes,
        data=tuple(data),
    )


def _between(inside: Inside, method: str, task: str) -> dict[str, Any]:
    """Means over the pairs of seeds, and how many pairs there are."""
    names = {"churn": "churn", "one_right": "churn_one_right"}
    values = {name: inside.values(measure, method, task) for name, measure in names.items()}
    layers = inside.curve("cka_between_seeds", method, task)
    means = {name: statistics.fmean(found) if found else math.nan for name, found in values.items()}
    return means | {"cka": layers[-1].mean if layers else math.nan, "pairs": len(values["churn"])}
