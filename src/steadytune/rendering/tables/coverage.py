"""Which cells were planned and how they ended."""

import math
from collections import Counter

from steadytune.rendering.entries import block_title
from steadytune.rendering.table import Block, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results
from steadytune.results.scores import in_order, metric_name


@table("coverage", every_variant=True)
def coverage(results: Results) -> Table:
    """Number of planned cells by outcome, a row for each method."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for (encoder, method, _), statuses in results.planned():
        counts.setdefault((encoder, method), Counter()).update(statuses.values())
    ends = in_order({"ok", *(status for count in counts.values() for status in count)})
    blocks, data = [], []
    for encoder in results.encoders:
        found = [(method, counts[encoder, method]) for method in results.methods_of(encoder)]
        rows = [(method, str(count.total()), *(str(count[end] or "·") for end in ends)) for method, count in found]
        blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
        data += [
            {"encoder": encoder, "method": method, "planned": count.total()} | {end: count[end] for end in ends}
            for method, count in found
        ]
    return Table(
        name="coverage",
        title="Coverage",
        caption="Planned cells (encoder × method × task × seed) and how they ended.",
        columns=("Method", "Planned", *(end.replace("_", " ") for end in ends)),
        blocks=tuple(blocks),
        data=tuple(data),
    )


@table("cells", every_variant=True)
def cells(results: Results) -> Table:
    """Every planned cell, one per row."""
    data = []
    for (encoder, method, task), statuses in results.planned():
        score = results.score(encoder, method, task)
        for seed, status in statuses.items():
            points = score.points.get(seed, math.nan) if score else math.nan
            metric = score.metric if score else ""
            key = {"encoder": encoder, "method": method, "task": task, "seed": seed}
            data.append(key | {"status": status, "metric": metric, "points": points})
    rows = [(*map(str, list(row.values())[:5]), metric_name(row["metric"]), number(row["points"])) for row in data]
    return Table(
        name="cells",
        title="Cells",
        caption="Every planned cell: how it ended and its headline score in points.",
        columns=("Encoder", "Method", "Task", "Seed", "Status", "Metric", "Score"),
        blocks=(Block(tuple(rows)),),
        align="lllrllr",
        data=tuple(data),
    )
