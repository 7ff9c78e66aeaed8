"""How much pretraining improves scores."""

from steadytune.rendering.entries import MAJORITY, SPREAD, scored
from steadytune.rendering.run_notes import status_notes
from steadytune.rendering.table import Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results
from steadytune.results.scores import metric_name, paired


@table("pretraining", empty="This suite compares no pretrained encoder with random weights.")
def pretraining(results: Results) -> Table:
    """Pretrained against random encoder weights with the same method, task by task."""
    blocks, data, shown = [], [], []
    method = results.baseline
    for names in results.suite.pretraining_pairs:
        rows: list[Line] = []
        for task in results.tasks:
            first, second = (results.score(encoder, method, task) for encoder in names)
            if not first or not second:
                continue
            gap = paired(first, second)
            numbers = number(gap.mean, sign=True), number(gap.error), str(len(gap.differences))
            rows.append(
                (
                    f"{task} ({metric_name(first.metric)})",
                    number(first.majority),
                    scored(first),
                    scored(second),
                    *numbers,
                )
            )
            key = {"pretrained": names[0], "random": names[1], "method": method, "task": task}
            means = {"pretrained_mean": first.mean, "random_mean": second.mean}
            gaps = {"difference": gap.mean, "standard_error": gap.error, "pairs": len(gap.differences)}
            data.append(key | {"metric": first.metric, "majority": first.majority} | means | gaps)
            shown += [((encoder, method, task), score) for encoder, score in zip(names, (first, second), strict=True)]
        if rows:
            blocks.append(
                Block(tuple(rows), title=f"{method}: {names[0]} (pretrained) against {names[1]} (random weights)")
            )
    note = (
        "Difference: pretrained minus random, seed by seed; s.e.: its standard error, std / √n over n pairs of seeds. "
        "The means are over all seeds of each side."
    )
    return Table(
        name="pretraining",
        title="Does pretraining help?",
        caption="The same architecture, method and protocol, from pretrained and from random encoder weights.",
        columns=("Task", "Majority", "Pretrained", "Random", "Difference", "s.e.", "n"),
        blocks=tuple(blocks),
        notes=(SPREAD, note, MAJORITY, *status_notes(shown)),
        data=tuple(data),
    )
